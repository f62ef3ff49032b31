"""Both clients behind one interface, and an emulator whose clock advances only when a client pauses."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

from airflow_provider_itwin.api.async_client import AsyncITwinClient
from airflow_provider_itwin.api.client import ITwinClient
from airflow_provider_itwin.api.http.auth import ClientCredentials, Credentials
from airflow_provider_itwin.api.http.config import Account, Environment, Network
from airflow_provider_itwin.api.http.messages import Call, Flow
from airflow_provider_itwin.api.http.request_flow import DEFAULT_RETRY_BUDGET, perform_call
from airflow_provider_itwin.api.wait.waiter import WaitResult, WaitSpec
from itwin_emulator import Emulator, ManualClock

T = TypeVar("T")

DRIVERS = ("sync", "async")


class Driver(Protocol):
    """The interface of both clients."""

    account: Account

    def run_flow(self, flow: Flow[T]) -> T:
        """Drive a flow to completion and return its result."""

    def wait(self, spec: WaitSpec) -> WaitResult:
        """Wait as `spec` says."""

    def close(self) -> None:
        """Close the client."""


class World:
    """An emulator whose clock stands still during requests, and advances when a client pauses."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.emulator = Emulator(clock=self.clock)
        self.pauses: list[float] = []

    def account(
        self,
        credentials: Credentials | None = None,
        network: Network | None = None,
        environment: Environment | None = None,
    ) -> Account:
        """Return an account of the emulator, with its clock."""
        emulator = self.emulator
        return Account(
            environment or Environment.of(emulator.url),
            credentials or ClientCredentials(emulator.client_id, emulator.client_secret),
            network or Network(timeout=5.0),
            clock=self.clock.now,
            wall=self.clock.now,
            chance=lambda: 0.5,
        )

    def sleep(self, seconds: float) -> None:
        """Advance the clock of the client and the emulator."""
        self.pauses.append(seconds)
        self.clock.advance(seconds)

    async def sleep_async(self, seconds: float) -> None:
        """Advance the clock of the client and the emulator."""
        self.sleep(seconds)
        await asyncio.sleep(0)

    def operations(self) -> list[str | None]:
        """Return the operations that were requested since the last call."""
        done = [entry.operation for entry in self.emulator.request_log]
        self.emulator.request_log.clear()
        return done


class SyncDriver:
    """The synchronous client."""

    def __init__(self, world: World, account: Account) -> None:
        self.account = account
        self.client = ITwinClient(account, world.sleep)

    def run_flow(self, flow: Flow[T]) -> T:
        """Drive a flow to completion and return its result."""
        return self.client.run_flow(flow)

    def wait(self, spec: WaitSpec) -> WaitResult:
        """Wait as `spec` says."""
        return self.client.wait(spec)

    def close(self) -> None:
        """Close the client."""
        self.client.close()


class AsyncDriver:
    """The asynchronous client, in an event loop that runs only during its calls."""

    def __init__(self, world: World, account: Account) -> None:
        self.account = account
        self.client = AsyncITwinClient(account, world.sleep_async)
        self._runner = asyncio.Runner()
        self._runner.run(self.client.__aenter__())

    def run_flow(self, flow: Flow[T]) -> T:
        """Drive a flow to completion and return its result."""
        return self._runner.run(self.client.run_flow(flow))

    def wait(self, spec: WaitSpec) -> WaitResult:
        """Wait as `spec` says."""
        return self._runner.run(self.client.wait(spec))

    def close(self) -> None:
        """Close the client and its event loop."""
        self._runner.run(self.client.__aexit__())
        self._runner.close()


@contextmanager
def driver(name: str, world: World, account: Account | None = None) -> Iterator[Driver]:
    """Provide the client of that name, and close it."""
    account = account or world.account()
    made: Driver = SyncDriver(world, account) if name == "sync" else AsyncDriver(world, account)
    try:
        yield made
    finally:
        made.close()


def call(driver: Driver, call: Call[T], retry_budget: float = DEFAULT_RETRY_BUDGET) -> T:
    """Perform one call."""
    return driver.run_flow(perform_call(driver.account, call, retry_budget))
