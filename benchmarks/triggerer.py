"""
Triggers as Airflow's triggerer runs them: its own code around each, in one event loop, without its database and supervisor.

Left out is what costs all triggers alike however they wait: the supervisor's messages, and the tidying up that visits every
trigger once a second.
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
    """Stands where the triggerer keeps events for its supervisor; keeps only when each came, and what it said."""

    def __init__(self, hear: Callable[[int, float, Any], None]) -> None:
        self._hear = hear

    def append(self, entry: Any) -> None:
        """Take in an event."""
        self._hear(entry.trigger_id, time.monotonic(), entry.event.payload)


class Triggerer:
    """
    Runs triggers.

    :param hear: is told the number of a trigger, the moment, and the payload of each event
    """

    def __init__(self, hear: Callable[[int, float, Any], None]) -> None:
        self._runner = TriggerRunner()  # type: ignore[no-untyped-call]
        self._runner.events = _Events(hear)  # type: ignore[assignment]
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
    A trigger that asks nobody.

    :param until: moment on the monotonic clock at which it fires
    """

    def __init__(self, until: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._until = until

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Give the class and its parameters."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {"until": self._until}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Sleep, and fire."""
        await asyncio.sleep(self._until - time.monotonic())
        yield TriggerEvent({"woken": True})  # type: ignore[no-untyped-call]


def log_as_the_triggerer_does() -> None:
    """Make JSON of all that is logged, as for the supervisor, and write it, unbuffered, to where nobody reads it."""
    reset_logging()  # type: ignore[no-untyped-call]
    output = Path("/dev/null").open("wb", buffering=0)  # noqa: SIM115 (open as long as the process lives)
    configure_logging(json_output=True, output=output, sending_to_supervisor=True)
