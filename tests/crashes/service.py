"""An emulated iTwin Platform that can be stopped and restarted, and whose runs finish on request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from itwin_emulator import Emulator
from scripts.processes import wait_until

if TYPE_CHECKING:
    from pathlib import Path

NIGHT = "night"
RIVAL = "rival"
START = "run-storage-connection"
POLL = "get-storage-connection-run"

_FOREVER = 1e6


class Service:
    """
    An emulator with two connections of one iModel, ``night`` and ``rival``.

    :param state: file with its state, which survives a restart
    :param clock_skew: seconds by which its clock is ahead
    """

    def __init__(self, state: Path, clock_skew: float = 0.0) -> None:
        self._state = state
        self._skew = clock_skew
        self._port = 0
        self.emulator = self._emulator()

    def start(self) -> None:
        """Start, or restart on the same port and with the same state."""
        self.emulator = self._emulator()
        self.emulator.start()
        self._port = self.emulator.port
        if not self.emulator.connection_ids():
            for connection_id in (NIGHT, RIVAL):
                self.emulator.add_connection(connection_id=connection_id, imodel_id="tower", files=["Tower.dgn"])
                self.emulator.plan_run(connection_id, duration=_FOREVER)

    def stop(self) -> None:
        """Stop; connections are refused from now on."""
        self.emulator.stop()

    def run_ids(self, connection_id: str = NIGHT) -> list[str]:
        """Return the ids of all runs of a connection, oldest first."""
        return [run["id"] for run in self.emulator.runs(connection_id)]

    def finish(self, connection_id: str = NIGHT, result: str = "Success") -> None:
        """Finish the newest run of a connection."""
        self.emulator.finish_run(connection_id, result=result)

    def count(self, operation: str, connection_id: str | None = None) -> int:
        """Count the requests for an operation since the service started."""
        return sum(
            entry.operation == operation and connection_id in (None, entry.connection_id)
            for entry in self.emulator.request_log
        )

    def wait_for_runs(self, count: int, seconds: float = 180.0) -> None:
        """Wait until the connection ``night`` has at least `count` runs."""
        assert wait_until(lambda: len(self.run_ids()) >= count, seconds), f"there are only {self.run_ids()}"

    def wait_for_more(
        self, operation: str = POLL, connection_id: str | None = NIGHT, more: int = 2, seconds: float = 180.0
    ) -> None:
        """Wait for `more` further requests for an operation."""
        before = self.count(operation, connection_id)
        assert wait_until(lambda: self.count(operation, connection_id) >= before + more, seconds), (
            f"no further requests for {operation} in {seconds:.0f} s"
        )

    def _emulator(self, **more: Any) -> Emulator:
        return Emulator(
            speed=1.0, port=self._port, clock_skew=self._skew, scenario=None, state_file=self._state, **more
        )
