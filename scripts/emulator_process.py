"""The emulator of the iTwin Platform as a subprocess."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests

from itwin_emulator.emulator import DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET
from scripts.airflow_home import itwin_connection, plain_environment
from scripts.console import AbortError
from scripts.processes import ManagedProcess, wait_until

if TYPE_CHECKING:
    from pathlib import Path

STORAGE_CONNECTION = "demo-storage-connection"
NIGHT_CONNECTION = "demo-night-connection"
NIGHT_EXPORT_CONNECTION = "demo-night-export-connection"
FAILING_CONNECTION = "demo-failing-connection"

_URL = re.compile(r"http://127\.0\.0\.1:\d+")


class EmulatorProcess:
    """
    An emulator on a free loopback port.

    :param log: file for its output
    :param speed: emulated seconds per real second
    :param scenario: the scenario to load
    """

    def __init__(self, log: Path, *, speed: float, scenario: str = "demo") -> None:
        log.unlink(missing_ok=True)
        module = "itwin_emulator"
        command = [sys.executable, "-m", module, "--port", "0", "--speed", f"{speed:g}", "--scenario", scenario]
        self.process = ManagedProcess("emulator", command, environment=plain_environment(), log=log)
        self.url = self._wait_for_url()

    @property
    def connection(self) -> dict[str, str]:
        """The environment that defines the emulator as the connection ``itwin_default``."""
        return itwin_connection(self.url, DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET)

    @property
    def stored_connection(self) -> dict[str, Any]:
        """The same connection for Airflow's REST API."""
        address = urlsplit(self.url)
        return {
            "connection_id": "itwin_default",
            "conn_type": "itwin",
            "description": "The emulator of the iTwin Platform",
            "host": f"{address.scheme}://{address.hostname}",
            "port": address.port,
            "login": DEFAULT_CLIENT_ID,
            "password": DEFAULT_CLIENT_SECRET,
        }

    def plan_next_run(self, connection_id: str, **plan: Any) -> None:
        """Plan the next run of a connection, with the parameters of the emulator's control API."""
        with requests.Session() as session:
            session.trust_env = False
            body = {"connection_id": connection_id, "times": 1} | plan
            session.post(f"{self.url}/emulator/plans", json=body, timeout=10).raise_for_status()

    def stop(self) -> None:
        """Stop the emulator."""
        self.process.stop(grace=5.0)

    def _wait_for_url(self, seconds: float = 60.0) -> str:
        wait_until(lambda: self.process.exit_code is not None or _URL.search(self.process.tail()) is not None, seconds)
        if found := _URL.search(self.process.tail()):
            return found[0]
        self.stop()
        raise AbortError(f"The emulator did not start:\n{self.process.tail()}")
