"""A defect of the package never stops a process of Airflow; it disables only the part that is defective."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import pytest

import airflow_provider_itwin
from airflow_provider_itwin.version_compat import AIRFLOW_V_3_0_PLUS, AIRFLOW_V_3_1_PLUS

Loads = Literal["providers", "plugins", "api"]
PACKAGE = Path(airflow_provider_itwin.__file__).parent

# What every process of Airflow loads from providers and plugins, and how the API server uses it.
START = """
import json, sys, warnings
warnings.simplefilter("ignore")
from airflow.providers_manager import ProvidersManager
from airflow import plugins_manager

def name(one):
    return getattr(one, "name", None) or (one.get("name") if isinstance(one, dict) else None)

providers = ProvidersManager()
known = "airflow-provider-itwin" in providers.providers
hooks = "itwin" in dict(providers.hooks.items())
links = sorted(one for one in providers.extra_links_class_names if "itwin" in one.lower())
uris = getattr(providers, "asset_uri_handlers", None) or getattr(providers, "dataset_uri_handlers", None) or {}
plugins_manager.ensure_plugins_loaded()
answers, tabs, files = True, [], []
if sys.argv[1] == "api":
    from airflow.api_fastapi.app import create_app
    from fastapi.testclient import TestClient

    app = create_app(apps="all")
    with TestClient(app) as client:
        answers = client.get("/api/v2/monitor/health").status_code == 200
        answers = answers and client.get("/execution/health").status_code == 200
    get = getattr(plugins_manager, "_get_ui_plugins", None) or (lambda: (None, plugins_manager.react_apps))
    tabs = [name(one) for one in get()[1] or []]
    files = [route.path for route in app.routes if "itwin" in getattr(route, "path", "")]
elif sys.argv[1] == "plugins":
    for prepare in ("initialize_ui_plugins", "initialize_fastapi_plugins"):
        getattr(plugins_manager, prepare, lambda: None)()
    get = getattr(plugins_manager, "_get_ui_plugins", None) or (lambda: (None, plugins_manager.react_apps))
    tabs = [name(one) for one in get()[1] or []]
    get = getattr(plugins_manager, "get_fastapi_plugins", None) or (lambda: (plugins_manager.fastapi_apps, None))
    files = [one["url_prefix"] for one in get()[0] or [] if "itwin" in one["url_prefix"]]
print(json.dumps({"known": known, "hooks": hooks, "links": links, "uris": "itwin" in uris, "answers": answers, "tabs": tabs,
    "files": files}))
