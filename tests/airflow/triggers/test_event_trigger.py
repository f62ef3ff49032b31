"""The trigger of an ``AssetWatcher``: its events, its cursor, and that no error ends it."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_itwin.api import client_pool
from airflow_provider_itwin.version_compat import AIRFLOW_V_3_0_PLUS, AIRFLOW_V_3_4_PLUS
from tests.airflow.single_task import rebuilt, through_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from itwin_emulator import Emulator
    from tests.airflow.fake_clock import FakeClock

if not AIRFLOW_V_3_0_PLUS:
    pytest.skip("this Airflow has no such triggers", allow_module_level=True)

from airflow_provider_itwin.triggers import events
from airflow_provider_itwin.triggers.itwin import ITwinRunEventTrigger

NIGHT = "night-connection"
HOUR = 3600.0


class FakePage:
    """The state of one asset, as the triggerer of Airflow 3.3 passes it to a trigger."""

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
    """The mapping of asset states; its own methods work for one asset only."""

    def __init__(self, *pages: FakePage) -> None:
        self._by_name = {str(number): page for number, page in enumerate(pages)}
        self._by_uri: dict[str, FakePage] = {}


class Triggerer:
    """Runs a watcher for some time, as a triggerer does."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.still_runs = False

    async def run(self, watcher: ITwinRunEventTrigger, seconds: float, store: Any = None) -> list[dict[str, Any]]:
        """Return the runs that the watcher fires for within `seconds`."""
        one = rebuilt(watcher)
        if store is not None:
            one.asset_state_store = store
        fired: list[dict[str, Any]] = []

        async def collect() -> None:
            async for event in one.run():
                fired.append(through_json(event.payload)["itwin_run"])  # noqa: PERF401 (it never ends)

        end = self.clock.elapsed + seconds
        task = asyncio.create_task(collect())
        for _ in range(1_000_000):
            if self.clock.elapsed >= end or task.done():
                break
            await asyncio.sleep(0)
        self.still_runs = not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return fired


