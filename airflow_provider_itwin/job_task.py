"""
What job operators and job sensors have in common: the trigger, and the end of a job.

DAG files import this module, so whatever needs more than Airflow is imported where it is used.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_itwin import metrics
from airflow_provider_itwin.api.errors import ITwinInputError
from airflow_provider_itwin.api.jobs.definition import JobDefinition
from airflow_provider_itwin.exceptions import (
    ITwinJobFailedError,
    ITwinJobFailedFinalError,
    airflow_exceptions,
)
from airflow_provider_itwin.sdk_compat import AirflowFailException
from airflow_provider_itwin.utils.lineage import LineageTask
from airflow_provider_itwin.utils.run_outcome import deferral_failure_text
from airflow_provider_itwin.waiting_task import WaitingTask

if TYPE_CHECKING:
    from airflow.triggers.base import BaseTrigger

    from airflow_provider_itwin.api.jobs.ref import JobRef
    from airflow_provider_itwin.api.jobs.report import JobReport
    from airflow_provider_itwin.api.models.job_types import JobReportDict
    from airflow_provider_itwin.api.wait.job_wait import JobWaitResult, JobWaitSpec
    from airflow_provider_itwin.sdk_compat import Context
    from airflow_provider_itwin.utils.openlineage import Lineage

log = logging.getLogger(__name__)

JOB_REF_KEY = "job_ref"
JOB_REPORT_KEY = "job_report"


def check_result_path(definition: JobDefinition, result_path: object) -> None:
    """
    Check that a job has a result that can be written to `result_path`.

    :raises ITwinInputError: if it has none
    """
    if result_path is not None and definition.result is None:
        raise ITwinInputError(f"The {definition.name} has no result, so result_path would have no effect. Remove it.")


class JobTask(WaitingTask, LineageTask):
    """
    The part of an operator or a sensor that waits for a job; a subclass is an Airflow task, too.

    A subclass sets `job`, `itwin_conn_id`, `strict` and `result_path`.
    """

    job: Any = None
    strict: bool
    result_path: Any
    cancel_on_kill = False

    inputs: Any = None
    """Inputs of the job; None for a task that does not start it."""

    _known_ref: JobRef | None = None
    """The job of the task, as soon as it is known."""

    _report: JobReport | None = None
    """The report of the job, which OpenLineage asks for later, in the process that ends the task."""

    @classmethod
    def checked_definition(cls, job: object) -> JobDefinition:
        """
        Return the parameter `job`, or the job of the class if it is None.

        :raises ITwinInputError: if it is no definition, or there is none
        """
        given = cls.job if job is None else job
        if given is None:
            raise ITwinInputError(
                "job is missing. Pass a JobDefinition, such as EXTRACTION from airflow_provider_itwin.jobs, or one of your own"
            )
        if not isinstance(given, JobDefinition):
            raise ITwinInputError(f"job must be a JobDefinition, not {given!r:.80}")
        return given

    @property
    def definition(self) -> JobDefinition:
        """The definition of the job."""
        definition: JobDefinition = self.job
        return definition

    def _trigger(self, spec: JobWaitSpec, memo: dict[str, Any], *, ends_task: bool = False) -> BaseTrigger:
        from airflow_provider_itwin.triggers.jobs import ITwinJobTrigger

        return ITwinJobTrigger(self.itwin_conn_id, spec, memo=memo, cancel_on_kill=self.cancel_on_kill)

    def _openlineage(self, *, failed: bool) -> Lineage:
        from airflow_provider_itwin.utils.openlineage_jobs import lineage_of_job

        inputs = self.inputs if isinstance(self.inputs, Mapping) else {}
        return lineage_of_job(self.hook, self.definition, self._known_ref, inputs, self._report, failed=failed)

    def _judge_job(
        self,
        context: Context,
        result: JobWaitResult,
        failure: type[ITwinJobFailedError | ITwinJobFailedFinalError],
    ) -> JobReportDict:
        """
        Judge a job that has ended: write its result, publish its report, then return it, or raise.

        :param failure: the exception for a job that counts as failed
        """
        report = result.report
        if report is None:
            raise AirflowFailException(f"The wait for {result.spec.target} ended with {result.end}, without a report")
        is_failed = report.outcome == "failed" or (report.outcome == "warned" and self.strict)
        if self.result_path is not None and not is_failed:
            report = self._with_result_written(result, report)
        self._known_ref, self._report = report.ref, report
        values = report.as_dict()
        context["ti"].xcom_push(key=JOB_REPORT_KEY, value=values)
        metrics.job_ended(report)
        if is_failed:
            reason = " (strict is set.)" if report.outcome == "warned" else ""
            raise failure(f"{report.text}{reason}", values)
        log.log(logging.WARNING if report.outcome == "warned" else logging.INFO, "%s", report.text)
        return values

    def _with_result_written(self, result: JobWaitResult, report: JobReport) -> JobReport:
        with airflow_exceptions():
            path = self.hook.download_job_result(result.spec.definition, result.spec.ref, self.result_path)
        log.info("Wrote the result of %s to %s", result.spec.ref, path)
        return report.with_result_path(path)


def job_timeout_text(result: JobWaitResult, limit: str) -> str:
    """Return the error text for a timeout; `limit` names the parameters that set it."""
    from airflow_provider_itwin.api.models.durations import format_duration

    state = f"was still {result.state}" if result.state else "had not been found"
    error = f" The last poll failed: {result.error}" if result.error else ""
    return (
        f"{_capitalized(result.spec.target)} {state} after {format_duration(result.elapsed)}, when the timeout passed ({limit})."
        f"{error} If it is running, it continues in the cloud."
    )


def job_not_finished_text(result: JobWaitResult, failure: Exception, limit: str) -> str:
    """
    Return the error text for a job that had not ended when Airflow ended the wait.

    :param result: what a last poll on the worker returned
    :param failure: the exception with which Airflow resumed the task
    :param limit: the parameters that set the timeout
    """
    state = "could not be polled" if result.error else f"was still {result.state}"
    error = f" {str(result.error).rstrip('.')}." if result.error else ""
    return (
        f"{_capitalized(result.spec.target)} {state} when the wait for it ended. {deferral_failure_text(failure, limit)}{error} "
        "The job does not count as failed. If it is running, it continues in the cloud."
    )


def _capitalized(text: str) -> str:
    return text[0].upper() + text[1:]
