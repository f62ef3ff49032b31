"""No secret is left in a log, in the database, on the console or in the emulator, whatever happens and whoever echoes it."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.faults.faults import TROUBLES

from .secret_scan import OPERATIONS, SCRIPTED

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
KEY = "81HqDtbqAywKSOumSha3BhWNOdQ26slT6K0YaZeZyPs="


@dataclass
class Remains:
    """What is left of the hunt."""

    home: Path
    console: str
    states: dict[str, dict[str, str]]
    markers: dict[str, str]
    pages: str
    """What the emulator has shown."""

    def found_in(self, text: str) -> list[str]:
        """Tell which secrets are in a text, and what stands around each."""
        return [
            f"{what}: ...{text[max(0, text.index(marker) - 300) : text.index(marker) + 40]}..."
            for marker, what in self.markers.items()
            if marker in text
        ]


@pytest.fixture(scope="module")
def remains(tmp_path_factory: pytest.TempPathFactory) -> Remains:
    """The remains of a hunt in an Airflow of its own, which hides no secrets itself."""
    home = tmp_path_factory.mktemp("hunt")
    (home / "dags").mkdir()
    told = tmp_path_factory.mktemp("told") / "states.json"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_", "ITWIN_"))}
    environment |= {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__FERNET_KEY": KEY,
        # What Airflow masks by itself hides what we leave lying about.
        "AIRFLOW__CORE__HIDE_SENSITIVE_VAR_CONN_FIELDS": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
        "AIRFLOW__DATABASE__LOAD_DEFAULT_CONNECTIONS": "False",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "DEBUG",
        "PYTHONPATH": str(HERE.parents[1]),
        "PYTHONUNBUFFERED": "1",
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.airflow.secret_scan", str(told)],
        capture_output=True,
        text=True,
        errors="backslashreplace",
        timeout=600,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-5000:]
    console = "".join(
        line
        for line in (done.stdout + done.stderr).splitlines(keepends=True)
        # At DEBUG, the stand-in for a supervisor in Airflow 3's dag.test prints the request to mask a secret, secret included.
        if "[debug    ] Sending request " not in line or "msg=MaskSecret(" not in line
    )
    return Remains(home, console, **json.loads(told.read_text()))


def test_it_all_happened(remains: Remains) -> None:
    assert set(remains.states["good"].values()) == {"success"}
    assert len(remains.states["good"]) == 10
    assert sorted(remains.states["failing"].items()) == [
        ("Canceled_deferred", "failed"),
        ("Canceled_worker", "failed"),
        ("Error_deferred", "failed"),
        ("Error_worker", "failed"),
        ("PartialSuccess_deferred", "success"),
        ("PartialSuccess_worker", "success"),
        ("skipped_deferred", "skipped"),
        ("skipped_worker", "skipped"),
    ]
    assert set(remains.states["refused"].values()) == {"failed"}
    assert len(remains.states["echoing"]) == len(OPERATIONS) * len(SCRIPTED)
    # A connection that one may not read can be run all the same.
    assert list(remains.states["echoing"].values()).count("failed") > len(SCRIPTED)
    no_token = [
        state for name, tasks in remains.states.items() if name.startswith("no_token") for state in tasks.values()
    ]
    assert len(no_token) > len(SCRIPTED)
    assert no_token.count("failed") > len(SCRIPTED) - 10
    assert len([name for name in remains.states if name.startswith("at_odds")]) == len(TROUBLES) - len(SCRIPTED)
    assert "debug" in remains.console.lower()
    for words in (
        "ITwinPermanentError",
        "ITwinTransientError",
        "ITwinRunFailedError",
        "running trigger in line",
    ):
        assert words in remains.console


def test_the_console_shows_none(remains: Remains) -> None:
    assert remains.found_in(remains.console) == []


def test_the_emulator_shows_none(remains: Remains) -> None:
    for shown in ("echo-7", "good-manifest", "create-manifest-connection-run", "requests-title", "token"):
        assert shown in remains.pages
    assert remains.found_in(remains.pages) == []


def test_no_file_holds_one(remains: Remains) -> None:
    files = [file for file in remains.home.rglob("*") if file.is_file()]
    assert any(file.name == "airflow.db" for file in files)
    found = {
        str(file): secrets
        for file in files
        if (secrets := remains.found_in(file.read_bytes().decode("utf-8", "backslashreplace")))
    }
    assert found == {}


def test_no_row_of_the_database_holds_one(remains: Remains) -> None:
    rows = 0
    for table, column, value in cells(remains.home / "airflow.db"):
        rows += 1
        assert remains.found_in(value) == [], f"{table}.{column}"
    assert rows > 1000


def test_what_is_encrypted_there_holds_none_either(remains: Remains) -> None:
    from cryptography.fernet import Fernet

    decrypted = [
        Fernet(KEY.encode()).decrypt(value.encode()).decode()
        for table, _, value in cells(remains.home / "airflow.db")
        if table == "trigger" and value.startswith("gAAAA")
    ]
    assert len(decrypted) == 1
    assert "good-storage" in decrypted[0]
    assert remains.found_in(decrypted[0]) == []


def test_the_hunt_would_find_them(remains: Remains) -> None:
    # The tables that a secret would be in are there, and filled.
    tables = {table for table, _, _ in cells(remains.home / "airflow.db")}
    assert {"xcom", "rendered_task_instance_fields", "serialized_dag", "task_instance", "trigger"} <= tables
    everything = " ".join(value for _, _, value in cells(remains.home / "airflow.db"))
    assert "https://files.example.com/Tower.dgn?***" in everything
    for marker in remains.markers:
        assert remains.found_in(f"before {marker} behind")


def cells(database: Path) -> Iterator[tuple[str, str, str]]:
    """Give all that is in a database, as text."""
    with sqlite3.connect(database) as connection:
        connection.text_factory = lambda raw: raw.decode("utf-8", "backslashreplace")
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for name in names:
            table = connection.execute(f'SELECT * FROM "{name}"')
            columns = [column[0] for column in table.description]
            for row in table:
                for column, value in zip(columns, row, strict=True):
                    yield name, column, as_text(value)


def as_text(value: Any) -> str:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
