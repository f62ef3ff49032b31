"""The trigger behind an ``AssetWatcher``: what it fires, what it keeps over restarts, and that nothing ends it."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_itwin.api import client_pool
from airflow_provider_itwin.version_compat import AIRFLOW_V_3_0_PLUS

from .single_task import rebuilt, through_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from itwin_emulator import Emulator

    from .fake_clock import FakeClock

if not AIRFLOW_V_3_0_PLUS:
    pytest.skip("this Airflow has no such triggers", allow_module_level=True)

from airflow_provider_itwin.triggers import events
from airflow_provider_itwin.triggers.itwin import ITwinRunEventTrigger

NIGHT = "night-connection"
HOUR = 3600.0


class FakePage:
    """The state of one asset, as the triggerer of Airflow 3.3 gives it to a trigger."""

    def __init__(self) -> None:
        self.rows: dict[str, Any] = {}
        self.writes = 0
        self.failure: Exception | None = None

    async def aget(self, key: str, default: Any = None) -> Any:
        if self.failure:
            raise self.failure
        return through_json(self.rows.get(key, default))

    async def aset(self, key: str, value: Any) -> None:
        if self.failure:
            raise self.failure
        self.rows[key] = through_json(value)
        self.writes += 1


class FakeStore:
    """The mapping of those; as a whole it refuses to serve more than one asset."""

    def __init__(self, *pages: FakePage) -> None:
        self._by_name = {str(number): page for number, page in enumerate(pages)}
        self._by_uri: dict[str, FakePage] = {}


class Triggerer:
    """Runs a watcher for some time, as a triggerer would."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.still_runs = False

    async def run(self, watcher: ITwinRunEventTrigger, seconds: float, store: Any = None) -> list[dict[str, Any]]:
        """Give the runs that the watcher fires for within so many seconds."""
        one = rebuilt(watcher)
        if store is not None:
            one.asset_state_store = store
        told: list[dict[str, Any]] = []

        async def collect() -> None:
            async for event in one.run():
                told.append(through_json(event.payload)["itwin_run"])  # noqa: PERF401 (it never ends)

        end = self.clock.elapsed + seconds
        task = asyncio.create_task(collect())
        for _ in range(1_000_000):
            if self.clock.elapsed >= end or task.done():
                break
            await asyncio.sleep(0)
        self.still_runs = not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return told


