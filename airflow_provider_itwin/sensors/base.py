"""What all run sensors do: wait for a run, on the worker or in the triggerer, with the same outcome."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    BaseOperator,
    BaseSensorOperator,
    PokeReturnValue,
    conf,
)

from airflow_provider_itwin.api.errors import ITwinInputError
from airflow_provider_itwin.api.runs.result_policy import (
    DEFAULT_FAIL_ON,
    Outcome,
    ResultPolicy,
)
from airflow_provider_itwin.exceptions import (
    ITwinRunFailedFinalError,
    ITwinTransientError,
    ITwinTriggerEventError,
    ITwinWaitTimeLimitError,
    airflow_exceptions,
    error_logged_first,
)
from airflow_provider_itwin.links import ITwinIModelLink, ITwinRunLink, write_links
from airflow_provider_itwin.utils.deferral import (
    FAILED_DEFERRAL,
    GRACE_OF_FRAMEWORK,
    deferral_timeout,
    is_deferral_timeout,
)
from airflow_provider_itwin.utils.run_outcome import (
    RETRY_BUDGET_BEFORE_DEFERRING,
    concluded,
    is_left_over,
    marked,
    overdue_text,
    raise_trouble,
    results_of,
    seconds_of,
    tell_outlets,
    understood,
    unseen_text,
)
from airflow_provider_itwin.utils.stored_kwargs import KWARGS_VERSION
from airflow_provider_itwin.version_compat import AIRFLOW_V_3_3_PLUS, AIRFLOW_VERSION

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import XComArg
    from airflow.triggers.base import StartTriggerArgs

    from airflow_provider_itwin.api.models.report import RunReport
    from airflow_provider_itwin.api.wait.waiter import WaitEvent, WaitSpec
    from airflow_provider_itwin.hooks.itwin import ITwinHook

_TRIGGER = "airflow_provider_itwin.triggers.itwin.ITwinRunTrigger"
_PLAIN_XCOMS = ".BaseXCom"


class ITwinRunSensor(BaseSensorOperator):
    """
    Waits for a run of one kind of connection to end, and fails if it ended badly; a subclass for each kind names it.

    Gives the run report, which is also pushed as the XCom ``run_report``. ``Success`` passes; ``PartialSuccess`` and
    ``Skipped`` pass with a warning that names the files; what `fail_on` names fails, and so does a result that nobody knows.
    A run that failed cannot un-fail, so the task is not retried; trouble with the service is ridden out, and retried.

    `timeout`, `soft_fail`, `mode` and all else that sensors have mean the same, deferred or not. After `execution_timeout` the
    task is retried, whatever its flags.

    :param connection_id: the iTwin connection (templated)
    :param run_id: the run to wait for (templated), such as the output of the operator that started it
    :param started_after: with no `run_id`: wait for the newest run that began at or after this moment (templated; a datetime, a
        date, which is the beginning of that day, or ISO 8601; UTC if it names no zone); it may not have begun yet
    :param itwin_conn_id: the Airflow connection (templated)
    :param deferrable: whether to wait in the triggerer; default ``[operators] default_deferrable``
    :param poll_interval: seconds between two looks; None: `poke_interval` if that is given, else when deferred 5 % of the time
        waited so far, from 10 s to 2 min
    :param fail_on: results that fail the task
    :param skip_on: results that skip the task
    :param strict: whether the task also fails when the run's result passes, but one of its jobs or tasks has a result that fails
    :param start_from_trigger: whether the task starts in the triggerer, with no worker before the wait (Airflow 3.3 and newer;
        needs `deferrable`; not for mapped tasks, which start on a worker all the same; in a mapped task group, the output of a
        task of the same group is that of the own map index). Airflow hands each such trigger the whole DAG: no more than about
        100 such sensors in a DAG
    :param end_from_trigger: whether a task whose run is a success beyond doubt ends in the triggerer, with no worker after the
        wait (Airflow 3.3 and newer; needs `deferrable`). Anything else is judged on a worker, so that messages, retries and
        skips are the same. So is a task with outlets, ``do_xcom_push=False``, ``multiple_outputs`` or `post_execute`, or with an
        XCom backend of your own: only a worker can do what they need
    :raises ValueError: for parameters that make no sense
    """

    kind: ClassVar[str]

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
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poll_interval: float | None = None,
        fail_on: Iterable[str] = DEFAULT_FAIL_ON,
        skip_on: Iterable[str] = (),
        strict: bool = False,
        start_from_trigger: bool = False,
        end_from_trigger: bool = False,
        **kwargs: Any,
    ) -> None:
        poll_interval = seconds_of(poll_interval, "poll_interval")
        if poll_interval is None:
            defaults = kwargs.get("default_args") or {}
            poll_interval = seconds_of(kwargs.get("poke_interval", defaults.get("poke_interval")), "poke_interval")
        else:
            kwargs["poke_interval"] = poll_interval
        super().__init__(**kwargs)
        # What is templated or comes from an XCom is a text by the time that the task runs; the order checks it.
        self.connection_id: Any = connection_id
        self.run_id: Any = run_id
        self.started_after: Any = started_after
        self.itwin_conn_id = itwin_conn_id
        self.deferrable = deferrable
        self.poll_interval = poll_interval
        self.fail_on = results_of(fail_on, "fail_on")
        self.skip_on = results_of(skip_on, "skip_on")
        self.strict = strict
        self.has_links = False
        # What OpenLineage asks for afterwards, in the process that ends the task.
        self._report: RunReport | None = None
        self._seen = False
        ResultPolicy.of(self.fail_on, self.skip_on, strict)
        if run_id is None and started_after is None:
            raise ITwinInputError(
                "Give run_id, the run to wait for, or started_after, to wait for the newest run that began at or after it"
            )

        self.end_from_trigger = end_from_trigger
        if start_from_trigger or end_from_trigger:
            self._check_triggerer_can("start_from_trigger" if start_from_trigger else "end_from_trigger")
        if start_from_trigger:
            self.start_from_trigger = True
            self.start_trigger_args = self._first_trigger()

    @cached_property
    def hook(self) -> ITwinHook:
        """The hook of the task's Airflow connection."""
        from airflow_provider_itwin.hooks.itwin import ITwinHook

        return ITwinHook(self.itwin_conn_id)

    def execute(self, context: Any) -> Any:
        """
        Wait for the run.

        :return: the run report
        """
        with error_logged_first(self.log):
            if self.deferrable:
                return self._begin(context)
            self._began = time.time()
            return super().execute(context)

    def _begin(self, context: Any) -> Any:
        """Look once, and defer the task if there is nothing to conclude yet."""
        self._began = time.time()
        spec = None
        try:
            spec = self._order(self._began)
            finished = self._look(context, spec, RETRY_BUDGET_BEFORE_DEFERRING)
        except Exception as error:  # noqa: BLE001 (never_fail and silent_fail are about any)
            return self._end_as_poke_would(context, error, spec)
        if finished is not None:
            return finished
        return self._defer(context, replace(spec, seen=self._seen))

    def poke(self, context: Any) -> bool | PokeReturnValue:
        """Look once whether the run has ended."""
        try:
            report = self._look(context, self._order(self._first_poke(context)))
        except Exception as error:
            # What is silenced the base class logs, and pokes again.
            if self._is_silenced(error) or (skip := self._skip_instead(error)) is None:
                raise
            raise skip from None
        return False if report is None else PokeReturnValue(is_done=True, xcom_value=report)

    def execute_complete(self, context: Any, event: Any = None) -> Any:
        """Conclude after a wait in the triggerer, just as a poke on the worker would."""
        if self.end_from_trigger and event == "success":
            # So dag.test goes on with a task that its trigger has ended, without what the trigger told.
            return self._begin(context)
        if is_left_over(context, event):
            return self._begin(context)
        spec = None
        try:
            # A task that started in the triggerer has not looked at its parameters before.
            wanted = self._order(0.0)
            known = understood(event)
            _check_target(known.spec, wanted)
            spec = known.spec
            return self._conclude(context, known)
        except Exception as error:  # noqa: BLE001 (never_fail and silent_fail are about any)
            return self._end_as_poke_would(context, error, spec)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Any) -> Any:
        """
        Resume without the rules of the base class, which would skip after a deferral what it fails after a poke.

        When Airflow has ended the deferral, the run is polled once before the task fails.
        """
        with error_logged_first(self.log):
            try:
                return BaseOperator.resume_execution(self, next_method, next_kwargs, context)
            except AirflowException as error:
                if next_method != FAILED_DEFERRAL:
                    raise
                failure = error
            try:
                return self._after_failed_deferral(context, failure)
            except Exception as error:  # noqa: BLE001 (never_fail and silent_fail are about any)
                return self._end_as_poke_would(context, error, None)

    def _after_failed_deferral(self, context: Any, failure: Exception) -> Any:
        """Judge the run if it has ended all the same; else fail with what ended the wait."""
        from airflow_provider_itwin.api.wait.waiter import WaitEnd

        spec = replace(self._order(time.time()), deadline=None)
        with airflow_exceptions():
            outcome = self.hook.look(spec, RETRY_BUDGET_BEFORE_DEFERRING)
        if outcome.end is WaitEnd.FINISHED:
            return self._conclude(context, understood(outcome.as_event(spec)))
        text = unseen_text(spec.target, outcome, failure, self._limit_name)
        raise self._time_limit_error(text) if is_deferral_timeout(failure) else ITwinTransientError(text)

    @property
    def _grace(self) -> float:
        """Seconds by which the scheduler's limit lies behind ours; it shortens its own to ``execution_timeout``."""
        execution = seconds_of(self.execution_timeout, "execution_timeout")
        return GRACE_OF_FRAMEWORK if execution is None else min(GRACE_OF_FRAMEWORK, execution - self._limit)

    @property
    def _limit_name(self) -> str:
        return "timeout" if self._limit == float(self.timeout) else "execution_timeout"

    def _time_limit_error(self, text: str) -> AirflowException:
        """Return the error for a time limit; as on a worker, a task is retried after its execution_timeout only."""
        return AirflowSensorTimeout(text) if self._limit_name == "timeout" else ITwinWaitTimeLimitError(text)

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """Tell OpenLineage what the run did; asked by it alone."""
        return self._lineage(failed=False)

    def get_openlineage_facets_on_failure(self, task_instance: Any) -> Any:
        """Tell OpenLineage what the run did, and why it failed; asked by it alone."""
        return self._lineage(failed=True)

    def _lineage(self, *, failed: bool) -> Any:
        from airflow_provider_itwin.utils.openlineage import lineage_of

        return lineage_of(self.hook, self.kind, self.connection_id, self.run_id, self._report, failed=failed)

    def _check_triggerer_can(self, parameter: str) -> None:
        if not AIRFLOW_V_3_3_PLUS:
            version = ".".join(map(str, AIRFLOW_VERSION))
            raise ITwinInputError(f"{parameter} needs Airflow 3.3 or newer, and this is {version}; leave it out")
        if not self.deferrable:
            raise ITwinInputError(f"{parameter} needs deferrable=True: it is about what the triggerer does")

    def _first_trigger(self) -> StartTriggerArgs:
        """Describe the trigger with which the scheduler starts the task; the triggerer renders its templates."""
        from airflow.triggers.base import StartTriggerArgs

        after = self.started_after
        return StartTriggerArgs(
            trigger_cls=_TRIGGER,
            trigger_kwargs={
                "itwin_conn_id": self.itwin_conn_id,
                "kind": self.kind,
                "connection_id": _as_template(self, self.connection_id, "connection_id"),
                "run_id": _as_template(self, self.run_id, "run_id"),
                "started_after": after.isoformat()
                if isinstance(after, date)
                else _as_template(self, after, "started_after"),
                "poll_interval": self.poll_interval,
                "timeout": self._limit,
                "grace": self._grace,
                "ends_task": self._ends_in_triggerer,
                "version": KWARGS_VERSION,
            },
            next_method="execute_complete",
            timeout=deferral_timeout(self._limit, 0.0),
        )

    @property
    def _ends_in_triggerer(self) -> bool:
        """Whether a task can end in the triggerer and leave what it would leave on a worker."""
        if not self.end_from_trigger or self.outlets or not self.do_xcom_push or self.multiple_outputs:
            return False
        cls = type(self)
        if (
            getattr(self, "_post_execute_hook", None) is not None
            or cls.post_execute is not BaseOperator.post_execute
            or cls.execute_complete is not ITwinRunSensor.execute_complete
            # The triggerer writes XComs past a backend that a deployment has of its own.
            or not conf.get("core", "xcom_backend", fallback=_PLAIN_XCOMS).endswith(_PLAIN_XCOMS)
        ):
            return False
        return ResultPolicy.of(self.fail_on, self.skip_on, self.strict).judge("Success").outcome is Outcome.PASS

    @property
    def _limit(self) -> float:
        """Seconds that the wait may take; on a worker Airflow itself enforces ``execution_timeout``."""
        execution = seconds_of(self.execution_timeout, "execution_timeout") if self.deferrable else None
        return float(self.timeout) if execution is None else min(execution, float(self.timeout))

    @airflow_exceptions()
    def _order(self, began: float) -> WaitSpec:
        from airflow_provider_itwin.api.models.enums import ConnectionKind
        from airflow_provider_itwin.api.models.validation import checked_text
        from airflow_provider_itwin.api.wait.waiter import UNKNOWN_RUN_GRACE, WaitSpec
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

    def _first_poke(self, context: Any) -> float:
        """Give the moment of the first poke; in reschedule mode each poke is a new process, and only Airflow knows it."""
        if not hasattr(self, "_began"):
            # Somebody pokes by hand.
            self._began = time.time()
        if not self.reschedule:
            return self._began
        task_instance = context["ti"]
        first = getattr(task_instance, "get_first_reschedule_date", None)
        moment = first(context) if first else task_instance.start_date
        return moment.timestamp() if moment else self._began

    def _look(self, context: Any, spec: WaitSpec, retry_budget: float | None = None) -> dict[str, Any] | None:
        """Look once; give the report of a finished run, None if there is nothing to conclude yet."""
        with airflow_exceptions():
            outcome = self.hook.look(spec, retry_budget)
        self._seen = self._seen or outcome.state is not None
        return None if outcome.end is None else self._conclude(context, understood(outcome.as_event(spec)))

    def _conclude(self, context: Any, event: WaitEvent) -> dict[str, Any]:
        from airflow_provider_itwin.api.wait.waiter import WaitEnd

        raise_trouble(event)
        if event.end is WaitEnd.DEADLINE:
            raise self._time_limit_error(overdue_text(event, self._limit_name))
        if event.report is None:
            raise AirflowFailException(f"The wait for {event.spec.target} ended with {event.end}, which cannot be")
        policy = ResultPolicy.of(self.fail_on, self.skip_on, self.strict)
        self._report = event.report
        write_links(self, context, self.hook, event.report.ref)
        report = concluded(context, self.hook, event.report, policy, ITwinRunFailedFinalError)
        tell_outlets(self, context, report)
        return report

    def _end_as_poke_would(self, context: Any, error: Exception, spec: WaitSpec | None) -> Any:
        """Apply ``soft_fail``, ``never_fail`` and ``silent_fail`` by the rules that the base class has for a poke."""
        if self._is_silenced(error) and spec is not None:
            self.log.error("A poll of the run failed, and silent_fail says to go on: %s", error)
            return self._defer(context, replace(spec, not_before=time.time() + self.poke_interval))
        skip = self._skip_instead(error)
        if skip is None:
            raise error
        raise skip from None

    def _is_silenced(self, error: Exception) -> bool:
        return self.silent_fail and not isinstance(
            error, AirflowSensorTimeout | AirflowFailException | AirflowSkipException | ITwinWaitTimeLimitError
        )

    def _skip_instead(self, error: Exception) -> AirflowSkipException | None:
        """Give what ``soft_fail`` and ``never_fail`` make of an error; unlike the base class it tells the reason."""
        if isinstance(error, AirflowSkipException | ITwinWaitTimeLimitError):
            # On a worker no flag is about execution_timeout either.
            return None
        if self.soft_fail and isinstance(error, AirflowSensorTimeout | AirflowFailException):
            return AirflowSkipException(f"Skipping because soft_fail is set: {error}")
        if self.never_fail:
            return AirflowSkipException(f"Skipping because never_fail is set: {error}")
        return None

    def _defer(self, context: Any, spec: WaitSpec) -> Any:
        from airflow_provider_itwin.triggers.itwin import ITwinRunTrigger

        # The trigger keeps the deadline; the limit of the deferral itself, a little later, is for when no triggerer works.
        self.defer(
            trigger=ITwinRunTrigger(
                itwin_conn_id=self.itwin_conn_id,
                **spec.as_dict(),
                memo=marked(context),
                ends_task=self._ends_in_triggerer,
            ),
            method_name="execute_complete",
            timeout=deferral_timeout(spec.deadline, time.time()),
        )


