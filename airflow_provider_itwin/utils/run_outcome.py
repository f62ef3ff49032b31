"""
What the end of a wait means for a task; operators and sensors share it, so that they judge and speak alike.

DAG files reach this module, so whatever needs more than Airflow is imported where it is used.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowSkipException

from airflow_provider_itwin import metrics
from airflow_provider_itwin.api.errors import ITwinInputError
from airflow_provider_itwin.api.models.enums import ExecutionState, known_state
from airflow_provider_itwin.api.runs.result_policy import Outcome, ResultPolicy
from airflow_provider_itwin.exceptions import (
    ITwinPermanentError,
    ITwinRunFailedError,
    ITwinRunFailedFinalError,
    ITwinTransientError,
    ITwinTriggerEventError,
)
from airflow_provider_itwin.utils.deferral import is_deferral_timeout
from airflow_provider_itwin.version_compat import AIRFLOW_V_3_0_PLUS, AIRFLOW_V_3_1_PLUS

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Asset

    from airflow_provider_itwin.api.models.report import RunReport
    from airflow_provider_itwin.api.wait.waiter import WaitEvent, WaitResult
    from airflow_provider_itwin.hooks.itwin import ITwinHook
log = logging.getLogger(__name__)

REPORT_KEY = "run_report"
REF_KEY = "run_ref"
_TRY_KEY = "try_number"
RETRY_BUDGET_BEFORE_DEFERRING = 10.0
"""Seconds of trouble that the look before a deferral rides out on the worker; the trigger has more patience."""


def seconds_of(value: float | timedelta | None, name: str) -> float | None:
    """
    Give a duration in seconds.

    :raises ValueError: if it is not positive, or not finite
    """
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < math.inf:
        raise ITwinInputError(f"{name} must be a positive number of seconds, a timedelta, or None, not {value!r}")
    return seconds


def results_of(names: Iterable[str], parameter: str) -> tuple[str, ...]:
    """
    Give the results that a parameter names, to be read as often as need be: an iterator would be empty the second time.

    :raises ValueError: if it is nothing that could name results
    """
    try:
        return (names,) if isinstance(names, str) else tuple(names)
    except TypeError:
        raise ITwinInputError(f"{parameter} must be results of a run, such as ['Error'], not {names!r}") from None


def marked(context: Mapping[str, Any], memo: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Give a memo for a trigger, with the number of the try that it works for."""
    return {**(memo or {}), _TRY_KEY: getattr(context["ti"], "try_number", None)}


def is_left_over(context: Mapping[str, Any], event: Any) -> bool:
    """
    Tell whether an event was meant for an earlier try of the task.

    Airflow 3.0 gives the retry of a deferred task what the triggerer has told the try before, instead of beginning anew.
    """
    if not AIRFLOW_V_3_0_PLUS or AIRFLOW_V_3_1_PLUS or not isinstance(event, dict):
        return False
    memo = event.get("memo")
    told = memo.get(_TRY_KEY) if isinstance(memo, dict) else None
    now = getattr(context["ti"], "try_number", None)
    if told is None or told == now:
        return False
    log.info("What the triggerer told try %s does not count for try %s, which begins anew", told, now)
    return True


def understood(event: Any) -> WaitEvent:
    """
    Read a trigger's event.

    :raises ITwinPermanentError: if the trigger could not begin the wait
    :raises ITwinTriggerEventError: if it is none of ours, or of a newer version of this package; nothing that cannot be
        understood counts as a success
    """
    from airflow_provider_itwin.api.wait.waiter import WaitEvent

    if isinstance(event, Mapping) and "end" not in event and isinstance(event.get("error"), str):
        text = f"The triggerer could not begin the wait: {event['error']}"
        raise ITwinTriggerEventError(text) if event.get("retryable") is True else ITwinPermanentError(text)
    try:
        return WaitEvent.read(event)
    except ValueError as error:
        raise ITwinTriggerEventError(str(error)) from None


def ended_deferral_text(failure: Exception, limit: str) -> str:
    """
    Return the reason why Airflow has ended a deferral before its trigger did.

    :param failure: with what Airflow has resumed the task
    :param limit: the parameters that set the time limit
    """
    if is_deferral_timeout(failure):
        return (
            f"The time limit that {limit} sets has passed, and no triggerer has reported that, so Airflow's scheduler ended the "
            "wait. Check that a triggerer is running and has capacity."
        )
    return f"The wait ended in the triggerer: {str(failure).rstrip('.')}."


