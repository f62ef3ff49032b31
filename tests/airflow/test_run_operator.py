"""What a run operator does: start, queue, adopt, wait, judge, refuse; on the worker and deferred alike."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException

from airflow_provider_itwin.api.waiting import WaitEvent
from airflow_provider_itwin.exceptions import (
    ITwinPermanentError,
    ITwinRunActiveError,
    ITwinRunFailedError,
    ITwinTransientError,
    ITwinWaitTimeLimitError,
)
from airflow_provider_itwin.operators.itwin import ITwinRunStorageConnectionOperator

from .single_task import Outcome, resumed

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_itwin.emulator import Emulator

    from .leaping_time import LeapingClock

    RunTask = Callable[..., Outcome]

NIGHT = "night-connection"
RIVAL = "rival-connection"
IMODEL = "tower-imodel"

WORKER = {"wait_for_completion": True}
DEFERRED = {"wait_for_completion": True, "deferrable": True}
LEAVING = {"wait_for_completion": False}
LEAVING_DEFERRABLE = {"wait_for_completion": False, "deferrable": True}
WAITING = pytest.mark.parametrize("mode", [WORKER, DEFERRED], ids=["worker", "deferred"])
ALL_MODES = pytest.mark.parametrize(
    "mode", [WORKER, DEFERRED, LEAVING, LEAVING_DEFERRABLE], ids=["worker", "deferred", "leave", "leave-deferrable"]
)


def operator(**arguments: Any) -> ITwinRunStorageConnectionOperator:
    return ITwinRunStorageConnectionOperator(**({"task_id": "synchronize", "connection_id": NIGHT} | arguments))


@pytest.fixture
def emulator(emulator: Emulator) -> Emulator:
    """Two connections of one iModel."""
    for connection_id in (NIGHT, RIVAL):
        emulator.add_connection(connection_id=connection_id, imodel_id=IMODEL, files=["Tower.dgn", "Roof.rvt"])
    return emulator


def runs(emulator: Emulator, connection_id: str = NIGHT) -> list[dict[str, Any]]:
    return emulator.runs(connection_id)


def run_ids(emulator: Emulator, connection_id: str = NIGHT) -> list[str]:
    return [run["id"] for run in runs(emulator, connection_id)]


def operations(emulator: Emulator) -> list[str | None]:
    return [entry.operation for entry in emulator.journal]


def starts(emulator: Emulator) -> list[int | None]:
    return [entry.status for entry in emulator.journal if entry.operation == "run-storage-connection"]


# Starting, and the XComs


@ALL_MODES
def test_gives_the_run_id_and_pushes_its_name_in_every_mode(
    emulator: Emulator, run_task: RunTask, mode: dict[str, Any]
) -> None:
    outcome = run_task(operator(**mode))
    [run_id] = run_ids(emulator)
    assert (outcome.state, outcome.value) == ("success", run_id)
    assert outcome.xcoms["run_ref"] == {"kind": "storage", "connection_id": NIGHT, "run_id": run_id}
    assert bool(outcome.triggers) == (mode == DEFERRED)
    if mode["wait_for_completion"]:
        assert runs(emulator)[0]["state"] == "Completed"
        assert outcome.pushed == ["run_ref", "run_report"]
        report = outcome.xcoms["run_report"]
        assert (report["ref"]["run_id"], report["state"], report["result"]) == (run_id, "Completed", "Success")
        assert report["totals"]["tasks"] == 2
    else:
        assert outcome.pushed == ["run_ref"]
        assert runs(emulator)[0]["state"] != "Completed"


@WAITING
def test_pushes_the_name_of_the_run_before_it_looks_at_it(
    emulator: Emulator, run_task: RunTask, mode: dict[str, Any]
) -> None:
    seen: dict[str, list[str | None]] = {}
    run_task(operator(**mode), on_push=lambda key: seen.setdefault(key, operations(emulator)))
    assert "run-storage-connection" in seen["run_ref"]
    assert "get-storage-connection-run" not in seen["run_ref"]


def test_really_defers_and_the_trigger_knows_all_that_is_needed(emulator: Emulator, run_task: RunTask) -> None:
    outcome = run_task(operator(poll_interval=45, timeout=7200, **DEFERRED), resume=False)
    assert outcome.state == "deferred"
    [run_id] = run_ids(emulator)
    path, kwargs = outcome.triggers[0].serialize()
    assert path == "airflow_provider_itwin.triggers.itwin.ITwinRunTrigger"
    wanted = {
        "itwin_conn_id": "itwin_default",
        "kind": "storage",
        "connection_id": NIGHT,
        "run_id": run_id,
        "poll_interval": 45,
    }
    assert kwargs.items() >= wanted.items()
    assert outcome.xcoms["run_ref"]["run_id"] == run_id


def test_does_not_defer_for_a_run_that_has_ended_already(emulator: Emulator, run_task: RunTask) -> None:
    emulator.plan_run(NIGHT, "Success", duration=0)
    outcome = run_task(operator(**DEFERRED))
    assert (outcome.state, outcome.triggers) == ("success", [])
    assert outcome.xcoms["run_report"]["result"] == "Success"


@WAITING
def test_waits_as_often_as_it_is_told(
    emulator: Emulator, run_task: RunTask, clock: LeapingClock, mode: dict[str, Any]
) -> None:
    emulator.plan_run(NIGHT, "Success", duration=600)
    run_task(operator(poll_interval=100, **mode))
    looks = operations(emulator).count("get-storage-connection-run")
    assert 7 <= looks <= 8
    assert 600 <= clock.elapsed < 800


@pytest.mark.parametrize("policy", ["queue", "attach", "fail", "skip"])
@ALL_MODES
def test_starts_a_run_if_the_imodel_is_free(
    emulator: Emulator, run_task: RunTask, policy: str, mode: dict[str, Any]
) -> None:
    outcome = run_task(operator(if_active=policy, **mode))
    assert outcome.state == "success"
    assert [outcome.value] == run_ids(emulator)
    assert starts(emulator) == [202]


# An active run


SKEWS = pytest.mark.parametrize("skew", [0.0, 3600.0, -3600.0], ids=["clocks agree", "service ahead", "service behind"])


@SKEWS
@ALL_MODES
@pytest.mark.parametrize("policy", ["queue", "attach", "fail", "skip"])
@pytest.mark.parametrize(("stale", "asked"), [(0.0, [None]), (5.0, [None, 303])], ids=["seen", "not seen yet"])
def test_takes_the_run_that_it_started_itself_for_its_own_when_the_answer_is_lost(
    emulator: Emulator,
    run_task: RunTask,
    clock: LeapingClock,
    policy: str,
    mode: dict[str, Any],
    skew: float,
    stale: float,
    asked: list[int | None],
) -> None:
    clock.skew = skew
    emulator.oddities.stale_last_run_for = stale
    emulator.fail("run-storage-connection", kind="reset-after")
    outcome = run_task(operator(if_active=policy, **mode))
    assert outcome.state == "success"
    assert [outcome.value] == run_ids(emulator)
    assert starts(emulator) == asked


@ALL_MODES
def test_a_run_that_ends_before_its_lost_answer_is_asked_for_again_is_not_started_twice(
    emulator: Emulator, run_task: RunTask, mode: dict[str, Any]
) -> None:
    emulator.plan_run(NIGHT, "Skipped", 0.1)
    emulator.fail("run-storage-connection", kind="reset-after")
    outcome = run_task(operator(**mode))
    assert (outcome.state, [outcome.value]) == ("success", run_ids(emulator))


@SKEWS
@ALL_MODES
@pytest.mark.parametrize("policy", ["queue", "attach", "fail", "skip"])
def test_an_older_run_of_its_own_connection(
    emulator: Emulator, run_task: RunTask, clock: LeapingClock, policy: str, mode: dict[str, Any], skew: float
) -> None:
    clock.skew = skew
    older = emulator.start_run(NIGHT)
    clock.sleep(120)
    outcome = run_task(operator(if_active=policy, **mode))
    if policy == "queue":
        first, second = runs(emulator)
        assert (outcome.state, outcome.value) == ("success", second["id"])
        assert first["state"] == "Completed"
        assert second["startDateTime"] >= first["endDateTime"]
        assert outcome.xcoms["run_ref"]["run_id"] == second["id"]
    elif policy == "attach":
        assert (outcome.state, outcome.value) == ("success", older)
        assert run_ids(emulator) == [older]
    else:
        check_left_alone(outcome, policy, f"storage/{NIGHT}/{older}")
        assert run_ids(emulator) == [older]


@ALL_MODES
@pytest.mark.parametrize("policy", ["queue", "attach", "fail", "skip"])
def test_a_run_of_another_connection_is_never_taken_for_ours(
    emulator: Emulator, run_task: RunTask, clock: LeapingClock, policy: str, mode: dict[str, Any]
) -> None:
    foreign = emulator.start_run(RIVAL)
    outcome = run_task(operator(if_active=policy, **mode))
    if policy in ("queue", "attach"):
        [own] = runs(emulator)
        assert (outcome.state, outcome.value) == ("success", own["id"])
        assert own["startDateTime"] >= runs(emulator, RIVAL)[0]["endDateTime"]
        assert outcome.xcoms["run_ref"] == {"kind": "storage", "connection_id": NIGHT, "run_id": own["id"]}
    else:
        check_left_alone(outcome, policy, f"storage/{RIVAL}/{foreign}")
        assert runs(emulator) == []


def check_left_alone(outcome: Outcome, policy: str, ref: str) -> None:
    assert outcome.state == {"fail": "up_for_retry", "skip": "skipped"}[policy]
    assert ref in outcome.text
    assert NIGHT in outcome.text
    assert policy in outcome.text
    assert outcome.xcoms == {}
    if policy == "fail":
        assert isinstance(outcome.error, ITwinRunActiveError)


def test_queues_deferred_when_deferrable_even_if_it_does_not_wait_for_its_own_run(
    emulator: Emulator, run_task: RunTask
) -> None:
    foreign = emulator.start_run(RIVAL)
    outcome = run_task(operator(**LEAVING_DEFERRABLE))
    [trigger] = outcome.triggers
    kwargs = trigger.serialize()[1]
    assert (kwargs["connection_id"], kwargs["run_id"], kwargs["in_queue"]) == (RIVAL, foreign, True)
    assert runs(emulator)[0]["state"] != "Completed"


@WAITING
def test_queues_again_when_somebody_else_was_faster(
    emulator: Emulator, run_task: RunTask, clock: LeapingClock, mode: dict[str, Any]
) -> None:
    emulator.plan_run(RIVAL, "Success", duration=600)
    emulator.start_run(RIVAL)
    clock.at(601, lambda: emulator.start_run(RIVAL))
    outcome = run_task(operator(poll_interval=70, **mode))
    [own] = runs(emulator)
    first, second = runs(emulator, RIVAL)
    assert (outcome.state, outcome.value, own["result"]) == ("success", own["id"], "Success")
    assert first["endDateTime"] <= second["startDateTime"] < second["endDateTime"] <= own["startDateTime"]


@WAITING
@pytest.mark.parametrize("result", ["Error", "Canceled", "Exploded"])
def test_how_the_run_that_it_queued_behind_ended_is_none_of_its_business(
    emulator: Emulator, run_task: RunTask, result: str, mode: dict[str, Any]
) -> None:
    emulator.plan_run(RIVAL, result)
    emulator.start_run(RIVAL)
    outcome = run_task(operator(**mode))
    assert (outcome.state, [outcome.value]) == ("success", run_ids(emulator))
    assert outcome.xcoms["run_report"]["ref"]["connection_id"] == NIGHT


@WAITING
@pytest.mark.parametrize("status", [403, 404])
def test_queues_behind_a_run_that_it_may_not_see(
    emulator: Emulator, run_task: RunTask, mode: dict[str, Any], status: int
) -> None:
    emulator.start_run(RIVAL)
    emulator.fail("get-storage-connection-run", None, status, connection_id=RIVAL)
    outcome = run_task(operator(poll_interval=60, **mode))
    assert (outcome.state, [outcome.value]) == ("success", run_ids(emulator))
    assert len(starts(emulator)) < 20


# How the run ended


@WAITING
def test_a_failed_run_fails_the_task_retryably_and_a_retry_starts_a_new_one(
    emulator: Emulator, run_task: RunTask, mode: dict[str, Any]
) -> None:
    emulator.plan_run(NIGHT, "Error", 600, failing=[{"file": "Roof.rvt", "message": "It leaks.", "can_user_fix": True}])
    first = run_task(operator(**mode))
    assert first.state == "up_for_retry"
    assert isinstance(first.error, ITwinRunFailedError)
    assert not isinstance(first.error, AirflowFailException)
    for words in ("Roof.rvt", "It leaks.", "you can fix this", run_ids(emulator)[0], NIGHT, "its result is Error"):
        assert words in first.text
    assert first.error.report == first.xcoms["run_report"]
    assert first.xcoms["run_report"]["failing_tasks"][0]["file_name"] == "Roof.rvt"
    second = run_task(operator(**mode))
    assert second.state == "up_for_retry"
    assert len(run_ids(emulator)) == 2
    assert second.xcoms["run_ref"]["run_id"] == run_ids(emulator)[1]


RESULTS = {
    "Success": "success",
    "PartialSuccess": "success",
    "Skipped": "success",
    "Error": "up_for_retry",
    "TimedOut": "up_for_retry",
    "Canceled": "up_for_retry",
    "Undetermined": "up_for_retry",
    "Exploded": "up_for_retry",
}


@WAITING
@pytest.mark.parametrize(("result", "state"), RESULTS.items())
def test_what_each_result_means_by_default(
    emulator: Emulator, run_task: RunTask, result: str, state: str, mode: dict[str, Any]
) -> None:
    emulator.plan_run(NIGHT, result)
    outcome = run_task(operator(**mode))
    assert outcome.state == state
    assert outcome.xcoms["run_report"]["result"] == result
    assert (outcome.value is not None) == (state == "success")


@WAITING
@pytest.mark.parametrize(
    ("result", "arguments", "state"),
    [
        ("PartialSuccess", {"fail_on": ["Error", "PartialSuccess"]}, "up_for_retry"),
        ("Error", {"fail_on": []}, "success"),
        ("Error", {"fail_on": "Canceled"}, "success"),
        ("Canceled", {"fail_on": "Cancelled"}, "up_for_retry"),
        ("Exploded", {"fail_on": []}, "up_for_retry"),
        ("Exploded", {"skip_on": ["Skipped"]}, "up_for_retry"),
        ("Skipped", {"skip_on": ["Skipped"]}, "skipped"),
        ("Canceled", {"fail_on": ["Error"], "skip_on": ("canceled",)}, "skipped"),
        ("Success", {"skip_on": ["Success"]}, "skipped"),
        ("Success", {"fail_on": ["success"]}, "up_for_retry"),
        ("Error", {"fail_on": {"Error"}}, "up_for_retry"),
    ],
)
def test_what_results_mean_when_the_task_says_so(
    emulator: Emulator, run_task: RunTask, result: str, arguments: dict[str, Any], state: str, mode: dict[str, Any]
) -> None:
    emulator.plan_run(NIGHT, result)
    outcome = run_task(operator(**arguments, **mode))
    assert outcome.state == state
    assert outcome.xcoms["run_report"]["result"] == result
    if state == "skipped":
        assert result in outcome.text


@WAITING
def test_results_may_be_given_by_what_can_be_read_only_once(
    emulator: Emulator, run_task: RunTask, mode: dict[str, Any]
) -> None:
    emulator.plan_run(NIGHT, "Error")
    assert run_task(operator(fail_on=iter(["Error"]), **mode)).state == "up_for_retry"
    assert run_task(operator(fail_on=[], skip_on=(name for name in ["Error"]), **mode)).state == "skipped"


@WAITING
def test_either_spelling_of_canceled(emulator: Emulator, run_task: RunTask, mode: dict[str, Any]) -> None:
    emulator.oddities.canceled_spelling = "Cancelled"
    emulator.plan_run(NIGHT, "Canceled")
    assert run_task(operator(**mode)).state == "up_for_retry"
    assert run_task(operator(fail_on=["Error"], skip_on=["Canceled"], **mode)).state == "skipped"


@WAITING
def test_a_finished_run_without_a_result_fails(emulator: Emulator, run_task: RunTask, mode: dict[str, Any]) -> None:
    emulator.oddities.null_fields = ("result",)
    outcome = run_task(operator(fail_on=[], **mode))
    assert outcome.state == "up_for_retry"
    assert "no result" in outcome.text


@WAITING
def test_states_that_nobody_knows_are_waited_through(
    emulator: Emulator, run_task: RunTask, mode: dict[str, Any]
) -> None:
    emulator.plan_run(NIGHT, "Success", 600, states=[("Pondering", 0.5), ("Succeeded", 0.25), ("Failed", 0.25)])
    outcome = run_task(operator(**mode))
    assert outcome.state == "success"
    assert runs(emulator)[0]["state"] == "Completed"


@WAITING
def test_a_run_that_came_through_in_part_warns_and_names_the_files(
    emulator: Emulator, run_task: RunTask, caplog: pytest.LogCaptureFixture, mode: dict[str, Any]
) -> None:
    emulator.plan_run(NIGHT, "PartialSuccess", 600, failing=[{"file": "Tower.dgn", "message": "No reference."}])
    caplog.set_level(logging.INFO)
    outcome = run_task(operator(**mode))
    assert outcome.state == "success"
    [warning] = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    for words in ("Tower.dgn", "No reference.", "PartialSuccess", outcome.value):
        assert words in warning


@WAITING
@pytest.mark.parametrize(("strict", "state"), [(False, "success"), (True, "up_for_retry")])
def test_a_success_with_failures_in_it(
    emulator: Emulator,
    run_task: RunTask,
    caplog: pytest.LogCaptureFixture,
    mode: dict[str, Any],
    strict: bool,
    state: str,
) -> None:
    emulator.oddities.success_with_failure = True
    emulator.plan_run(NIGHT, "Success", 600, failing=["Tower.dgn"])
    caplog.set_level(logging.WARNING)
    outcome = run_task(operator(strict=strict, **mode))
    assert outcome.state == state
    assert "Tower.dgn" in (caplog.text if state == "success" else outcome.text)


@WAITING
def test_the_verdict_does_not_hang_on_the_names_of_the_files(
    emulator: Emulator, run_task: RunTask, mode: dict[str, Any]
) -> None:
    emulator.plan_run(NIGHT, "Error", 600, failing=["Tower.dgn"])
    emulator.fail("get-storage-connection-sourcefiles", None, 500)
    outcome = run_task(operator(**mode))
    assert isinstance(outcome.error, ITwinRunFailedError)
    assert outcome.xcoms["run_report"]["failing_tasks"][0]["file_id"] in outcome.text


def test_warns_of_a_connection_that_runs_in_the_name_of_a_person(
    emulator: Emulator, run_task: RunTask, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    emulator.add_connection(connection_id="personal", authentication_type="User")
    assert run_task(operator(connection_id="personal")).state == "success"
    assert "UserNotAuthenticated" in capsys.readouterr().out + caplog.text
    caplog.clear()
    emulator.finish_run("personal")
    assert run_task(operator(connection_id="personal", preflight=False)).state == "success"
    assert "UserNotAuthenticated" not in capsys.readouterr().out + caplog.text


# Refusals


def refuse_all_tokens(emulator: Emulator, connection: Callable[..., None]) -> None:
    emulator.fail("*-connection*", None, 401)


def take_role(emulator: Emulator, connection: Callable[..., None]) -> None:
    client_id, secret = emulator.add_client("service-reader")
    itwin = emulator.add_itwin("reading-itwin")
    emulator.give_role(client_id, itwin, "reader")
    emulator.add_imodel("reading-imodel", itwin)
    emulator.add_connection(connection_id="read-only-connection", imodel_id="reading-imodel")
    connection(host=emulator.url, login=client_id, password=secret)


def unregistered(emulator: Emulator, connection: Callable[..., None]) -> None:
    client_id, secret = emulator.add_client("service-unknown", registered=False)
    connection(host=emulator.url, login=client_id, password=secret)


def other_scope(emulator: Emulator, connection: Callable[..., None]) -> None:
    fields = {"host": emulator.url, "login": emulator.client_id, "password": emulator.client_secret}
    connection(**fields, extra={"scope": "imodels:read"})


def wrong_secret(emulator: Emulator, connection: Callable[..., None]) -> None:
    connection(host=emulator.url, login=emulator.client_id, password="wrong")


def no_credentials(emulator: Emulator, connection: Callable[..., None]) -> None:
    connection(host=emulator.url)


def plain_http(emulator: Emulator, connection: Callable[..., None]) -> None:
    connection(host="http://api.bentley.com", login=emulator.client_id, password=emulator.client_secret)


def unknown_host(emulator: Emulator, connection: Callable[..., None]) -> None:
    connection(host="api.example.com", login=emulator.client_id, password=emulator.client_secret)


def bad_extra(emulator: Emulator, connection: Callable[..., None]) -> None:
    connection(host=emulator.url, login="a", password="b", extra={"timeout": "soon"})


def expired_token(emulator: Emulator, connection: Callable[..., None]) -> None:
    connection(host=emulator.url, extra={"token": "stale"})


def elsewhere(emulator: Emulator, connection: Callable[..., None]) -> None:
    emulator.fail("run-storage-connection", None, kind="redirect", location="https://elsewhere.example.com/")


def unprocessable(emulator: Emulator, connection: Callable[..., None]) -> None:
    emulator.fail("run-storage-connection", None, 422)


REFUSALS: list[tuple[Callable[..., None] | None, dict[str, Any], str, bool]] = [
    (None, {"connection_id": "no-such-connection"}, "404", True),
    (take_role, {"connection_id": "read-only-connection"}, "403", True),
    (unprocessable, {}, "422", True),
    (refuse_all_tokens, {}, "401", True),
    (unregistered, {}, "401", True),
    (wrong_secret, {}, "Look at login", True),
    (other_scope, {}, "scope", True),
    (expired_token, {}, "token in the extra", True),
    (elsewhere, {}, "Redirects are not followed", True),
    (no_credentials, {}, "no credentials", False),
    (plain_http, {}, "plain http", False),
    (unknown_host, {}, "issuer_url", False),
    (bad_extra, {}, "timeout in the extra", False),
    *(
        (None, {"connection_id": bad}, "connection_id", False)
        for bad in ("", " ", "None", "null", "a/b", "a b", " a", "..", "a?b", "a#b", "a%2fb", "a\n", None, 7, ["a"])
    ),
]


@pytest.mark.parametrize(
    ("prepare", "arguments", "words", "sends"),
    REFUSALS,
    ids=[prepare.__name__ if prepare else repr(arguments["connection_id"]) for prepare, arguments, *_ in REFUSALS],
)
@pytest.mark.parametrize("mode", [DEFERRED, LEAVING], ids=["deferred", "leave"])
def test_what_no_retry_heals_fails_for_good(
    emulator: Emulator,
    run_task: RunTask,
    connection: Callable[..., None],
    prepare: Callable[..., None] | None,
    arguments: dict[str, Any],
    words: str,
    sends: bool,
    mode: dict[str, Any],
) -> None:
    if prepare is not None:
        prepare(emulator, connection)
    outcome = run_task(operator(retries=3, **arguments, **mode))
    assert outcome.state == "failed"
    assert isinstance(outcome.error, ITwinPermanentError)
    assert isinstance(outcome.error, AirflowFailException)
    assert words in outcome.text
    assert outcome.xcoms == {}
    assert runs(emulator) == []
    assert bool(emulator.journal) == sends
    assert all(entry.authorized_host in (None, entry.host) for entry in emulator.journal)


@pytest.mark.parametrize("mode", [DEFERRED, LEAVING], ids=["deferred", "leave"])
@pytest.mark.parametrize(
    "trouble",
    [
        {"status": 503, "times": None},
        {"status": 500, "times": None},
        {"status": 429, "times": None, "headers": {"Retry-After": "20"}},
        {"status": 409, "times": None},
        {"kind": "reset-before", "times": None},
        {"kind": "html", "times": None},
    ],
    ids=str,
)
def test_trouble_that_can_pass_may_be_retried(
    emulator: Emulator, run_task: RunTask, clock: LeapingClock, trouble: dict[str, Any], mode: dict[str, Any]
) -> None:
    emulator.fail("run-storage-connection", **trouble)
    outcome = run_task(operator(**mode))
    assert outcome.state == "up_for_retry"
    assert isinstance(outcome.error, ITwinTransientError)
    assert 60 < clock.elapsed < 600
    assert runs(emulator) == []


@pytest.mark.parametrize("status", [503, 429, 409])
def test_trouble_that_passes_soon_is_ridden_out(emulator: Emulator, run_task: RunTask, status: int) -> None:
    emulator.fail("run-storage-connection", 2, status)
    outcome = run_task(operator())
    assert (outcome.state, [outcome.value]) == ("success", run_ids(emulator))


def test_a_service_that_cannot_be_reached_may_be_retried(
    emulator: Emulator, run_task: RunTask, connection: Callable[..., None]
) -> None:
    connection(host="http://127.0.0.1:9", login="a", password="b")
    outcome = run_task(operator())
    assert outcome.state == "up_for_retry"
    assert isinstance(outcome.error, ITwinTransientError)
    assert "127.0.0.1:9" in outcome.text


# Trouble while waiting


@WAITING
def test_rides_out_an_outage_while_waiting(
    emulator: Emulator, run_task: RunTask, clock: LeapingClock, mode: dict[str, Any]
) -> None:
    emulator.plan_run(NIGHT, "Success", 600)
    emulator.fail("get-storage-connection-run", None, 503, after=3, lasting=800)
    outcome = run_task(operator(**mode))
    assert (outcome.state, [outcome.value]) == ("success", run_ids(emulator))


@WAITING
def test_gives_up_after_an_outage_that_is_longer_than_tolerated_and_says_so(
    emulator: Emulator, run_task: RunTask, clock: LeapingClock, mode: dict[str, Any]
) -> None:
    emulator.plan_run(NIGHT, "Success", 600)
    emulator.fail("get-storage-connection-run", None, 503, after=1)
    outcome = run_task(operator(**mode))
    assert outcome.state == "up_for_retry"
    assert isinstance(outcome.error, ITwinTransientError)
    assert not isinstance(outcome.error, ITwinWaitTimeLimitError)
    for words in ("outage_tolerance", "503", run_ids(emulator)[0]):
        assert words in outcome.text
    assert 900 <= clock.elapsed < 1300


@WAITING
@pytest.mark.parametrize("status", [403, 404, 401])
def test_a_refusal_while_waiting_ends_the_task_for_good(
    emulator: Emulator, run_task: RunTask, mode: dict[str, Any], status: int
) -> None:
    emulator.plan_run(NIGHT, "Success", 3600)
    emulator.fail("get-storage-connection-run", None, status, after=12)
    outcome = run_task(operator(**mode))
    assert outcome.state == "failed"
    assert isinstance(outcome.error, ITwinPermanentError)
    assert str(status) in outcome.text


@WAITING
def test_a_new_run_may_be_invisible_for_a_while(emulator: Emulator, run_task: RunTask, mode: dict[str, Any]) -> None:
    emulator.oddities.invisible_for = 40
    outcome = run_task(operator(**mode))
    assert (outcome.state, [outcome.value]) == ("success", run_ids(emulator))


@WAITING
def test_uses_a_secret_that_was_changed_while_it_waited(
    emulator: Emulator, run_task: RunTask, clock: LeapingClock, connection: Callable[..., None], mode: dict[str, Any]
) -> None:
    client_id, _ = emulator.add_client("service-rotated", "first", everywhere=True)
    connection(host=emulator.url, login=client_id, password="first")
    emulator.plan_run(NIGHT, "PartialSuccess", 3600, failing=["Roof.rvt"])

    def rotate() -> None:
        emulator.add_client(client_id, "second", everywhere=True)
        emulator.revoke_tokens()
        connection(host=emulator.url, login=client_id, password="second")

    clock.at(600, rotate)
    outcome = run_task(operator(**mode))
    assert (outcome.state, [outcome.value]) == ("success", run_ids(emulator))
    assert outcome.xcoms["run_report"]["failing_tasks"][0]["file_name"] == "Roof.rvt"


@ALL_MODES
@pytest.mark.parametrize("lost", [False, True], ids=["refused", "answer lost, then refused"])
@pytest.mark.parametrize("moment", ["GET", "POST"])
def test_uses_a_secret_that_is_changed_just_before_it_asks_for_its_run(
    emulator: Emulator,
    run_task: RunTask,
    connection: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    mode: dict[str, Any],
    moment: str,
    lost: bool,
) -> None:
    client_id, _ = emulator.add_client("service-rotated", "first", everywhere=True)
    connection(host=emulator.url, login=client_id, password="first")
    emulator.start_run(RIVAL)
    emulator.finish_run(RIVAL)
    if lost:
        emulator.fail("run-storage-connection", kind="reset-after")

    def rotate() -> None:
        emulator.add_client(client_id, "second", everywhere=True)
        emulator.revoke_tokens()
        connection(host=emulator.url, login=client_id, password="second")

    _once_before_or_after(monkeypatch, moment, rotate, after=lost)
    outcome = run_task(operator(**mode))
    assert (outcome.state, [outcome.value]) == ("success", run_ids(emulator))


def test_a_secret_that_is_refused_and_was_not_changed_fails_for_good(
    emulator: Emulator, run_task: RunTask, connection: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    client_id, _ = emulator.add_client("service-rotated", "first", everywhere=True)
    connection(host=emulator.url, login=client_id, password="first")

    def rotate() -> None:
        emulator.add_client(client_id, "second", everywhere=True)
        emulator.revoke_tokens()

    _once_before_or_after(monkeypatch, "POST", rotate, after=False)
    outcome = run_task(operator())
    assert isinstance(outcome.error, ITwinPermanentError)
    assert "refused the client service-rotated" in outcome.text
    assert run_ids(emulator) == []


def _once_before_or_after(
    monkeypatch: pytest.MonkeyPatch, method: str, happens: Callable[[], None], *, after: bool
) -> None:
    """Let something happen right before, or right after, the first request of a kind to the API."""
    from airflow_provider_itwin.api import client

    made: Any = client.ITwinClient
    real_send = made.func._send
    pending = [happens]

    def send(this: Any, request: Any) -> Any:
        is_it = bool(pending) and request.method == method and not request.url.endswith("/connect/token")
        if is_it and not after:
            pending.pop()()
        outcome = real_send(this, request)
        if is_it and after:
            pending.pop()()
        return outcome

    monkeypatch.setattr(made.func, "_send", send)


# Time limits


@WAITING
@pytest.mark.parametrize("timeout", [1800, 1800.0, timedelta(minutes=30)], ids=str)
def test_the_time_limit(
    emulator: Emulator, run_task: RunTask, clock: LeapingClock, mode: dict[str, Any], timeout: Any
) -> None:
    emulator.plan_run(NIGHT, "Success", 7200)
    outcome = run_task(operator(timeout=timeout, **mode))
    assert outcome.state == "up_for_retry"
    assert isinstance(outcome.error, ITwinWaitTimeLimitError)
    for words in ("Executing", "30 min", "timeout", "goes on in the cloud", run_ids(emulator)[0]):
        assert words in outcome.text
    assert 1800 <= clock.elapsed < 1830
    assert outcome.pushed == ["run_ref"]


@WAITING
def test_the_time_limit_counts_the_time_in_the_queue(
    emulator: Emulator, run_task: RunTask, clock: LeapingClock, mode: dict[str, Any]
) -> None:
    emulator.plan_run(RIVAL, "Success", 1200)
    emulator.plan_run(NIGHT, "Success", 1200)
    emulator.start_run(RIVAL)
    outcome = run_task(operator(timeout=1800, **mode))
    assert isinstance(outcome.error, ITwinWaitTimeLimitError)
    assert run_ids(emulator)[0] in outcome.text
    assert "queued" not in outcome.text
    assert 1800 <= clock.elapsed < 1830


@WAITING
@pytest.mark.parametrize(
    ("asked_for", "sees_the_end"), [(290, False), (120, True)], ids=["beyond the time limit", "until shortly after it"]
)
def test_being_told_to_hold_off_does_not_put_the_time_limit_off(
    emulator: Emulator,
    run_task: RunTask,
    clock: LeapingClock,
    mode: dict[str, Any],
    asked_for: int,
    sees_the_end: bool,
) -> None:
    emulator.plan_run(NIGHT, "Success", 1750)
    clock.at(
        1695,
        lambda: emulator.fail("get-storage-connection-run", 1, 429, {"Retry-After": str(asked_for)}),
    )
    outcome = run_task(operator(timeout=1800, poll_interval=5, **mode))
    if sees_the_end:
        assert (outcome.state, clock.elapsed < 1850) == ("success", True)
        return
    assert isinstance(outcome.error, ITwinWaitTimeLimitError)
    assert 1800 <= clock.elapsed < 1840
    # It is judged by what was seen last, and says so.
    assert "was still" in outcome.text
    assert "The last look at it failed" in outcome.text
    assert "neither the service nor [itwin] lets it be asked in time" in outcome.text


@WAITING
def test_the_time_limit_can_pass_in_the_queue(
    emulator: Emulator, run_task: RunTask, clock: LeapingClock, mode: dict[str, Any]
) -> None:
    emulator.plan_run(RIVAL, "Success", 7200)
    foreign = emulator.start_run(RIVAL)
    outcome = run_task(operator(timeout=1800, **mode))
    assert isinstance(outcome.error, ITwinWaitTimeLimitError)
    assert outcome.state == "up_for_retry"
    assert foreign in outcome.text
    assert "behind which this task queued" in outcome.text
    assert runs(emulator) == []


@WAITING
def test_the_time_limit_can_pass_behind_a_run_that_it_may_not_see(
    emulator: Emulator, run_task: RunTask, clock: LeapingClock, mode: dict[str, Any]
) -> None:
    emulator.plan_run(RIVAL, "Success", 7200)
    foreign = emulator.start_run(RIVAL)
    emulator.fail("get-storage-connection-run", None, 404, connection_id=RIVAL)
    outcome = run_task(operator(timeout=1800, **mode), most_parts=100)
    assert isinstance(outcome.error, ITwinWaitTimeLimitError)
    assert foreign in outcome.text
    assert 1800 <= clock.elapsed < 2000
    assert len(starts(emulator)) < 200


@WAITING
def test_a_run_that_ended_before_anybody_looked_counts_as_ended_however_late_it_is(
    emulator: Emulator, run_task: RunTask, mode: dict[str, Any]
) -> None:
    emulator.plan_run(NIGHT, "Success", 1700)
    outcome = run_task(operator(timeout=1800, poll_interval=86_400, **mode))
    assert outcome.state == "success"


@pytest.mark.parametrize(
    ("limits", "seconds"),
    [
        ({"execution_timeout": timedelta(minutes=30)}, 1800),
        ({"execution_timeout": timedelta(minutes=30), "timeout": 3600}, 1800),
        ({"execution_timeout": timedelta(hours=2), "timeout": 900}, 900),
    ],
)
def test_the_execution_timeout_holds_while_deferred(
    emulator: Emulator, run_task: RunTask, clock: LeapingClock, limits: dict[str, Any], seconds: float
) -> None:
    emulator.plan_run(NIGHT, "Success", 7200)
    outcome = run_task(operator(**limits, **DEFERRED))
    assert isinstance(outcome.error, ITwinWaitTimeLimitError)
    assert seconds <= clock.elapsed < seconds + 30
    assert "execution_timeout" in outcome.text


# Killing


def test_tells_on_kill_that_the_run_goes_on(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    operator().on_kill()
    said = capsys.readouterr().out + caplog.text
    assert "goes on in the cloud" in said
    assert "run_ref" in said


# Bad parameters


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"if_active": "qeue"}, "if_active must be one of queue, attach, fail, skip, not 'qeue'"),
        ({"if_active": None}, "if_active must be one of queue"),
        ({"poll_interval": 0}, "poll_interval must be a positive number of seconds"),
        ({"poll_interval": -5}, "poll_interval must be a positive number"),
        ({"poll_interval": "10"}, "poll_interval must be a positive number"),
        ({"poll_interval": float("nan")}, "poll_interval must be a positive number"),
        ({"poll_interval": float("inf")}, "poll_interval must be a positive number"),
        ({"poll_interval": True}, "poll_interval must be a positive number"),
        ({"timeout": 0}, "timeout must be a positive number of seconds, a timedelta, or None"),
        ({"timeout": timedelta(seconds=-1)}, "timeout must be a positive number"),
        ({"timeout": "1 hour"}, "timeout must be a positive number"),
        ({"timeout": float("inf")}, "timeout must be a positive number"),
        ({"fail_on": ["Eror"]}, "fail_on names 'Eror', which is no result of a run; the results are Success"),
        ({"fail_on": "Eror"}, "fail_on names 'Eror'"),
        ({"fail_on": [None]}, "fail_on names None"),
        ({"fail_on": None}, "fail_on"),
        ({"skip_on": ["Completed"]}, "skip_on names 'Completed'"),
        ({"skip_on": None}, "skip_on"),
        ({"fail_on": ["Error"], "skip_on": ["error"]}, "cannot stand in both fail_on and skip_on"),
    ],
    ids=str,
)
def test_bad_parameters_are_refused_in_the_dag_file(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        operator(**arguments)
    assert words in str(caught.value)


@pytest.mark.parametrize("timeout", [60, 0.5, timedelta(hours=1), None])
def test_good_parameters_are_taken_as_they_are(timeout: Any) -> None:
    task = operator(
        if_active="attach",
        wait_for_completion=True,
        deferrable=True,
        poll_interval=timedelta(seconds=30),
        timeout=timeout,
        fail_on={"Error"},
        skip_on=("Skipped",),
        strict=True,
        durable=False,
        preflight=False,
    )
    assert (task.if_active, task.deferrable, task.poll_interval, task.timeout) == ("attach", True, 30.0, timeout)


def test_needs_a_connection_id() -> None:
    with pytest.raises((TypeError, AirflowException), match="connection_id"):
        ITwinRunStorageConnectionOperator(task_id="synchronize")  # type: ignore[call-arg]


# Events


@pytest.fixture
def good_event(emulator: Emulator, run_task: RunTask) -> dict[str, Any]:
    outcome = run_task(operator(**DEFERRED))
    assert outcome.state == "success"
    event: dict[str, Any] = outcome.events[-1]
    return event


GARBAGE: list[Any] = [None, {}, [], "", "success", "error", True, 42, {"status": "success"}, {"end": "finished"}]


@pytest.mark.parametrize("event", GARBAGE, ids=repr)
def test_an_event_that_makes_no_sense_never_passes_for_success(emulator: Emulator, event: Any) -> None:
    with pytest.raises(AirflowException):
        resumed(operator(**DEFERRED), event)
    assert runs(emulator) == []


@pytest.mark.parametrize(
    "change",
    [
        {"end": "done"},
        {"end": None},
        {"end": "deadline"},
        {"end": "outage"},
        {"end": "refused"},
        {"report": None},
        {"report": {}},
        {"report": "Success"},
        {"order": None},
        {"order": {}},
        {"memo": None},
        {"memo": {}},
        {"memo": "memo"},
        {"ref": None},
        {"ref": "storage/a/b"},
        {"elapsed": None},
    ],
    ids=str,
)
def test_a_broken_event_never_passes_for_success(
    emulator: Emulator, good_event: dict[str, Any], change: dict[str, Any]
) -> None:
    assert resumed(operator(**DEFERRED), good_event) == run_ids(emulator)[0]
    with pytest.raises(AirflowException):
        resumed(operator(**DEFERRED), good_event | change)
    assert len(run_ids(emulator)) == 1


def test_a_missing_part_never_passes_for_success(emulator: Emulator, good_event: dict[str, Any]) -> None:
    for name in good_event:
        with pytest.raises(AirflowException):
            resumed(operator(**DEFERRED), {key: value for key, value in good_event.items() if key != name})
    assert len(run_ids(emulator)) == 1


def test_the_end_of_another_run_never_passes_for_that_of_ours(
    emulator: Emulator, run_task: RunTask, good_event: dict[str, Any]
) -> None:
    other = run_task(operator(**DEFERRED)).events[-1]
    for mixed in (
        good_event | {"memo": other["memo"]},
        good_event | {"report": other["report"]},
        good_event | {"report": other["report"], "ref": other["ref"]},
        good_event | {"order": other["order"]},
    ):
        with pytest.raises(AirflowException):
            resumed(operator(**DEFERRED), mixed)
    assert WaitEvent.read(other).report is not None
