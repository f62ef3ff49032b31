"""Simulated time: sleeping takes no real time, and advances the clock of all components."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import UTC, datetime
from functools import lru_cache, partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from itwin_emulator import Clock

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest


class FakeClock(Clock):
    """The real time plus the time slept; also the clock of the emulator."""

    def __init__(self) -> None:
        super().__init__(speed=1.0)
        self._lock = threading.Lock()
        self._began = time.time()
        self._events: list[tuple[float, Callable[[], object]]] = []
        self.slept = 0.0

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time() + self.slept

    @property
    def elapsed(self) -> float:
        """Seconds since the creation of the clock."""
        return self.now() - self._began

    def monotonic(self) -> float:
        """Seconds since an arbitrary time."""
        return time.monotonic() + self.slept

    def utcnow(self) -> datetime:
        """The current time, as a replacement for the function of Airflow."""
        return datetime.fromtimestamp(self.now(), UTC)

    def sleep(self, seconds: float) -> None:
        """Advance the clock."""
        if seconds < 0:
            raise ValueError("sleep length must be non-negative")
        with self._lock:
            self.slept += seconds
            due = [event for event in self._events if event[0] <= self.elapsed]
            self._events = [event for event in self._events if event not in due]
        for _, action in due:
            action()

    def at(self, seconds: float, action: Callable[[], object]) -> None:
        """Call `action` when `seconds` have elapsed."""
        self._events.append((seconds, action))

    async def sleep_asynchronously(self, seconds: float) -> None:
        """Advance the clock, and yield to the event loop."""
        self.sleep(seconds)
        await asyncio.sleep(0)


def use_fake_clock(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make everything that waits use `clock`: both clients, operators, sensors, and Airflow's base class of sensors."""
    import airflow_provider_itwin.operators.base
    import airflow_provider_itwin.operators.jobs
    import airflow_provider_itwin.sensors.base
    import airflow_provider_itwin.sensors.jobs
    import airflow_provider_itwin.sensors.waiting_sensor
    import airflow_provider_itwin.waiting_task
    from airflow_provider_itwin.api import (
        async_client,
        client,
        client_pool,
    )
    from airflow_provider_itwin.api.http import stopping
    from airflow_provider_itwin.api.http.config import Account
    from airflow_provider_itwin.hooks import base as hook
    from airflow_provider_itwin.hooks import connection_lookup, connection_retry, settings
    from tests.airflow.sdk import BaseSensorOperator

    account = partial(Account, clock=clock.monotonic, wall=clock.now)
    shim: Any = SimpleNamespace(time=clock.now, monotonic=clock.monotonic, sleep=clock.sleep)
    monkeypatch.setattr(settings, "Account", account)
    # Two tests can use the same connection, and an account keeps its clock.
    monkeypatch.setattr(settings, "_account", lru_cache(maxsize=8)(settings._account.__wrapped__))
    monkeypatch.setattr(client, "ITwinClient", partial(client.ITwinClient, sleep=clock.sleep))
    monkeypatch.setattr(
        client_pool, "AsyncITwinClient", partial(async_client.AsyncITwinClient, sleep=clock.sleep_asynchronously)
    )
    monkeypatch.setattr(stopping, "pause", lambda stopped, seconds: clock.sleep(seconds))
    monkeypatch.setattr(airflow_provider_itwin.operators.base, "time", shim)
    monkeypatch.setattr(airflow_provider_itwin.operators.jobs, "time", shim)
    monkeypatch.setattr(airflow_provider_itwin.sensors.jobs, "time", shim)
    monkeypatch.setattr(airflow_provider_itwin.sensors.waiting_sensor, "time", shim)
    monkeypatch.setattr(airflow_provider_itwin.sensors.base, "time", shim)
    monkeypatch.setattr(airflow_provider_itwin.waiting_task, "time", shim)
    monkeypatch.setattr(connection_lookup, "clock", clock.monotonic)
    monkeypatch.setattr(connection_lookup, "sleep_async", clock.sleep_asynchronously)
    monkeypatch.setattr(connection_retry, "sleep", clock.sleep)
    monkeypatch.setattr(connection_retry, "sleep_async", clock.sleep_asynchronously)
    monkeypatch.setattr(
        hook, "ConnectionRetry", partial(connection_retry.ConnectionRetry, clock=clock.monotonic, wall=clock.now)
    )
    base = BaseSensorOperator.__module__
    monkeypatch.setattr(f"{base}.time", shim)
    monkeypatch.setattr(f"{base}.timezone", SimpleNamespace(utcnow=clock.utcnow))
