"""The tab *iTwin run* and the page *iTwin*: registered if Airflow supports them, cheap to load, and safe to serve."""

from __future__ import annotations

import inspect
import json
import os
import re
import subprocess
import sys
import zlib
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

import airflow_provider_itwin
from airflow_provider_itwin.version_compat import AIRFLOW_V_3_1_PLUS
from tests.airflow.sdk import BaseOperator

FOLDER = Path(airflow_provider_itwin.__file__).parent / "plugin" / "static"
LARGEST = 84 * 1024
LARGEST_ZIPPED = 32 * 1024

since_3_1 = pytest.mark.skipif(not AIRFLOW_V_3_1_PLUS, reason="Airflow has such tabs since 3.1")

# Loads the plugins as every process of Airflow does, and lists them as the API server does.
SCRIPT = """
import json, sys
from airflow import plugins_manager
web = lambda: {"fastapi", "starlette", "uvicorn"} & set(sys.modules)
before = web()
import airflow_provider_itwin.plugin
brought = sorted(web() - before)
plugins_manager.ensure_plugins_loaded()
errors = getattr(plugins_manager, "get_import_errors", lambda: plugins_manager.import_errors)()
plugins = plugins_manager.get_plugin_info(sys.argv[1:])
print(json.dumps({"brought": brought, "errors": errors, "plugins": plugins}))
"""


@dataclass
class LoadedPlugins:
    """The plugins that a process of Airflow has loaded, and its log."""

    brought: list[str]
    errors: dict[str, str]
    plugins: list[dict[str, Any]]
    logged: list[str]

    @property
    def ours(self) -> list[dict[str, Any]]:
        return [plugin for plugin in self.plugins if plugin["name"] == "itwin"]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedPlugins:
    """The plugins, loaded in a process of its own."""
    environment = {
        "PATH": os.environ["PATH"],
        "AIRFLOW_HOME": str(tmp_path_factory.mktemp("airflow")),
        "AIRFLOW__API__BASE_URL": "https://airflow.example.com/of/us/",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    }
    wanted = ("name", "react_apps", "fastapi_apps") if AIRFLOW_V_3_1_PLUS else ("name",)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *wanted],
        capture_output=True,
        text=True,
        env=environment,
        timeout=240,
        check=True,
    )
    *logged, answer = done.stdout.strip().splitlines()
    return LoadedPlugins(**json.loads(answer), logged=logged + done.stderr.splitlines())


def test_airflow_finds_the_plugin(loaded: LoadedPlugins) -> None:
    (entry,) = entry_points(group="airflow.plugins", name="itwin")
    assert (entry.load() is not None) == AIRFLOW_V_3_1_PLUS

    assert len(loaded.ours) == (1 if AIRFLOW_V_3_1_PLUS else 0), "an older Airflow does not register it"
    assert not [name for name in loaded.errors if "itwin" in name]
    assert not [line for line in loaded.logged if "itwin" in line.lower()]


def test_loading_the_plugin_needs_no_web_framework(loaded: LoadedPlugins) -> None:
    assert loaded.brought == []


@since_3_1
def test_tab_and_page_have_a_url_relative_to_airflow(loaded: LoadedPlugins) -> None:
    (plugin,) = loaded.ours
    tab, page = plugin["react_apps"]

    assert (tab["destination"], tab["bundle_url"]) == ("task_instance", "/of/us/itwin-run/tab.js")
    assert (page["destination"], page["bundle_url"]) == ("nav", "/of/us/itwin-run/overview.js")
    assert tab["url_route"] != page["url_route"], "Airflow drops the second app with the same route"
    (files,) = plugin["fastapi_apps"]
    assert files["url_prefix"] == "/itwin-run"
    for app in (tab, page):
        for address in (app["bundle_url"], app["icon"], app["icon_dark_mode"]):
            assert (FOLDER / address.rsplit("/", 1)[1]).is_file()


@since_3_1
class TestFiles:
    """The files that the API server serves."""

    @pytest.fixture
    def browser(self) -> Any:
        from fastapi import FastAPI
        from fastapi.testclient import TestClient

        from airflow_provider_itwin.plugin.files import TabFiles

        airflow = FastAPI()
        airflow.mount("/itwin-run", TabFiles())
        return TestClient(airflow)

    @pytest.mark.parametrize("name", sorted(file.name for file in FOLDER.iterdir()))
    def test_each_file_has_a_strict_content_security_policy(self, browser: Any, name: str) -> None:
        answer = browser.get(f"/itwin-run/{name}")

        assert answer.status_code == 200
        assert answer.content == (FOLDER / name).read_bytes()
        assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-cache"
        kind = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}[name.rsplit(".", 1)[1]]
        assert answer.headers["content-type"].split(";")[0] == kind

        again = browser.get(f"/itwin-run/{name}", headers={"If-None-Match": answer.headers["etag"]})
        assert again.status_code == 304

    @pytest.mark.parametrize(
        "path", ["", "index.html", "files.py", "../files.py", "%2e%2e/files.py", "..%2f__init__.py", "/etc/passwd"]
    )
    def test_no_other_file_is_served(self, browser: Any, path: str) -> None:
        assert browser.get(f"/itwin-run/{path}").status_code == 404

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
    def test_other_methods_are_rejected(self, browser: Any, method: str) -> None:
        assert browser.request(method, "/itwin-run/tab.js").status_code == 405


def test_the_files_are_small() -> None:
    contents = [file.read_bytes() for file in FOLDER.iterdir()]

    assert sum(map(len, contents)) < LARGEST
    assert sum(len(zlib.compress(content, 9)) for content in contents) < LARGEST_ZIPPED


def test_the_page_lists_every_operator_and_sensor() -> None:
    code = (FOLDER / "overview-read.js").read_text()
    listed = re.search(r"OPERATORS = \[(.*?)\]", code, re.DOTALL)
    assert listed is not None
    jobs = re.findall(r'(\w+): "job",', (FOLDER / "steps.js").read_text())

    modules = [
        f"airflow_provider_itwin.{name}"
        for name in (
            "operators.itwin",
            "operators.upload",
            "operators.named_version",
            "operators.download",
            "sensors.itwin",
            "operators.jobs",
            "sensors.jobs",
            "jobs.changed_elements",
            "jobs.grouping_and_mapping",
            "jobs.reality",
            "jobs.transformations",
        )
    ]
    classes = {
        name
        for module in modules
        for name, one in vars(import_module(module)).items()
        if not name.startswith("_")
        and inspect.isclass(one)
        and issubclass(one, BaseOperator)
        and one.__module__ == module
    }
    assert {*re.findall(r'"(\w+)"', listed[1]), *jobs} == classes


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.js")), ids=lambda file: file.name)
def test_no_script_interprets_text_as_code(file: Path) -> None:
    code = file.read_text()

    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|srcdoc|setTimeout\(['\"`]", code
    )
    assert not re.search(r"https?://", code), "all requests go to Airflow"


def test_the_tab_shows_the_same_advice_as_logs_and_messages() -> None:
    from airflow_provider_itwin.api.models.report_parts import ADVICE

    page = (FOLDER / "page.js").read_text()
    assert f'{{ true: "{ADVICE[True]}", false: "{ADVICE[False]}" }}' in page
