"""What a run sensor concludes: the same on the worker, rescheduled and deferred, whatever happens."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import (
    DAG,
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
)

from airflow_provider_itwin.exceptions import (
    ITwinPermanentError,
    ITwinRunFailedFinalError,
    ITwinTransientError,
)
from airflow_provider_itwin.operators.itwin import ITwinRunStorageConnectionOperator
from airflow_provider_itwin.sensors.itwin import ITwinStorageConnectionRunSensor
from airflow_provider_itwin.version_compat import AIRFLOW_V_3_3_PLUS

from .single_task import FakeTaskInstance, Outcome, event_of, outside_of_task_runner, resumed

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_itwin.emulator import Emulator

    from .leaping_time import LeapingClock

    RunTask = Callable[..., Outcome]

NIGHT = "night-connection"
DAWN = "2020-01-01T00:00:00Z"
"""Before all runs."""

MODES: dict[str, dict[str, Any]] = {
    "poke": {"mode": "poke"},
    "reschedule": {"mode": "reschedule"},
    "deferred": {"deferrable": True},
}
EACH_MODE = pytest.mark.parametrize("mode", MODES.values(), ids=MODES.keys())
FLAGS: dict[str, dict[str, Any]] = {
    "no flag": {},
    "soft_fail": {"soft_fail": True},
    "never_fail": {"never_fail": True},
    "silent_fail": {"silent_fail": True},
}
only_3_3 = pytest.mark.skipif(not AIRFLOW_V_3_3_PLUS, reason="only the triggerer of Airflow 3.3 starts and ends tasks")


def sensor(**arguments: Any) -> ITwinStorageConnectionRunSensor:
    given: dict[str, Any] = {"task_id": "wait", "connection_id": NIGHT, "timeout": 7200} | arguments
    return ITwinStorageConnectionRunSensor(**given)


@pytest.fixture
def emulator(emulator: Emulator) -> Emulator:
    """A connection of two files, and the plan of its runs."""
    emulator.add_connection(connection_id=NIGHT, files=["Tower.dgn", "Roof.rvt"])
    return emulator


# The table of all that can happen


class Situation:
    """Something that happens to a sensor, and the state of its task under each flag."""

    def __init__(
        self,
        happens: Callable[[Emulator, Callable[..., None]], dict[str, Any]],
        none: str,
        soft_fail: str,
        never_fail: str,
        silent_fail: str,
    ) -> None:
        self.happens = happens
        self.states = {"no flag": none, "soft_fail": soft_fail, "never_fail": never_fail, "silent_fail": silent_fail}


def ends_with(result: str, **arguments: Any) -> Callable[..., dict[str, Any]]:
    def happens(emulator: Emulator, connection: Callable[..., None]) -> dict[str, Any]:
        emulator.plan_run(NIGHT, result, 600)
        return {"run_id": emulator.start_run(NIGHT)} | arguments

    return happens


def trouble(duration: float = 600, **fault: Any) -> Callable[..., dict[str, Any]]:
    def happens(emulator: Emulator, connection: Callable[..., None]) -> dict[str, Any]:
        emulator.plan_run(NIGHT, "Success", duration)
        emulator.fail(**{"operation": "get-storage-connection-run", "times": None} | fault)
        return {"run_id": emulator.start_run(NIGHT)}

    return happens


def takes_too_long(emulator: Emulator, connection: Callable[..., None]) -> dict[str, Any]:
    emulator.plan_run(NIGHT, "Success", 36_000)
    return {"run_id": emulator.start_run(NIGHT)}


def never_begins(emulator: Emulator, connection: Callable[..., None]) -> dict[str, Any]:
    return {"started_after": DAWN}


def is_not_there(emulator: Emulator, connection: Callable[..., None]) -> dict[str, Any]:
    return {"run_id": "no-such-run"}


def is_given(**arguments: Any) -> Callable[..., dict[str, Any]]:
    def happens(emulator: Emulator, connection: Callable[..., None]) -> dict[str, Any]:
        return {"run_id": emulator.start_run(NIGHT)} | arguments

    return happens


def is_connected(**fields: Any) -> Callable[..., dict[str, Any]]:
    def happens(emulator: Emulator, connection: Callable[..., None]) -> dict[str, Any]:
        host = {"host": emulator.url, "login": emulator.client_id, "password": emulator.client_secret}
        connection(**host | fields)
        return {"run_id": emulator.start_run(NIGHT)}

    return happens


def outage_up_to_the_limit(emulator: Emulator, connection: Callable[..., None]) -> dict[str, Any]:
    return trouble(status=503)(emulator, connection) | {"timeout": 300}


GOOD = ("success", "success", "success", "success")
BAD_FOR_EVER = ("failed", "skipped", "skipped", "failed")
"""What can never become good: a run that failed, a limit that passed, a refusal. Silence does not heal it."""
BAD_FOR_NOW = ("up_for_retry", "up_for_retry", "skipped", "failed")
"""Trouble that may pass: ``soft_fail`` is not about it, and with ``silent_fail`` the limit passes in the end."""

SITUATIONS = {
    "Success": Situation(ends_with("Success"), *GOOD),
    "PartialSuccess": Situation(ends_with("PartialSuccess"), *GOOD),
    "Skipped": Situation(ends_with("Skipped"), *GOOD),
    "Error": Situation(ends_with("Error"), *BAD_FOR_EVER),
    "TimedOut": Situation(ends_with("TimedOut"), *BAD_FOR_EVER),
    "Canceled": Situation(ends_with("Canceled"), *BAD_FOR_EVER),
    "Undetermined": Situation(ends_with("Undetermined"), *BAD_FOR_EVER),
    "unknown result": Situation(ends_with("Exploded"), *BAD_FOR_EVER),
    "unknown result, nothing fails": Situation(ends_with("Exploded", fail_on=[]), *BAD_FOR_EVER),
    "Error, nothing fails": Situation(ends_with("Error", fail_on=iter(())), *GOOD),
    "Skipped skips": Situation(ends_with("Skipped", skip_on=["Skipped"]), *["skipped"] * 4),
    "takes too long": Situation(takes_too_long, *BAD_FOR_EVER),
    "never begins": Situation(never_begins, *BAD_FOR_EVER),
    "unknown run": Situation(is_not_there, *BAD_FOR_EVER),
    "403": Situation(trouble(status=403), *BAD_FOR_EVER),
    "401": Situation(trouble(status=401), *BAD_FOR_EVER),
    "404 in the middle": Situation(trouble(3600, status=404, after=12), *BAD_FOR_EVER),
    "422": Situation(trouble(status=422), *BAD_FOR_EVER),
    "wrong secret": Situation(is_connected(password="wrong"), *BAD_FOR_EVER),
    "no credentials": Situation(is_connected(login=None), *BAD_FOR_EVER),
    "plain http": Situation(is_connected(host="http://api.bentley.com"), *BAD_FOR_EVER),
    "bad extra": Situation(is_connected(extra={"verify": 1.5}), *BAD_FOR_EVER),
    "run id None": Situation(is_given(run_id="None"), *BAD_FOR_EVER),
    "run id empty": Situation(is_given(run_id=""), *BAD_FOR_EVER),
    "run id a link": Situation(is_given(run_id="runs/a"), *BAD_FOR_EVER),
    "connection id None": Situation(is_given(connection_id=None), *BAD_FOR_EVER),
    "connection id a path": Situation(is_given(connection_id="a/b"), *BAD_FOR_EVER),
    "started_after no moment": Situation(is_given(run_id=None, started_after="yesterday"), *BAD_FOR_EVER),
    "started_after empty": Situation(is_given(run_id=None, started_after=""), *BAD_FOR_EVER),
    "503": Situation(trouble(status=503), *BAD_FOR_NOW),
    "503 in the middle": Situation(trouble(status=503, after=5), *BAD_FOR_NOW),
    "429": Situation(trouble(status=429, headers={"Retry-After": "30"}), *BAD_FOR_NOW),
    "reset": Situation(trouble(kind="reset-before"), *BAD_FOR_NOW),
    "unreadable": Situation(trouble(kind="invalid-json"), *BAD_FOR_NOW),
    "html": Situation(trouble(kind="html", status=200), *BAD_FOR_NOW),
    "no Airflow connection": Situation(is_given(itwin_conn_id="nobody"), *BAD_FOR_NOW),
    "outage that is tolerated": Situation(trouble(status=503, lasting=600), *GOOD),
    "outage that is too long": Situation(
        trouble(status=503, lasting=1200), "up_for_retry", "up_for_retry", "skipped", "success"
    ),
    "outage up to the limit": Situation(outage_up_to_the_limit, *BAD_FOR_EVER),
}


@EACH_MODE
@pytest.mark.parametrize("flag", FLAGS)
@pytest.mark.parametrize("situation", SITUATIONS)
def test_the_same_outcome_in_each_mode(
    emulator: Emulator,
    run_task: RunTask,
    connection: Callable[..., None],
    situation: str,
    flag: str,
    mode: dict[str, Any],
) -> None:
    arguments = SITUATIONS[situation].happens(emulator, connection)
    outcome = run_task(sensor(**arguments | mode | FLAGS[flag]), most_parts=400)
    assert outcome.state == SITUATIONS[situation].states[flag], outcome.text
    assert ("run_report" in outcome.xcoms) == (outcome.value is not None or "result" in outcome.text)
    if outcome.state == "success":
        assert outcome.value == outcome.xcoms["run_report"]
    else:
        assert outcome.value is None
        assert len(outcome.text) > 20


@EACH_MODE
@pytest.mark.parametrize("situation", ["run id None", "run id a link", "connection id None", "connection id a path"])
def test_sends_nothing_for_input_that_makes_no_sense(
    emulator: Emulator, run_task: RunTask, connection: Callable[..., None], situation: str, mode: dict[str, Any]
) -> None:
    arguments = SITUATIONS[situation].happens(emulator, connection)
    outcome = run_task(sensor(**arguments | mode))
    assert isinstance(outcome.error, ITwinPermanentError)
    assert isinstance(outcome.error, AirflowFailException)
    assert situation.split()[0] + "_id" in outcome.text
    assert not emulator.journal


# What it gives, and what it says


def in_each_mode(run_task: RunTask, **arguments: Any) -> list[Outcome]:
    return [run_task(sensor(**arguments | mode)) for mode in MODES.values()]


@pytest.mark.parametrize("result", ["Success", "PartialSuccess", "Skipped"])
def test_gives_the_same_report_in_each_mode(emulator: Emulator, run_task: RunTask, result: str) -> None:
    failing = ["Roof.rvt"] if result == "PartialSuccess" else []
    emulator.plan_run(NIGHT, result, 600, failing=failing, warnings=3)
    poked, rescheduled, deferred = in_each_mode(run_task, run_id=emulator.start_run(NIGHT))
    assert poked.value == rescheduled.value == deferred.value
    assert poked.value["result"] == result
    assert poked.value["totals"]["tasks"] == 2
    assert poked.xcoms == rescheduled.xcoms == deferred.xcoms == {"run_report": poked.value}


def test_a_failed_run_reads_the_same_in_each_mode(emulator: Emulator, run_task: RunTask) -> None:
    emulator.plan_run(NIGHT, "Error", 600, failing=[{"file": "Roof.rvt", "message": "It leaks."}])
    run_id = emulator.start_run(NIGHT)
    poked, rescheduled, deferred = in_each_mode(run_task, run_id=run_id)
    assert poked.text == rescheduled.text == deferred.text
    for words in ("Roof.rvt", "It leaks.", run_id, NIGHT, "its result is Error"):
        assert words in poked.text
    for outcome in (poked, rescheduled, deferred):
        assert isinstance(outcome.error, ITwinRunFailedFinalError)
        assert outcome.error.report == outcome.xcoms["run_report"] == poked.xcoms["run_report"]


@EACH_MODE
def test_defers_or_pokes_as_it_is_told(
    emulator: Emulator, run_task: RunTask, clock: LeapingClock, mode: dict[str, Any]
) -> None:
    emulator.plan_run(NIGHT, "Success", 600)
    outcome = run_task(sensor(run_id=emulator.start_run(NIGHT), poll_interval=100, **mode))
    looks = [entry for entry in emulator.journal if entry.operation == "get-storage-connection-run"]
    assert 7 <= len(looks) <= 8
    assert 600 <= clock.elapsed < 720
    assert len(outcome.triggers) == (1 if mode.get("deferrable") else 0)
    assert outcome.parts == {"poke": 1, "reschedule": 7}.get(mode.get("mode", ""), 2)


def test_does_not_defer_for_a_run_that_has_ended(emulator: Emulator, run_task: RunTask) -> None:
    run_id = emulator.start_run(NIGHT)
    emulator.finish_run(NIGHT)
    outcome = run_task(sensor(run_id=run_id, deferrable=True))
    assert (outcome.state, outcome.triggers) == ("success", [])


@EACH_MODE
def test_a_run_that_came_through_in_part_warns_and_names_the_files(
    emulator: Emulator, run_task: RunTask, caplog: pytest.LogCaptureFixture, mode: dict[str, Any]
) -> None:
    emulator.plan_run(NIGHT, "PartialSuccess", 60, failing=[{"file": "Tower.dgn", "message": "No reference."}])
    caplog.set_level(logging.INFO)
    run_task(sensor(run_id=emulator.start_run(NIGHT), **mode))
    [warning] = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    for words in ("Tower.dgn", "No reference.", "PartialSuccess"):
        assert words in warning


@EACH_MODE
@pytest.mark.parametrize("timeout", [1800, 1800.0, timedelta(minutes=30)], ids=str)
def test_the_time_limit_tells_what_the_run_was_doing(
    emulator: Emulator, run_task: RunTask, clock: LeapingClock, mode: dict[str, Any], timeout: Any
) -> None:
    emulator.plan_run(NIGHT, "Success", 7200)
    run_id = emulator.start_run(NIGHT)
    outcome = run_task(sensor(run_id=run_id, timeout=timeout, **mode))
    assert isinstance(outcome.error, AirflowSensorTimeout)
    for words in (run_id, NIGHT, "Executing", "30 min", "timeout", "goes on in the cloud"):
        assert words in outcome.text
    assert 1800 <= clock.elapsed < 1900


@EACH_MODE
def test_the_time_limit_for_a_run_that_never_began(emulator: Emulator, run_task: RunTask, mode: dict[str, Any]) -> None:
    outcome = run_task(sensor(started_after=DAWN, timeout=1800, **mode))
    assert isinstance(outcome.error, AirflowSensorTimeout)
    assert "had not been seen" in outcome.text
    assert DAWN in outcome.text


@EACH_MODE
def test_a_run_that_ended_before_anybody_looked_counts_as_ended(
    emulator: Emulator, run_task: RunTask, mode: dict[str, Any]
) -> None:
    emulator.plan_run(NIGHT, "Success", 1700)
    outcome = run_task(sensor(run_id=emulator.start_run(NIGHT), timeout=1800, poll_interval=3600, **mode))
    assert outcome.state == "success"


@EACH_MODE
def test_states_that_nobody_knows_are_waited_through(
    emulator: Emulator, run_task: RunTask, mode: dict[str, Any]
) -> None:
    emulator.plan_run(NIGHT, "Success", 600, states=[("Pondering", 0.5), ("Succeeded", 0.25), ("Failed", 0.25)])
    assert run_task(sensor(run_id=emulator.start_run(NIGHT), **mode)).state == "success"


@EACH_MODE
def test_a_new_run_may_be_invisible_for_a_while(emulator: Emulator, run_task: RunTask, mode: dict[str, Any]) -> None:
    emulator.oddities.invisible_for = 40
    assert run_task(sensor(run_id=emulator.start_run(NIGHT), **mode)).state == "success"


@EACH_MODE
def test_a_run_that_nobody_knows_is_given_up_after_a_minute(
    emulator: Emulator, run_task: RunTask, clock: LeapingClock, mode: dict[str, Any]
) -> None:
    outcome = run_task(sensor(run_id="no-such-run", poll_interval=7, **mode))
    assert isinstance(outcome.error, ITwinPermanentError)
    assert "404" in outcome.text
    assert 60 <= clock.elapsed < 80


@EACH_MODE
def test_an_outage_says_what_was_in_the_way(emulator: Emulator, run_task: RunTask, mode: dict[str, Any]) -> None:
    emulator.plan_run(NIGHT, "Success", 60)
    emulator.fail("get-storage-connection-run", None, 503)
    outcome = run_task(sensor(run_id=emulator.start_run(NIGHT), **mode))
    assert isinstance(outcome.error, ITwinTransientError)
    for words in ("outage_tolerance", "503", "may be going on"):
        assert words in outcome.text


@EACH_MODE
@pytest.mark.parametrize(("strict", "state"), [(False, "success"), (True, "failed")])
def test_a_success_with_failures_in_it(
    emulator: Emulator, run_task: RunTask, mode: dict[str, Any], strict: bool, state: str
) -> None:
    emulator.oddities.success_with_failure = True
    emulator.plan_run(NIGHT, "Success", 60, failing=["Tower.dgn"])
    outcome = run_task(sensor(run_id=emulator.start_run(NIGHT), strict=strict, **mode))
    assert outcome.state == state


@EACH_MODE
def test_uses_a_secret_that_was_changed_while_it_waited(
    emulator: Emulator, run_task: RunTask, clock: LeapingClock, connection: Callable[..., None], mode: dict[str, Any]
) -> None:
    client_id, _ = emulator.add_client("service-rotated", "first", everywhere=True)
    connection(host=emulator.url, login=client_id, password="first")
    emulator.plan_run(NIGHT, "Success", 3600)

    def rotate() -> None:
        emulator.add_client(client_id, "second", everywhere=True)
        emulator.revoke_tokens()
        connection(host=emulator.url, login=client_id, password="second")

    clock.at(600, rotate)
    assert run_task(sensor(run_id=emulator.start_run(NIGHT), **mode)).state == "success"


# Which run


@EACH_MODE
def test_waits_for_a_run_that_begins_later(
    emulator: Emulator, run_task: RunTask, clock: LeapingClock, mode: dict[str, Any]
) -> None:
    emulator.plan_run(NIGHT, "Success", 600)
    old = emulator.start_run(NIGHT)
    clock.sleep(900)
    clock.at(1200, lambda: emulator.start_run(NIGHT))
    outcome = run_task(sensor(started_after=clock.utcnow(), **mode))
    first, second = emulator.runs(NIGHT)
    assert first["id"] == old
    assert (outcome.state, outcome.value["ref"]["run_id"]) == ("success", second["id"])


@EACH_MODE
def test_does_not_take_an_older_run_that_is_still_going_on(
    emulator: Emulator, run_task: RunTask, clock: LeapingClock, mode: dict[str, Any]
) -> None:
    emulator.plan_run(NIGHT, "Success", 600)
    emulator.start_run(NIGHT)
    clock.sleep(60)
    outcome = run_task(sensor(started_after=clock.utcnow(), timeout=1800, **mode))
    assert isinstance(outcome.error, AirflowSensorTimeout)


@EACH_MODE
def test_takes_a_run_that_has_ended_already(
    emulator: Emulator, run_task: RunTask, clock: LeapingClock, mode: dict[str, Any]
) -> None:
    moment = clock.utcnow()
    clock.sleep(60)
    run_id = emulator.start_run(NIGHT)
    emulator.finish_run(NIGHT)
    clock.sleep(60)
    outcome = run_task(sensor(started_after=moment, **mode))
    assert (outcome.state, outcome.value["ref"]["run_id"], outcome.triggers) == ("success", run_id, [])


def moments(moment: datetime) -> dict[str, Any]:
    """All ways to say a moment."""
    return {
        "aware": moment,
        "naive": moment.replace(tzinfo=None),
        "Z": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "no zone": moment.strftime("%Y-%m-%dT%H:%M:%S"),
        "space": moment.strftime("%Y-%m-%d %H:%M:%S+00:00"),
        "elsewhere": moment.astimezone(tz=datetime.fromisoformat("2026-01-01T00:00:00+05:30").tzinfo).isoformat(),
        "str": str(moment),
    }


@EACH_MODE
@pytest.mark.parametrize("form", moments(datetime(2026, 1, 1, tzinfo=UTC)))
def test_however_the_moment_is_said(
    emulator: Emulator, run_task: RunTask, clock: LeapingClock, mode: dict[str, Any], form: str
) -> None:
    emulator.plan_run(NIGHT, "Success", 600)
    run_id = emulator.start_run(NIGHT)
    begun = clock.utcnow()
    before, after = moments(begun - timedelta(seconds=30))[form], moments(begun + timedelta(seconds=30))[form]
    outcome = run_task(sensor(started_after=before, **mode))
    assert (outcome.state, outcome.value["ref"]["run_id"]) == ("success", run_id)
    assert run_task(sensor(started_after=after, timeout=120, **mode)).state == "failed"


@EACH_MODE
def test_a_run_id_has_the_last_word(emulator: Emulator, run_task: RunTask, mode: dict[str, Any]) -> None:
    first = emulator.start_run(NIGHT)
    emulator.finish_run(NIGHT)
    emulator.start_run(NIGHT)
    emulator.finish_run(NIGHT, result="Error")
    outcome = run_task(sensor(run_id=first, started_after=DAWN, **mode))
    assert (outcome.state, outcome.value["ref"]["run_id"]) == ("success", first)


# Flags in places where Airflow's own base class has no say


def test_never_fail_never_fails_whatever_the_triggerer_says(emulator: Emulator) -> None:
    task = sensor(run_id="a", deferrable=True, never_fail=True)
    for event in (None, {}, "error", {"end": "finished"}):
        with pytest.raises(AirflowSkipException):
            resumed(task, event)


@pytest.mark.parametrize("method", ["__fail__"])
@pytest.mark.parametrize(
    ("flags", "expected"),
    [({}, "fails"), ({"soft_fail": True}, "fails"), ({"never_fail": True}, "skips"), ({"silent_fail": True}, "fails")],
    ids=["no flag", "soft_fail", "never_fail", "silent_fail"],
)
def test_a_trigger_that_broke_down_is_trouble_that_may_pass(method: str, flags: dict[str, Any], expected: str) -> None:
    task: Any = sensor(run_id="a", deferrable=True, **flags)
    with pytest.raises(AirflowException) as caught:
        task.resume_execution(method, {"error": "Trigger failure"}, {"ti": FakeTaskInstance()})
    assert isinstance(caught.value, AirflowSkipException) == (expected == "skips")
    assert not isinstance(caught.value, AirflowFailException)


@only_3_3
@pytest.mark.parametrize("flag", FLAGS)
def test_a_limit_of_airflow_itself_is_a_time_limit_too(flag: str) -> None:
    from airflow.sdk.exceptions import TaskDeferralTimeout

    task: Any = sensor(run_id="a", deferrable=True, **FLAGS[flag])
    wanted = AirflowSkipException if flag in ("soft_fail", "never_fail") else AirflowSensorTimeout
    with pytest.raises(wanted) as caught:
        task.resume_execution("__fail__", {"error": "Trigger timeout"}, {"ti": FakeTaskInstance()})
    assert not isinstance(caught.value, TaskDeferralTimeout)


# Events


@pytest.fixture
def good_event(emulator: Emulator, run_task: RunTask) -> dict[str, Any]:
    event: dict[str, Any] = run_task(sensor(run_id=emulator.start_run(NIGHT), deferrable=True)).events[-1]
    return event


@pytest.mark.parametrize(
    "event", [None, {}, [], "", "success", True, 42, {"status": "success"}, {"end": "finished"}], ids=repr
)
def test_an_event_that_makes_no_sense_never_passes_for_success(event: Any) -> None:
    with pytest.raises(AirflowException):
        resumed(sensor(run_id="a", deferrable=True), event)


def test_a_broken_event_never_passes_for_success(good_event: dict[str, Any]) -> None:
    task = sensor(run_id=good_event["ref"]["run_id"], deferrable=True)
    assert resumed(task, good_event) == good_event["report"]
    changes: list[dict[str, Any]] = [
        {"end": "done"},
        {"end": "unseen", "report": None},
        {"end": "deadline"},
        {"report": None},
        {"report": {}},
        {"ref": None},
        {"order": {}},
    ]
    for broken in [good_event | change for change in changes]:
        with pytest.raises(AirflowException):
            resumed(task, broken)


def test_the_end_of_another_run_never_passes_for_that_of_ours(good_event: dict[str, Any]) -> None:
    with pytest.raises(AirflowException):
        resumed(sensor(run_id="another-run", deferrable=True), good_event)


# Parameters


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "Give run_id, the run to wait for, or started_after"),
        ({"run_id": "a", "poll_interval": 0}, "poll_interval must be a positive number of seconds"),
        ({"run_id": "a", "poll_interval": "often"}, "poll_interval must be a positive number"),
        ({"run_id": "a", "poll_interval": float("inf")}, "poll_interval must be a positive number"),
        ({"run_id": "a", "poke_interval": 0}, "poke_interval must be a positive number"),
        ({"run_id": "a", "fail_on": ["Eror"]}, "fail_on names 'Eror', which is no result of a run"),
        ({"run_id": "a", "fail_on": None}, "fail_on must be results of a run"),
        ({"run_id": "a", "skip_on": 1}, "skip_on must be results of a run"),
        ({"run_id": "a", "fail_on": ["Error"], "skip_on": ["Error"]}, "cannot stand in both"),
        ({"run_id": "a", "soft_fail": True, "never_fail": True}, "mutually exclusive"),
    ],
    ids=str,
)
def test_bad_parameters_are_refused_in_the_dag_file(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        sensor(**arguments)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "poll", "poke"),
    [
        ({}, None, 60),
        ({"poll_interval": 20}, 20, 20),
        ({"poke_interval": 20}, 20, 20),
        ({"poke_interval": timedelta(minutes=2)}, 120, 120),
        ({"poll_interval": 20, "poke_interval": 30}, 20, 20),
        ({"default_args": {"poke_interval": 20}}, 20, 20),
        ({"default_args": {"poll_interval": 20}}, 20, 20),
        ({"default_args": {"poll_interval": 20}, "poke_interval": 30}, 20, 20),
        ({"default_args": {"poke_interval": 20}, "poll_interval": 30}, 30, 30),
    ],
    ids=str,
)
def test_either_name_of_the_interval_is_heeded_in_each_mode(arguments: dict[str, Any], poll: Any, poke: Any) -> None:
    task = sensor(run_id="a", **arguments)
    assert (task.poll_interval, task.poke_interval) == (poll, poke)


def test_the_default_arguments_of_a_dag_are_heeded() -> None:
    with DAG("a_dag", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC), default_args={"poke_interval": 20}):
        task = sensor(run_id="a", deferrable=True)
    assert (task.poll_interval, task.poke_interval) == (20, 20)


def test_can_be_poked_by_itself(emulator: Emulator, clock: LeapingClock) -> None:
    task: Any = sensor(run_id=emulator.start_run(NIGHT))
    instance = FakeTaskInstance()
    with outside_of_task_runner(instance):
        assert not task.poke({"ti": instance})
        clock.sleep(600)
        assert task.poke({"ti": instance}).xcom_value["result"] == "Success"


# Starting and ending in the triggerer


@only_3_3
@pytest.mark.parametrize(
    ("result", "parts"), [("Success", 1), ("PartialSuccess", 2), ("Skipped", 2), ("Error", 2), ("Exploded", 2)]
)
def test_ends_in_the_triggerer_if_the_run_is_a_success_beyond_doubt(
    emulator: Emulator, run_task: RunTask, result: str, parts: int
) -> None:
    emulator.plan_run(NIGHT, result, 600)
    run_id = emulator.start_run(NIGHT)
    there = run_task(sensor(run_id=run_id, deferrable=True, end_from_trigger=True))
    here = run_task(sensor(run_id=run_id, deferrable=True))
    assert (there.state, there.value, there.text) == (here.state, here.value, here.text)
    assert there.xcoms["run_report"] == here.xcoms["run_report"]
    assert there.parts == parts


@only_3_3
@pytest.mark.parametrize("arguments", [{"fail_on": ["Success"]}, {"skip_on": ["Success"]}], ids=str)
def test_does_not_end_in_the_triggerer_what_is_no_success_for_this_task(
    emulator: Emulator, run_task: RunTask, arguments: dict[str, Any]
) -> None:
    run_id = emulator.start_run(NIGHT)
    outcome = run_task(sensor(run_id=run_id, deferrable=True, end_from_trigger=True, **arguments))
    assert (outcome.state, outcome.parts) == ("failed" if "fail_on" in arguments else "skipped", 2)


def started_in_triggerer(task: Any, clock: LeapingClock) -> Any:
    """Give what the trigger fires with, with which the scheduler starts a task."""
    from airflow.sdk._shared.module_loading import import_string

    arguments = task.start_trigger_args
    trigger = import_string(arguments.trigger_cls)(**arguments.trigger_kwargs)
    trigger.timeout_after = clock.utcnow() + arguments.timeout
    return event_of(trigger)


@only_3_3
@pytest.mark.parametrize("flag", FLAGS)
@pytest.mark.parametrize("situation", [name for name in SITUATIONS if name != "no Airflow connection"])
def test_the_same_outcome_when_it_starts_in_the_triggerer(
    emulator: Emulator,
    clock: LeapingClock,
    run_task: RunTask,
    connection: Callable[..., None],
    situation: str,
    flag: str,
) -> None:
    arguments = SITUATIONS[situation].happens(emulator, connection)
    task: Any = sensor(deferrable=True, start_from_trigger=True, **arguments | FLAGS[flag])
    outcome = run_task(task, event=started_in_triggerer(task, clock))
    assert outcome.state == SITUATIONS[situation].states[flag], outcome.text


@only_3_3
def test_heeds_the_settings_when_it_starts_in_the_triggerer(
    emulator: Emulator, clock: LeapingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__ITWIN__OUTAGE_TOLERANCE", "60")
    emulator.fail("get-storage-connection-run", None, 503)
    task = sensor(run_id=emulator.start_run(NIGHT), deferrable=True, start_from_trigger=True)
    event = started_in_triggerer(task, clock)
    assert event["end"] == "outage"
    assert 60 <= clock.elapsed < 70


@pytest.mark.parametrize("mode", [*MODES, pytest.param("triggerer", marks=only_3_3)])
def test_a_setting_that_makes_no_sense_is_told(
    emulator: Emulator, clock: LeapingClock, run_task: RunTask, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    monkeypatch.setenv("AIRFLOW__ITWIN__OUTAGE_TOLERANCE", "soon")
    run_id = emulator.start_run(NIGHT)
    if mode == "triggerer":
        task = sensor(run_id=run_id, deferrable=True, start_from_trigger=True)
        outcome = run_task(task, event=started_in_triggerer(task, clock))
    else:
        outcome = run_task(sensor(run_id=run_id, **MODES[mode]))
    assert outcome.state == "failed"
    assert (
        outcome.text
        == "outage_tolerance in the section [itwin] of Airflow's configuration must be a number, not 'soon'"
    )


@only_3_3
def test_tells_the_scheduler_with_which_trigger_to_start() -> None:
    with DAG("a_dag", schedule=None):
        start = ITwinRunStorageConnectionOperator(task_id="start", connection_id=NIGHT)
        task: Any = sensor(
            connection_id="{{ params.a }}", run_id=start.output, deferrable=True, start_from_trigger=True, timeout=600
        )
    arguments = task.start_trigger_args
    assert task.start_from_trigger
    assert (arguments.next_method, arguments.timeout) == ("execute_complete", timedelta(seconds=660))
    assert arguments.trigger_cls == "airflow_provider_itwin.triggers.itwin.ITwinRunTrigger"
    kwargs = arguments.trigger_kwargs
    assert json.loads(json.dumps(kwargs, allow_nan=False)) == kwargs
    assert kwargs["connection_id"] == "{{ params.a }}"
    assert kwargs["run_id"].startswith("{{ ti.xcom_pull(task_ids='start'")
    assert (kwargs["timeout"], kwargs["ends_task"], kwargs["started_after"]) == (600.0, False, None)


@only_3_3
def test_cannot_start_with_what_only_a_worker_can_work_out() -> None:
    with DAG("a_dag", schedule=None):
        starts = ITwinRunStorageConnectionOperator.partial(task_id="starts").expand(connection_id=["a", "b"])
        with pytest.raises(ValueError, match="run_id can be a text, a template, or the output of a task"):
            sensor(run_id=starts.output, deferrable=True, start_from_trigger=True)


@pytest.mark.skipif(AIRFLOW_V_3_3_PLUS, reason="Airflow 3.3 can")
@pytest.mark.parametrize("parameter", ["start_from_trigger", "end_from_trigger"])
def test_refuses_what_this_airflow_cannot_do(parameter: str) -> None:
    with pytest.raises(ValueError, match=f"{parameter} needs Airflow 3.3 or newer"):
        sensor(run_id="a", deferrable=True, **{parameter: True})


@only_3_3
@pytest.mark.parametrize("parameter", ["start_from_trigger", "end_from_trigger"])
def test_refuses_to_use_the_triggerer_when_not_deferrable(parameter: str) -> None:
    with pytest.raises(ValueError, match=f"{parameter} needs deferrable=True"):
        sensor(run_id="a", **{parameter: True})
