"""Time in which nobody has to wait: sleeping takes none of ours, and moves everybody's clock on."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import UTC, datetime
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from itwin_emulator import Clock

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest


class FakeClock(Clock):
    """The time of day plus whatever has been slept; the emulator's clock too."""

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
        """Seconds since the clock was made."""
        return self.now() - self._began

    def monotonic(self) -> float:
        """Seconds since some moment."""
        return time.monotonic() + self.slept

    def utcnow(self) -> datetime:
        """The time of day as Airflow asks for it."""
        return datetime.fromtimestamp(self.now(), UTC)

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        if seconds < 0:
            raise ValueError("sleep length must be non-negative")
        with self._lock:
            self.slept += seconds
            due = [event for event in self._events if event[0] <= self.elapsed]
            self._events = [event for event in self._events if event not in due]
        for _, happens in due:
            happens()

    def at(self, seconds: float, happens: Callable[[], object]) -> None:
        """Let something happen as soon as so many seconds have elapsed."""
        self._events.append((seconds, happens))

    async def sleep_asynchronously(self, seconds: float) -> None:
        """Let time pass, and let the event loop breathe."""
        self.sleep(seconds)
        await asyncio.sleep(0)


def use_fake_clock(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give `clock` to all that wait: both clients, operators, sensors, and Airflow's own base class of sensors."""
    from airflow.providers.common.compat.sdk import BaseSensorOperator

    import airflow_provider_itwin.operators.base
    import airflow_provider_itwin.sensors.base
    from airflow_provider_itwin.api import (
        async_client,
        client,
        client_pool,
    )
    from airflow_provider_itwin.api.http.config import Account
    from airflow_provider_itwin.hooks import connection_lookup, connection_retry, settings
    from airflow_provider_itwin.hooks import itwin as hook

    account = partial(Account, clock=clock.monotonic, wall=clock.now)
    shim: Any = SimpleNamespace(time=clock.now, monotonic=clock.monotonic, sleep=clock.sleep)
    monkeypatch.setattr(settings, "Account", account)
    monkeypatch.setattr(client, "ITwinClient", partial(client.ITwinClient, sleep=clock.sleep))
    monkeypatch.setattr(
        client_pool, "AsyncITwinClient", partial(async_client.AsyncITwinClient, sleep=clock.sleep_asynchronously)
    )
    monkeypatch.setattr(airflow_provider_itwin.operators.base, "time", shim)
    monkeypatch.setattr(airflow_provider_itwin.sensors.base, "time", shim)
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
