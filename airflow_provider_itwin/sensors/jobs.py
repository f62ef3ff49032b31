"""The sensor that waits for a job of any API of the iTwin Platform."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_itwin.api.errors import ITwinInputError
from airflow_provider_itwin.api.jobs.definition import JobDefinition
from airflow_provider_itwin.api.jobs.inputs import holds_template
from airflow_provider_itwin.api.models.durations import parse_seconds
from airflow_provider_itwin.api.models.validation import checked_id
from airflow_provider_itwin.exceptions import (
    ITwinJobFailedFinalError,
    ITwinTriggerEventError,
    airflow_exceptions,
)
from airflow_provider_itwin.job_task import JobTask, check_result_path, job_not_finished_text, job_timeout_text
from airflow_provider_itwin.sensors.waiting_sensor import WaitingSensor
from airflow_provider_itwin.utils.deferral import default_deferrable
from airflow_provider_itwin.utils.parameters import (
    CheckedParameters,
    check_polling_parameters,
    error_names_task,
    is_literal,
)
from airflow_provider_itwin.utils.run_outcome import is_stale_event, raise_wait_error, read_result, with_try_number

if TYPE_CHECKING:
    from airflow_provider_itwin.api.jobs.ref import JobRef
    from airflow_provider_itwin.api.models.job_types import JobReportDict
    from airflow_provider_itwin.api.wait.job_wait import JobWaitResult, JobWaitSpec
    from airflow_provider_itwin.sdk_compat import Context, XComArg

__all__ = ["ITwinJobSensor"]


class ITwinJobSensor(CheckedParameters, JobTask, WaitingSensor):
    """
    Wait for a job of any API of the iTwin Platform.

    Errors of the service are retried for the outage tolerance. `timeout`, `soft_fail`, `mode` and the other parameters of sensors
    have the same meaning, deferred or not.

    XComs: ``return_value`` and ``job_report``, both the report of the job.

    :param job: the job API
    :param job_ref: the job (templated): the XCom ``job_ref`` of a job operator, as in ``start.output["job_ref"]``; or the id of
        the job, if its requests need no other inputs
    :param itwin_conn_id: the Airflow connection, of type ``itwin`` (templated); default ``itwin_default``
    :param deferrable: whether to wait in the triggerer instead of on the worker; None (default): as ``[operators]
        default_deferrable``
    :param poll_interval: seconds, or a timedelta, between two polls of the job; None (default): `poke_interval` if it is set;
        else, in a deferred task, 5 % of the elapsed time, at least 10 s and at most 2 min
    :param strict: whether the task also fails when the job has succeeded in part; default False: a warning
    :param result_path: where the result of the job is written, as an absolute path or the URL of an object store (templated);
        with ``/`` at the end, the folder of the file. None (default): a small result is in the XCom ``job_report``
    :return: the job report
    :raises ITwinJobFailedFinalError: if the job has failed or was canceled; not retried: an ended job does not change
    :raises AirflowSensorTimeout: if `timeout` passed; not retried
    :raises ITwinWaitTimeLimitError: if ``execution_timeout`` passed in a deferred task; can be retried
    :raises ITwinTransientError: if the service had no good response for the outage tolerance (``[itwin] outage_tolerance``);
        can be retried
    :raises ITwinPermanentError: for refused credentials, 403, 404, 422 and invalid settings; not retried
    :raises AirflowSkipException: by `soft_fail` or `never_fail`
    :raises ValueError: for an invalid parameter, when the DAG file is parsed if it can be judged then
    """

    job: JobDefinition | None = None
    switches = ("strict",)
    template_fields: Sequence[str] = ("job_ref", "itwin_conn_id", "result_path")
    ui_color = "#e3ecf0"

    def __init__(
        self,
        *,
        job: JobDefinition | None = None,
        job_ref: Mapping[str, object] | str | XComArg,
        itwin_conn_id: str = "itwin_default",
        deferrable: bool | None = None,
        poll_interval: float | timedelta | None = None,
        strict: bool = False,
        result_path: str | XComArg | None = None,
        **kwargs: Any,
    ) -> None:
        with error_names_task(type(self), kwargs.get("task_id")):
            seconds = parse_seconds(poll_interval, "poll_interval")
            if seconds is None:
                defaults = kwargs.get("default_args") or {}
                seconds = parse_seconds(kwargs.get("poke_interval", defaults.get("poke_interval")), "poke_interval")
            else:
                kwargs["poke_interval"] = seconds
        super().__init__(**kwargs)
        definition = type(self).job if job is None else job
        with error_names_task(type(self), self.task_id):
            self.check_parameters(
                {
                    "job": definition,
                    "job_ref": job_ref,
                    "itwin_conn_id": itwin_conn_id,
                    "deferrable": deferrable,
                    "strict": strict,
                    "result_path": result_path,
                }
            )
        self.job = definition
        self.job_ref: Any = job_ref
        self.itwin_conn_id = itwin_conn_id
        self.deferrable = default_deferrable() if deferrable is None else deferrable
        self.poll_interval = seconds
        self.strict = strict
        self.result_path: Any = result_path

    @classmethod
    def check_parameters(cls, given: Mapping[str, object], default_args: Mapping[str, object] | None = None) -> None:
        """Check the parameters that a DAG file has given; see the base class."""
        super().check_parameters(given, default_args)
        definition = cls.checked_definition(given.get("job"))
        check_polling_parameters(given)
        job_ref = given.get("job_ref", "unknown")
        if isinstance(job_ref, Mapping) and not holds_template(job_ref):
            _checked_ref(job_ref, definition)
        elif job_ref is None or (is_literal(job_ref) and not isinstance(job_ref, Mapping)):
            checked_id(job_ref, "job_ref", is_rendered=False)
        check_result_path(definition, given.get("result_path"))

    def execute(self, context: Context) -> JobReportDict:
        """
        Wait for the job.

        :return: the job report
        """
        report: JobReportDict = self._execute(context)
        return report

    def execute_complete(self, context: Context, event: object = None) -> JobReportDict:
        """Resume after a wait in the triggerer, with the same result as a poke on the worker."""
        from airflow_provider_itwin.api.wait.job_wait import JobWaitResult

        if is_stale_event(context, event):
            begun: JobReportDict = self._begin(context)
            return begun
        spec = None
        try:
            result = read_result(event, JobWaitResult)
            _check_target(result.spec, self._ref())
            spec = result.spec
            return self._end(context, result)
        except Exception as error:  # noqa: BLE001 (never_fail and silent_fail apply to any)
            return self._end_as_poke_would(context, error, spec)

    def _defer(self, context: Context, spec: JobWaitSpec) -> JobReportDict:
        deferred: JobReportDict = self._defer_wait(spec, with_try_number(context))
        return deferred

    def _end(self, context: Context, result: JobWaitResult) -> JobReportDict:
        """End the task as the result of the wait demands."""
        from airflow_provider_itwin.api.wait.any_wait import WaitEnd

        raise_wait_error(result)
        if result.end is WaitEnd.DEADLINE:
            raise self._timeout_error(job_timeout_text(result, self._limit_name))
        return self._judge_job(context, result, ITwinJobFailedFinalError)

    def _not_finished_text(self, result: JobWaitResult, failure: Exception) -> str:
        return job_not_finished_text(result, failure, self._limit_name)

    @airflow_exceptions()
    def _ref(self) -> JobRef:
        from airflow_provider_itwin.api.jobs.ref import JobRef

        if isinstance(self.job_ref, Mapping):
            return _checked_ref(self.job_ref, self.definition)
        return JobRef(self.definition.name, checked_id(self.job_ref, "job_ref"))

    @airflow_exceptions()
    def _spec(self, began: float) -> JobWaitSpec:
        from airflow_provider_itwin.api.models.validation import checked_text
        from airflow_provider_itwin.api.wait.job_wait import JobWaitSpec
        from airflow_provider_itwin.api.wait.waiter import UNKNOWN_RUN_GRACE
        from airflow_provider_itwin.hooks.settings import outage_tolerance

        checked_text(self.itwin_conn_id, "itwin_conn_id")
        return JobWaitSpec(
            self.definition,
            self._ref(),
            poll_interval=self.poll_interval,
            deadline=began + self._limit,
            began=began,
            outage_tolerance=outage_tolerance(),
            # In reschedule mode each poke is a new process; a refusal of an earlier one would have ended the task.
            seen=self._seen or (self.reschedule and began < time.time() - UNKNOWN_RUN_GRACE),
        )


def _check_target(spec: JobWaitSpec, expected: JobRef) -> None:
    if spec.ref != expected:
        raise ITwinTriggerEventError(f"The trigger's event is about {spec.target}, not {expected}")


def _checked_ref(values: Mapping[str, Any], definition: JobDefinition) -> JobRef:
    from airflow_provider_itwin.api.jobs.ref import JobRef

    ref = JobRef.from_dict(values)
    if ref.name != definition.name:
        raise ITwinInputError(f"job_ref refers to another kind of job: {ref.name}, not {definition.name}")
    return ref
