"""A refusal ends a wait at once at its start; after good answers it has to last for two minutes."""

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
    look,
    wait,
)
from tests.api.responses import error, finished, run
from tests.api.scripted_service import WALL, ScriptedService

ORDER = WaitSpec(ConnectionKind.STORAGE, "c1", "r1", began=WALL - 600.0)
SEEN = replace(ORDER, seen=True)

REFUSALS = {
    400: ITwinInvalidRequestError,
    403: ITwinPermissionError,
    404: ITwinNotFoundError,
    405: ITwinInvalidRequestError,
    409: ITwinConflictError,
    410: ITwinNotFoundError,
    422: ITwinInvalidRequestError,
}


def waited(script: ScriptedService, spec: WaitSpec = ORDER) -> Any:
    return script.play(wait(script.account(), spec))


@pytest.mark.parametrize("status", REFUSALS)
def test_at_the_start_a_refusal_counts_at_once(status: int) -> None:
    script = ScriptedService(error(status))

    assert waited(script).end is WaitEnd.REFUSED
    assert script.pauses == []


@pytest.mark.parametrize("status", REFUSALS)
def test_a_refusal_that_passes_does_not_end_a_good_wait(status: int) -> None:
    script = ScriptedService(run(), *[error(status)] * 4, run(), *[error(status)] * 4, finished())

    assert waited(script).end is WaitEnd.FINISHED


@pytest.mark.parametrize("status", REFUSALS)
@pytest.mark.parametrize("is_told", [True, False])
def test_a_refusal_that_lasts_ends_a_good_wait_after_two_minutes(status: int, is_told: bool) -> None:
    script = ScriptedService(*([] if is_told else [run()]), always=error(status), chance=1.0)

    outcome = waited(script, SEEN if is_told else ORDER)

    assert outcome.end is WaitEnd.REFUSED
    assert type(outcome.error) is REFUSALS[status]
    assert sum(script.seconds) - (0 if is_told else script.seconds[0]) == pytest.approx(REFUSAL_CONFIRMATION)
    assert len(script.requests) < 12


def test_trouble_in_between_neither_confirms_a_refusal_nor_takes_it_back() -> None:
    script = ScriptedService(run(), *[error(403), error(503)] * 3, always=error(403))

    outcome = waited(script)

    assert outcome.end is WaitEnd.REFUSED
    assert script.passed < 2 * REFUSAL_CONFIRMATION + 60


def test_a_refusal_after_a_long_outage_is_confirmed_from_its_own_beginning() -> None:
    script = ScriptedService(run(), *[error(503)] * 8, error(403), error(403), finished())

    assert waited(script).end is WaitEnd.FINISHED


def test_the_tolerance_of_outages_bounds_the_confirmation() -> None:
    script = ScriptedService(run(), always=error(403))

    outcome = waited(script, replace(ORDER, outage_tolerance=20.0))

    assert outcome.end is WaitEnd.REFUSED
    assert sum(script.seconds[1:]) == pytest.approx(20.0)


def test_the_deadline_comes_before_the_confirmation() -> None:
    script = ScriptedService(run(), always=error(403))

    outcome = waited(script, replace(ORDER, deadline=WALL + 30.0))

    assert outcome.end is WaitEnd.DEADLINE
    assert isinstance(outcome.error, ITwinPermissionError)


def test_a_single_poll_goes_on_with_confirming_for_as_long_as_it_has_patience() -> None:
    script = ScriptedService(always=error(403))

    outcome = script.play(look(script.account(), SEEN, retry_budget=10.0))

    assert outcome.end is None
    assert isinstance(outcome.error, ITwinPermissionError)
    assert script.passed <= 10.0


def test_refused_credentials_end_a_wait_at_once_so_that_they_are_read_again() -> None:
    script = ScriptedService(run(), error(401), error(401))

    outcome = waited(script)

    assert outcome.end is WaitEnd.REFUSED
    assert isinstance(outcome.error, ITwinAuthenticationError)


FINAL = [
    {"state": "Terminated", "result": "Success", "endDateTime": "2026-09-21T14:00:00Z"},
    {"state": "Failed", "result": "Error", "endDateTime": "2026-09-21T14:00:00"},
    {"state": "x" * 5000, "result": "canceled", "endDateTime": "2026-09-21T14:00:00.1234567Z"},
]


@pytest.mark.parametrize("fields", FINAL, ids=lambda fields: str(fields["state"])[:10])
def test_a_run_that_ended_in_an_unknown_state_fails_the_wait_after_the_tolerance(fields: dict[str, str]) -> None:
    script = ScriptedService(always=run(**fields))

    outcome = waited(script, replace(ORDER, outage_tolerance=300.0))

    assert outcome.end is WaitEnd.OUTAGE
    assert script.passed == pytest.approx(300.0)
    assert fields["state"][:20] in str(outcome.error)
    assert isinstance(outcome.error, ITwinProtocolError)
    assert len(str(outcome.error)) < 500


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

    assert waited(script, replace(ORDER, outage_tolerance=60.0)).end is WaitEnd.FINISHED


def test_an_unknown_state_that_becomes_a_known_one_ends_the_wait_well() -> None:
    script = ScriptedService(run(**FINAL[0]), run(**FINAL[0]), finished())

    assert waited(script).end is WaitEnd.FINISHED


def test_what_went_wrong_is_named() -> None:
    with pytest.raises(ITwinError, match="has an end time and the result Success, but its state is 'Terminated'"):
        raise waited(ScriptedService(always=run(**FINAL[0]))).error
