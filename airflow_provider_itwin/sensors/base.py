"""The base of the run sensors: wait for a run, on the worker or in the triggerer, with the same result."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_itwin.api.errors import ITwinInputError
from airflow_provider_itwin.api.models.durations import parse_seconds
from airflow_provider_itwin.api.models.moments import moment_text
from airflow_provider_itwin.api.models.validation import checked_id
from airflow_provider_itwin.api.runs.result_policy import DEFAULT_FAIL_ON, Outcome, ResultName, ResultPolicy
from airflow_provider_itwin.exceptions import (
    ITwinRunFailedFinalError,
    ITwinTriggerEventError,
    airflow_exceptions,
)
from airflow_provider_itwin.links import ITwinIModelLink, ITwinRunLink
from airflow_provider_itwin.run_task import RunTask
from airflow_provider_itwin.sdk_compat import (
    BaseOperator,
    conf,
)
from airflow_provider_itwin.sensors.start_trigger import as_template, start_trigger_args
from airflow_provider_itwin.sensors.waiting_sensor import WaitingSensor
from airflow_provider_itwin.utils.deferral import GRACE_OF_FRAMEWORK, default_deferrable
from airflow_provider_itwin.utils.parameters import (
    CheckedParameters,
    check_wait_parameters,
    error_names_task,
    is_literal,
    parse_results,
)
from airflow_provider_itwin.utils.run_outcome import (
    is_stale_event,
    not_finished_text,
    raise_wait_error,
    read_result,
    timeout_text,
    with_try_number,
)
from airflow_provider_itwin.version_compat import (
    AIRFLOW_V_3_3_PLUS,
    AIRFLOW_VERSION,
    has_post_execute,
)

if TYPE_CHECKING:
    from airflow_provider_itwin.api.models.enums import ExecutionResult
    from airflow_provider_itwin.api.models.json_types import RunReportDict
    from airflow_provider_itwin.api.wait.models import WaitResult, WaitSpec
    from airflow_provider_itwin.sdk_compat import Context, XComArg

_DEFAULT_XCOM_BACKEND = ".BaseXCom"


class ITwinRunSensor(CheckedParameters, RunTask, WaitingSensor):
    """
    Base of the run sensors: wait for a run of a connection.

    ``Success`` passes; ``PartialSuccess`` and ``Skipped`` pass with a warning that lists the failing files. Errors of the
    service are retried for the outage tolerance. `timeout`, `soft_fail`, `mode` and the other parameters of sensors have the
    same meaning, deferred or not.

    XComs: ``return_value`` and ``run_report``, both the report of the run.

    :param connection_id: id of the iTwin connection (templated)
    :param run_id: id of the run (templated), such as the output of the operator that started it; None (default): wait for the
        newest run that began at or after `started_after`
    :param started_after: with no `run_id`, the earliest start of the run (templated): a datetime, a date (the beginning of
        that day) or ISO 8601; UTC if it has no time zone. The run need not have begun yet
    :param itwin_conn_id: the Airflow connection, of type ``itwin`` (templated); default ``itwin_default``
    :param deferrable: whether to wait in the triggerer instead of on the worker; None (default): as ``[operators]
        default_deferrable``
    :param poll_interval: seconds, or a timedelta, between two polls of the run; None (default): `poke_interval` if it is set;
        else, in a deferred task, 5 % of the elapsed time, at least 10 s and at most 2 min
    :param fail_on: results that fail the task, of ``Success``, ``PartialSuccess``, ``Skipped``, ``Error``, ``TimedOut``,
        ``Canceled`` and ``Undetermined``; default: the last four. An unknown result always fails the task
    :param skip_on: results that skip the task, of the same set; default: none
    :param strict: whether the task also fails when the run passes, but one of its jobs or tasks has a result in `fail_on`;
        default False
    :param start_from_trigger: whether the task starts in the triggerer, with no worker before the wait (Airflow 3.3 and
        newer; needs `deferrable`); default False. A mapped task starts on a worker nevertheless; in a mapped task group, the
        output of a task of the same group is that of the same map index. Airflow passes the whole DAG to each such trigger:
        use at most about 100 such sensors in a DAG
    :param end_from_trigger: whether the task ends in the triggerer, with no worker after the wait, if the run is a success
        without failing files (Airflow 3.3 and newer; needs `deferrable`); default False. A worker judges any other run, and
        any task with outlets, ``do_xcom_push=False``, ``multiple_outputs``, `post_execute` or a custom XCom backend
    :return: the run report
    :raises ITwinRunFailedFinalError: if the run ended with a result that fails the task; not retried: a finished run does not
        change
    :raises AirflowSensorTimeout: if `timeout` passed; not retried
    :raises ITwinWaitTimeLimitError: if ``execution_timeout`` passed in a deferred task; can be retried
    :raises ITwinTransientError: if the service had no good response for the outage tolerance (``[itwin] outage_tolerance``);
        can be retried
    :raises ITwinPermanentError: for refused credentials, 403, 404, 422 and invalid settings; not retried
    :raises AirflowSkipException: if the result is in `skip_on`, or by `soft_fail` or `never_fail`
    :raises ValueError: for an invalid parameter, when the DAG file is parsed if it can be judged then
    """

    switches = ("strict", "start_from_trigger", "end_from_trigger")
    template_fields: Sequence[str] = ("connection_id", "run_id", "started_after", "itwin_conn_id")
    operator_extra_links = (ITwinRunLink(), ITwinIModelLink())
    ui_color = "#e3f0e4"

    def __init__(
        self,
        *,
        connection_id: str | XComArg,
        run_id: str | XComArg | None = None,
        started_after: datetime | date | str | XComArg | None = None,
        itwin_conn_id: str = "itwin_default",
        deferrable: bool | None = None,
        poll_interval: float | timedelta | None = None,
        fail_on: Iterable[ResultName | ExecutionResult] = DEFAULT_FAIL_ON,
        skip_on: Iterable[ResultName | ExecutionResult] = (),
        strict: bool = False,
        start_from_trigger: bool = False,
        end_from_trigger: bool = False,
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
        with error_names_task(type(self), self.task_id):
            self.check_parameters(
                {
                    "connection_id": connection_id,
                    "run_id": run_id,
                    "started_after": started_after,
                    "itwin_conn_id": itwin_conn_id,
                    "deferrable": deferrable,
                    "fail_on": fail_on,
                    "skip_on": skip_on,
                    "strict": strict,
                    "start_from_trigger": start_from_trigger,
                    "end_from_trigger": end_from_trigger,
                },
            )
            if run_id is None and started_after is None:
                raise ITwinInputError(
                    "Pass run_id, to wait for this run, or started_after, to wait for the newest run that began at or after it"
                )
            wanted = default_deferrable() if deferrable is None else deferrable
            if start_from_trigger or end_from_trigger:
                _check_triggerer_can("start_from_trigger" if start_from_trigger else "end_from_trigger", wanted)
            self.fail_on = parse_results(fail_on, "fail_on")
            self.skip_on = parse_results(skip_on, "skip_on")
            self.result_policy = ResultPolicy.of(self.fail_on, self.skip_on, strict)
        # A template or the output of another task is a str by the time the task runs; it is validated then.
        self.connection_id: Any = connection_id
        self.run_id: Any = run_id
        self.started_after: Any = started_after
        self.itwin_conn_id = itwin_conn_id
        self.deferrable = wanted
        self.poll_interval = seconds
        self.strict = strict
        self.end_from_trigger = end_from_trigger
        if start_from_trigger:
            self.start_from_trigger = True
            self.start_trigger_args = start_trigger_args(
                self.itwin_conn_id,
                {
                    "kind": self.kind,
                    "connection_id": as_template(self, self.connection_id, "connection_id"),
                    "run_id": as_template(self, self.run_id, "run_id"),
                    "started_after": started_after.isoformat()
                    if isinstance(started_after, date)
                    else as_template(self, started_after, "started_after"),
                    "poll_interval": self.poll_interval,
                },
                timeout=self._limit,
                grace=self._grace,
                ends_task=self._ends_in_triggerer,
            )

    @classmethod
    def check_parameters(cls, given: Mapping[str, object], default_args: Mapping[str, object] | None = None) -> None:
        """
        Check the parameters that a DAG file has given; see the base class.

        :raises ITwinInputError: also for a run that is named in two ways
        """
        super().check_parameters(given, default_args)
        check_wait_parameters(given)
        run_id, started_after = given.get("run_id"), given.get("started_after")
        if is_literal(run_id):
            checked_id(run_id, "run_id", is_rendered=False)
        if is_literal(started_after):
            moment_text(started_after)
        if run_id is not None and started_after is not None:
            raise ITwinInputError(
                "run_id and started_after exclude each other: pass run_id to wait for this run, or started_after to wait for the "
                "newest run that began at or after it"
            )

    def execute(self, context: Context) -> RunReportDict:
        """
        Wait for the run.

        :return: the run report
        """
        report: RunReportDict = self._execute(context)
        return report

    def execute_complete(self, context: Context, event: object = None) -> RunReportDict:
        """Resume after a wait in the triggerer, with the same result as a poke on the worker."""
        # dag.test resumes a task that its trigger has ended, without the event.
        if (self.end_from_trigger and event == "success") or is_stale_event(context, event):
            begun: RunReportDict = self._begin(context)
            return begun
        from airflow_provider_itwin.api.wait.models import WaitResult

        spec = None
        try:
            # A task that started in the triggerer has not validated its parameters yet.
            expected = self._spec(0.0)
            result = read_result(event, WaitResult)
            _check_target(result.spec, expected)
            spec = result.spec
            return self._end(context, result)
        except Exception as error:  # noqa: BLE001 (never_fail and silent_fail apply to any)
            return self._end_as_poke_would(context, error, spec)

    @property
    def _known_run_id(self) -> Any:
        return self.run_id

    def _end(self, context: Context, result: WaitResult) -> RunReportDict:
        """End the task as the result of the wait demands."""
        from airflow_provider_itwin.api.wait.models import WaitEnd

        raise_wait_error(result)
        if result.end is WaitEnd.DEADLINE:
            raise self._timeout_error(timeout_text(result, self._limit_name))
        if result.report is not None:
            self._write_links(context, result.report.ref)
        return self._judge(context, result, ITwinRunFailedFinalError)

    def _not_finished_text(self, result: WaitResult, failure: Exception) -> str:
        return not_finished_text(result, failure, self._limit_name)

    @property
    def _ends_in_triggerer(self) -> bool:
        """Whether a task that ends in the triggerer has the same output as one that ends on a worker."""
        if not self.end_from_trigger or self.outlets or not self.do_xcom_push or self.multiple_outputs:
            return False
        cls = type(self)
        if (
            has_post_execute(self)
            or cls.post_execute is not BaseOperator.post_execute
            or cls.execute_complete is not ITwinRunSensor.execute_complete
            # The triggerer does not use a deployment's own XCom backend.
            or not conf.get("core", "xcom_backend", fallback=_DEFAULT_XCOM_BACKEND).endswith(_DEFAULT_XCOM_BACKEND)
        ):
            return False
        return self.result_policy.judge("Success").outcome is Outcome.PASS

    @property
    def _grace(self) -> float:
        """Seconds by which the scheduler's timeout is later than ours; Airflow shortens it to ``execution_timeout``."""
        execution = parse_seconds(self.execution_timeout, "execution_timeout")
        return GRACE_OF_FRAMEWORK if execution is None else min(GRACE_OF_FRAMEWORK, execution - self._limit)

    @airflow_exceptions()
    def _spec(self, began: float) -> WaitSpec:
        from airflow_provider_itwin.api.models.enums import ConnectionKind
        from airflow_provider_itwin.api.models.validation import checked_text
        from airflow_provider_itwin.api.wait.models import WaitSpec
        from airflow_provider_itwin.api.wait.waiter import UNKNOWN_RUN_GRACE
        from airflow_provider_itwin.hooks.settings import outage_tolerance

        checked_text(self.itwin_conn_id, "itwin_conn_id")
        return WaitSpec(
            ConnectionKind(self.kind),
            self.connection_id,
            self.run_id,
            started_after=self.started_after,
            poll_interval=self.poll_interval,
            deadline=began + self._limit,
            began=began,
            outage_tolerance=outage_tolerance(),
            # In reschedule mode each poke is a new process; a refusal of an earlier one would have ended the task.
            seen=self._seen or (self.reschedule and began < time.time() - UNKNOWN_RUN_GRACE),
        )

    def _defer(self, context: Context, spec: WaitSpec) -> RunReportDict:
        deferred: RunReportDict = self._defer_wait(spec, with_try_number(context), ends_task=self._ends_in_triggerer)
        return deferred


def _check_target(spec: WaitSpec, expected: WaitSpec) -> None:
    if (spec.kind, spec.connection_id, spec.run_id) != (expected.kind, expected.connection_id, expected.run_id):
        raise ITwinTriggerEventError(f"The trigger's event is about {spec.target}, not {expected.target}")


def _check_triggerer_can(parameter: str, deferrable: bool) -> None:
    if not AIRFLOW_V_3_3_PLUS:
        version = ".".join(map(str, AIRFLOW_VERSION))
        raise ITwinInputError(f"{parameter} needs Airflow 3.3 or newer, and this is Airflow {version}; remove it")
    if not deferrable:
        raise ITwinInputError(f"{parameter} needs deferrable=True")
