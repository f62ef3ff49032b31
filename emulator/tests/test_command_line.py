from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from itwin_emulator import Emulator
from itwin_emulator.__main__ import main
from platform_client import STORAGE, Api


@contextmanager
def command(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "itwin_emulator", "--port", "0", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "NO_COLOR": "1"},
    )
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate(timeout=10)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serves_until_it_gets_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    request_log = tmp_path / "request_log.jsonl"
    arguments = (
        "--client-id",
        "service-x",
        "--client-secret",
        "y",
        "--request-log",
        str(request_log),
        "--clock-skew",
        "5",
    )
    with command(*arguments) as (process, url):
        api = Api(url, "service-x", "y")
        assert api.get(f"{STORAGE}/demo-storage-connection").status_code == 200
        process.send_signal(number)
        output, errors = process.communicate(timeout=10)
        assert process.returncode == 0
    assert output == ""
    assert f"emulator at {url}" in errors
    assert "Traceback" not in errors
    lines = [json.loads(line) for line in request_log.read_text().splitlines()]
    assert [line["operation"] for line in lines] == ["token", "get-storage-connection"]
    assert "Bearer" not in request_log.read_text()


def test_quiet_and_empty() -> None:
    with command("--quiet", "--scenario", "none") as (process, url):
        with Emulator() as standard:
            api = Api(url, standard.client_id, standard.client_secret)
        assert api.get(STORAGE).json()["connections"] == []
        process.terminate()
        _, errors = process.communicate(timeout=10)
    assert errors == ""


def test_help_covers_the_first_steps(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        main(["--help"])
    assert done.value.code == 0
    text = capsys.readouterr().out
    for word in (
        "AIRFLOW_CONN_ITWIN_DEFAULT",
        '"conn_type": "itwin"',
        "demo-storage-connection",
        "demo-failing-connection",
        "run plans:",
        "/emulator/plans",
        "/emulator/faults",
        "/openapi.json",
        "reset-after",
        "--state",
    ):
        assert word in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--host", "0.0.0.0"], "non-loopback address"),
        (["--host", "example.com"], "non-loopback address"),
        (["--scenario", "nope"], "no scenario file"),
        (["--speed", "0"], "speed must be greater than zero"),
        (["--tier", "gold"], "invalid choice"),
        (["--state", "/no/such/folder/state.json"], "No such file or directory"),
    ],
)
def test_mistakes(capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    with pytest.raises(SystemExit) as done:
        main(arguments)
    assert done.value.code == 2
    assert message in capsys.readouterr().err


def test_port_in_use(capsys: pytest.CaptureFixture[str]) -> None:
    with Emulator() as emulator, pytest.raises(SystemExit) as done:
        main(["--port", str(emulator.port)])
    assert done.value.code == 1
    assert f"cannot listen on 127.0.0.1:{emulator.port}" in capsys.readouterr().err
