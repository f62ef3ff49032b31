"""No secret is in a log, in the database, on the console or in the emulator, even if the service echoes it."""

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

from airflow_provider_itwin.version_compat import AIRFLOW_V_3_4_PLUS
from tests.airflow.secret_scan import ECHOED, SCRIPTED
from tests.faults.faults import FAULTS

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
KEY = "81HqDtbqAywKSOumSha3BhWNOdQ26slT6K0YaZeZyPs="


@dataclass
class SecretScan:
    """The result of the scan."""

    home: Path
    console: str
    states: dict[str, dict[str, str]]
    markers: dict[str, str]
    pages: str
    """The pages of the emulator."""

    def found_in(self, text: str) -> list[str]:
        """List the secrets in a text, with their context."""
        return [
            f"{what}: ...{text[max(0, text.index(marker) - 300) : text.index(marker) + 40]}..."
            for marker, what in self.markers.items()
            if marker in text
        ]


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> SecretScan:
    """A scan in an Airflow of its own, whose masking is off."""
    home = tmp_path_factory.mktemp("scan")
    (home / "dags").mkdir()
    result_file = tmp_path_factory.mktemp("result") / "states.json"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_", "ITWIN_"))}
    environment |= {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__FERNET_KEY": KEY,
        # The masking of Airflow would hide missing masking in the provider.
        "AIRFLOW__CORE__HIDE_SENSITIVE_VAR_CONN_FIELDS": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
        "AIRFLOW__DATABASE__LOAD_DEFAULT_CONNECTIONS": "False",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "DEBUG",
        "PYTHONPATH": str(HERE.parents[1]),
        "PYTHONUNBUFFERED": "1",
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.airflow.secret_scan", str(result_file)],
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
        # At DEBUG, the supervisor of Airflow 3's dag.test prints the request to mask a secret, with the secret.
        if "[debug    ] Sending request " not in line or "msg=MaskSecret(" not in line
    )
    return SecretScan(home, console, **json.loads(result_file.read_text()))


def test_every_scenario_ran(scan: SecretScan) -> None:
    assert set(scan.states["good"].values()) == {"success"}
    assert len(scan.states["good"]) == 10
    assert sorted(scan.states["failing"].items()) == [
        ("Canceled_deferred", "failed"),
        ("Canceled_worker", "failed"),
        ("Error_deferred", "failed"),
        ("Error_worker", "failed"),
        ("PartialSuccess_deferred", "success"),
        ("PartialSuccess_worker", "success"),
        ("skipped_deferred", "skipped"),
        ("skipped_worker", "skipped"),
    ]
    assert set(scan.states["refused"].values()) == {"failed"}
    assert len(scan.states["echoing"]) == len(ECHOED)
    # A connection without read permission can be run.
    assert list(scan.states["echoing"].values()).count("failed") > len(ECHOED) // 3
    token_fault = [
        state for name, tasks in scan.states.items() if name.startswith("token_fault") for state in tasks.values()
    ]
    assert len(token_fault) > len(SCRIPTED)
    assert token_fault.count("failed") > len(SCRIPTED) - 10
    assert len([name for name in scan.states if name.startswith("lasting_fault")]) == len(FAULTS) - len(SCRIPTED)
    assert "debug" in scan.console.lower()
    for words in (
        "ITwinPermanentError",
        "ITwinTransientError",
        "ITwinRunFailedError",
        "running trigger in line",
    ):
        assert words in scan.console


def test_the_console_shows_no_secret(scan: SecretScan) -> None:
    assert scan.found_in(scan.console) == []


def test_the_emulator_shows_no_secret(scan: SecretScan) -> None:
    for shown in ("echo-7", "good-manifest", "create-manifest-connection-run", "requests-title", "token"):
        assert shown in scan.pages
    assert scan.found_in(scan.pages) == []


def test_no_file_has_a_secret(scan: SecretScan) -> None:
    files = [file for file in scan.home.rglob("*") if file.is_file()]
    assert any(file.name == "airflow.db" for file in files)
    found = {
        str(file): secrets
        for file in files
        if (secrets := scan.found_in(file.read_bytes().decode("utf-8", "backslashreplace")))
    }
    assert found == {}


def test_no_row_of_the_database_has_a_secret(scan: SecretScan) -> None:
    rows = 0
    for table, column, value in cells(scan.home / "airflow.db"):
        rows += 1
        assert scan.found_in(value) == [], f"{table}.{column}"
    assert rows > 1000


def test_encrypted_values_have_no_secret(scan: SecretScan) -> None:
    from cryptography.fernet import Fernet

    decrypted = [
        Fernet(KEY.encode()).decrypt(value.encode()).decode()
        for table, _, value in cells(scan.home / "airflow.db")
        if table == "trigger" and value.startswith("gAAAA")
    ]
    assert len(decrypted) == 1
    assert "good-storage" in decrypted[0]
    assert scan.found_in(decrypted[0]) == []


def test_the_scan_finds_secrets(scan: SecretScan) -> None:
    # The tables that could have a secret exist, and have rows.
    tables = {table for table, _, _ in cells(scan.home / "airflow.db")}
    xcoms, fields = ("xcom_v2", "rtif_v2") if AIRFLOW_V_3_4_PLUS else ("xcom", "rendered_task_instance_fields")
    assert {xcoms, fields, "serialized_dag", "task_instance", "trigger"} <= tables
    everything = " ".join(value for _, _, value in cells(scan.home / "airflow.db"))
    assert "https://files.example.com/Tower.dgn?***" in everything
    for marker in scan.markers:
        assert scan.found_in(f"before {marker} behind")


def cells(database: Path) -> Iterator[tuple[str, str, str]]:
    """Yield all values of a database as text."""
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