@pytest.fixture
def triggerer(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> Triggerer:
    """A triggerer in simulated time."""
    monkeypatch.setattr(events, "sleep", clock.sleep_asynchronously)
    monkeypatch.setattr(events, "monotonic", clock.monotonic)
    return Triggerer(clock)


@pytest.fixture
def emulator(emulator: Emulator) -> Emulator:
    """An emulator with a connection of two files."""
    emulator.add_connection(connection_id=NIGHT, files=["Tower.dgn", "Roof.rvt"])
    return emulator


def watcher(**arguments: Any) -> ITwinRunEventTrigger:
    return ITwinRunEventTrigger(
        **{"itwin_conn_id": "itwin_default", "kind": "storage", "connection_id": NIGHT} | arguments
    )


def names(fired: list[dict[str, Any]]) -> list[str]:
    return [run["ref"]["run_id"] for run in fired]


def run_ids(emulator: Emulator, connection_id: str = NIGHT) -> list[str]:
    return [run["id"] for run in emulator.runs(connection_id)]


def finish_a_run(emulator: Emulator, result: str = "Success", connection_id: str = NIGHT) -> str:
    run_id = emulator.start_run(connection_id)
    emulator.finish_run(connection_id, run_id, result)
    return run_id


# The trigger itself


FULL: dict[str, Any] = {
    "itwin_conn_id": "itwin_default",
    "kind": "export",
    "connection_id": NIGHT,
    "poll_interval": 30.0,
    "fire_on": ["Success"],
    "catch_up": None,
    "version": 1,
}


def test_the_trigger_survives_serialization() -> None:
    path, kwargs = ITwinRunEventTrigger(**FULL).serialize()
    assert path == "airflow_provider_itwin.triggers.events.ITwinRunEventTrigger"
    assert kwargs == FULL
    assert rebuilt(watcher(**FULL)).serialize() == (path, FULL)


def test_durations_are_stored_in_seconds() -> None:
    durations: dict[str, Any] = {"poll_interval": timedelta(minutes=1), "catch_up": timedelta(days=2)}
    _, kwargs = watcher(**durations).serialize()
    assert (kwargs["poll_interval"], kwargs["catch_up"]) == (60.0, 172_800.0)


@pytest.mark.parametrize(
    "given", [("Success", "Skipped"), {"Success", "Skipped"}, ["Skipped", "Success"], iter(["Success", "Skipped"])]
)
def test_equal_watchers_have_the_same_trigger(given: Any) -> None:
    from airflow.triggers.base import BaseEventTrigger

    def identity(trigger: ITwinRunEventTrigger) -> int:
        return BaseEventTrigger.hash(*trigger.serialize())

    one = watcher(fire_on=given)
    assert identity(one) == identity(watcher(fire_on=["Skipped", "Success"])) == identity(rebuilt(one))
    assert identity(one) != identity(watcher(fire_on=["Success"]))


def test_the_arguments_are_encrypted_in_the_database(airflow_home: Any) -> None:
    from airflow.models.trigger import Trigger
    from airflow.triggers.base import BaseEventTrigger

    row = Trigger.from_object(watcher(**FULL))
    assert NIGHT not in row.encrypted_kwargs
    assert BaseEventTrigger.hash(row.classpath, row.kwargs) == BaseEventTrigger.hash(*watcher(**FULL).serialize())


@pytest.mark.skipif(not AIRFLOW_V_3_4_PLUS, reason="Airflow 3.4 is the first whose watchers have a queue")
def test_airflow_stores_the_queue_of_a_watcher() -> None:
    from airflow.serialization.encoders import encode_trigger

    trigger = ITwinRunEventTrigger("itwin_default", "storage", "a", queue="itwin")
    assert encode_trigger(trigger)["queue"] == "itwin"
    assert "queue" not in trigger.serialize()[1]
    assert encode_trigger(ITwinRunEventTrigger("itwin_default", "storage", "a")).get("queue") is None


@pytest.mark.skipif(AIRFLOW_V_3_4_PLUS, reason="Airflow 3.4 has such queues")
def test_a_queue_needs_airflow_3_4() -> None:
    with pytest.raises(ValueError, match=r"queue needs Airflow 3\.4 or newer"):
        ITwinRunEventTrigger("itwin_default", "storage", "a", queue="itwin")


def test_an_asset_watcher_accepts_the_trigger() -> None:
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
async def test_invalid_parameters_are_logged_once_and_do_not_end_the_trigger(
    triggerer: Triggerer, emulator: Emulator, caplog: pytest.LogCaptureFixture, nonsense: dict[str, Any]
) -> None:
    assert await triggerer.run(watcher(**nonsense), 30 * 24 * HOUR) == []
    assert triggerer.still_runs
    assert [record.message.partition(":")[0] for record in caplog.records if record.levelno >= logging.WARNING] == [
        "Cannot poll for finished runs"
    ]
    assert emulator.request_log.total == 0 if hasattr(emulator.request_log, "total") else not list(emulator.request_log)


# Events


async def test_fires_for_a_foreign_run(triggerer: Triggerer, emulator: Emulator) -> None:
    triggerer.clock.at(600.0, lambda: emulator.start_run(NIGHT))
    fired = await triggerer.run(watcher(), 2 * HOUR)
    assert names(fired) == run_ids(emulator)
    [run] = fired
    assert run["ref"] == {"kind": "storage", "connection_id": NIGHT, "run_id": run_ids(emulator)[0]}
    assert (run["state"], run["result"], run["error"]) == ("Completed", "Success", None)
    assert run["totals"]["tasks"] == 2
    assert run["started"] < run["ended"]
    assert run["summary"].startswith("Success: 2 files")


async def test_fires_for_running_runs_but_not_for_older_ones(triggerer: Triggerer, emulator: Emulator) -> None:
    for _ in range(3):
        finish_a_run(emulator)
        triggerer.clock.sleep(60.0)
    active = emulator.start_run(NIGHT)
    assert names(await triggerer.run(watcher(), 2 * HOUR)) == [active]


async def test_all_runs_between_two_polls_fire_oldest_first(triggerer: Triggerer, emulator: Emulator) -> None:
    def happen() -> None:
        for _ in range(5):
            finish_a_run(emulator)
            triggerer.clock.slept += 1.0

    triggerer.clock.at(1800.0, happen)
    fired = await triggerer.run(watcher(), HOUR)
    assert names(fired) == run_ids(emulator)
    assert len(fired) == 5


@pytest.mark.parametrize("kind", ["manifest", "export"])
async def test_watches_every_kind(triggerer: Triggerer, emulator: Emulator, kind: Any) -> None:
    emulator.add_connection(connection_id="other", kind=kind, files=["Tower.dgn"])
    triggerer.clock.at(60.0, lambda: emulator.start_run("other"))
    fired = await triggerer.run(watcher(kind=kind, connection_id="other"), 2 * HOUR)
    assert names(fired) == run_ids(emulator, "other")
    assert fired[0]["ref"]["kind"] == kind


async def test_fires_for_the_selected_results_only(triggerer: Triggerer, emulator: Emulator) -> None:
    wanted = []

    def happen() -> None:
        for result in ("Success", "Error", "Canceled", "PartialSuccess"):
            wanted.append(finish_a_run(emulator, result))
            triggerer.clock.slept += 1.0

    triggerer.clock.at(60.0, happen)
    emulator.quirks.canceled_spelling = "Cancelled"
    page = FakePage()
    fired = await triggerer.run(watcher(fire_on=["PartialSuccess", "Canceled"]), HOUR, FakeStore(page))
    assert names(fired) == wanted[2:]
    assert await triggerer.run(watcher(fire_on=["PartialSuccess", "Canceled"]), HOUR, FakeStore(page)) == []


async def test_an_event_is_small_however_large_the_run(triggerer: Triggerer, emulator: Emulator) -> None:
    emulator.add_connection(connection_id="large", files=[f"{number}-{'x' * 200}.dgn" for number in range(2000)])
    emulator.plan_run("large", "Error", 60)
    triggerer.clock.at(60.0, lambda: emulator.start_run("large"))
    [run] = await triggerer.run(watcher(connection_id="large"), HOUR)
    assert run["totals"]["tasks"] == 2000
    assert len(json.dumps(run)) < 4096


async def test_a_run_of_another_connection_does_not_fire(triggerer: Triggerer, emulator: Emulator) -> None:
    triggerer.clock.at(60.0, lambda: emulator.start_run("demo-storage-connection"))
    assert await triggerer.run(watcher(), 2 * HOUR) == []


async def test_polls_rarely_while_nothing_changes(triggerer: Triggerer, emulator: Emulator) -> None:
    finish_a_run(emulator)
    triggerer.clock.sleep(60.0)
    await triggerer.run(watcher(), 6 * HOUR)
    asked = Counter(entry.operation for entry in emulator.request_log)
    assert asked.pop("get-storage-connection") < 250
    assert asked == {"get-storage-connection-runs": 1, "get-storage-connection-run": 1, "token": 7}


# The cursor


async def test_each_run_fires_once_over_restarts(triggerer: Triggerer, emulator: Emulator) -> None:
    page = FakePage()
    fired: list[str] = []
    for number in range(6):
        triggerer.clock.at(triggerer.clock.elapsed + 600.0 * (number % 3), lambda: emulator.start_run(NIGHT))
        fired += names(await triggerer.run(watcher(), HOUR, FakeStore(page)))
    fired += names(await triggerer.run(watcher(), HOUR, FakeStore(page)))
    assert fired == run_ids(emulator)
    assert len(fired) == 6


async def test_a_run_that_finished_while_the_triggerer_was_down_fires_after_the_restart(
    triggerer: Triggerer, emulator: Emulator
) -> None:
    page = FakePage()
    finish_a_run(emulator)
    triggerer.clock.sleep(60.0)
    active = emulator.start_run(NIGHT)
    assert await triggerer.run(watcher(), 5.0, FakeStore(page)) == []
    emulator.finish_run(NIGHT, active)
    triggerer.clock.sleep(24 * HOUR)
    others = []
    for _ in range(3):
        others.append(finish_a_run(emulator))
        triggerer.clock.sleep(HOUR)
    assert names(await triggerer.run(watcher(), HOUR, FakeStore(page))) == [active, *others]
    assert await triggerer.run(watcher(), HOUR, FakeStore(page)) == []


async def test_a_run_that_finished_too_long_ago_does_not_fire(triggerer: Triggerer, emulator: Emulator) -> None:
    page = FakePage()
    await triggerer.run(watcher(), HOUR, FakeStore(page))
    finish_a_run(emulator)
    triggerer.clock.sleep(8 * 24 * HOUR)
    late = finish_a_run(emulator)
    assert names(await triggerer.run(watcher(), HOUR, FakeStore(page))) == [late]


async def test_a_triggerer_killed_before_airflow_has_the_event_loses_no_run(
    triggerer: Triggerer, emulator: Emulator
) -> None:
    page = FakePage()
    await triggerer.run(watcher(), HOUR, FakeStore(page))
    run_id = finish_a_run(emulator)
    one = rebuilt(watcher())
    one.asset_state_store = FakeStore(page)
    async for _ in one.run():
        # The triggerer is killed right after the event.
        break
    assert names(await triggerer.run(watcher(), HOUR, FakeStore(page))) == [run_id]


async def test_one_watcher_serves_all_assets_with_the_same_arguments(triggerer: Triggerer, emulator: Emulator) -> None:
    one, other = FakePage(), FakePage()
    await triggerer.run(watcher(), HOUR, FakeStore(one, other))
    run_id = finish_a_run(emulator)
    assert names(await triggerer.run(watcher(), HOUR, FakeStore(one, other))) == [run_id]
    assert one.rows == other.rows
    # One asset is no longer watched, and a new one is added.
    assert await triggerer.run(watcher(), HOUR, FakeStore(FakePage(), other)) == []


async def test_the_cursor_is_written_only_if_it_has_changed(triggerer: Triggerer, emulator: Emulator) -> None:
    page = FakePage()
    await triggerer.run(watcher(), 6 * HOUR, FakeStore(page))
    assert page.writes == 1


async def test_watchers_of_one_asset_have_separate_cursors(triggerer: Triggerer, emulator: Emulator) -> None:
    page = FakePage()
    for one in (watcher(), watcher(fire_on=["Success"]), watcher(connection_id="demo-storage-connection")):
        await triggerer.run(one, 60.0, FakeStore(page))
    assert len(page.rows) == 3
    assert all(len(key) < 512 for key in page.rows)


@pytest.mark.parametrize(
    "stored", [{"since": "?"}, "nonsense", 5, {"since": "2026-01-01T00:00:00+00:00", "known": 7}], ids=str
)
async def test_an_unreadable_cursor_is_logged_and_replaced(
    triggerer: Triggerer, emulator: Emulator, caplog: pytest.LogCaptureFixture, stored: Any
) -> None:
    page = FakePage()
    finish_a_run(emulator)
    triggerer.clock.sleep(60.0)
    await triggerer.run(watcher(), 60.0, FakeStore(page))
    page.rows = dict.fromkeys(page.rows, stored)
    assert await triggerer.run(watcher(), HOUR, FakeStore(page)) == []
    assert "The stored cursor" in caplog.text
    run_id = finish_a_run(emulator)
    assert names(await triggerer.run(watcher(), HOUR, FakeStore(page))) == [run_id]


async def test_a_failing_store_loses_no_run(
    triggerer: Triggerer, emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    page = FakePage()
    await triggerer.run(watcher(), HOUR, FakeStore(page))
    run_id = finish_a_run(emulator)

    def repair() -> None:
        page.failure = None

    # At the start, the watcher waits for the store: without a cursor it would lose the run.
    page.failure = RuntimeError("the database is away")
    triggerer.clock.at(triggerer.clock.elapsed + HOUR, repair)
    assert names(await triggerer.run(watcher(), 2 * HOUR, FakeStore(page))) == [run_id]
    # Later, the watcher continues without the store.
    other = finish_a_run(emulator)
    fake = FakeStore(page)
    triggerer.clock.at(triggerer.clock.elapsed + 1.0, partial(setattr, page, "failure", RuntimeError("away")))
    assert names(await triggerer.run(watcher(), HOUR, fake)) == [other]
    repair()
    assert names(await triggerer.run(watcher(), HOUR, FakeStore(page))) in ([other], [])
    assert await triggerer.run(watcher(), HOUR, FakeStore(page)) == []


async def test_without_a_store_a_restart_is_a_first_start(triggerer: Triggerer, emulator: Emulator) -> None:
    finish_a_run(emulator)
    triggerer.clock.sleep(60.0)
    assert await triggerer.run(watcher(), HOUR) == []
    finish_a_run(emulator)
    triggerer.clock.sleep(60.0)
    assert await triggerer.run(watcher(), HOUR) == []


async def test_works_without_an_asset_state_store(triggerer: Triggerer, emulator: Emulator) -> None:
    one = rebuilt(watcher())
    vars(one).pop("asset_state_store", None)
    triggerer.clock.at(60.0, lambda: finish_a_run(emulator))
    async for event in one.run():
        assert names([event.payload["itwin_run"]]) == run_ids(emulator)
        break


# Errors


@pytest.mark.parametrize(
    ("fail", "repair", "level"),
    [
        (lambda emulator: emulator.fail("*", None, 503), lambda emulator: emulator.clear_faults(), "WARNING"),
        (lambda emulator: emulator.fail("*", None, 429), lambda emulator: emulator.clear_faults(), "WARNING"),
        (
            lambda emulator: emulator.fail("*", None, kind="reset-before"),
            lambda emulator: emulator.clear_faults(),
            "WARNING",
        ),
        (
            lambda emulator: emulator.fail("get*", None, 200, body="no JSON"),
            lambda emulator: emulator.clear_faults(),
            "WARNING",
        ),
        (lambda emulator: emulator.fail("get*", None, 403), lambda emulator: emulator.clear_faults(), "ERROR"),
        (lambda emulator: emulator.fail("get*", None, 404), lambda emulator: emulator.clear_faults(), "ERROR"),
        (lambda emulator: emulator.fail("get*", None, 401), lambda emulator: emulator.clear_faults(), "ERROR"),
        (lambda emulator: emulator.fail("token", None, 400), lambda emulator: emulator.clear_faults(), None),
    ],
    ids=["503", "429", "reset", "nonsense", "403", "404", "401", "token"],
)
async def test_an_error_is_logged_once_and_neither_fires_nor_ends_the_trigger(
    triggerer: Triggerer,
    emulator: Emulator,
    caplog: pytest.LogCaptureFixture,
    fail: Callable[[Emulator], None],
    repair: Callable[[Emulator], None],
    level: str | None,
) -> None:
    caplog.set_level(logging.INFO)
    clock = triggerer.clock
    clock.at(HOUR, lambda: fail(emulator))
    clock.at(2 * HOUR, lambda: finish_a_run(emulator))
    clock.at(6 * HOUR, lambda: repair(emulator))
    fired = await triggerer.run(watcher(), 8 * HOUR)
    assert names(fired) == run_ids(emulator)
    assert triggerer.still_runs
    assert emulator.client_secret not in caplog.text
    ours = [
        record
        for record in caplog.records
        if record.levelno >= logging.WARNING and record.message.startswith(("Polling", "Cannot poll"))
    ]
    if level:
        assert [record.levelname for record in ours] == [level]
        assert "works again after" in caplog.text


async def test_refused_requests_are_retried_slowly(triggerer: Triggerer, emulator: Emulator) -> None:
    assert await triggerer.run(watcher(connection_id="no-such-connection"), 10 * HOUR) == []
    assert 50 <= sum(entry.operation == "get-storage-connection" for entry in emulator.request_log) <= 62


async def test_a_corrected_airflow_connection_is_used(
    triggerer: Triggerer, emulator: Emulator, connection: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    right = {"host": emulator.url, "login": emulator.client_id, "password": emulator.client_secret}
    connection(**right | {"password": "wrong"})
    triggerer.clock.at(HOUR, lambda: connection(**right))
    triggerer.clock.at(2 * HOUR, lambda: finish_a_run(emulator))
    assert names(await triggerer.run(watcher(), 4 * HOUR)) == run_ids(emulator)
    assert "refused the client" in caplog.text


async def test_a_missing_airflow_connection_does_not_end_the_trigger(
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
    assert sum(entry.operation == "token" for entry in emulator.request_log) == 1
    assert not client_pool._leases.get(asyncio.get_running_loop(), {})


async def test_a_stopped_watcher_returns_its_session(triggerer: Triggerer, emulator: Emulator) -> None:
    await triggerer.run(watcher(), HOUR)
    assert not client_pool._leases.get(asyncio.get_running_loop(), {})
