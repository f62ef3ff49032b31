"""Concurrent waits share one lookup of the Airflow connection, which is repeated when necessary."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from airflow_provider_itwin.api.http.auth import ClientCredentials
from airflow_provider_itwin.api.http.config import Account, Environment
from airflow_provider_itwin.api.models.enums import ConnectionKind
from airflow_provider_itwin.api.wait.models import WaitSpec
from airflow_provider_itwin.api.wait.waiter import WaitEnd, WaitResult
from airflow_provider_itwin.hooks import connection_lookup, settings
from airflow_provider_itwin.hooks.connection_lookup import LIFETIME, REREAD_INTERVAL, look_up
from airflow_provider_itwin.hooks.itwin import ITwinHook
from airflow_provider_itwin.triggers.itwin import ITwinRunTrigger
from benchmarks import faketime

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from itwin_emulator import Emulator
    from tests.airflow.fake_clock import FakeClock

NIGHT = "night-connection"


class Airflow:
    """A source of Airflow connections, in which a lookup takes a second."""

    def __init__(self) -> None:
        self.secret = "first"
        self.lookups = 0
        self.error: Exception | None = None

    async def read(self) -> Account:
        self.lookups += 1
        secret, error = self.secret, self.error
        await asyncio.sleep(1.0)
        if error is not None:
            raise error
        return account(secret)

    async def look_up(self, refused: str | None = None, connection: str = "itwin_default") -> str:
        found = await look_up(connection, self.read, None if refused is None else account(refused).key)
        assert isinstance(found.credentials, ClientCredentials)
        return found.credentials.client_secret


def account(secret: str) -> Account:
    return Account(Environment("https://api.bentley.com", "https://ims.bentley.com"), ClientCredentials("a", secret))


def run_simulated(scenario: Callable[[Airflow], Coroutine[Any, Any, None]]) -> int:
    airflow = Airflow()
    faketime.run(scenario(airflow))
    return airflow.lookups


@pytest.fixture
def in_simulated_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use the time of the event loop for lookups."""
    monkeypatch.setattr(connection_lookup, "clock", faketime.now)


simulated = pytest.mark.usefixtures("in_simulated_time")


@simulated
def test_thousands_of_concurrent_waits_share_one_lookup() -> None:
    async def scenario(airflow: Airflow) -> None:
        assert set(await asyncio.gather(*(airflow.look_up() for _ in range(3000)))) == {"first"}

    assert run_simulated(scenario) == 1


@simulated
def test_a_lookup_is_shared_for_a_short_time_only() -> None:
    async def scenario(airflow: Airflow) -> None:
        await airflow.look_up()
        airflow.secret = "second"
        await asyncio.sleep(LIFETIME - 1.0)
        assert await airflow.look_up() == "first"
        await asyncio.sleep(2.0)
        assert not connection_lookup._lookups[asyncio.get_running_loop()]
        assert await airflow.look_up() == "second"

    assert run_simulated(scenario) == 2


@simulated
def test_a_failed_lookup_is_shared_with_current_callers_only() -> None:
    async def scenario(airflow: Airflow) -> None:
        airflow.error = ConnectionError("no API server")
        failed = await asyncio.gather(*(airflow.look_up() for _ in range(100)), return_exceptions=True)
        assert {type(one) for one in failed} == {ConnectionError}
        airflow.error = None
        assert await airflow.look_up() == "first"

    assert run_simulated(scenario) == 2


@simulated
def test_thousands_of_retries_while_airflow_is_down_cause_one_lookup_a_second() -> None:
    async def scenario(airflow: Airflow) -> None:
        airflow.error = ConnectionError("no API server")

        async def retry(number: int) -> None:
            while True:
                await asyncio.sleep(0.001 * number)
                with suppress(ConnectionError):
                    assert await airflow.look_up() == "first"
                    return

        waits = [asyncio.create_task(retry(number)) for number in range(1, 1000)]
        await asyncio.sleep(60.0)
        airflow.error = None
        await asyncio.gather(*waits)

    # Each lookup takes a second, followed by a pause of a second.
    assert 25 <= run_simulated(scenario) <= 35


@simulated
def test_cancelling_one_caller_does_not_cancel_the_lookup() -> None:
    async def scenario(airflow: Airflow) -> None:
        first, second = asyncio.create_task(airflow.look_up()), asyncio.create_task(airflow.look_up())
        await asyncio.sleep(0.5)
        first.cancel()
        assert await second == "first"
        with suppress(asyncio.CancelledError):
            await first

    assert run_simulated(scenario) == 1


@simulated
def test_concurrent_refusals_cause_one_more_lookup() -> None:
    async def scenario(airflow: Airflow) -> None:
        await airflow.look_up()
        airflow.secret = "second"
        assert set(await asyncio.gather(*(airflow.look_up("first") for _ in range(1000)))) == {"second"}
        assert await airflow.look_up() == "second"

    assert run_simulated(scenario) == 2


