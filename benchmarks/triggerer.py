"""
Airflow's triggerer without its database and supervisor: Airflow's own code runs each trigger, in one event loop.

Omitted is what costs the same for all triggers: the messages of the supervisor, and the cleanup that visits every trigger once
per second.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from airflow.jobs.triggerer_job_runner import TriggerRunner
from airflow.sdk.log import configure_logging, reset_logging
from airflow.triggers.base import BaseTrigger, TriggerEvent


class _Events:
    """Replaces the queue of events for the supervisor; passes on the time and the payload of each event."""

    def __init__(self, on_end: Callable[[int, float, Any], None]) -> None:
        self._on_end = on_end

    def append(self, entry: Any) -> None:
        """Receive an event."""
        self._on_end(entry.trigger_id, time.monotonic(), entry.event.payload)


class Triggerer:
    """
    Runs triggers.

    :param on_end: called with the number of the trigger, the time and the payload of each event
    """

    def __init__(self, on_end: Callable[[int, float, Any], None]) -> None:
        self._runner = TriggerRunner()  # type: ignore[no-untyped-call]
        self._runner.events = _Events(on_end)  # type: ignore[assignment]
        self.failures: list[str] = []

    def start(self, number: int, trigger: BaseTrigger) -> None:
        """Start a trigger, as ``TriggerRunner.create_triggers`` does."""
        name = f"bench/manual__2026-03-02T01:00:00+00:00/wait/{number}/1 (ID {number})"
        trigger.trigger_id = number
        task = asyncio.create_task(self._runner.run_trigger(number, trigger), name=name)
        self._runner.triggers[number] = {"task": task, "is_watcher": False, "name": name, "events": 0}
        task.add_done_callback(lambda done: self._finished(number, done))

    def _finished(self, number: int, task: asyncio.Task[None]) -> None:
        del self._runner.triggers[number]
        if not task.cancelled() and (error := task.exception()) is not None:
            self.failures.append(f"{type(error).__name__}: {error}")


class Sleeper(BaseTrigger):
    """
    A trigger that sends no requests.

    :param until: time on the monotonic clock at which it fires
    """

    def __init__(self, until: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._until = until

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the parameters."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {"until": self._until}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Sleep until `until`, then fire."""
        await asyncio.sleep(self._until - time.monotonic())
        yield TriggerEvent({"woken": True})  # type: ignore[no-untyped-call]


def log_as_the_triggerer_does() -> None:
    """Format logs as JSON, as for the supervisor, and write them unbuffered to the null device."""
    reset_logging()  # type: ignore[no-untyped-call]
    output = Path("/dev/null").open("wb", buffering=0)  # noqa: SIM115 (open as long as the process lives)
    configure_logging(json_output=True, output=output, sending_to_supervisor=True)