"""


def start(
    tmp_path: Path, faults: dict[str, str | None], loads: Loads = "providers", home: Path | None = None
) -> tuple[dict[str, Any], list[str]]:
    """
    Start a process of Airflow with a damaged copy of the package.

    :param faults: contents of files of the package, None for a file or a folder that is missing
    :param loads: what the process loads: ``providers``; ``plugins`` as well; ``api`` starts the API server
    :param home: a home of Airflow whose database the API server uses
    :return: what it has found, and its log lines about this package
    """
    copied = tmp_path / "site"
    shutil.copytree(PACKAGE, copied / PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__"))
    for path, content in faults.items():
        target = copied / PACKAGE.name / path
        if content is None:
            shutil.rmtree(target) if target.is_dir() else target.unlink()
        else:
            target.write_text(content)
    if home is not None:
        # Creating a database takes longer than all else.
        (tmp_path / "home").mkdir()
        shutil.copy(home / "airflow.db", tmp_path / "home")
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(copied),
        "PYTHONDONTWRITEBYTECODE": "1",
        "AIRFLOW_HOME": str(tmp_path / "home"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__API_AUTH__JWT_SECRET": "for-this-test-only-0123456789abcdef",
        "AIRFLOW__CORE__INTERNAL_API_SECRET_KEY": "x",
    }
    done = subprocess.run(
        [sys.executable, "-c", START, loads],
        capture_output=True,
        text=True,
        env=environment,
        cwd=copied,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    *logged, found = done.stdout.strip().splitlines()
    lines = [
        line
        for line in [*logged, *done.stderr.splitlines()]
        # Without Flask AppBuilder, Airflow 3.0 and 3.1 log this for every provider with a form.
        if "itwin" in line.lower() and "is not fully initialized" not in line
    ]
    return json.loads(found), lines


BROKEN = "raise RuntimeError('broken')\n"
NO_IMPORT = "import no_such_module_of_itwin\n"
FAULTS: dict[str, dict[str, str | None]] = {
    "form": {"hooks/connection_form.py": BROKEN},
    "form not there": {"hooks/connection_form.py": None},
    "version": {"version_compat.py": BROKEN},
    "links": {"links.py": BROKEN},
    "assets": {"assets.py": NO_IMPORT},
    "hook": {"hooks/itwin.py": NO_IMPORT},
    "api": {"api/models/enums.py": BROKEN},
    "plugin": {"plugin/__init__.py": BROKEN},
    "nearly everything": {"api": None, "hooks": None, "links.py": None, "assets.py": None, "plugin": None},
}


def test_an_intact_package_is_found_and_logs_nothing(tmp_path: Path) -> None:
    found, logged = start(tmp_path, {})

    assert found["known"]
    assert found["hooks"]
    assert len(found["links"]) == 2
    assert found["uris"]
    assert logged == []


@pytest.mark.parametrize("faults", FAULTS.values(), ids=FAULTS)
def test_a_broken_module_does_not_stop_a_process_of_airflow(tmp_path: Path, faults: dict[str, str | None]) -> None:
    found, logged = start(tmp_path, faults)

    assert found["known"], "Airflow finds the provider"
    assert logged, "the fault is logged"


TAB_FAULTS: dict[str, dict[str, str | None]] = {
    "no static folder": {"plugin/static": None},
    "a file is missing": {"plugin/static/words.js": None},
    "files": {"plugin/files.py": BROKEN},
    "files not there": {"plugin/files.py": None},
    "no web framework": {"plugin/files.py": "from starlette.no_such_module import StaticFiles\n"},
}


@pytest.mark.skipif(not AIRFLOW_V_3_1_PLUS, reason="Airflow has such tabs since 3.1")
@pytest.mark.parametrize("fault", TAB_FAULTS)
def test_a_broken_tab_is_left_out_and_logged_once(tmp_path: Path, airflow_home: Path, fault: str) -> None:
    # Starting the API server takes longer than all else.
    loads: Loads = "api" if fault == "files" else "plugins"
    found, logged = start(tmp_path, TAB_FAULTS[fault], loads, airflow_home)

    assert found["answers"], "the API server and the execution API respond"
    assert (found["tabs"], found["files"]) == ([], []), "no tab without its files"
    [line] = logged
    assert "The tab iTwin run and the page iTwin are not available" in line


@pytest.mark.skipif(not AIRFLOW_V_3_1_PLUS, reason="Airflow has such tabs since 3.1")
@pytest.mark.parametrize("loads", ["plugins", "api"])
def test_an_intact_tab_is_registered(tmp_path: Path, airflow_home: Path, loads: Loads) -> None:
    found, logged = start(tmp_path, {}, loads, airflow_home)

    assert found["answers"]
    assert found["tabs"] == ["iTwin run", "iTwin"]
    assert found["files"] == ["/itwin-run"]
    assert logged == []


class TestTab:
    """The lazy attributes of the plugin class when they fail."""

    @pytest.mark.parametrize("part", ["_files", "_apps"])
    @pytest.mark.parametrize(
        "error", [RuntimeError("x"), ImportError("x"), KeyError("x"), RecursionError(), OSError(13, "x")]
    )
    @pytest.mark.parametrize("first", [0, 1])
    def test_any_exception_leaves_both_parts_out_and_is_logged_once(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, part: str, error: Exception, first: int
    ) -> None:
        from airflow_provider_itwin import plugin

        def fail() -> Any:
            raise error

        monkeypatch.setattr(plugin, "_files", lambda: [{"name": "files"}])
        monkeypatch.setattr(plugin, "_apps", lambda: [{"name": "tab"}])
        monkeypatch.setattr(plugin, part, fail)
        pages = plugin._Pages()

        assert [pages.parts()[first], pages.parts()[1 - first], pages.parts()[first]] == [[], [], []]
        assert [record.levelname for record in caplog.records] == ["ERROR"]

    def test_each_file_of_the_tab_is_checked(self) -> None:
        pytest.importorskip("starlette")
        from airflow_provider_itwin.plugin import files

        assert set(files.NAMES) == {file.name for file in files.FOLDER.iterdir()}


@pytest.mark.parametrize("found", [None, "", "dev", "3", "x.y", 7])
def test_an_unreadable_version_of_airflow_counts_as_the_oldest(monkeypatch: pytest.MonkeyPatch, found: Any) -> None:
    from airflow_provider_itwin import version_compat

    monkeypatch.setattr(version_compat, "version", lambda _: found)
    assert version_compat._airflow_version() == (2, 11)
    monkeypatch.setattr(version_compat, "version", lambda _: "3.4.0b2+vendor")
    assert version_compat._airflow_version() == (3, 4)


def test_a_form_that_fails_has_no_extra_fields(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from airflow_provider_itwin.hooks import connection_form
    from airflow_provider_itwin.hooks.itwin import ITwinHook

    def fail(error: Exception) -> Any:
        raise error

    monkeypatch.setattr(connection_form, "_widgets", lambda: fail(TypeError("x")))
    assert ITwinHook.get_connection_form_widgets() == {}
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    # Airflow itself logs this case.
    monkeypatch.setattr(connection_form, "_widgets", lambda: fail(ImportError("No module named 'flask_appbuilder'")))
    with pytest.raises(ImportError):
        ITwinHook.get_connection_form_widgets()


def test_a_link_that_fails_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow_provider_itwin import links

    class Task:
        has_links = True

        @property
        def kind(self) -> str:
            raise RuntimeError("broken")

    def fail(**_: Any) -> Any:
        raise RuntimeError("broken")

    monkeypatch.setattr(links, "XCom", SimpleNamespace(get_value=fail))
    task: Any = Task()
    key: Any = SimpleNamespace()
    assert links.ITwinRunLink().get_link(task, ti_key=key) == ""
    task = SimpleNamespace(has_links=False) if AIRFLOW_V_3_0_PLUS else task
    assert links.ITwinIModelLink().get_link(task, ti_key=None) == ""
