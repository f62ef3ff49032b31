"""Which failures are retried: by the policy of Airflow 3.3, and by the exception classes in every version."""

from __future__ import annotations

import importlib
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_itwin.api import errors
from airflow_provider_itwin.exceptions import (
    ITwinPermanentError,
    ITwinRunActiveError,
    ITwinRunFailedError,
    ITwinTransientError,
    ITwinTriggerEventError,
    ITwinWaitTimeLimitError,
)
from airflow_provider_itwin.version_compat import AIRFLOW_V_3_3_PLUS

if TYPE_CHECKING:
    from collections.abc import Callable

    from itwin_emulator import Emulator
    from tests.airflow.dag_runs import DagResult

FAILING = "demo-failing-connection"
with_policies = pytest.mark.skipif(not AIRFLOW_V_3_3_PLUS, reason="retry policies are new in Airflow 3.3")


@pytest.mark.skipif(AIRFLOW_V_3_3_PLUS, reason="about Airflows without retry policies")
def test_older_airflow_versions_explain_what_to_use() -> None:
    with pytest.raises(ImportError, match=r"Airflow 3\.3 or newer, and this is .*\. Remove retry_policy"):
        importlib.import_module("airflow_provider_itwin.retry_policy")


def report(*tasks: tuple[str, bool | None], result: str = "Error", **more: Any) -> Any:
    failing = [
        {"file_name": f"{number}.dgn", "file_id": str(number), "result": task, "can_user_fix": fixable}
        for number, (task, fixable) in enumerate(tasks, 1)
    ]
    return {"result": result, "error": None, "failing_tasks": failing, "more_failing_tasks": 0} | more


def decision_on(exception: BaseException, **pauses: Any) -> Any:
    from airflow_provider_itwin.retry_policy import ITwinRetryPolicy

    return ITwinRetryPolicy(**pauses).evaluate(exception=exception, try_number=1, max_tries=3, context=None)


@with_policies
@pytest.mark.parametrize(
    ("exception", "action", "words"),
    [
        (ITwinTransientError("x"), "retry", "temporary"),
        (ITwinWaitTimeLimitError("x"), "retry", "temporary"),
        (ITwinTriggerEventError("x"), "retry", "temporary"),
        (ITwinRunActiveError("x"), "retry", "active"),
        (errors.ITwinServerError("x"), "retry", "temporary"),
        (errors.ITwinRateLimitError("x"), "retry", "temporary"),
        (errors.ITwinConnectionError("x"), "retry", "temporary"),
        (errors.ITwinProtocolError("x"), "retry", "temporary"),
        (errors.ITwinConflictError("x"), "retry", "temporary"),
        (errors.ITwinWaitTimeoutError("x"), "retry", "temporary"),
        (errors.ITwinAuthenticationError("x"), "fail", "again"),
        (errors.ITwinPermissionError("x"), "fail", "again"),
        (errors.ITwinNotFoundError("x"), "fail", "again"),
        (errors.ITwinInvalidRequestError("x"), "fail", "again"),
        (errors.ITwinUntrustedHostError("x"), "fail", "again"),
        (ValueError("x"), "default", None),
        (KeyboardInterrupt(), "default", None),
        (ITwinRunFailedError("x", report(("Error", False))), "retry", "may succeed"),
        (ITwinRunFailedError("x", report(("Error", None))), "retry", "may succeed"),
        (ITwinRunFailedError("x", report(("Error", True), ("TimedOut", False))), "retry", "may succeed"),
        (ITwinRunFailedError("x", report(("Error", True), more_failing_tasks=1)), "retry", "may succeed"),
        (ITwinRunFailedError("x", report(result="TimedOut")), "retry", "may succeed"),
        (ITwinRunFailedError("x", report(("PartialSuccess", True))), "retry", "may succeed"),
        (ITwinRunFailedError("x", None), "retry", "may succeed"),
        (ITwinRunFailedError("x", report(("Error", True), ("Skipped", None))), "fail", "a user must fix 1.dgn"),
        (ITwinRunFailedError("x", report(*[("Error", True)] * 5)), "fail", "1.dgn, 2.dgn, 3.dgn and 2 more"),
        (ITwinRunFailedError("x", report(result="Cancelled")), "fail", "canceled"),
        (ITwinRunFailedError("x", report(error={"key": "UserNotAuthenticated"})), "fail", "sign in again"),
        (ITwinRunFailedError("x", report(error={"key": "RunFailed"})), "retry", "may succeed"),
    ],
    ids=lambda value: f"{type(value).__name__}" if isinstance(value, BaseException) else None,
)
def test_only_errors_that_a_retry_can_fix_are_retried(exception: BaseException, action: str, words: str | None) -> None:
    decision = decision_on(exception)
    assert decision.action.value == action
    assert (words is None) == (decision.reason is None)
    assert (words or "") in (decision.reason or "")