@simulated
def test_a_late_refusal_uses_the_newer_lookup_of_others() -> None:
    async def scenario(airflow: Airflow) -> None:
        await airflow.look_up()
        airflow.secret = "second"
        await airflow.look_up("first")
        await asyncio.sleep(LIFETIME / 2)
        assert await airflow.look_up("first") == "second"

    assert run_simulated(scenario) == 2


@simulated
def test_a_lookup_that_started_before_the_refusal_is_not_used() -> None:
    async def scenario(airflow: Airflow) -> None:
        early = asyncio.create_task(airflow.look_up())
        await asyncio.sleep(0.5)
        airflow.secret = "second"
        assert await airflow.look_up("first") == "second"
        await early

    assert run_simulated(scenario) == 2


@simulated
def test_an_unchanged_refused_connection_is_looked_up_every_few_seconds_only() -> None:
    async def scenario(airflow: Airflow) -> None:
        for number in range(100):
            if number == 50:
                airflow.secret = "second"
            assert await airflow.look_up("first") in ("first", "second")
            await asyncio.sleep(0.2)
        assert await airflow.look_up("first") == "second"

    assert 2 <= run_simulated(scenario) <= 2 + 20.0 / REREAD_INTERVAL


@simulated
def test_connections_and_event_loops_do_not_share_lookups() -> None:
    airflow = Airflow()

    async def scenario() -> None:
        await asyncio.gather(airflow.look_up(), airflow.look_up(connection="another"))

    faketime.run(scenario())
    faketime.run(scenario())
    assert airflow.lookups == 4


# The common work of all waits when a triggerer starts


@pytest.fixture
def emulator(emulator: Emulator) -> Emulator:
    """An emulator with a connection whose runs take long."""
    emulator.add_connection(connection_id=NIGHT)
    return emulator


@pytest.fixture
def counts(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counters of lookups, settings, sessions and requests."""
    done: Counter[str] = Counter()

    def counted(owner: Any, name: str, label: str, *, static: bool = False) -> None:
        usual = getattr(owner, name)

        def noted(*args: Any, **kwargs: Any) -> Any:
            done[label] += 1
            return usual(*args, **kwargs)

        monkeypatch.setattr(owner, name, staticmethod(noted) if static else noted)

    for name in ("get_connection", "aget_connection"):
        if hasattr(ITwinHook, name):
            counted(ITwinHook, name, "lookups", static=True)
    counted(settings, "_setting", "settings read")
    counted(aiohttp.ClientSession, "__init__", "sessions")
    return done


async def ended(trigger: ITwinRunTrigger) -> WaitResult:
    async for event in trigger.run():
        return WaitResult.from_event(json.loads(json.dumps(event.payload)))
    raise AssertionError("it did not fire")


def spec_of(run_id: str, clock: FakeClock) -> WaitSpec:
    return WaitSpec(ConnectionKind.STORAGE, NIGHT, run_id, began=clock.now())


@pytest.mark.parametrize(
    ("what", "most"), [("lookups", 2), ("settings read", 4), ("sessions", 1), ("tokens", 1), ("polls of one run", 3)]
)
def test_common_work_of_concurrent_waits_is_done_once(
    emulator: Emulator, clock: FakeClock, counts: Counter[str], what: str, most: int
) -> None:
    emulator.plan_run(NIGHT, "Success", 1.0)
    run_id = emulator.start_run(NIGHT)
    clock.sleep(5.0)

    async def scenario() -> list[WaitResult]:
        triggers = (
            ITwinRunTrigger("itwin_default", spec_of(run_id, clock), memo={"number": number}) for number in range(200)
        )
        return await asyncio.gather(*map(ended, triggers))

    assert {event.end for event in asyncio.run(scenario())} == {WaitEnd.FINISHED}
    request_log = Counter(entry.operation for entry in emulator.request_log)
    counts["tokens"], counts["polls of one run"] = request_log["token"], request_log["get-storage-connection-run"]
    assert 1 <= counts[what] <= most


def test_a_secret_changed_during_many_waits_is_looked_up_once_more(
    emulator: Emulator, clock: FakeClock, counts: Counter[str], connection: Callable[..., None]
) -> None:
    client_id, _ = emulator.add_client("service-rotated", "first", everywhere=True)
    connection(host=emulator.url, login=client_id, password="first")
    emulator.plan_run(NIGHT, "Success", 3600.0)
    run_id = emulator.start_run(NIGHT)

    def rotate() -> None:
        emulator.add_client(client_id, "second", everywhere=True)
        emulator.revoke_tokens()
        connection(host=emulator.url, login=client_id, password="second")

    clock.at(600.0, rotate)

    async def scenario() -> list[WaitResult]:
        triggers = [ITwinRunTrigger("itwin_default", spec_of(run_id, clock)) for _ in range(100)]
        return await asyncio.gather(*map(ended, triggers))

    assert {event.end for event in asyncio.run(scenario())} == {WaitEnd.FINISHED}
    # With synchronous lookups only, one lookup counts once, otherwise once or twice.
    assert 2 <= counts["lookups"] <= 4
