"""What is known about an earlier request for a run: the baseline, the runs that began since, the active run, what is saved."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_provider_itwin.api.errors import ITwinConnectionError, ITwinInvalidRequestError, ITwinNotFoundError
from airflow_provider_itwin.api.http.messages import Request, Response
from airflow_provider_itwin.api.models.enums import ConnectionKind
from airflow_provider_itwin.api.models.run_ref import RunRef
from airflow_provider_itwin.api.runs.active_run_policy import ActiveRun
from airflow_provider_itwin.api.runs.start import (
    Baseline,
    StartAttempt,
    StartOutcome,
    StartResult,
    ensure_run,
)
from tests.api.responses import EXPORT, MANIFEST, SILENCE, STORAGE, accepted, connection, error, finished, response, run
from tests.api.scripted_service import ScriptedService

KIND = ConnectionKind.STORAGE
DATE = "Mon, 21 Sep 2026 14:13:20 GMT"
ASKED = datetime(2026, 9, 21, 14, 13, 20, tzinfo=UTC)
OLD, NEW = RunRef(KIND, "c1", "old"), RunRef(KIND, "c1", "new")
BASELINE = Baseline(OLD, ASKED, connection_name="30", names_last_run=True)
IN_DOUBT = StartAttempt(BASELINE, in_doubt=True)
RESTORED = StartAttempt(BASELINE, is_restored=True)
ROOTS = {ConnectionKind.STORAGE: STORAGE, ConnectionKind.MANIFEST: MANIFEST, ConnectionKind.EXPORT: EXPORT}
BODY: dict[str, Any] = {"sourceFiles": []}


def start(
    script: ScriptedService,
    attempt: StartAttempt | None = None,
    kind: ConnectionKind = KIND,
    body: Mapping[str, Any] | None = None,
    save: Callable[[StartAttempt], None] = lambda attempt: None,
) -> StartResult:
    """Start a run of connection c1."""
    return script.play(ensure_run(script.account(), kind, "c1", body, attempt, save))


@pytest.mark.parametrize("kind", ConnectionKind)
def test_the_baseline_is_the_last_run_and_the_time_of_the_service(kind: ConnectionKind) -> None:
    root = ROOTS[kind]
    script = ScriptedService(connection("old", root=root, date=DATE), accepted(f"{root}/c1/runs/new"))

    result = start(script, kind=kind)

    assert result.attempt.baseline == Baseline(
        RunRef(kind, "c1", "old"), ASKED, connection_name="30", names_last_run=True
    )
    assert script.lines[0] == f"GET {root}/c1"


@pytest.mark.parametrize("kind", ["User", "Service"])
def test_the_baseline_has_the_authentication_type_of_the_connection(kind: str) -> None:
    script = ScriptedService(response(200, {"connection": {"authenticationType": kind}}), accepted())

    assert start(script).attempt.baseline == Baseline(None, None, kind)


@pytest.mark.parametrize("status", [403, 404])
def test_a_connection_that_may_be_run_but_not_read_has_an_empty_baseline(status: int) -> None:
    result = start(ScriptedService(error(status), accepted()))

    assert result == StartResult(NEW, StartOutcome.CREATED, StartAttempt(Baseline(), in_doubt=True))


def test_any_other_refusal_to_read_the_connection_is_raised() -> None:
    with pytest.raises(ITwinInvalidRequestError):
        start(ScriptedService(error(422)))


@pytest.mark.parametrize(
    ("baseline", "run_ref", "started", "expected"),
    [
        (BASELINE, NEW, ASKED, True),
        (BASELINE, NEW, ASKED.replace(second=17), True),
        (BASELINE, NEW, ASKED.replace(year=2025), True),
        (BASELINE, NEW, None, True),
        (Baseline(None, ASKED, names_last_run=True), NEW, ASKED.replace(year=2025), True),
        (Baseline(None, ASKED), NEW, ASKED.replace(second=19, microsecond=999_999), False),
        (Baseline(None, ASKED), NEW, ASKED.replace(microsecond=1), True),
        (Baseline(None, ASKED), NEW, None, True),
        (BASELINE, OLD, ASKED.replace(year=2027), False),
        (BASELINE, OLD, None, False),
        (Baseline(OLD, ASKED.replace(microsecond=900_000)), NEW, ASKED, True),
        (Baseline(None, ASKED), NEW, ASKED, True),
        (Baseline(OLD, None), NEW, ASKED.replace(year=2027), True),
        (Baseline(OLD, None), OLD, ASKED.replace(year=2027), False),
        (Baseline(), NEW, None, False),
    ],
)
def test_a_baseline_precedes_a_newer_run_by_its_id_or_else_by_its_start(
    baseline: Baseline, run_ref: RunRef, started: datetime | None, expected: bool
) -> None:
    assert baseline.precedes(run_ref, started) is expected


@pytest.mark.parametrize(
    ("ref", "kind"),
    [
        (RunRef(KIND, "another", "new"), KIND),
        (RunRef(ConnectionKind.MANIFEST, "c1", "new"), KIND),
        (RunRef(KIND, "c1", "new"), ConnectionKind.EXPORT),
    ],
)
def test_an_active_run_of_another_connection_is_not_polled(ref: RunRef, kind: ConnectionKind) -> None:
    link = f"{ROOTS[ref.kind]}/{ref.connection_id}/runs/{ref.run_id}"
    script = ScriptedService(accepted(link, status=303))

    result = start(script, StartAttempt(BASELINE), kind)

    assert result.active == ActiveRun(ref, is_own=False, is_fresh=False)


@pytest.mark.parametrize("began", ["2026-09-21T14:13:20.0000001Z", "2026-09-21T14:13:17Z", None, "0001-01-01T00:00:00"])
@pytest.mark.parametrize(
    ("kind", "body", "in_doubt", "is_fresh"),
    [
        (ConnectionKind.STORAGE, None, False, True),
        (ConnectionKind.MANIFEST, BODY, True, True),
        (ConnectionKind.MANIFEST, BODY, False, False),
    ],
)
def test_an_active_run_is_fresh_if_it_began_since_and_does_the_same(
    began: str | None, kind: ConnectionKind, body: dict[str, Any] | None, in_doubt: bool, is_fresh: bool
) -> None:
    root = ROOTS[kind]
    ref = RunRef(kind, "c1", "new")
    script = ScriptedService(accepted(f"{root}/c1/runs/new", status=303), run("Queued", start=began))
    if body is not None:
        # In doubt, the run of the earlier request is searched; otherwise a new baseline is taken.
        script.answers.insert(0, connection("old", root=root))
    attempt = StartAttempt(
        Baseline(RunRef(kind, "c1", "old"), ASKED, connection_name="30", names_last_run=True), in_doubt
    )

    result = start(script, attempt, kind, body)

    assert result.active == ActiveRun(ref, is_own=True, is_fresh=is_fresh)


def test_an_active_run_that_has_ended_is_reported_as_finished() -> None:
    script = ScriptedService(accepted(f"{STORAGE}/c1/runs/old", status=303), finished())

    result = start(script, StartAttempt(BASELINE))

    assert result.active == ActiveRun(OLD, is_own=True, is_fresh=False, is_finished=True)


def test_an_active_run_that_is_not_found_yet_is_polled_again() -> None:
    script = ScriptedService(accepted(status=303), error(404), error(404), run("Queued"))

    result = start(script, StartAttempt(BASELINE))

    assert result.active == ActiveRun(NEW, is_own=True, is_fresh=True)
    assert script.seconds == [1.0, 2.0]


def test_an_active_run_that_is_never_found_is_an_error() -> None:
    script = ScriptedService(accepted(status=303), always=error(404, "StorageConnectionRunNotFound"))

    with pytest.raises(ITwinNotFoundError):
        start(script, StartAttempt(BASELINE))

    assert 20.0 < script.passed < 60.0


@pytest.mark.parametrize("attempt", [IN_DOUBT, RESTORED])
@pytest.mark.parametrize(
    "polls",
    [
        [run(start="2026-09-21T14:13:21Z")],
        [finished(startDateTime="2026-09-21T14:13:21Z")],
        [run("NotStarted")],
        [run(start="2026-09-21T14:13:00Z")],
        [error(404), run("NotStarted")],
    ],
)
def test_a_run_that_began_since_the_baseline_is_found_without_a_request_for_another(
    attempt: StartAttempt, polls: list[Response]
) -> None:
    script = ScriptedService(connection("new"), *polls)

    assert start(script, attempt) == StartResult(NEW, StartOutcome.FOUND, attempt)
    assert script.lines == [f"GET {STORAGE}/c1", *[f"GET {STORAGE}/c1/runs/new"] * len(polls)]


@pytest.mark.parametrize("attempt", [IN_DOUBT, RESTORED])
@pytest.mark.parametrize(
    "searched",
    [
        [connection(None)],
        [connection("old")],
        [connection(f"{STORAGE}/another/runs/new")],
        [error(403)],
        [error(404)],
        [connection("new"), error(403)],
    ],
)
def test_a_run_is_requested_if_none_is_found_that_began_since_the_baseline(
    attempt: StartAttempt, searched: list[Response]
) -> None:
    script = ScriptedService(*searched, accepted())

    assert start(script, attempt) == StartResult(NEW, StartOutcome.CREATED, IN_DOUBT)


def test_nothing_is_searched_with_an_empty_baseline() -> None:
    script = ScriptedService(accepted())

    assert start(script, StartAttempt(Baseline(), in_doubt=True)).outcome is StartOutcome.CREATED


@pytest.mark.parametrize("is_restored", [False, True])
def test_a_run_with_a_body_that_others_started_is_not_searched(is_restored: bool) -> None:
    script = ScriptedService(connection("new", root=MANIFEST), accepted(f"{MANIFEST}/c1/runs/newer"))

    result = start(script, StartAttempt(BASELINE, is_restored=is_restored), ConnectionKind.MANIFEST, BODY)

    assert (result.ref.run_id, result.outcome) == ("newer", StartOutcome.CREATED)
    assert result.attempt.baseline is not None
    assert result.attempt.baseline.last_run == RunRef(ConnectionKind.MANIFEST, "c1", "new")


def test_a_run_with_a_body_is_found_if_an_earlier_request_can_have_started_it() -> None:
    last_run = RunRef(ConnectionKind.MANIFEST, "c1", "old")
    attempt = StartAttempt(Baseline(last_run, names_last_run=True), in_doubt=True, is_restored=True)
    script = ScriptedService(connection("new", root=MANIFEST), run())

    result = start(script, attempt, ConnectionKind.MANIFEST, BODY)

    assert result == StartResult(RunRef(ConnectionKind.MANIFEST, "c1", "new"), StartOutcome.FOUND, attempt)


def test_the_attempt_is_saved_in_doubt_before_the_request() -> None:
    saved: list[StartAttempt] = []
    saved_before_the_request: list[StartAttempt] = []

    def accept(_: Request) -> Response:
        saved_before_the_request.extend(saved)
        return accepted()

    start(ScriptedService(connection("old", date=DATE), accept), save=saved.append)

    assert saved == saved_before_the_request == [IN_DOUBT]


def test_after_a_last_lost_response_the_saved_attempt_is_in_doubt() -> None:
    saved: list[StartAttempt] = []
    script = ScriptedService(connection("old", date=DATE), always=SILENCE)

    with pytest.raises(ITwinConnectionError):
        start(script, save=saved.append)

    assert saved == [IN_DOUBT]


@pytest.mark.parametrize(
    ("active", "expected"), [("old", [IN_DOUBT, StartAttempt(BASELINE)]), ("new", [IN_DOUBT])], ids=["older", "fresh"]
)
def test_only_an_older_active_run_ends_the_doubt_that_is_saved(active: str, expected: list[StartAttempt]) -> None:
    saved: list[StartAttempt] = []
    script = ScriptedService(accepted(f"{STORAGE}/c1/runs/{active}", status=303), run())

    result = start(script, StartAttempt(BASELINE), save=saved.append)

    assert result.attempt == StartAttempt(BASELINE)
    assert saved == expected


@pytest.mark.parametrize(
    "attempt", [StartAttempt(), IN_DOUBT, StartAttempt(BASELINE), StartAttempt(Baseline(None, ASKED), in_doubt=True)]
)
def test_an_attempt_is_restored_from_json(attempt: StartAttempt) -> None:
    assert StartAttempt.from_dict(json.loads(json.dumps(attempt.as_dict()))) == attempt


def test_a_stored_attempt_that_says_nothing_of_doubt_is_in_doubt() -> None:
    assert StartAttempt.from_dict({"baseline": None}).in_doubt
