"""The two processes of a measurement: the server and the subject, each on its own processor. Both always end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from benchmarks import machine
from benchmarks.bodies import FILES
from benchmarks.certificate import HOST
from benchmarks.waits import Case, Outcome

ROOT = Path(__file__).resolve().parent.parent
_START_UP = 60.0
_ENDING = 10.0


class MeasurementError(Exception):
    """A measurement has no figures. The message contains the last output of its process."""


class Counts(msgspec.Struct):
    """Counts of the server within a period."""

    connections: int
    polls: int
    tokens: int
    misunderstood: int
    cpu: float


class Server:
    """
    The stub server in a process of its own.

    :param directory: directory with its certificate and key
    :param files: number of files of an iTwin run
    """

    def __init__(self, directory: Path, files: int = FILES) -> None:
        self.certificate = directory / "certificate.pem"
        command = [sys.executable, "-m", "benchmarks.server", "--certificate", str(self.certificate)]
        command += ["--key", str(directory / "key.pem"), "--files", str(files)]
        processor = machine.processors()[1]
        if processor is not None:
            command += ["--cpu", str(processor)]
        self._process = subprocess.Popen(  # noqa: S603 (the command is our own)
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.port = int(self._line() or 0)
        if not self.port:
            self.stop()
            raise MeasurementError("The server did not start")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop the process."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        end(self._process)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def counts(self, begin: float, end: float) -> Counts:
        """Return the counts between two times of the monotonic clock."""
        return msgspec.convert(self._ask("counts", begin, end), Counts)

    def moments(self, begin: float, end: float) -> list[float]:
        """Return the time of each poll between two times."""
        moments: list[float] = self._ask("moments", begin, end)["moments"]
        return moments

    def _ask(self, what: str, begin: float, end: float) -> dict[str, Any]:
        assert self._process.stdin is not None  # noqa: S101 (it was started with a pipe)
        self._process.stdin.write(f"{what} {begin!r} {end!r}\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._line())
        return answer

    def _line(self) -> str:
        assert self._process.stdout is not None  # noqa: S101 (it was started with a pipe)
        return self._process.stdout.readline().strip()


def run_case(case: Case, server: Server, directory: Path) -> Outcome:
    """
    Measure a case in a new process.

    :raises MeasurementError: if it returned no figures or took too long
    """
    result, log = directory / "outcome.json", directory / "process.log"
    result.unlink(missing_ok=True)
    case = msgspec.structs.replace(
        case, port=server.port, certificate=str(server.certificate), processor=machine.processors()[0]
    )
    command = [sys.executable, "-m", "benchmarks.waits", msgspec.json.encode(case).decode(), str(result)]
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 (the command is our own)
            command,
            cwd=ROOT,
            env=environment(
                directory,
                server.port,
                server.certificate,
                AIRFLOW__ITWIN__REQUESTS_PER_MINUTE=f"{case.per_minute:g}",
            ),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            with suppress(subprocess.TimeoutExpired):
                process.wait(_START_UP + 2 * case.duration)
        finally:
            end(process)
    if not result.exists():
        raise MeasurementError(f"{case.subject}, {case.waits} waits: no figures. {_tail(log)}")
    return msgspec.json.decode(result.read_bytes(), type=Outcome)


def environment(directory: Path, port: int, certificate: Path, **settings: str) -> dict[str, str]:
    """
    Return the environment of a measured process: an empty Airflow with connections to the server.

    :param settings: additional variables
    """
    plain = {
        name: value
        for name, value in os.environ.items()
        if not name.upper().startswith(("AIRFLOW", "_AIRFLOW")) and not name.lower().endswith("_proxy")
    }
    itwin = {
        "conn_type": "itwin",
        "host": f"https://{HOST}:{port}",
        "login": "bench",
        "password": "secret",
        "extra": {"verify": str(certificate)},
    }
    dbt = {"conn_type": "dbt_cloud", "host": f"{HOST}:{port}", "login": "1", "password": "secret"}
    databricks = {"conn_type": "databricks", "host": HOST, "port": port, "password": "secret"}
    return {
        **plain,
        "AIRFLOW_HOME": str(directory / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        "AIRFLOW__ITWIN__REQUESTS_PER_MINUTE": "0",
        "AIRFLOW__ITWIN__REQUESTS_PER_HOUR": "0",
        "AIRFLOW_CONN_ITWIN_BENCH": json.dumps(itwin),
        "AIRFLOW_CONN_DBT_BENCH": json.dumps(dbt),
        "AIRFLOW_CONN_DATABRICKS_BENCH": json.dumps(databricks),
        # The triggerer sets this variable for its event loop.
        "_AIRFLOW_PROCESS_CONTEXT": "client",
        "SSL_CERT_FILE": str(certificate),
        "PYTHONPATH": str(ROOT),
        "PYTHONHASHSEED": "0",
        **settings,
    }


def end(process: subprocess.Popen[Any]) -> None:
    """Stop one of our processes by its id."""
    for ask in (process.poll, process.terminate, process.kill):
        ask()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_ENDING)
            return


def _tail(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-2000:]
