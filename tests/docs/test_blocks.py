"""Every block of code in the pages is run or parsed."""

from __future__ import annotations

import configparser
import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from .pages import EMULATOR, GETTING_STARTED, PAGES, ROOT, TESTING_DAGS, Block, blocks, blocks_of

if TYPE_CHECKING:
    from itwin_emulator import Emulator

LANGUAGES = {"sh", "python", "ini", "json", "yaml", "toml", "text", "dockerfile", "requirements"}

# Replacements for commands that other tests cover: installing, make targets and publishing.
# Airflow's command line parses its arguments and runs nothing.
PREAMBLE = """
set -eu
pip() { echo "pip $*"; }
make() {
    for target in "$@"; do
        case $target in -*|*=*) ;; *) grep -q "^$target:" "$CHECKOUT/Makefile" || { echo "no target $target"; exit 1; } ;; esac
    done
}
git() { echo "git $*"; }
uv() { echo "uv $*"; }
docker() { echo "docker $*"; }
helm() { echo "helm $*"; }
itwin-emulator() { timeout 5 "$PYTHON" -m itwin_emulator "$@" || [ $? = 124 ]; }
airflow() {
    "$PYTHON" -c 'import sys; from airflow.cli.cli_parser import get_parser; get_parser().parse_args(sys.argv[1:])' "$@"
}
"""
# Options of providers that are not installed here.
FOREIGN_OPTIONS = {("celery", "worker_concurrency")}
PRESENT = ROOT / ".venv" / "bin"


def test_only_known_languages() -> None:
    for page in PAGES:
        for block in blocks_of(page):
            assert block.language in LANGUAGES, f"{block}: {block.language!r}"


@pytest.mark.parametrize("page", sorted({block.page for block in blocks("python")}), ids=lambda page: page.stem)
def test_python(page: Path, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = {"conn_type": "itwin", "host": emulator.url, "login": emulator.client_id}
    monkeypatch.setenv("AIRFLOW_CONN_ITWIN_DEFAULT", json.dumps(connection | {"password": emulator.client_secret}))
    names: dict[str, Any] = {"__name__": "page"}
    for block in blocks_of(page):
        if block.language == "python":
            exec(compile(block.code, str(block), "exec"), names)


def known_options() -> set[tuple[str, str]]:
    from airflow.configuration import conf

    described = conf.configuration_description
    return {
        (section, option) for section, values in described.items() for option in values["options"]
    } | FOREIGN_OPTIONS


def is_known(variable: str) -> bool:
    if not variable.startswith("AIRFLOW__"):
        return True
    section, _, option = variable.removeprefix("AIRFLOW__").lower().partition("__")
    return (section, option) in known_options()


def check_connection(value: str) -> None:
    from airflow.sdk import Connection

    from airflow_provider_itwin.api.http.config import Account
    from airflow_provider_itwin.hooks.settings import account_of

    is_json = value.lstrip().startswith("{")
    connection: Any = Connection.from_json(value, "a") if is_json else Connection.from_uri(value, "a")
    assert connection.conn_type == "itwin"
    assert isinstance(account_of(connection), Account)


@pytest.mark.parametrize(
    "page",
    sorted({block.page for block in blocks("sh", without=(EMULATOR, GETTING_STARTED, TESTING_DAGS))}),
    ids=lambda page: page.stem,
)
def test_shell(page: Path, own_airflow: Path) -> None:
    code = "\n".join(block.code for block in blocks_of(page) if block.language == "sh")
    with socket.create_server(("127.0.0.1", 0)) as server:
        code = code.replace("8899", str(server.getsockname()[1]))
    code = code.replace(".venv/bin/", f"{PRESENT}/" if PRESENT.exists() else f"{Path(sys.executable).parent}/")
    code = re.sub(
        r"^(\S+/pre-commit) install$", r"\1 validate-config $CHECKOUT/.pre-commit-config.yaml", code, flags=re.M
    )
    script = own_airflow / "script.sh"
    script.write_text(f"{PREAMBLE}\n{code}\nenv -0 > environment\n")
    environment = os.environ | {
        "CHECKOUT": str(ROOT),
        "PYTHON": sys.executable,
        "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "emulator"))),
    }
    done = subprocess.run(
        ["bash", str(script)],
        cwd=own_airflow,
        env=environment,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    for line in (own_airflow / "environment").read_text().split("\0"):
        name, _, value = line.partition("=")
        assert is_known(name), f"{page.name}: Airflow has no option {name}"
        if name.startswith("AIRFLOW_CONN_"):
            check_connection(value)


@pytest.mark.parametrize("block", blocks("ini"), ids=str)
def test_settings(block: Block) -> None:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(block.code)
    for section in parser.sections():
        for option in parser[section]:
            assert (section, option) in known_options(), f"{block}: Airflow has no option [{section}] {option}"


@pytest.mark.parametrize("block", blocks("json"), ids=str)
def test_json(block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow_provider_itwin.api.models.report import RunReport

    value = json.loads(block.code)
    if "conn_type" in value:
        # The CA bundle must exist, so a folder of this machine replaces it.
        text = block.code.replace("/etc/ssl/certs", str(ROOT))
        check_connection(text)
    else:
        report: dict[str, Any] = {**RunReport.from_dict(value).as_dict()}
        assert {name: report[name] for name in value} == value, "the report differs after a round trip"


@pytest.mark.parametrize("block", blocks("text"), ids=str)
def test_text(block: Block) -> None:
    # The log of a task contains the summary of a report that the pages show.
    summaries = [json.loads(other.code)["summary"] for other in blocks("json") if "summary" in other.code]
    assert any(summary in block.code for summary in summaries)


@pytest.mark.parametrize("block", blocks("yaml"), ids=str)
def test_yaml(block: Block) -> None:
    values = yaml.safe_load(block.code)
    if "images" in values:
        assert values["triggerer"]["enabled"], "deferrable waits need a triggerer"
        return
    variables = [*values["env"], *values["triggerer"]["env"]]
    assert variables
    for variable in variables:
        assert is_known(variable["name"]), f"{block}: Airflow has no option {variable['name']}"
        assert isinstance(variable["value"], str), "Kubernetes requires strings"


@pytest.mark.parametrize("block", blocks("dockerfile"), ids=str)
def test_dockerfile(block: Block) -> None:
    # DL3013: the constraints pin the versions.
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run(
        [hadolint, "--ignore", "DL3013", "-"],
        input=block.code,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("block", blocks("requirements"), ids=str)
def test_requirements(block: Block) -> None:
    from packaging.requirements import Requirement

    assert "airflow-provider-itwin" in [Requirement(line).name for line in block.code.splitlines()]
