"""
What the result of a wait means for a task, for operators and sensors alike.

DAG files import this module, so whatever needs more than Airflow is imported where it is used.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_itwin import metrics
from airflow_provider_itwin.api.models.enums import ExecutionState, known_state
from airflow_provider_itwin.api.runs.result_policy import Outcome, ResultPolicy
from airflow_provider_itwin.exceptions import (
    ITwinPermanentError,
    ITwinRunFailedError,
    ITwinRunFailedFinalError,
    ITwinTransientError,
    ITwinTriggerEventError,
)
from airflow_provider_itwin.sdk_compat import AirflowSkipException
from airflow_provider_itwin.version_compat import AIRFLOW_V_3_0_PLUS, AIRFLOW_V_3_1_PLUS, is_deferral_timeout

if TYPE_CHECKING:
    from airflow_provider_itwin.api.models.json_types import RunReportDict
    from airflow_provider_itwin.api.models.report import RunReport
    from airflow_provider_itwin.api.wait.any_wait import AnyResult, ResultT
    from airflow_provider_itwin.api.wait.models import WaitResult
    from airflow_provider_itwin.hooks.itwin import ITwinHook
    from airflow_provider_itwin.sdk_compat import Asset, Context

log = logging.getLogger(__name__)

REPORT_KEY = "run_report"
REF_KEY = "run_ref"
_TRY_KEY = "try_number"

RETRY_BUDGET_BEFORE_DEFERRING = 10.0
"""Seconds for which the poll before a deferral is retried on the worker. The trigger retries for longer."""


def with_try_number(context: Context, memo: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return a memo for a trigger that includes the number of the current attempt."""
    return {**(memo or {}), _TRY_KEY: getattr(context["ti"], "try_number", None)}


def is_stale_event(context: Context, event: object) -> bool:
    """
    Return whether an event belongs to a previous attempt of the task.

    Airflow 3.0 passes the trigger event of the previous attempt to the retry of a deferred task.
    """
    if not AIRFLOW_V_3_0_PLUS or AIRFLOW_V_3_1_PLUS or not isinstance(event, dict):
        return False
    memo = event.get("memo")
    sent = memo.get(_TRY_KEY) if isinstance(memo, dict) else None
    now = getattr(context["ti"], "try_number", None)
    if sent is None or sent == now:
        return False
    log.info("Ignoring the trigger event of attempt %s; attempt %s starts from the beginning", sent, now)
    return True


def read_result(event: object, shape: type[ResultT]) -> ResultT:
    """
    Read a trigger's event.

    :param shape: the result of a wait for a run, or for a job

    :raises ITwinPermanentError: if the trigger could not begin the wait
    :raises ITwinTriggerEventError: if the event is invalid, or of a newer version of this package; an invalid event never
        counts as a success
    """
    if isinstance(event, Mapping) and "end" not in event and isinstance(event.get("error"), str):
        text = f"The trigger could not begin the wait: {event['error']}"
        raise ITwinTriggerEventError(text) if event.get("retryable") is True else ITwinPermanentError(text)
    try:
        return shape.from_event(event)
    except ValueError as error:
        raise ITwinTriggerEventError(str(error)) from None


def deferral_failure_text(failure: Exception, limit: str) -> str:
    """
    Return why Airflow ended a deferral before its trigger did.

    :param failure: the exception with which Airflow resumed the task
    :param limit: the parameters that set the timeout
    """
    if is_deferral_timeout(failure):
        return (
            f"The timeout passed ({limit}) and no triggerer reported it, so Airflow's scheduler ended the wait. "
            "Check that a triggerer is running and has capacity."
        )
    return f"The wait ended in the triggerer: {str(failure).rstrip('.')}."


def not_finished_text(result: AnyResult, failure: Exception, limit: str) -> str:
    """
    Return the error text for a run that had not finished when Airflow ended the wait; see :func:`deferral_failure_text`.

    :param result: what a last poll on the worker returned
    """
    if result.error is not None:
        state = "could not be polled"
    else:
        state = f"was still {result.state}" if result.state else "had not begun"
    error = f" {str(result.error).rstrip('.')}." if result.error else ""
    return (
        f"{_capitalized(result.spec.target)} {state} when the wait for it ended. {deferral_failure_text(failure, limit)}{error} "
        "The run does not count as failed. If it is running, it continues in the cloud."
    )