@pytest.fixture
def triggerer(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> Triggerer:
    """A triggerer in leaping time."""
    monkeypatch.setattr(events, "sleep", clock.sleep_asynchronously)
    monkeypatch.setattr(events, "monotonic", clock.monotonic)
    return Triggerer(clock)


@pytest.fixture
def emulator(emulator: Emulator) -> Emulator:
    """A connection of two files."""
    emulator.add_connection(connection_id=NIGHT, files=["Tower.dgn", "Roof.rvt"])
    return emulator


def watcher(**arguments: Any) -> ITwinRunEventTrigger:
    return ITwinRunEventTrigger(
        **{"itwin_conn_id": "itwin_default", "kind": "storage", "connection_id": NIGHT} | arguments
    )


def names(told: list[dict[str, Any]]) -> list[str]:
    return [run["ref"]["run_id"] for run in told]


def run_ids(emulator: Emulator, connection_id: str = NIGHT) -> list[str]:
    return [run["id"] for run in emulator.runs(connection_id)]


def have_a_run(emulator: Emulator, result: str = "Success", connection_id: str = NIGHT) -> str:
    run_id = emulator.start_run(connection_id)
    emulator.finish_run(connection_id, run_id, result)
    return run_id


# What it is


FULL: dict[str, Any] = {
    "itwin_conn_id": "itwin_default",
    "kind": "export",
    "connection_id": NIGHT,
    "poll_interval": 30.0,
    "fire_on": ["Success"],
    "catch_up": None,
    "version": 1,
}


def test_survives_being_written_down() -> None:
    path, kwargs = ITwinRunEventTrigger(**FULL).serialize()
    assert path == "airflow_provider_itwin.triggers.events.ITwinRunEventTrigger"
    assert kwargs == FULL
    assert rebuilt(watcher(**FULL)).serialize() == (path, FULL)


@pytest.mark.parametrize(
    "given", [("Success", "Skipped"), {"Success", "Skipped"}, ["Skipped", "Success"], iter(["Success", "Skipped"])]
)
def test_equal_watchers_are_one_trigger_however_they_were_written(given: Any) -> None:
    from airflow.triggers.base import BaseEventTrigger

    def identity(trigger: ITwinRunEventTrigger) -> int:
        return BaseEventTrigger.hash(*trigger.serialize())

    one = watcher(fire_on=given)
    assert identity(one) == identity(watcher(fire_on=["Skipped", "Success"])) == identity(rebuilt(one))
    assert identity(one) != identity(watcher(fire_on=["Success"]))


def test_what_it_knows_is_encrypted_and_the_same_afterwards(airflow_home: Any) -> None:
    from airflow.models.trigger import Trigger
    from airflow.triggers.base import BaseEventTrigger

    row = Trigger.from_object(watcher(**FULL))
    assert NIGHT not in row.encrypted_kwargs
    assert BaseEventTrigger.hash(row.classpath, row.kwargs) == BaseEventTrigger.hash(*watcher(**FULL).serialize())


def test_can_be_watched_with() -> None:
    from airflow.sdk import AssetWatcher

    from airflow_provider_itwin.assets import imodel_asset

    asset = imodel_asset("an-imodel", watchers=[AssetWatcher(name="runs", trigger=watcher())])
    assert [one.name for one in asset.watchers] == ["runs"]


@pytest.mark.parametrize(
    "nonsense",
    [
        {"kind": "nonsense"},
        {"kind": None},
        {"connection_id": ""},
        {"connection_id": None},
        {"connection_id": "a/b"},
        {"poll_interval": 0},
        {"poll_interval": "soon"},
        {"fire_on": ["Sucess"]},
        {"fire_on": 5},
        {"fire_on": [None]},
        {"catch_up": -1},
        {"catch_up": "long"},
    ],
    ids=str,
)
async def test_parameters_that_make_no_sense_are_told_once_and_end_nothing(
    triggerer: Triggerer, emulator: Emulator, caplog: pytest.LogCaptureFixture, nonsense: dict[str, Any]
) -> None:
    assert await triggerer.run(watcher(**nonsense), 30 * 24 * HOUR) == []
    assert triggerer.still_runs
    assert [record.message.partition(":")[0] for record in caplog.records if record.levelno >= logging.WARNING] == [
        "Nothing is watched"
    ]
    assert emulator.journal.total == 0 if hasattr(emulator.journal, "total") else not list(emulator.journal)


# What it fires


async def test_fires_for_a_run_that_somebody_else_has_started(triggerer: Triggerer, emulator: Emulator) -> None:
    triggerer.clock.at(600.0, lambda: emulator.start_run(NIGHT))
    told = await triggerer.run(watcher(), 2 * HOUR)
    assert names(told) == run_ids(emulator)
    [run] = told
    assert run["ref"] == {"kind": "storage", "connection_id": NIGHT, "run_id": run_ids(emulator)[0]}
    assert (run["state"], run["result"], run["error"]) == ("Completed", "Success", None)
    assert run["totals"]["tasks"] == 2
    assert run["started"] < run["ended"]
    assert run["summary"].startswith("Success: 2 files")


async def test_history_is_not_told_but_what_goes_on_is(triggerer: Triggerer, emulator: Emulator) -> None:
    for _ in range(3):
        have_a_run(emulator)
        triggerer.clock.sleep(60.0)
    active = emulator.start_run(NIGHT)
    assert names(await triggerer.run(watcher(), 2 * HOUR)) == [active]


async def test_runs_between_two_looks_are_all_told_oldest_first(triggerer: Triggerer, emulator: Emulator) -> None:
    def happen() -> None:
        for _ in range(5):
            have_a_run(emulator)
            triggerer.clock.slept += 1.0

    triggerer.clock.at(1800.0, happen)
    told = await triggerer.run(watcher(), HOUR)
    assert names(told) == run_ids(emulator)
    assert len(told) == 5


@pytest.mark.parametrize("kind", ["manifest", "export"])
async def test_watches_every_kind(triggerer: Triggerer, emulator: Emulator, kind: Any) -> None:
    emulator.add_connection(connection_id="other", kind=kind, files=["Tower.dgn"])
    triggerer.clock.at(60.0, lambda: emulator.start_run("other"))
    told = await triggerer.run(watcher(kind=kind, connection_id="other"), 2 * HOUR)
    assert names(told) == run_ids(emulator, "other")
    assert told[0]["ref"]["kind"] == kind


async def test_fires_on_the_results_it_is_asked_for(triggerer: Triggerer, emulator: Emulator) -> None:
    wanted = []

    def happen() -> None:
        for result in ("Success", "Error", "Canceled", "PartialSuccess"):
            wanted.append(have_a_run(emulator, result))
            triggerer.clock.slept += 1.0

    triggerer.clock.at(60.0, happen)
    emulator.oddities.canceled_spelling = "Cancelled"
    page = FakePage()
    told = await triggerer.run(watcher(fire_on=["PartialSuccess", "Canceled"]), HOUR, FakeStore(page))
    assert names(told) == wanted[2:]
    assert await triggerer.run(watcher(fire_on=["PartialSuccess", "Canceled"]), HOUR, FakeStore(page)) == []


async def test_an_event_is_small_however_large_the_run(triggerer: Triggerer, emulator: Emulator) -> None:
    emulator.add_connection(connection_id="large", files=[f"{number}-{'x' * 200}.dgn" for number in range(2000)])
    emulator.plan_run("large", "Error", 60)
    triggerer.clock.at(60.0, lambda: emulator.start_run("large"))
    [run] = await triggerer.run(watcher(connection_id="large"), HOUR)
    assert run["totals"]["tasks"] == 2000
    assert len(json.dumps(run)) < 4096


async def test_a_run_of_another_connection_is_none_of_ours(triggerer: Triggerer, emulator: Emulator) -> None:
    triggerer.clock.at(60.0, lambda: emulator.start_run("demo-storage-connection"))
    assert await triggerer.run(watcher(), 2 * HOUR) == []


async def test_is_cheap_in_the_quiet(triggerer: Triggerer, emulator: Emulator) -> None:
    have_a_run(emulator)
    triggerer.clock.sleep(60.0)
    await triggerer.run(watcher(), 6 * HOUR)
    asked = Counter(entry.operation for entry in emulator.journal)
    assert asked.pop("get-storage-connection") < 250
    assert asked == {"get-storage-connection-runs": 1, "get-storage-connection-run": 1, "token": 7}


# What it keeps


async def test_each_run_fires_once_over_restarts(triggerer: Triggerer, emulator: Emulator) -> None:
    page = FakePage()
    told: list[str] = []
    for number in range(6):
        triggerer.clock.at(triggerer.clock.elapsed + 600.0 * (number % 3), lambda: emulator.start_run(NIGHT))
        told += names(await triggerer.run(watcher(), HOUR, FakeStore(page)))
    told += names(await triggerer.run(watcher(), HOUR, FakeStore(page)))
    assert told == run_ids(emulator)
    assert len(told) == 6


async def test_what_ended_while_the_triggerer_was_down_fires_when_it_is_back(
    triggerer: Triggerer, emulator: Emulator
) -> None:
    page = FakePage()
    have_a_run(emulator)
    triggerer.clock.sleep(60.0)
    active = emulator.start_run(NIGHT)
    assert await triggerer.run(watcher(), 5.0, FakeStore(page)) == []
    emulator.finish_run(NIGHT, active)
    triggerer.clock.sleep(24 * HOUR)
    others = []
    for _ in range(3):
        others.append(have_a_run(emulator))
        triggerer.clock.sleep(HOUR)
    assert names(await triggerer.run(watcher(), HOUR, FakeStore(page))) == [active, *others]
    assert await triggerer.run(watcher(), HOUR, FakeStore(page)) == []


async def test_what_ended_too_long_ago_does_not(triggerer: Triggerer, emulator: Emulator) -> None:
    page = FakePage()
    await triggerer.run(watcher(), HOUR, FakeStore(page))
    have_a_run(emulator)
    triggerer.clock.sleep(8 * 24 * HOUR)
    late = have_a_run(emulator)
    assert names(await triggerer.run(watcher(), HOUR, FakeStore(page))) == [late]


async def test_a_triggerer_that_dies_before_airflow_has_the_event_loses_no_run(
    triggerer: Triggerer, emulator: Emulator
) -> None:
    page = FakePage()
    await triggerer.run(watcher(), HOUR, FakeStore(page))
    run_id = have_a_run(emulator)
    one = rebuilt(watcher())
    one.asset_state_store = FakeStore(page)
    async for _ in one.run():
        # It has fired, and dies at once.
        break
    assert names(await triggerer.run(watcher(), HOUR, FakeStore(page))) == [run_id]


async def test_one_watcher_serves_all_assets_that_are_watched_alike(triggerer: Triggerer, emulator: Emulator) -> None:
    one, other = FakePage(), FakePage()
    await triggerer.run(watcher(), HOUR, FakeStore(one, other))
    run_id = have_a_run(emulator)
    assert names(await triggerer.run(watcher(), HOUR, FakeStore(one, other))) == [run_id]
    assert one.rows == other.rows
    # One of them is no longer watched, and a new one is.
    assert await triggerer.run(watcher(), HOUR, FakeStore(FakePage(), other)) == []


async def test_nothing_is_written_when_nothing_has_changed(triggerer: Triggerer, emulator: Emulator) -> None:
    page = FakePage()
    await triggerer.run(watcher(), 6 * HOUR, FakeStore(page))
    assert page.writes == 1


async def test_watchers_of_one_asset_do_not_mix_up_their_places(triggerer: Triggerer, emulator: Emulator) -> None:
    page = FakePage()
    for one in (watcher(), watcher(fire_on=["Success"]), watcher(connection_id="demo-storage-connection")):
        await triggerer.run(one, 60.0, FakeStore(page))
    assert len(page.rows) == 3
    assert all(len(key) < 512 for key in page.rows)


@pytest.mark.parametrize(
    "kept", [{"since": "?"}, "nonsense", 5, {"since": "2026-01-01T00:00:00+00:00", "known": 7}], ids=str
)
async def test_a_place_that_cannot_be_read_is_told_and_begun_anew(
    triggerer: Triggerer, emulator: Emulator, caplog: pytest.LogCaptureFixture, kept: Any
) -> None:
    page = FakePage()
    have_a_run(emulator)
    triggerer.clock.sleep(60.0)
    await triggerer.run(watcher(), 60.0, FakeStore(page))
    page.rows = dict.fromkeys(page.rows, kept)
    assert await triggerer.run(watcher(), HOUR, FakeStore(page)) == []
    assert "begins anew" in caplog.text
    run_id = have_a_run(emulator)
    assert names(await triggerer.run(watcher(), HOUR, FakeStore(page))) == [run_id]


async def test_a_store_in_trouble_loses_no_run(
    triggerer: Triggerer, emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    page = FakePage()
    await triggerer.run(watcher(), HOUR, FakeStore(page))
    run_id = have_a_run(emulator)

    def heal() -> None:
        page.failure = None

    # At the start, it is waited for: guessing would lose the run.
    page.failure = RuntimeError("the database is away")
    triggerer.clock.at(triggerer.clock.elapsed + HOUR, heal)
    assert names(await triggerer.run(watcher(), 2 * HOUR, FakeStore(page))) == [run_id]
    # Later, the watcher goes on without it.
    other = have_a_run(emulator)
    fake = FakeStore(page)
    triggerer.clock.at(triggerer.clock.elapsed + 1.0, partial(setattr, page, "failure", RuntimeError("away")))
    assert names(await triggerer.run(watcher(), HOUR, fake)) == [other]
    heal()
    assert names(await triggerer.run(watcher(), HOUR, FakeStore(page))) in ([other], [])
    assert await triggerer.run(watcher(), HOUR, FakeStore(page)) == []


async def test_without_a_store_a_restart_is_a_first_start(triggerer: Triggerer, emulator: Emulator) -> None:
    have_a_run(emulator)
    triggerer.clock.sleep(60.0)
    assert await triggerer.run(watcher(), HOUR) == []
    have_a_run(emulator)
    triggerer.clock.sleep(60.0)
    assert await triggerer.run(watcher(), HOUR) == []


async def test_works_where_airflow_knows_no_such_store(triggerer: Triggerer, emulator: Emulator) -> None:
    one = rebuilt(watcher())
    vars(one).pop("asset_state_store", None)
    triggerer.clock.at(60.0, lambda: have_a_run(emulator))
    async for event in one.run():
        assert names([event.payload["itwin_run"]]) == run_ids(emulator)
        break


# Fault


@pytest.mark.parametrize(
    ("hurt", "heal", "level"),
    [
        (lambda emulator: emulator.fail("*", None, 503), lambda emulator: emulator.heal(), "WARNING"),
        (lambda emulator: emulator.fail("*", None, 429), lambda emulator: emulator.heal(), "WARNING"),
        (lambda emulator: emulator.fail("*", None, kind="reset-before"), lambda emulator: emulator.heal(), "WARNING"),
        (
            lambda emulator: emulator.fail("get*", None, 200, body="no JSON"),
            lambda emulator: emulator.heal(),
            "WARNING",
        ),
        (lambda emulator: emulator.fail("get*", None, 403), lambda emulator: emulator.heal(), "ERROR"),
        (lambda emulator: emulator.fail("get*", None, 404), lambda emulator: emulator.heal(), "ERROR"),
        (lambda emulator: emulator.fail("get*", None, 401), lambda emulator: emulator.heal(), "ERROR"),
        (lambda emulator: emulator.fail("token", None, 400), lambda emulator: emulator.heal(), None),
    ],
    ids=["503", "429", "reset", "nonsense", "403", "404", "401", "token"],
)
async def test_trouble_fires_nothing_ends_nothing_and_is_told_once(
    triggerer: Triggerer,
    emulator: Emulator,
    caplog: pytest.LogCaptureFixture,
    hurt: Callable[[Emulator], None],
    heal: Callable[[Emulator], None],
    level: str | None,
) -> None:
    caplog.set_level(logging.INFO)
    clock = triggerer.clock
    clock.at(HOUR, lambda: hurt(emulator))
    clock.at(2 * HOUR, lambda: have_a_run(emulator))
    clock.at(6 * HOUR, lambda: heal(emulator))
    told = await triggerer.run(watcher(), 8 * HOUR)
    assert names(told) == run_ids(emulator)
    assert triggerer.still_runs
    assert emulator.client_secret not in caplog.text
    ours = [record for record in caplog.records if record.levelno >= logging.WARNING and "Watching" in record.message]
    if level:
        assert [record.levelname for record in ours] == [level]
        assert "goes on, after" in caplog.text


async def test_refusals_are_asked_about_slowly(triggerer: Triggerer, emulator: Emulator) -> None:
    assert await triggerer.run(watcher(connection_id="no-such-connection"), 10 * HOUR) == []
    assert 50 <= sum(entry.operation == "get-storage-connection" for entry in emulator.journal) <= 62


async def test_an_airflow_connection_that_is_put_right_is_heeded(
    triggerer: Triggerer, emulator: Emulator, connection: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    right = {"host": emulator.url, "login": emulator.client_id, "password": emulator.client_secret}
    connection(**right | {"password": "wrong"})
    triggerer.clock.at(HOUR, lambda: connection(**right))
    triggerer.clock.at(2 * HOUR, lambda: have_a_run(emulator))
    assert names(await triggerer.run(watcher(), 4 * HOUR)) == run_ids(emulator)
    assert "refused the client" in caplog.text


async def test_an_airflow_connection_that_is_missing_ends_nothing(
    triggerer: Triggerer, emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    assert await triggerer.run(watcher(itwin_conn_id="no_such_connection"), 10 * HOUR) == []
    assert triggerer.still_runs
    assert "no_such_connection" in caplog.text


async def test_watchers_share_one_session_and_one_token(triggerer: Triggerer, emulator: Emulator) -> None:
    most = 0

    async def count() -> None:
        nonlocal most
        while True:
            leases = client_pool._leases.get(asyncio.get_running_loop(), {})
            most = max(most, len(leases))
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    await asyncio.gather(*(triggerer.run(watcher(poll_interval=60.0 + number), 600.0) for number in range(20)))
    counting.cancel()
    assert most == 1
    assert sum(entry.operation == "token" for entry in emulator.journal) == 1
    assert not client_pool._leases.get(asyncio.get_running_loop(), {})


async def test_a_watcher_that_is_stopped_gives_its_session_back(triggerer: Triggerer, emulator: Emulator) -> None:
    await triggerer.run(watcher(), HOUR)
    assert not client_pool._leases.get(asyncio.get_running_loop(), {})
