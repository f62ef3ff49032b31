"""The trigger: its arguments, how it resumes after a restart, and that it never stops the triggerer."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from airflow_provider_itwin.api import client_pool
from airflow_provider_itwin.api.wait.models import WaitSpec
from airflow_provider_itwin.api.wait.waiter import WaitEnd, WaitResult
from airflow_provider_itwin.triggers.itwin import ITwinRunTrigger
from airflow_provider_itwin.version_compat import AIRFLOW_V_3_1_PLUS
from tests.airflow.single_task import event_of, first_found, rebuilt, through_json

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from itwin_emulator import Emulator
    from tests.airflow.fake_clock import FakeClock

NIGHT = "night-connection"
OWN = ("itwin_conn_id", "memo", "timeout", "ends_task", "grace", "version")


@pytest.fixture
def emulator(emulator: Emulator) -> Emulator:
    """An emulator with a connection of two files."""
    emulator.add_connection(connection_id=NIGHT, files=["Tower.dgn", "Roof.rvt"])
    return emulator


def trigger(**arguments: Any) -> ITwinRunTrigger:
    """Return a trigger; the arguments are those of its spec and its own."""
    spec = {"kind": "storage", "connection_id": NIGHT} | {
        name: value for name, value in arguments.items() if name not in OWN
    }
    given: dict[str, Any] = {"itwin_conn_id": "itwin_default", "spec": spec}
    return ITwinRunTrigger(**given | {name: value for name, value in arguments.items() if name in OWN})


def polls(emulator: Emulator) -> int:
    return sum(entry.operation == "get-storage-connection-run" for entry in emulator.request_log)


async def until(happens: Callable[[], bool]) -> None:
    for _ in range(10_000):
        if happens():
            return
        await asyncio.sleep(0.001)
    pytest.fail("it never happened")


# Arguments


SPEC: dict[str, Any] = {
    "kind": "storage",
    "connection_id": NIGHT,
    "run_id": "a-run",
    "started_after": None,
    "poll_interval": 12.5,
    "deadline": 1_800_000_000.0,
    "began": 1_790_000_000.0,
    "outage_tolerance": 600.0,
    "queued": True,
    "seen": True,
    "is_known": True,
    "not_before": 1_790_000_010.0,
}
NEWEST = {"run_id": None, "started_after": "2026-01-01T00:00:00+00:00", "poll_interval": None, "deadline": None}
FULL: dict[str, Any] = {
    "itwin_conn_id": "itwin_default",
    "spec": SPEC,
    "memo": {"asked_at": 1.0, "own": None, "baseline": None},
    "timeout": None,
    "ends_task": False,
    "grace": 60.0,
    "version": 1,
}


@pytest.mark.parametrize(
    "arguments",
    [
        FULL,
        FULL | {"spec": SPEC | NEWEST},
        FULL | {"spec": SPEC | {"kind": "manifest"}, "timeout": 3600.0, "ends_task": True, "memo": None},
        FULL | {"spec": SPEC | {"kind": "export"}},
    ],
    ids=["run", "newest", "manifest", "export"],
)
def test_the_trigger_survives_being_stored(arguments: dict[str, Any]) -> None:
    first = ITwinRunTrigger(**arguments)
    path, kwargs = first.serialize()
    assert path == "airflow_provider_itwin.triggers.itwin.ITwinRunTrigger"
    assert kwargs == arguments
    assert through_json(kwargs) == kwargs
    assert rebuilt(first).serialize() == first.serialize()


def test_serializes_all_its_parameters() -> None:
    assert set(trigger(run_id="a").serialize()[1]) == set(FULL)


def test_a_spec_is_serialized_as_its_json_values() -> None:
    assert ITwinRunTrigger("itwin_default", WaitSpec.from_dict(SPEC)).serialize()[1]["spec"] == SPEC


def test_the_trigger_survives_the_serialization_of_airflow(emulator: Emulator) -> None:
    serialize = first_found("airflow.sdk.serde.serialize", "airflow.serialization.serde.serialize")
    deserialize = first_found("airflow.sdk.serde.deserialize", "airflow.serialization.serde.deserialize")
    kwargs = ITwinRunTrigger(**FULL).serialize()[1]
    assert deserialize(serialize(kwargs)) == kwargs


def test_the_stored_arguments_are_encrypted_and_have_no_secret(emulator: Emulator, airflow_home: Any) -> None:
    from airflow.models.trigger import Trigger

    row = Trigger.from_object(trigger(run_id="a"))
    assert NIGHT not in row.encrypted_kwargs
    text = json.dumps(row.kwargs)
    assert NIGHT in text
    for secret in (emulator.client_secret, emulator.client_id, emulator.url):
        assert secret not in text


@pytest.mark.parametrize(
    "arguments",
    [
        {"kind": "Storage", "run_id": "a"},
        {"kind": None, "run_id": "a"},
        {"connection_id": "", "run_id": "a"},
        {"connection_id": None, "run_id": "a"},
        {"run_id": "None"},
        {"run_id": "a/b"},
        {"run_id": 7},
        {},
        {"started_after": "yesterday"},
        {"run_id": "a", "poll_interval": 0},
        {"run_id": "a", "poll_interval": -1.0},
    ],
    ids=str,
)
def test_invalid_parameters_end_only_this_wait(emulator: Emulator, arguments: dict[str, Any]) -> None:
    event = event_of(trigger(**arguments))
    with pytest.raises(ValueError, match="event is invalid"):
        WaitResult.from_event(event)
    assert not emulator.request_log


# Waiting


@pytest.mark.parametrize("result", ["Success", "Error", "Exploded"])
def test_fires_once_with_the_report_of_the_run(emulator: Emulator, clock: FakeClock, result: str) -> None:
    emulator.plan_run(NIGHT, result, 600, failing=[] if result == "Success" else ["Roof.rvt"])
    run_id = emulator.start_run(NIGHT)
    event = WaitResult.from_event(event_of(trigger(run_id=run_id, began=clock.now(), memo={"note": 1})))
    assert (event.end, event.state, event.memo) == (WaitEnd.FINISHED, "Completed", {"note": 1})
    assert event.report is not None
    assert (event.report.ref.run_id, event.report.result) == (run_id, result)
    assert 600 <= event.elapsed < 700
    assert event.polls == polls(emulator)


def test_a_wait_needs_few_polls(emulator: Emulator, clock: FakeClock) -> None:
    emulator.plan_run(NIGHT, "Success", 3600)
    event_of(trigger(run_id=emulator.start_run(NIGHT), began=clock.now()))
    assert 60 <= polls(emulator) <= 100


@pytest.mark.parametrize("interval", [30.0, 300.0])
def test_the_trigger_polls_at_the_given_interval(emulator: Emulator, clock: FakeClock, interval: float) -> None:
    emulator.plan_run(NIGHT, "Success", 3600)
    event_of(trigger(run_id=emulator.start_run(NIGHT), poll_interval=interval, began=clock.now()))
    assert abs(polls(emulator) - 3600 / interval) <= 2


def test_a_restarted_trigger_resumes_its_wait(emulator: Emulator, clock: FakeClock) -> None:
    emulator.plan_run(NIGHT, "Success", 7200)
    first = trigger(run_id=emulator.start_run(NIGHT), began=clock.now(), deadline=clock.now() + 3600)
    kwargs = through_json(first.serialize()[1])

    async def for_a_while(seconds: float) -> None:
        async def wait() -> None:
            async for _ in rebuilt(first).run():
                pytest.fail("it fired before the run was over")

        waiting = asyncio.create_task(wait())
        clock.at(seconds, waiting.cancel)
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(for_a_while(1800))
    assert through_json(first.serialize()[1]) == kwargs
    before = polls(emulator)
    event = WaitResult.from_event(event_of(first))
    assert event.end is WaitEnd.DEADLINE
    assert 3600 <= event.elapsed < 3700
    # It polls at the interval of a wait that has lasted as long.
    assert polls(emulator) - before < 40


def test_a_run_that_finished_while_the_triggerer_was_down_counts_as_finished(
    emulator: Emulator, clock: FakeClock
) -> None:
    emulator.plan_run(NIGHT, "Success", 600)
    waiting = trigger(run_id=emulator.start_run(NIGHT), began=clock.now(), deadline=clock.now() + 700)
    clock.sleep(86_400)
    assert WaitResult.from_event(event_of(waiting)).end is WaitEnd.FINISHED


def test_a_run_that_is_running_after_the_downtime_exceeds_the_deadline(emulator: Emulator, clock: FakeClock) -> None:
    emulator.plan_run(NIGHT, "Success", 200_000)
    waiting = trigger(run_id=emulator.start_run(NIGHT), began=clock.now(), deadline=clock.now() + 700)
    clock.sleep(86_400)
    event = WaitResult.from_event(event_of(waiting))
    assert (event.end, event.state, event.polls) == (WaitEnd.DEADLINE, "Executing", 1)


def test_an_outage_is_logged_once_and_does_not_end_the_wait(
    emulator: Emulator, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    emulator.plan_run(NIGHT, "Success", 1200)
    emulator.fail("get-storage-connection-run", None, 503, after=2, lasting=600)
    caplog.set_level("INFO")
    event = WaitResult.from_event(event_of(trigger(run_id=emulator.start_run(NIGHT), began=clock.now())))
    assert event.end is WaitEnd.FINISHED
    said = [record for record in caplog.records if record.levelname == "WARNING"]
    assert len(said) == 1
    assert "503" in said[0].getMessage()


def test_a_long_outage_ends_the_wait(emulator: Emulator, clock: FakeClock) -> None:
    emulator.plan_run(NIGHT, "Success", 600)
    emulator.fail("get-storage-connection-run", None, 503)
    event = WaitResult.from_event(
        event_of(trigger(run_id=emulator.start_run(NIGHT), began=clock.now(), outage_tolerance=300.0))
    )
    assert event.end is WaitEnd.OUTAGE
    assert "503" in str(event.error)
    assert 300 <= event.elapsed < 340


def test_several_outages_do_not_add_up(emulator: Emulator, clock: FakeClock) -> None:
    emulator.plan_run(NIGHT, "Success", 3000)
    run_id = emulator.start_run(NIGHT)
    emulator.fail("get-storage-connection-run", None, 503, lasting=600)
    clock.at(900, lambda: emulator.fail("get-storage-connection-run", None, 503, lasting=600))
    event = WaitResult.from_event(event_of(trigger(run_id=run_id, began=clock.now())))
    assert event.end is WaitEnd.FINISHED


def test_a_missing_airflow_connection_can_be_retried(emulator: Emulator) -> None:
    event = WaitResult.from_event(event_of(trigger(run_id="a", itwin_conn_id="nobody", outage_tolerance=0.0)))
    assert event.end is WaitEnd.OUTAGE
    assert "nobody" in str(event.error)


@pytest.mark.skipif(not AIRFLOW_V_3_1_PLUS, reason="Airflow 3.1 is the first that lets a trigger ask here")
def test_a_missing_connection_in_the_supervisor_can_be_retried(emulator: Emulator, airflow_home: Path) -> None:
    from airflow.sdk.execution_time.supervisor import InProcessTestSupervisor

    instance = SimpleNamespace(id=uuid4())
    fired = InProcessTestSupervisor.run_trigger_in_process(  # type: ignore[no-untyped-call]
        trigger=trigger(run_id="a", itwin_conn_id="nobody", outage_tolerance=0.0), ti=instance
    )
    event = WaitResult.from_event(through_json(fired.payload))
    assert event.end is WaitEnd.OUTAGE
    assert "nobody" in str(event.error)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"login": None}, "no credentials"),
        ({"password": "wrong"}, "Check login"),
        ({"host": "http://api.bentley.com"}, "plain http"),
        ({"extra": {"timeout": "soon"}}, "timeout in the extra"),
    ],
)
def test_invalid_settings_fire_an_error_event(
    emulator: Emulator, connection: Callable[..., None], fields: dict[str, Any], words: str
) -> None:
    good = {"host": emulator.url, "login": emulator.client_id, "password": emulator.client_secret}
    connection(**good | fields)
    event = WaitResult.from_event(event_of(trigger(run_id=emulator.start_run(NIGHT))))
    assert event.end is WaitEnd.REFUSED
    assert words in str(event.error)


@pytest.mark.parametrize("content", ["", "no certificate"])
def test_an_unreadable_ca_bundle_fires_an_error_event(
    emulator: Emulator, connection: Callable[..., None], tmp_path: Path, content: str
) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.write_text(content)
    good = {"host": emulator.url, "login": emulator.client_id, "password": emulator.client_secret}
    connection(**good, extra={"verify": str(bundle)})
    event = WaitResult.from_event(event_of(trigger(run_id=emulator.start_run(NIGHT), outage_tolerance=1.0)))
    assert event.end in (WaitEnd.REFUSED, WaitEnd.OUTAGE)
    assert event.error


def test_a_secret_changed_during_the_wait_is_used(
    emulator: Emulator, clock: FakeClock, connection: Callable[..., None]
) -> None:
    client_id, _ = emulator.add_client("service-rotated", "first", everywhere=True)
    connection(host=emulator.url, login=client_id, password="first")
    emulator.plan_run(NIGHT, "Success", 3600)

    def rotate() -> None:
        emulator.add_client(client_id, "second", everywhere=True)
        emulator.revoke_tokens()
        connection(host=emulator.url, login=client_id, password="second")

    clock.at(600, rotate)
    event = WaitResult.from_event(event_of(trigger(run_id=emulator.start_run(NIGHT), began=clock.now())))
    assert event.end is WaitEnd.FINISHED


def test_cancelling_the_trigger_closes_everything(emulator: Emulator, clock: FakeClock) -> None:
    emulator.plan_run(NIGHT, "Success", 1e9)
    run_id = emulator.start_run(NIGHT)

    async def cancelled() -> None:
        tasks = [asyncio.create_task(one_event(trigger(run_id=run_id, began=clock.now()))) for _ in range(3)]
        await until(lambda: polls(emulator) > 0)
        tasks[0].cancel()
        await asyncio.sleep(0.01)
        assert [task.done() for task in tasks] == [True, False, False]
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(one) for one in ended] == [asyncio.CancelledError] * 3
        await asyncio.sleep(0)
        # No task and no leased client is left.
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert not client_pool._leases.get(asyncio.get_running_loop())

    asyncio.run(cancelled())


async def one_event(waiting: ITwinRunTrigger) -> Any:
    async for event in waiting.run():
        return event.payload
    return None


def test_many_waits_for_one_run_share_one_client_and_one_poll(emulator: Emulator, clock: FakeClock) -> None:
    emulator.plan_run(NIGHT, "Success", 600)
    run_id = emulator.start_run(NIGHT)

    async def wait() -> list[Any]:
        return await asyncio.gather(*(one_event(trigger(run_id=run_id, began=clock.now())) for _ in range(20)))

    events = [WaitResult.from_event(event) for event in asyncio.run(wait())]
    assert {event.end for event in events} == {WaitEnd.FINISHED}
    assert polls(emulator) < 100
    assert sum(entry.operation == "token" for entry in emulator.request_log) == 1


async def test_on_kill_logs_that_the_run_continues(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    await trigger(run_id="a-run").on_kill()
    said = capsys.readouterr().out + caplog.text
    assert "a-run" in said
    assert "continues in the cloud" in said


# Events


def test_an_event_stays_small_whatever_the_size_of_the_run(emulator: Emulator, clock: FakeClock) -> None:
    failing = [
        {"file": number, "message": "€" * 500, "description": "long " * 200, "details": "\N{GRINNING FACE}" * 300}
        for number in range(1000)
    ]
    emulator.plan_run(NIGHT, "PartialSuccess", 60, failing=failing, invent_files=5000)
    memo = {"asked_at": clock.now(), "own": None, "baseline": None}
    payload = event_of(trigger(run_id=emulator.start_run(NIGHT), began=clock.now(), memo=memo))
    assert len(json.dumps(payload)) <= 16 * 1024
    event = WaitResult.from_event(payload)
    assert event.report is not None
    assert event.report.totals.tasks == 5000
    assert event.report.more_failing_tasks + len(event.report.failing_tasks) == 1000


def test_an_error_event_stays_small(emulator: Emulator, clock: FakeClock) -> None:
    body = {
        "error": {"code": "€" * 5000, "message": "\N{GRINNING FACE}" * 5000, "details": [{"code": "€" * 5000}] * 50}
    }
    emulator.fail("get-storage-connection-run", None, 403, body=body)
    payload = event_of(trigger(run_id=emulator.start_run(NIGHT), began=clock.now()))
    assert WaitResult.from_event(payload).end is WaitEnd.REFUSED
    assert len(json.dumps(payload)) <= 16 * 1024