def _as_template(task: Any, value: Any, name: str) -> str | None:
    """
    Return a value as a template that Airflow's triggerer can render; it pulls XComs only by an explicit map index.

    :param task: the task that uses the value
    :raises ValueError: if it could not, or would pull another XCom than a worker does
    """
    if value is None or (isinstance(value, str) and ("xcom_pull" not in value or "map_indexes" in value)):
        return value
    source, key = getattr(value, "operator", None), getattr(value, "key", None)
    if source is None or key is None or getattr(source, "is_mapped", False):
        raise ITwinInputError(
            f"With start_from_trigger, {name} can be a text, a template, or the output of a task that is not mapped; "
            f"xcom_pull in a template needs map_indexes=-1. It is {value!r}"
        )
    group = source.get_closest_mapped_task_group()
    if group is not None and group is not task.get_closest_mapped_task_group():
        raise ITwinInputError(
            f"With start_from_trigger, {name} cannot be the output of task {source.task_id!r}: that task is in the mapped task "
            f"group {group.group_id!r} and this one is not, so there is an output for each map index. "
            "Leave start_from_trigger out."
        )
    map_index = "-1" if group is None else "ti.map_index"
    return f"{{{{ ti.xcom_pull(task_ids={source.task_id!r}, key={key!r}, map_indexes={map_index}) }}}}"


def _check_target(spec: WaitSpec, wanted: WaitSpec) -> None:
    if (spec.kind, spec.connection_id, spec.run_id) != (wanted.kind, wanted.connection_id, wanted.run_id):
        raise ITwinTriggerEventError(f"The trigger's event is about {spec.target}, not {wanted.target}")