def raise_wait_error(result: AnyResult) -> None:
    """
    Raise the error that ended a wait too early, if there was one.

    :raises ITwinPermanentError: if the service refuses to return what was waited for
    :raises ITwinTransientError: if there was no good response for longer than the outage tolerance
    """
    from airflow_provider_itwin.api.wait.models import WaitEnd

    error = result.error or "No further details."
    if result.end is WaitEnd.REFUSED:
        raise ITwinPermanentError(f"Cannot wait for {result.spec.target}. {error}")
    if result.end is WaitEnd.OUTAGE:
        raise ITwinTransientError(
            f"Gave up waiting for {result.spec.target} after {_elapsed(result)}: no good response for longer than the outage "
            f"tolerance ([itwin] outage_tolerance). The run itself may still be running. {error}"
        )


def timeout_text(result: WaitResult, limit: str) -> str:
    """Return the error text for a timeout; `limit` names the parameters that set it."""
    spec = result.spec
    state = f"was still {result.state}" if result.state else "had not been found"
    if spec.queued and known_state(result.state) is ExecutionState.COMPLETED:
        state = "had ended, but the service still reported its iModel as busy"
    target = (
        f"{_capitalized(spec.target)}, which this task was queued behind," if spec.queued else _capitalized(spec.target)
    )
    error = f" The last poll failed: {result.error}" if result.error else ""
    return (
        f"{target} {state} after {_elapsed(result)}, when the timeout passed ({limit}).{error} "
        "If it is running, it continues in the cloud: the iTwin Platform cannot cancel a run."
    )


def conclude_run(
    context: Context,
    hook: ITwinHook,
    report: RunReport,
    policy: ResultPolicy,
    failure: type[ITwinRunFailedError | ITwinRunFailedFinalError],
) -> RunReportDict:
    """
    Judge a finished run: push its report as the XCom ``run_report``, log it, and raise what the result policy demands.

    :param failure: the exception for a run that counts as failed
    :return: the report of a run that passes
    """
    verdict = policy.judge(report.result, (*report.totals.jobs_by_result, *report.totals.tasks_by_result))
    if verdict.outcome is not Outcome.PASS or report.failing_tasks:
        report = _with_names(hook, report)
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


def add_to_outlet_events(task: Any, context: Context, report: Mapping[str, object]) -> None:
    """
    Add a run to the asset events of a task's outlets.

    :param task: a run operator or sensor
    :param report: the report of its run, or the known part of it
    """
    if task.outlets:
        from airflow_provider_itwin.assets import add_run_to_events

        add_run_to_events(context, task.outlets, report, lambda: _imodel_of(task))


def _imodel_of(task: Any) -> Asset | None:
    """Return the iModel asset, or None (logged) if it cannot be determined."""
    from airflow_provider_itwin.api.errors import ITwinError
    from airflow_provider_itwin.assets import imodel_asset

    try:
        imodel_id = task.hook.describe_connection(task.connection_id, task.kind).imodel_id
        if imodel_id:
            return imodel_asset(imodel_id, host=task.hook.get_conn().account.environment.api)
        reason = "the service did not name it"
    except (ITwinError, ValueError) as error:
        reason = str(error)
    log.warning("Cannot determine the iModel of the connection, so its asset gets no event: %s", reason)
    return None


def _with_names(hook: ITwinHook, report: RunReport) -> RunReport:
    """Return a report with the names that a person needs: of the connection, and of the files that failed."""
    ref = report.ref
    if report.connection_name is None and (connection := hook.known_connection(ref.connection_id, ref.kind)):
        report = report.with_connection(connection.display_name, connection.imodel_id)
    wanted = [task.file_id for task in report.failing_tasks if task.file_id]
    return report.with_file_names(hook.file_names(ref.connection_id, ref.kind, wanted)) if wanted else report


def _capitalized(text: str) -> str:
    return text[0].upper() + text[1:]


def _elapsed(result: AnyResult) -> str:
    from airflow_provider_itwin.api.models.durations import format_duration

    return format_duration(result.elapsed)