def unseen_text(target: str, outcome: WaitResult, failure: Exception, limit: str) -> str:
    """
    Return the text for a run whose wait Airflow has ended; see :func:`ended_deferral_text`.

    :param target: the run, in words
    :param outcome: what a last poll on the worker has found
    """
    if outcome.error is not None:
        state = "could not be polled"
    else:
        state = f"was still {outcome.state}" if outcome.state else "had not begun"
    error = f" {str(outcome.error).rstrip('.')}." if outcome.error else ""
    return (
        f"{target[0].upper()}{target[1:]} {state} when the wait for it ended. {ended_deferral_text(failure, limit)}{error} "
        "The run does not count as failed. If it is running, it goes on in the cloud."
    )


def raise_trouble(event: WaitEvent) -> None:
    """
    Raise what kept a wait from seeing the end of its run, if something did.

    :raises ITwinPermanentError: if the service refuses to tell
    :raises ITwinTransientError: if it gave no good answer for longer than tolerated
    """
    from airflow_provider_itwin.api.wait.waiter import WaitEnd

    error = event.error or "Nothing more is known."
    if event.end is WaitEnd.REFUSED:
        raise ITwinPermanentError(f"The wait for {event.spec.target} had to end. {error}")
    if event.end is WaitEnd.OUTAGE:
        raise ITwinTransientError(
            f"The wait for {event.spec.target} was given up after {_ago(event)}: there was no good answer for longer than is "
            f"tolerated ([itwin] outage_tolerance). The run itself may be going on. {error}"
        )


def overdue_text(event: WaitEvent, limit: str) -> str:
    """Say that a time limit has passed; `limit` names the parameter that set it."""
    state = f"was still {event.state}" if event.state else "had not been seen"
    if event.spec.queued and known_state(event.state) is ExecutionState.COMPLETED:
        state = "had ended, but kept its iModel busy, as the service said,"
    target = event.spec.target + (", behind which this task queued," if event.spec.queued else "")
    error = f" The last look at it failed: {event.error}" if event.error else ""
    return (
        f"{target[0].upper()}{target[1:]} {state} after {_ago(event)}, when the limit that {limit} sets had passed.{error} "
        "If it is running, it goes on in the cloud: the iTwin Platform has no operation to cancel a run."
    )


def concluded(
    context: Mapping[str, Any],
    hook: ITwinHook,
    report: RunReport,
    policy: ResultPolicy,
    failure: type[ITwinRunFailedError | ITwinRunFailedFinalError],
) -> dict[str, Any]:
    """
    Judge a finished run: push its report as the XCom ``run_report``, tell the log, and raise what the verdict says.

    :param failure: the exception for a run that counts as failed
    :return: the report, for a run that passes
    """
    verdict = policy.judge(report.result, (*report.totals.jobs_by_result, *report.totals.tasks_by_result))
    report = _with_file_names(hook, report)
    values = report.as_dict()
    context["ti"].xcom_push(key=REPORT_KEY, value=values)
    metrics.run_ended(report)
    text = report.text(verdict.reason)
    if verdict.outcome is Outcome.FAIL:
        raise failure(text, values)
    if verdict.outcome is Outcome.SKIP:
        raise AirflowSkipException(text)
    log.log(logging.WARNING if verdict.outcome is Outcome.WARN or report.failing_tasks else logging.INFO, "%s", text)
    return values


def tell_outlets(task: Any, context: Mapping[str, Any], report: Mapping[str, Any]) -> None:
    """
    Attach a run to the asset events of the outlets of a task.

    :param task: a run operator or sensor
    :param report: the report of its run, or as much of one as is known
    """
    if task.outlets:
        from airflow_provider_itwin.assets import tell

        tell(context, task.outlets, report, lambda: _imodel_of(task))


def _imodel_of(task: Any) -> Asset | None:
    """Find out which iModel the connection of a task belongs to; what is in the way is no reason to fail after all."""
    from airflow_provider_itwin.api.errors import ITwinError
    from airflow_provider_itwin.assets import imodel_asset

    try:
        imodel_id = task.hook.describe_connection(task.connection_id, task.kind).imodel_id
        if imodel_id:
            return imodel_asset(imodel_id, host=task.hook.get_conn().account.environment.api)
        reason = "the service does not tell"
    except (ITwinError, ValueError) as error:
        reason = str(error)
    log.warning("Which iModel the connection belongs to is not known, so its asset gets no event: %s", reason)
    return None


def _with_file_names(hook: ITwinHook, report: RunReport) -> RunReport:
    wanted = [task.file_id for task in report.failing_tasks if task.file_id]
    if not wanted:
        return report
    return report.with_file_names(hook.file_names(report.ref.connection_id, report.ref.kind, wanted))


def _ago(event: WaitEvent) -> str:
    from airflow_provider_itwin.api.models.durations import spoken_duration

    return spoken_duration(event.elapsed)
