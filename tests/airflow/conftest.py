"""One Airflow for all tests in this folder, with its own home and database; each test has an emulator and a connection to it."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

if "airflow" in sys.modules:
    raise RuntimeError("Airflow was imported before these tests could set AIRFLOW_HOME")

HOME = Path(tempfile.mkdtemp(prefix="itwin-airflow-"))
atexit.register(shutil.rmtree, HOME, ignore_errors=True)
for name in [name for name in os.environ if name.startswith(("AIRFLOW_", "_AIRFLOW_", "ITWIN_"))]:
    del os.environ[name]
os.environ["AIRFLOW_HOME"] = str(HOME)
(HOME / "dags").mkdir()
(HOME / "airflow.cfg").write_text(
    f"""\
[core]
dags_folder = {HOME / "dags"}
load_examples = False
fernet_key = 81HqDtbqAywKSOumSha3BhWNOdQ26slT6K0YaZeZyPs=

[database]
sql_alchemy_conn = sqlite:///{HOME / "airflow.db"}
load_default_connections = False

[logging]
base_log_folder = {HOME / "logs"}
"""
)

from itwin_emulator import Emulator  # noqa: E402
from tests.airflow import dag_runs, single_task  # noqa: E402
from tests.airflow.fake_clock import FakeClock, use_fake_clock  # noqa: E402


@pytest.fixture(scope="session")
def airflow_home() -> Path:
    """The home of Airflow, with an initialized database."""
    from airflow.utils.db import initdb

    initdb()
    return HOME


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    """The clock of client, operators and emulator; sleeping only advances it."""
    clock = FakeClock()
    use_fake_clock(clock, monkeypatch)
    return clock


@pytest.fixture
def emulator(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """An emulator in simulated time; the Airflow connection ``itwin_default`` refers to it."""
    with Emulator(clock=clock, scenario="demo") as emulator:
        connect(monkeypatch, emulator)
        yield emulator


@pytest.fixture
def real_time_emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """An emulator in real time, a thousand times as fast as the service."""
    with Emulator(speed=1000.0, scenario="demo") as emulator:
        connect(monkeypatch, emulator)
        yield emulator


@pytest.fixture
def connection(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that sets the fields of an Airflow connection, by default ``itwin_default``."""

    def set_connection(conn_id: str = "itwin_default", **fields: object) -> None:
        value = json.dumps({"conn_type": "itwin"} | fields)
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", value)

    return set_connection


def connect(monkeypatch: pytest.MonkeyPatch, emulator: Emulator) -> None:
    fields = {"conn_type": "itwin", "host": emulator.url, "login": emulator.client_id}
    monkeypatch.setenv("AIRFLOW_CONN_ITWIN_DEFAULT", json.dumps(fields | {"password": emulator.client_secret}))


@pytest.fixture
def dags(airflow_home: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> dag_runs.DagRunner:
    """The runner of DAGs."""
    return dag_runs.DagRunner(airflow_home, capfd, caplog)


@pytest.fixture
def run_dag(dags: dag_runs.DagRunner) -> Callable[..., dag_runs.DagResult]:
    """Return a function that runs a DAG with the given tasks to its end, with ``dag.test``."""
    return dags.run


@pytest.fixture
def run_task(clock: FakeClock) -> Callable[..., single_task.Outcome]:
    """Return a function that runs one task as worker, triggerer and scheduler do, without a database."""
    return single_task.Runner(clock).run
