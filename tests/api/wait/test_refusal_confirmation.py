"""A refusal at the start of a wait ends it; after good responses it has to last for two minutes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_itwin.api.errors import (
    ITwinAuthenticationError,
    ITwinConflictError,
    ITwinError,
    ITwinInvalidRequestError,
    ITwinNotFoundError,
    ITwinPermissionError,
    ITwinProtocolError,
)
from airflow_provider_itwin.api.models.enums import ConnectionKind
from airflow_provider_itwin.api.wait.waiter import (
    REFUSAL_CONFIRMATION,
    WaitEnd,
    WaitSpec,
    poll_once,
    wait,
)
from tests.api.responses import error, finished, run
from tests.api.scripted_service import WALL, ScriptedService

SPEC = WaitSpec(ConnectionKind.STORAGE, "c1", "r1", began=WALL - 600.0)
SEEN = replace(SPEC, seen=True)

REFUSALS = {
    400: ITwinInvalidRequestError,
    403: ITwinPermissionError,
    404: ITwinNotFoundError,
    405: ITwinInvalidRequestError,
    409: ITwinConflictError,
    410: ITwinNotFoundError,
    422: ITwinInvalidRequestError,
}


def wait_result(script: ScriptedService, spec: WaitSpec = SPEC) -> Any:
    return script.play(wait(script.account(), spec))


@pytest.mark.parametrize("status", REFUSALS)
def test_a_refusal_of_the_first_poll_ends_the_wait(status: int) -> None:
    script = ScriptedService(error(status))

    assert wait_result(script).end is WaitEnd.REFUSED
    assert script.pauses == []


@pytest.mark.parametrize("status", REFUSALS)
def test_a_temporary_refusal_does_not_end_a_wait_that_had_good_responses(status: int) -> None:
    script = ScriptedService(run(), *[error(status)] * 4, run(), *[error(status)] * 4, finished())

    assert wait_result(script).end is WaitEnd.FINISHED


@pytest.mark.parametrize("status", REFUSALS)
@pytest.mark.parametrize("has_seen", [True, False])
def test_a_lasting_refusal_ends_a_wait_that_had_good_responses_after_two_minutes(status: int, has_seen: bool) -> None:
    script = ScriptedService(*([] if has_seen else [run()]), always=error(status), chance=1.0)

    result = wait_result(script, SEEN if has_seen else SPEC)

    assert result.end is WaitEnd.REFUSED
    assert type(result.error) is REFUSALS[status]
    assert sum(script.seconds) - (0 if has_seen else script.seconds[0]) == pytest.approx(REFUSAL_CONFIRMATION)
    assert len(script.requests) < 12


def test_transient_errors_neither_confirm_nor_cancel_a_refusal() -> None:
    script = ScriptedService(run(), *[error(403), error(503)] * 3, always=error(403))

    result = wait_result(script)

    assert result.end is WaitEnd.REFUSED
    assert script.passed < 2 * REFUSAL_CONFIRMATION + 60


def test_a_refusal_after_a_long_outage_is_confirmed_from_its_own_start() -> None:
    script = ScriptedService(run(), *[error(503)] * 8, error(403), error(403), finished())

    assert wait_result(script).end is WaitEnd.FINISHED


def test_the_outage_tolerance_limits_the_confirmation() -> None:
    script = ScriptedService(run(), always=error(403))

    result = wait_result(script, replace(SPEC, outage_tolerance=20.0))

    assert result.end is WaitEnd.REFUSED
    assert sum(script.seconds[1:]) == pytest.approx(20.0)


def test_the_deadline_precedes_the_confirmation() -> None:
    script = ScriptedService(run(), always=error(403))

    result = wait_result(script, replace(SPEC, deadline=WALL + 30.0))

    assert result.end is WaitEnd.DEADLINE
    assert isinstance(result.error, ITwinPermissionError)


def test_poll_once_confirms_a_refusal_within_its_retry_budget() -> None:
    script = ScriptedService(always=error(403))

    result = script.play(poll_once(script.account(), SEEN, retry_budget=10.0))

    assert result.end is None
    assert isinstance(result.error, ITwinPermissionError)
    assert script.passed <= 10.0


def test_refused_credentials_end_a_wait_at_once() -> None:
    script = ScriptedService(run(), error(401), error(401))

    result = wait_result(script)

    assert result.end is WaitEnd.REFUSED
    assert isinstance(result.error, ITwinAuthenticationError)


FINAL = [
    {"state": "Terminated", "result": "Success", "endDateTime": "2026-09-21T14:00:00Z"},
    {"state": "Failed", "result": "Error", "endDateTime": "2026-09-21T14:00:00"},
    {"state": "x" * 5000, "result": "canceled", "endDateTime": "2026-09-21T14:00:00.1234567Z"},
]


@pytest.mark.parametrize("fields", FINAL, ids=lambda fields: str(fields["state"])[:10])
def test_a_run_that_ended_in_an_unknown_state_fails_the_wait_after_the_tolerance(fields: dict[str, str]) -> None:
    script = ScriptedService(always=run(**fields))

    result = wait_result(script, replace(SPEC, outage_tolerance=300.0))

    assert result.end is WaitEnd.OUTAGE
    assert script.passed == pytest.approx(300.0)
    assert fields["state"][:20] in str(result.error)
    assert isinstance(result.error, ITwinProtocolError)
    assert len(str(result.error)) < 500


@pytest.mark.parametrize(
    "fields",
    [
        {"state": "Terminated", "result": "Success"},
        {"state": "Terminated", "result": "Undetermined", "endDateTime": "2026-09-21T14:00:00Z"},
        {"state": "Terminated", "result": "Exploded", "endDateTime": "2026-09-21T14:00:00Z"},
        {"state": "Terminated", "result": "Success", "endDateTime": "0001-01-01T00:00:00"},
        {"state": "Executing", "result": "Success", "endDateTime": "2026-09-21T14:00:00Z"},
    ],
)
def test_any_other_run_in_an_unknown_state_is_still_running(fields: dict[str, str]) -> None:
    script = ScriptedService(*[run(**fields)] * 50, finished())

    assert wait_result(script, replace(SPEC, outage_tolerance=60.0)).end is WaitEnd.FINISHED


def test_an_unknown_state_that_becomes_completed_ends_the_wait() -> None:
    script = ScriptedService(run(**FINAL[0]), run(**FINAL[0]), finished())

    assert wait_result(script).end is WaitEnd.FINISHED


def test_the_error_names_the_result_and_the_unknown_state() -> None:
    with pytest.raises(ITwinError, match="has an end time and the result Success, but an unknown state: 'Terminated'"):
        raise wait_result(ScriptedService(always=run(**FINAL[0]))).error
