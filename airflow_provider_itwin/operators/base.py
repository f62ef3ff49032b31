"""The base of the run operators: start a run, and wait for its end."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_itwin import metrics
from airflow_provider_itwin.api.errors import ITwinInputError
from airflow_provider_itwin.api.models.durations import parse_seconds
from airflow_provider_itwin.api.runs.active_run_policy import IfActive, IfActiveName, Step, next_step
from airflow_provider_itwin.api.runs.result_policy import DEFAULT_FAIL_ON, ResultName, ResultPolicy
from airflow_provider_itwin.api.wait.schedule import queue_pause
from airflow_provider_itwin.exceptions import (
    ITwinRunActiveError,
    ITwinRunFailedError,
    ITwinTransientError,
    ITwinTriggerEventError,
    ITwinWaitTimeLimitError,
    airflow_exceptions,
    error_logged_first,
)
from airflow_provider_itwin.links import ITwinIModelLink, ITwinRunLink
from airflow_provider_itwin.run_task import RunTask
from airflow_provider_itwin.sdk_compat import AirflowSkipException, BaseOperator
from airflow_provider_itwin.utils.deferral import default_deferrable, operator_deadline
from airflow_provider_itwin.utils.parameters import (
    OF_RUN_RESULT,
    OF_WAIT,
    CheckedParameters,
    check_unused_parameters,
    check_wait_parameters,
    error_names_task,
    parse_results,
)
from airflow_provider_itwin.utils.run_outcome import (
    REF_KEY,
    add_to_outlet_events,
    deferral_failure_text,
    is_stale_event,
    not_finished_text,
    raise_wait_error,
    read_result,
    timeout_text,
    with_try_number,
)
from airflow_provider_itwin.version_compat import is_deferral_timeout

if TYPE_CHECKING:
    from airflow_provider_itwin.api.models.enums import ExecutionResult
    from airflow_provider_itwin.api.models.run_ref import RunRef
    from airflow_provider_itwin.api.runs.start import Baseline, StartAttempt
    from airflow_provider_itwin.api.wait.models import WaitResult
    from airflow_provider_itwin.sdk_compat import Context, XComArg
    from airflow_provider_itwin.utils.task_state import TaskState, TaskStateStore

_LIMITS = "timeout or execution_timeout"


class ITwinRunOperator(CheckedParameters, RunTask, BaseOperator):
    """
    Base of the run operators: start a run of a connection, and wait for its end.

    XComs: ``return_value``, the id of the run; ``run_ref`` with `kind`, `connection_id` and `run_id`, pushed before the wait;
    ``run_report``, the report of the run, pushed after the wait.

    :param connection_id: id of the iTwin connection (templated)
    :param itwin_conn_id: the Airflow connection, of type ``itwin`` (templated); default ``itwin_default``
    :param if_active: what to do if the iModel is already being synchronized. ``queue`` (default): wait for the active run,
        then start one; a run of this connection that began no earlier than this task asked for it counts as the task's own.
        ``attach``: take any active run of this connection as the task's own, else as ``queue``. ``fail``: fail the task.
        ``skip``: skip the task
    :param wait_for_completion: whether to wait for the end of the run; default True. With False, the task ends when the run has
        started: `fail_on`, `skip_on` and `strict` are refused, and `deferrable`, `poll_interval` and `timeout` apply to the queue
    :param deferrable: whether to wait in the triggerer instead of on the worker; None (default): as ``[operators]
        default_deferrable``
    :param poll_interval: seconds, or a timedelta, between two polls of the run; None (default): 5 % of the elapsed time, at
        least 10 s and at most 2 min
    :param timeout: seconds, or a timedelta, from the task's first request for a run to its end, queueing included; None
        (default): no limit
    :param fail_on: results that fail the task, of ``Success``, ``PartialSuccess``, ``Skipped``, ``Error``, ``TimedOut``,
        ``Canceled`` and ``Undetermined``; default: the last four. An unknown result always fails the task
    :param skip_on: results that skip the task, of the same set; default: none
    :param strict: whether the task also fails when the run passes, but one of its jobs or tasks has a result in `fail_on`;
        default False
    :param durable: whether a retry after a lost worker resumes with the run that was started (Airflow 3.3 and newer); default
        True
    :param preflight: whether to log a warning before the start if the connection uses the sign-in of a user, which a service
        application cannot renew; default True
    :return: the id of the run
    :raises ITwinRunFailedError: if the run ended with a result that fails the task; a retry starts a new run
    :raises ITwinRunActiveError: if another run is active and `if_active` is ``fail``
    :raises ITwinWaitTimeLimitError: if `timeout` passed, or ``execution_timeout`` in a deferred task; can be retried
    :raises ITwinTransientError: if the service had no good response for the outage tolerance (``[itwin] outage_tolerance``);
        can be retried
    :raises ITwinPermanentError: for refused credentials, 403, 404, 422 and invalid settings; not retried
    :raises AirflowSkipException: if the result is in `skip_on`, or another run is active and `if_active` is ``skip``
    :raises ValueError: for an invalid parameter, when the DAG file is parsed if it can be judged then
    """

    switches = ("wait_for_completion", "strict", "durable", "preflight")
    template_fields: Sequence[str] = ("connection_id", "itwin_conn_id")
    operator_extra_links = (ITwinRunLink(), ITwinIModelLink())
    ui_color = "#d6ecd8"

    def __init__(
        self,
        *,
        connection_id: str | XComArg,
        itwin_conn_id: str = "itwin_default",
        if_active: IfActiveName = "queue",
        wait_for_completion: bool = True,
        deferrable: bool | None = None,
        poll_interval: float | timedelta | None = None,
        timeout: float | timedelta | None = None,
        fail_on: Iterable[ResultName | ExecutionResult] = DEFAULT_FAIL_ON,
        skip_on: Iterable[ResultName | ExecutionResult] = (),
        strict: bool = False,
        durable: bool = True,
        preflight: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        with error_names_task(type(self), self.task_id):
            self.check_parameters(
                {
                    "connection_id": connection_id,
                    "itwin_conn_id": itwin_conn_id,
                    "if_active": if_active,
                    "wait_for_completion": wait_for_completion,
                    "deferrable": deferrable,
                    "poll_interval": poll_interval,
                    "timeout": timeout,
                    "fail_on": fail_on,
                    "skip_on": skip_on,
                    "strict": strict,
                    "durable": durable,
                    "preflight": preflight,
                },
                kwargs.get("default_args"),
            )
            self.fail_on = parse_results(fail_on, "fail_on")
            self.skip_on = parse_results(skip_on, "skip_on")
            self.result_policy = ResultPolicy.of(self.fail_on, self.skip_on, strict)
        # A template or the output of another task is a str by the time the task runs; it is validated then.
        self.connection_id: Any = connection_id
        self.itwin_conn_id = itwin_conn_id
        self.if_active = if_active
        self.wait_for_completion = wait_for_completion
        self.deferrable = default_deferrable() if deferrable is None else deferrable
        self.poll_interval = parse_seconds(poll_interval, "poll_interval")
        self.timeout = timeout
        self.strict = strict
        self.durable = durable
        self.preflight = preflight
        self._run_ref: RunRef | None = None

    @classmethod
    def check_parameters(cls, given: Mapping[str, object], default_args: Mapping[str, object] | None = None) -> None:
        """
        Check the parameters that a DAG file has given; see the base class.

        :raises ITwinInputError: also for a parameter about waiting if the task does not wait
        """
        super().check_parameters(given, default_args)
        if_active = given.get("if_active", "queue")
        if if_active not in list(IfActive):
            raise ITwinInputError(f"invalid if_active {if_active!r}; expected one of {', '.join(IfActive)}")
        check_wait_parameters(given)
        if not given.get("wait_for_completion", True):
            # A task that queues or attaches waits for another run, before its own.
            waits = if_active in (IfActive.QUEUE, IfActive.ATTACH)
            unused = OF_RUN_RESULT if waits else OF_RUN_RESULT | OF_WAIT
            check_unused_parameters("run", unused, given, default_args)

    def checked_body(self) -> Mapping[str, object] | None:
        """Return the body of the request for a run, validated; None for a storage connection."""
        return None

    def execute(self, context: Context) -> str:
        """
        Start the run, and wait for its end.

        :return: the id of the run
        """
        with error_logged_first(self.log):
            return self._start_or_resume(context)

    def execute_complete(self, context: Context, event: object = None) -> str:
        """Resume after a wait in the triggerer, as after a wait on the worker."""
        from airflow_provider_itwin.utils.task_state import TaskState

        if is_stale_event(context, event):
            return self._start_or_resume(context)
        from airflow_provider_itwin.api.wait.models import WaitResult

        result = read_result(event, WaitResult)
        try:
            state = TaskState.from_dict(result.memo)
        except ValueError as error:
            raise ITwinTriggerEventError(str(error)) from None
        if state.own != (None if result.spec.queued else result.spec.ref):
            raise ITwinTriggerEventError(f"The trigger's event is about {result.spec.target}, not {state.own}")
        # The links were written before the deferral.
        self.has_links = state.own is not None
        return self._run(context, self._store(context), self._after_wait(state, result))

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> str:
        """Resume after a deferral; when Airflow has ended the deferral, poll the run once before the task fails."""
        return self._resume(
            lambda: super(ITwinRunOperator, self).resume_execution(next_method, next_kwargs, context),
            lambda failure: self._after_failed_deferral(context, failure),
        )

    def on_kill(self) -> None:
        """Log that the run continues: the API has no operation to cancel it."""
        self.log.warning(
            "The task ends. If it has started a run, the run continues in the cloud: the iTwin Platform cannot cancel a run. "
            "Its reference is in the XCom %s.",
            REF_KEY,
        )

    @property
    def _known_run_id(self) -> str | None:
        return self._run_ref.run_id if self._run_ref else None

    @property
    def _target(self) -> str:
        return f"{self.kind} connection {self.connection_id}"

    def _store(self, context: Context) -> TaskStateStore[TaskState]:
        from airflow_provider_itwin.utils.task_state import TaskState, TaskStateStore

        target = f"{self.kind}/{self.connection_id} {self.itwin_conn_id}"
        return TaskStateStore(context, self.durable, target, TaskState)

    def _start_or_resume(self, context: Context) -> str:
        """Begin an attempt of the task: resume with the run of a previous attempt, or start one."""
        from airflow_provider_itwin.api.models.validation import checked_id, checked_text
        from airflow_provider_itwin.utils.task_state import TaskState

        with airflow_exceptions():
            checked_text(self.itwin_conn_id, "itwin_conn_id")
            checked_id(self.connection_id, "connection_id")
            self.checked_body()
        store = self._store(context)
        now = time.time()
        state = store.load(now)
        if state is not None and state.own is not None:
            self.log.info("A previous attempt of this task started run %s; resuming with this run", state.own)
            # Airflow has deleted the XComs of the previous attempt.
            self._publish_ref(context, state, state.own)
        return self._run(context, store, state or TaskState(now))

    def _run(self, context: Context, store: TaskStateStore[TaskState], state: TaskState) -> str:
        """Perform steps until the task ends or is deferred."""
        while True:
            step, ref = next_step(
                IfActive(self.if_active),
                wait=self.wait_for_completion,
                own=state.own,
                active=state.active,
                is_finished=state.wait_result is not None,
            )
            if step is Step.START or ref is None:
                state = self._start(context, store, state)
            elif step is Step.ADOPT:
                metrics.run_adopted(self.kind)
                self.log.info("Run %s is active and counts as the run of this task", ref)
                state = self._set_own_run(context, store, state, ref)
            elif step is Step.QUEUE:
                state = self._queue_behind(state, ref)
                state = self._after_wait(state, self._wait(context, state, ref))
            elif step is Step.WAIT:
                state = self._after_wait(state, self._wait(context, state, ref))
            elif step is Step.LEAVE:
                add_to_outlet_events(self, context, {"ref": ref.as_dict()})
                return ref.run_id
            elif step is Step.FINISH:
                return self._finish(context, store, state)
            else:
                store.clear()
                text = (
                    f"No run of {self._target} was started: run {ref} is active on its iModel, and if_active is "
                    f"{self.if_active!r}."
                )
                if step is Step.SKIP:
                    raise AirflowSkipException(text)
                raise ITwinRunActiveError(f"{text} Choose 'queue' to wait for it.")

    def _start(self, context: Context, store: TaskStateStore[TaskState], state: TaskState) -> TaskState:
        """Start a run, find the one that an earlier request has started, or record which run is active instead."""
        from airflow_provider_itwin.api.runs.start import StartOutcome

        def save(attempt: StartAttempt) -> None:
            if state.attempt.baseline is None and attempt.baseline is not None:
                self._warn_of_user_connection(attempt.baseline)
            store.save(replace(state, attempt=attempt))

        with airflow_exceptions():
            result = self.hook.start_run(
                self.connection_id, self.kind, self.checked_body(), attempt=state.attempt, save=save
            )
        state = replace(state, attempt=result.attempt)
        if result.active is not None:
            return replace(state, active=result.active)
        if result.outcome is StartOutcome.CREATED:
            metrics.run_started(self.kind)
            known = result.attempt.baseline
            named = f" of {known.connection_name}" if known and known.connection_name else ""
            self.log.info("Started run %s%s", result.ref, named)
        else:
            metrics.run_adopted(self.kind)
            self.log.info("Run %s began after this task first asked for a run; resuming with this run", result.ref)
        return self._set_own_run(context, store, state, result.ref)

    def _warn_of_user_connection(self, baseline: Baseline) -> None:
        if self.preflight and baseline.authentication_type == "User" and self.hook.is_service:
            self.log.warning(
                "The %s has the authenticationType User: its runs use the sign-in of the person who owns it, and end with "
                "UserNotAuthenticated when that sign-in is missing or older than 30 days. To run it as a service "
                "application, change its authenticationType to Service. (preflight=False disables this warning.)",
                self._target,
            )

    def _set_own_run(
        self, context: Context, store: TaskStateStore[TaskState], state: TaskState, ref: RunRef
    ) -> TaskState:
        """Make `ref` the run of this task."""
        state = replace(state, own=ref, active=None, attempt=replace(state.attempt, in_doubt=False))
        store.save(state)
        self._publish_ref(context, state, ref)
        return state

    def _publish_ref(self, context: Context, state: TaskState, ref: RunRef) -> None:
        self._run_ref = ref
        context["ti"].xcom_push(key=REF_KEY, value=ref.as_dict())
        known = state.attempt.baseline
        self._write_links(
            context,
            ref,
            itwin_id=known.itwin_id if known else None,
            imodel_id=known.imodel_id if known else None,
        )

    def _queue_behind(self, state: TaskState, ref: RunRef) -> TaskState:
        """Record that `ref` is active, and when to ask for a run again."""
        turn = state.queue_turns + 1
        pause = queue_pause(turn, random.random())  # noqa: S311 (no secret)
        if not ref.is_same(state.queued_behind):
            metrics.queued_behind(self.kind)
            self.log.info("The iModel is being synchronized by run %s; queueing behind it", ref)
        else:
            self.log.log(
                logging.WARNING if state.queue_turns == 1 else logging.DEBUG,
                "Run %s has ended, but the service still reports it as active; asking again in %.0f s, then less often",
                ref,
                pause,
            )
        return replace(state, queue_turns=turn, queued_behind=ref, next_start_at=time.time() + pause)

    def _wait(self, context: Context, state: TaskState, ref: RunRef) -> WaitResult:
        """Wait for `ref` on the worker, or defer the task; a run that is not the task's own is queued behind."""
        from airflow_provider_itwin.api.wait.models import WaitEnd, WaitSpec
        from airflow_provider_itwin.hooks.settings import outage_tolerance

        queued = state.own is None
        with airflow_exceptions():
            spec = WaitSpec.for_run(
                ref,
                poll_interval=self.poll_interval,
                deadline=operator_deadline(self, state.asked_at),
                # In the queue, the time behind all previous runs counts.
                began=state.asked_at if queued else time.time(),
                outage_tolerance=outage_tolerance(),
                queued=queued,
                is_known=True,
                not_before=state.next_start_at if queued else None,
            )
            if not self.deferrable:
                return self._settled(self.hook.wait(spec))
        result = self._poll(spec)
        if result.end not in (None, WaitEnd.UNSEEN):
            return self._settled(result)
        spec = replace(spec, seen=result.state is not None)
        deferred: WaitResult = self._defer_wait(spec, with_try_number(context, state.as_dict()))
        return deferred

    def _after_wait(self, state: TaskState, result: WaitResult) -> TaskState:
        from airflow_provider_itwin.api.models.durations import format_duration
        from airflow_provider_itwin.api.wait.models import WaitEnd

        raise_wait_error(result)
        deadline = operator_deadline(self, state.asked_at)
        if result.end is WaitEnd.DEADLINE or (state.own is None and deadline is not None and time.time() >= deadline):
            text = timeout_text(result, _LIMITS)
            if state.queue_turns > 1:
                text += f" The service responded to {state.queue_turns} requests for a run with an active run instead."
            raise ITwinWaitTimeLimitError(text)
        if state.own is None:
            waited = format_duration(result.elapsed)
            self.log.info("Queued behind %s for %s; starting this task's run", result.spec.target, waited)
            return replace(state, active=None)
        return replace(state, wait_result=result)

    def _after_failed_deferral(self, context: Context, failure: Exception) -> str:
        """Judge the run if it has finished all the same; else fail with the reason why the wait ended, which can be retried."""
        from airflow_provider_itwin.api.wait.models import WaitEnd, WaitSpec
        from airflow_provider_itwin.utils.task_state import TaskState

        store = self._store(context)
        now = time.time()
        state = store.load(now) or TaskState(now)
        own = state.own or self._pushed_ref(context)
        kind = ITwinWaitTimeLimitError if is_deferral_timeout(failure) else ITwinTransientError
        if own is None:
            raise kind(
                f"No run of {self._target} was started: the task was waiting for another run of the iModel. "
                f"{deferral_failure_text(failure, _LIMITS)}"
            )
        self._run_ref, self.has_links = own, True
        result = self._poll(WaitSpec.for_run(own, began=now, is_known=True))
        if result.end is not WaitEnd.FINISHED:
            raise kind(not_finished_text(result, failure, _LIMITS))
        self.log.warning("%s Run %s has finished meanwhile.", deferral_failure_text(failure, _LIMITS), own)
        return self._run(context, store, replace(state, own=own, active=None, wait_result=self._settled(result)))

    def _pushed_ref(self, context: Context) -> RunRef | None:
        """Return the run that this attempt of the task has started or adopted, from its XCom."""
        from airflow_provider_itwin.api.models.run_ref import RunRef

        instance = context["ti"]
        pushed = instance.xcom_pull(task_ids=instance.task_id, key=REF_KEY, map_indexes=instance.map_index)
        return RunRef.from_dict(pushed) if isinstance(pushed, dict) else None

    def _finish(self, context: Context, store: TaskStateStore[TaskState], state: TaskState) -> str:
        if state.wait_result is None or state.wait_result.ref is None:
            raise RuntimeError(f"The run of {self._target} has no result to judge")
        try:
            self._judge(context, state.wait_result, ITwinRunFailedError, state.attempt.baseline)
        except ITwinRunFailedError:
            # A retry must start a new run.
            store.clear()
            raise
        # The state stays: a worker can be lost before Airflow learns of the success, and the retry then judges the same run.
        return state.wait_result.ref.run_id
