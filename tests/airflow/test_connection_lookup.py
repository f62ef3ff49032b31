"""One lookup of an Airflow connection serves all who need it at about the same time, and is made anew when it has to be."""

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
from airflow_provider_itwin.api.wait.waiter import WaitEnd, WaitEvent
from airflow_provider_itwin.hooks import connection_lookup, settings
from airflow_provider_itwin.hooks.connection_lookup import LIFETIME, REREAD_INTERVAL, look_up
from airflow_provider_itwin.hooks.itwin import ITwinHook
from airflow_provider_itwin.triggers.itwin import ITwinRunTrigger
from benchmarks import faketime

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from itwin_emulator import Emulator

    from .fake_clock import FakeClock

NIGHT = "night-connection"


class Airflow:
    """Where a connection is looked up, which takes a second."""

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


def played(play: Callable[[Airflow], Coroutine[Any, Any, None]]) -> int:
    airflow = Airflow()
    faketime.run(play(airflow))
    return airflow.lookups


@pytest.fixture
def in_simulated_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the lookups have the time of the event loop."""
    monkeypatch.setattr(connection_lookup, "clock", faketime.now)


simulated = pytest.mark.usefixtures("in_simulated_time")


@simulated
def test_thousands_that_begin_together_share_one_lookup() -> None:
    async def play(airflow: Airflow) -> None:
        assert set(await asyncio.gather(*(airflow.look_up() for _ in range(3000)))) == {"first"}

    assert played(play) == 1


@simulated
def test_it_serves_those_who_come_a_little_later_and_nobody_after_that() -> None:
    async def play(airflow: Airflow) -> None:
        await airflow.look_up()
        airflow.secret = "second"
        await asyncio.sleep(LIFETIME - 1.0)
        assert await airflow.look_up() == "first"
        await asyncio.sleep(2.0)
        assert not connection_lookup._lookups[asyncio.get_running_loop()]
        assert await airflow.look_up() == "second"

    assert played(play) == 2


@simulated
def test_a_failure_is_shared_by_those_who_wait_for_it_and_kept_for_nobody() -> None:
    async def play(airflow: Airflow) -> None:
        airflow.error = ConnectionError("no API server")
        failed = await asyncio.gather(*(airflow.look_up() for _ in range(100)), return_exceptions=True)
        assert {type(one) for one in failed} == {ConnectionError}
        airflow.error = None
        assert await airflow.look_up() == "first"

    assert played(play) == 2


@simulated
def test_thousands_that_retry_while_airflow_is_down_make_one_lookup_a_second() -> None:
    async def play(airflow: Airflow) -> None:
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

    # Each takes a second, and there is a second between two of them.
    assert 25 <= played(play) <= 35


@simulated
def test_whoever_is_cancelled_takes_it_from_nobody() -> None:
    async def play(airflow: Airflow) -> None:
        first, second = asyncio.create_task(airflow.look_up()), asyncio.create_task(airflow.look_up())
        await asyncio.sleep(0.5)
        first.cancel()
        assert await second == "first"
        with suppress(asyncio.CancelledError):
            await first

    assert played(play) == 1


@simulated
def test_one_refusal_is_everybodys_reason_for_one_more_lookup() -> None:
    async def play(airflow: Airflow) -> None:
        await airflow.look_up()
        airflow.secret = "second"
        assert set(await asyncio.gather(*(airflow.look_up("first") for _ in range(1000)))) == {"second"}
        assert await airflow.look_up() == "second"

    assert played(play) == 2


@simulated
def test_who_was_refused_late_finds_what_others_have_looked_up_since() -> None:
    async def play(airflow: Airflow) -> None:
        await airflow.look_up()
        airflow.secret = "second"
        await airflow.look_up("first")
        await asyncio.sleep(LIFETIME / 2)
        assert await airflow.look_up("first") == "second"

    assert played(play) == 2


@simulated
def test_a_lookup_from_before_the_refusal_is_no_answer_to_it() -> None:
    async def play(airflow: Airflow) -> None:
        early = asyncio.create_task(airflow.look_up())
        await asyncio.sleep(0.5)
        airflow.secret = "second"
        assert await airflow.look_up("first") == "second"
        await early

    assert played(play) == 2


@simulated
def test_while_nothing_has_changed_it_is_looked_up_again_every_few_seconds_only() -> None:
    async def play(airflow: Airflow) -> None:
        for number in range(100):
            if number == 50:
                airflow.secret = "second"
            assert await airflow.look_up("first") in ("first", "second")
            await asyncio.sleep(0.2)
        assert await airflow.look_up("first") == "second"

    assert 2 <= played(play) <= 2 + 20.0 / REREAD_INTERVAL


@simulated
def test_other_connections_and_other_event_loops_have_lookups_of_their_own() -> None:
    airflow = Airflow()

    async def play() -> None:
        await asyncio.gather(airflow.look_up(), airflow.look_up(connection="another"))

    faketime.run(play())
    faketime.run(play())
    assert airflow.lookups == 4


# What all waits do alike when a triggerer begins


@pytest.fixture
def emulator(emulator: Emulator) -> Emulator:
    """A connection with runs that last."""
    emulator.add_connection(connection_id=NIGHT)
    return emulator


@pytest.fixture
def counts(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count what is done."""
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


async def ended(trigger: ITwinRunTrigger) -> WaitEvent:
    async for event in trigger.run():
        return WaitEvent.read(json.loads(json.dumps(event.payload)))
    raise AssertionError("it did not fire")


@pytest.mark.parametrize(
    ("what", "most"), [("lookups", 2), ("settings read", 4), ("sessions", 1), ("tokens", 1), ("polls of one run", 3)]
)
def test_what_all_waits_do_alike_is_done_once(
    emulator: Emulator, clock: FakeClock, counts: Counter[str], what: str, most: int
) -> None:
    emulator.plan_run(NIGHT, "Success", 1.0)
    run_id = emulator.start_run(NIGHT)
    clock.sleep(5.0)

    async def play() -> list[WaitEvent]:
        triggers = (
            ITwinRunTrigger("itwin_default", "storage", NIGHT, run_id, began=clock.now(), memo={"number": number})
            for number in range(200)
        )
        return await asyncio.gather(*map(ended, triggers))

    assert {event.end for event in asyncio.run(play())} == {WaitEnd.FINISHED}
    journal = Counter(entry.operation for entry in emulator.journal)
    counts["tokens"], counts["polls of one run"] = journal["token"], journal["get-storage-connection-run"]
    assert 1 <= counts[what] <= most


def test_a_secret_that_is_changed_under_many_waits_is_looked_up_once_more(
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

    async def play() -> list[WaitEvent]:
        triggers = [ITwinRunTrigger("itwin_default", "storage", NIGHT, run_id, began=clock.now()) for _ in range(100)]
        return await asyncio.gather(*map(ended, triggers))

    assert {event.end for event in asyncio.run(play())} == {WaitEnd.FINISHED}
    # Where Airflow can only look up synchronously, one lookup counts as one, elsewhere as one or two.
    assert 2 <= counts["lookups"] <= 4