@with_policies
def test_the_pauses_grow_and_respect_retry_after() -> None:
    failure, run, busy = timedelta(minutes=1), timedelta(minutes=2), timedelta(minutes=3)
    pauses = {"after_error": failure, "after_run": run, "after_busy": busy}
    assert decision_on(ITwinTransientError("x"), **pauses).retry_delay == failure
    assert decision_on(ITwinRunFailedError("x", report()), **pauses).retry_delay == run
    assert decision_on(ITwinRunActiveError("x"), **pauses).retry_delay == busy
    assert decision_on(ITwinTransientError("x")).retry_delay is None
    # Retry-After can only lengthen the pause of the user.
    throttled = errors.ITwinRateLimitError("x", retry_after=300.0)
    assert decision_on(throttled, **pauses).retry_delay == timedelta(minutes=5)
    assert decision_on(throttled).retry_delay == timedelta(minutes=5)
    assert decision_on(errors.ITwinRateLimitError("x", retry_after=3.0), **pauses).retry_delay == failure


@with_policies
def test_the_policy_survives_json() -> None:
    from airflow_provider_itwin.retry_policy import ITwinRetryPolicy

    policy = ITwinRetryPolicy(after_error=timedelta(seconds=90), after_busy=None)
    again = ITwinRetryPolicy.deserialize(json.loads(json.dumps(policy.serialize())))
    assert vars(again) == vars(policy)
    assert repr(again) == repr(policy)


TASK = """
from airflow_provider_itwin.retry_policy import ITwinRetryPolicy

ITwinRunStorageConnectionOperator(
    task_id="synchronize", connection_id="{connection_id}", wait_for_completion=True, deferrable={deferrable},
    retries=2, retry_delay=pendulum.duration(seconds=0), retry_policy=ITwinRetryPolicy(),
)
"""


@with_policies
@pytest.mark.parametrize("deferrable", [False, True], ids=["worker", "deferred"])
def test_a_run_that_a_user_must_fix_is_not_retried(
    emulator: Emulator, run_dag: Callable[..., DagResult], deferrable: bool
) -> None:
    emulator.plan_run(FAILING, "Error", 60, failing=[{"file": "PD-ARC-Deck.rvt", "can_user_fix": True}])
    result = run_dag(TASK.format(connection_id=FAILING, deferrable=deferrable))
    assert (result.states, result.attempts) == ({"synchronize": ["failed"]}, {"synchronize": 1})
    assert len(emulator.runs(FAILING)) == 1
    assert "a user must fix PD-ARC-Deck.rvt" in result.log


@with_policies
def test_a_run_that_failed_in_the_service_is_retried(emulator: Emulator, run_dag: Callable[..., DagResult]) -> None:
    emulator.plan_run(FAILING, "Error", 60, times=1, failing=[{"file": "PD-ARC-Deck.rvt", "can_user_fix": False}])
    emulator.plan_run(FAILING, "Success", 60, times=1)
    result = run_dag(TASK.format(connection_id=FAILING, deferrable=True))
    assert (result.states, result.attempts) == ({"synchronize": ["success"]}, {"synchronize": 2})
    assert len(emulator.runs(FAILING)) == 2


@with_policies
def test_a_permanent_error_of_the_hook_is_not_retried(emulator: Emulator, run_dag: Callable[..., DagResult]) -> None:
    result = run_dag(
        """
        from airflow_provider_itwin.retry_policy import ITwinRetryPolicy

        @task(retries=2, retry_delay=pendulum.duration(seconds=0), retry_policy=ITwinRetryPolicy())
        def ask():
            from airflow_provider_itwin.hooks.itwin import ITwinHook

            ITwinHook().describe_connection("no-such-connection")

        ask()
        """
    )
    assert (result.states, result.attempts) == ({"ask": ["failed"]}, {"ask": 1})


def test_the_exception_classes_decide_on_every_airflow() -> None:
    from tests.airflow.sdk import AirflowException, AirflowFailException

    for retried in (ITwinRunFailedError, ITwinRunActiveError, ITwinTransientError, ITwinWaitTimeLimitError):
        assert issubclass(retried, AirflowException)
        assert not issubclass(retried, AirflowFailException)
    assert issubclass(ITwinPermanentError, AirflowFailException)
