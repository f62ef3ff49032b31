"""The timeouts of a run operator."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_itwin.exceptions import (
    ITwinWaitTimeLimitError,
)
from tests.airflow.operators.run_operators import (
    DEFERRED,
    NIGHT,
    RIVAL,
    WAITING,
    operator,
    run_ids,
    runs,
    starts,
)
from tests.airflow.single_task import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from itwin_emulator import Emulator
    from tests.airflow.fake_clock import FakeClock

    RunTask = Callable[..., Outcome]


@WAITING
@pytest.mark.parametrize("timeout", [1800, 1800.0, timedelta(minutes=30)], ids=str)
def test_the_timeout_fails_the_task(
    emulator: Emulator, run_task: RunTask, clock: FakeClock, mode: dict[str, Any], timeout: Any
) -> None:
    emulator.plan_run(NIGHT, "Success", 7200)
    outcome = run_task(operator(timeout=timeout, **mode))
    assert outcome.state == "up_for_retry"
    assert isinstance(outcome.error, ITwinWaitTimeLimitError)
    for words in ("Executing", "30 min", "timeout", "continues in the cloud", run_ids(emulator)[0]):
        assert words in outcome.text
    assert 1800 <= clock.elapsed < 1830
    assert outcome.pushed_without_links == ["run_ref"]


@WAITING
def test_the_timeout_includes_the_time_in_the_queue(
    emulator: Emulator, run_task: RunTask, clock: FakeClock, mode: dict[str, Any]
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
def test_a_retry_after_header_does_not_extend_the_timeout(
    emulator: Emulator,
    run_task: RunTask,
    clock: FakeClock,
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
    # The last poll decides, and the text says so.
    assert "was still" in outcome.text
    assert "The last poll failed" in outcome.text
    assert "the rate limit ([itwin], or a Retry-After of the service) leaves no time for it" in outcome.text


@WAITING
def test_the_timeout_can_pass_in_the_queue(
    emulator: Emulator, run_task: RunTask, clock: FakeClock, mode: dict[str, Any]
) -> None:
    emulator.plan_run(RIVAL, "Success", 7200)
    foreign = emulator.start_run(RIVAL)
    outcome = run_task(operator(timeout=1800, **mode))
    assert isinstance(outcome.error, ITwinWaitTimeLimitError)
    assert outcome.state == "up_for_retry"
    assert foreign in outcome.text
    assert "which this task was queued behind" in outcome.text
    assert runs(emulator) == []


@WAITING
def test_the_timeout_can_pass_behind_a_run_that_it_has_no_permission_to_read(
    emulator: Emulator, run_task: RunTask, clock: FakeClock, mode: dict[str, Any]
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
def test_a_run_that_finished_before_the_poll_counts_even_after_the_timeout(
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
def test_the_execution_timeout_applies_while_deferred(
    emulator: Emulator, run_task: RunTask, clock: FakeClock, limits: dict[str, Any], seconds: float
) -> None:
    emulator.plan_run(NIGHT, "Success", 7200)
    outcome = run_task(operator(**limits, **DEFERRED))
    assert isinstance(outcome.error, ITwinWaitTimeLimitError)
    assert seconds <= clock.elapsed < seconds + 30
    assert "execution_timeout" in outcome.text
