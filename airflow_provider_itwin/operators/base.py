"""What all run operators do: start a run, and wait for it if asked to."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import AirflowException, AirflowSkipException, BaseOperator, conf

from airflow_provider_itwin import metrics
from airflow_provider_itwin.api.errors import ITwinInputError
from airflow_provider_itwin.api.runs.active_run_policy import (
    Adopt,
    IfActive,
    Judge,
    Leave,
    QueueBehind,
    RefuseBecauseOf,
    SkipBecauseOf,
    Start,
    WaitFor,
    next_step,
)
from airflow_provider_itwin.api.runs.result_policy import DEFAULT_FAIL_ON, ResultPolicy
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
from airflow_provider_itwin.links import ITwinIModelLink, ITwinRunLink, write_links
from airflow_provider_itwin.utils.deferral import (
    FAILED_DEFERRAL,
    deferral_timeout,
    is_deferral_timeout,
)
from airflow_provider_itwin.utils.run_outcome import (
    REF_KEY,
    RETRY_BUDGET_BEFORE_DEFERRING,
    concluded,
    ended_deferral_text,
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

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import XComArg

    from airflow_provider_itwin.api.models.report import RunReport
    from airflow_provider_itwin.api.models.run_ref import RunRef
    from airflow_provider_itwin.api.runs.start import Baseline
    from airflow_provider_itwin.api.wait.waiter import WaitEvent
    from airflow_provider_itwin.hooks.itwin import ITwinHook
    from airflow_provider_itwin.utils.task_state import Store, TaskState


_LIMITS = "timeout or execution_timeout"


class ITwinRunOperator(BaseOperator):
    """
    Starts a run of one kind of connection, and waits for it if asked to; a subclass for each kind names it.

    Gives the run's id. Pushes the XCom ``run_ref`` (``kind``, ``connection_id``, ``run_id``) before any waiting, and
    ``run_report`` after it. What cannot be healed by a retry (credentials, 403, 404, 422, settings) fails the task for good;
    a run that ended badly fails it with :class:`~airflow_provider_itwin.exceptions.ITwinRunFailedError`, and a retry starts a
    new run.

    :param connection_id: the iTwin connection (templated)
    :param itwin_conn_id: the Airflow connection (templated)
    :param if_active: what to do when the iModel is being synchronized already. ``queue``: wait for that run, then start one of
        our own; a run of this connection that began no earlier than this task asked for it is taken for our own. ``attach``:
        take any active run of this connection for our own, however old, else as ``queue``. ``fail``, ``skip``: do that
    :param wait_for_completion: whether to wait for the end of the run
    :param deferrable: whether to wait in the triggerer rather than on the worker; default ``[operators] default_deferrable``
    :param poll_interval: seconds between two looks at the run; None: 5 % of the time waited so far, from 10 s to 2 min
    :param timeout: seconds, or a timedelta, that the task may take from asking for the run, queueing included; None: no limit
    :param fail_on: results that fail the task; an unknown result always does
    :param skip_on: results that skip the task
    :param strict: whether the task also fails when the run's result passes, but one of its jobs or tasks has a result that fails
    :param durable: whether a retry after a lost worker goes on with the run that was started (needs the task state store of
        Airflow 3.3)
    :param preflight: whether to warn before the start of a connection that runs in the name of a person, which a service
        application can start but not keep signed in
    :raises ValueError: for parameters that make no sense
    """

    kind: ClassVar[str]

    template_fields: Sequence[str] = ("connection_id", "itwin_conn_id")
    operator_extra_links = (ITwinRunLink(), ITwinIModelLink())
    ui_color = "#d6ecd8"

    def __init__(
        self,
        *,
        connection_id: str | XComArg,
        itwin_conn_id: str = "itwin_default",
        if_active: str = "queue",
        wait_for_completion: bool = False,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poll_interval: float | None = None,
        timeout: float | timedelta | None = None,
        fail_on: Iterable[str] = DEFAULT_FAIL_ON,
        skip_on: Iterable[str] = (),
        strict: bool = False,
        durable: bool = True,
        preflight: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        # What is templated or comes from an XCom is a text by the time that the task runs, when it is checked.
        self.connection_id: Any = connection_id
        self.itwin_conn_id = itwin_conn_id
        self.if_active = if_active
        self.wait_for_completion = wait_for_completion
        self.deferrable = deferrable
        self.poll_interval = seconds_of(poll_interval, "poll_interval")
        self.timeout = timeout
        self.fail_on = results_of(fail_on, "fail_on")
        self.skip_on = results_of(skip_on, "skip_on")
        self.strict = strict
        self.durable = durable
        self.preflight = preflight
        self.has_links = False
        # What OpenLineage asks for afterwards, in the process that ends the task.
        self._own_ref: RunRef | None = None
        self._report: RunReport | None = None
        seconds_of(timeout, "timeout")
        ResultPolicy.of(self.fail_on, self.skip_on, strict)
        if if_active not in list(IfActive):
            raise ITwinInputError(f"if_active must be one of {', '.join(IfActive)}, not {if_active!r}")

    @cached_property
    def hook(self) -> ITwinHook:
        """The hook of the task's Airflow connection."""
        from airflow_provider_itwin.hooks.itwin import ITwinHook

        return ITwinHook(self.itwin_conn_id)

    @property
    def run_body(self) -> Mapping[str, Any] | None:
        """What the run is to do, for the kinds that must be told."""
        return None

    def execute(self, context: Any) -> str:
        """
        Start the run, and wait for it if asked to.

        :return: the id of the run
        """
        with error_logged_first(self.log):
            return self._begin(context)

    def _begin(self, context: Any) -> str:
        from airflow_provider_itwin.api.models.validation import checked_id, checked_text
        from airflow_provider_itwin.utils.task_state import Store, TaskState

        with airflow_exceptions():
            checked_text(self.itwin_conn_id, "itwin_conn_id")
            checked_id(self.connection_id, "connection_id")
            self.run_body  # noqa: B018 (which looks at it)
        store = Store(context, self.durable, self._memorable_target)
        now = time.time()
        memory = store.recall(now)
        if memory is not None and memory.own is not None:
            self.log.info("An earlier try of this task has started run %s already; going on with that", memory.own)
            self._push_ref(context, memory.own)
            # Airflow has dropped the XComs of the try before.
            self._write_links(context, memory, memory.own)
        return self._go_on(context, store, memory or TaskState(now))

    def execute_complete(self, context: Any, event: Any = None) -> str:
        """Go on after a wait in the triggerer, just as after one on the worker."""
        from airflow_provider_itwin.utils.task_state import Store, TaskState

        if is_left_over(context, event):
            return self._begin(context)
        ending = understood(event)
        try:
            memory = TaskState.from_dict(ending.memo)
        except ValueError as error:
            raise ITwinTriggerEventError(str(error)) from None
        if memory.own != (None if ending.spec.queued else ending.spec.ref):
            raise ITwinTriggerEventError(f"The trigger's event is about {ending.spec.target}, not {memory.own}")
        # The part of this try that named the run has written them.
        self.has_links = memory.own is not None
        store = Store(context, self.durable, self._memorable_target)
        return self._go_on(context, store, self._after_wait(memory, ending))

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Any) -> Any:
        """Resume after a deferral; when Airflow has ended the deferral, poll the run once before the task fails."""
        with error_logged_first(self.log):
            try:
                return super().resume_execution(next_method, next_kwargs, context)
            except AirflowException as error:
                if next_method != FAILED_DEFERRAL:
                    raise
                failure = error
            return self._after_failed_deferral(context, failure)

    def _after_failed_deferral(self, context: Any, failure: Exception) -> str:
        """Judge the run if it has ended all the same; else fail with what ended the wait, which a retry can heal."""
        from airflow_provider_itwin.api.wait.waiter import WaitEnd, WaitSpec
        from airflow_provider_itwin.utils.task_state import Store, TaskState

        store = Store(context, self.durable, self._memorable_target)
        now = time.time()
        memory = store.recall(now) or TaskState(now)
        own = memory.own or self._pushed_ref(context)
        kind = ITwinWaitTimeLimitError if is_deferral_timeout(failure) else ITwinTransientError
        if own is None:
            raise kind(
                f"No run of {self._target} was started: the task was waiting for another run of the iModel. "
                f"{ended_deferral_text(failure, _LIMITS)}"
            )
        self._own_ref, self.has_links = own, True
        with airflow_exceptions():
            spec = WaitSpec(own.kind, own.connection_id, own.run_id, began=now)
            outcome = self.hook.look(spec, RETRY_BUDGET_BEFORE_DEFERRING)
        if outcome.end is WaitEnd.FINISHED:
            self.log.warning("%s Run %s has ended meanwhile.", ended_deferral_text(failure, _LIMITS), own)
            ending = understood(outcome.as_event(spec))
            return self._go_on(context, store, replace(memory, own=own, active=None, ending=ending))
        raise kind(unseen_text(spec.target, outcome, failure, _LIMITS))

    def _pushed_ref(self, context: Any) -> RunRef | None:
        """Return the run that this try of the task has started or adopted, as far as its XCom says."""
        from airflow_provider_itwin.api.models.run_ref import RunRef

        instance = context["ti"]
        pushed = instance.xcom_pull(task_ids=instance.task_id, key=REF_KEY, map_indexes=instance.map_index)
        return RunRef.from_dict(pushed) if isinstance(pushed, dict) else None

    def on_kill(self) -> None:
        """Say that the run goes on: the API has no operation to cancel one."""
        self.log.warning(
            "The task ends, but a run that it has started goes on in the cloud: the iTwin Platform has no operation to "
            "cancel a run. Its name is in the XCom %s.",
            REF_KEY,
        )

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """Tell OpenLineage what the run did; asked by it alone."""
        return self._lineage(failed=False)

    def get_openlineage_facets_on_failure(self, task_instance: Any) -> Any:
        """Tell OpenLineage what the run did, and why it failed; asked by it alone."""
        return self._lineage(failed=True)

    def _lineage(self, *, failed: bool) -> Any:
        from airflow_provider_itwin.utils.openlineage import lineage_of

        run_id = self._own_ref.run_id if self._own_ref else None
        return lineage_of(self.hook, self.kind, self.connection_id, run_id, self._report, failed=failed)

    def _go_on(self, context: Any, store: Store, memory: TaskState) -> str:
        """Take one step after the other until there is nothing left to do, or until the task is deferred."""
        while True:
            step = next_step(
                IfActive(self.if_active),
                wait=self.wait_for_completion,
                own=memory.own,
                active=memory.active,
                finished=memory.ending is not None,
            )
            match step:
                case Start():
                    memory = self._start(context, store, memory)
                case Adopt(ref):
                    metrics.run_adopted(self.kind)
                    self.log.info("Run %s is active and counts as the run of this task", ref)
                    memory = self._own(context, store, memory, ref)
                case QueueBehind(ref):
                    memory = self._in_queue(memory, ref)
                    memory = self._after_wait(memory, self._wait(context, memory, ref, queued=True))
                case WaitFor(ref):
                    memory = self._after_wait(memory, self._wait(context, memory, ref, queued=False))
                case RefuseBecauseOf(ref):
                    store.forget()
                    raise ITwinRunActiveError(
                        f"No run of {self._target} was started: run {ref} is active on its iModel, and if_active is "
                        f"{self.if_active!r}. Choose 'queue' to wait for it."
                    )
                case SkipBecauseOf(ref):
                    store.forget()
                    raise AirflowSkipException(
                        f"No run of {self._target} was started: run {ref} is active on its iModel, and if_active is "
                        f"{self.if_active!r}."
                    )
                case Judge():
                    return self._judge(context, store, memory)
                case Leave():
                    assert memory.own is not None  # noqa: S101 (else there would be no such step)
                    tell_outlets(self, context, {"ref": memory.own.as_dict()})
                    return memory.own.run_id

    @property
    def _target(self) -> str:
        return f"{self.kind} connection {self.connection_id}"

    @property
    def _memorable_target(self) -> str:
        return f"{self.kind}/{self.connection_id} {self.itwin_conn_id}"

    def _start(self, context: Any, store: Store, memory: TaskState) -> TaskState:
        from airflow_provider_itwin.api.models.enums import ConnectionKind

        kind, body, hook = ConnectionKind(self.kind), self.run_body, self.hook
        with airflow_exceptions():
            baseline, was_in_doubt = memory.baseline, memory.in_doubt
            # Any run of a storage connection that began since does what ours would. One that is told what to do can only be ours
            # if we have asked for one since, so there nothing older than the request counts.
            if baseline is None or (body is not None and not was_in_doubt):
                is_first = baseline is None
                baseline = hook.ask(lambda client: client.take_baseline(self.connection_id, kind))
                if is_first:
                    self._warn_of_user_connection(baseline)
            elif memory.from_earlier_try:
                before = baseline
                started = hook.ask(lambda client: client.find_started_since(before, self.connection_id, kind))
                if started is not None:
                    metrics.run_adopted(self.kind)
                    self.log.info(
                        "Run %s began after an earlier try of this task had asked for it; going on with that", started
                    )
                    return self._own(context, store, memory, started)
            memory = replace(memory, baseline=baseline, from_earlier_try=False, in_doubt=True)
            store.keep(memory)
            answer = hook.start_run(self.connection_id, kind, body, baseline)
            if answer.created:
                metrics.run_started(self.kind)
                self.log.info("Started run %s", answer.ref)
                return self._own(context, store, memory, answer.ref)
            since = baseline
            active = hook.ask(
                lambda client: client.examine_active(
                    answer.ref,
                    since,
                    self.connection_id,
                    kind,
                    does_the_same=body is None or was_in_doubt or answer.in_doubt,
                )
            )
            memory = replace(memory, active=active, in_doubt=False)
            if not active.fresh:
                # It stands in the way of ours, so there is none of ours to be found by a later try.
                store.keep(memory)
            return memory

    def _warn_of_user_connection(self, baseline: Baseline) -> None:
        if self.preflight and baseline.authentication_type == "User" and self.hook.is_service:
            self.log.warning(
                "The %s has the authenticationType User: its runs are made in the name of the person who owns it, and end with "
                "UserNotAuthenticated when that person's sign-in is missing or older than 30 days. To run it by a service "
                "application, change its authenticationType to Service. (preflight=False silences this.)",
                self._target,
            )

    def _own(self, context: Any, store: Store, memory: TaskState, ref: RunRef) -> TaskState:
        memory = replace(memory, own=ref, active=None, in_doubt=False)
        store.keep(memory)
        self._push_ref(context, ref)
        self._write_links(context, memory, ref)
        return memory

    def _write_links(self, context: Any, memory: TaskState, ref: RunRef) -> None:
        known = memory.baseline
        write_links(
            self,
            context,
            self.hook,
            ref,
            itwin_id=known.itwin_id if known else None,
            imodel_id=known.imodel_id if known else None,
        )

    def _push_ref(self, context: Any, ref: RunRef) -> None:
        self._own_ref = ref
        context["ti"].xcom_push(key=REF_KEY, value=ref.as_dict())

    def _in_queue(self, memory: TaskState, ref: RunRef) -> TaskState:
        """Note that `ref` is active, and how long to pause before a run is asked for again."""
        turn = memory.queue_turns + 1
        pause = queue_pause(turn, random.random())  # noqa: S311 (no secret)
        if not ref.is_same(memory.queued_behind):
            metrics.queued_behind(self.kind)
            self.log.info("The iModel is being synchronized by run %s; queueing behind it", ref)
        else:
            self.log.log(
                logging.WARNING if memory.queue_turns == 1 else logging.DEBUG,
                "Run %s has ended, but the service still answers that it is active; asking again in %.0f s, then less often",
                ref,
                pause,
            )
        return replace(memory, queue_turns=turn, queued_behind=ref, next_start_at=time.time() + pause)

    def _wait(self, context: Any, memory: TaskState, ref: RunRef, *, queued: bool) -> WaitEvent:
        """Wait for `ref`: here on the worker, or by deferring the task."""
        from airflow_provider_itwin.api.wait.waiter import WaitEnd, WaitSpec
        from airflow_provider_itwin.hooks.settings import outage_tolerance

        with airflow_exceptions():
            spec = WaitSpec(
                ref.kind,
                ref.connection_id,
                ref.run_id,
                poll_interval=self.poll_interval,
                deadline=self._deadline(memory),
                # In the queue, what counts is how long the task has been there, behind however many runs.
                began=memory.asked_at if queued else time.time(),
                outage_tolerance=outage_tolerance(),
                queued=queued,
                not_before=memory.next_start_at if queued else None,
            )
            if not self.deferrable:
                return understood(self.hook.wait(spec).as_event(spec))
            outcome = self.hook.look(spec, RETRY_BUDGET_BEFORE_DEFERRING)
            spec = replace(spec, seen=outcome.state is not None)
        if outcome.end not in (None, WaitEnd.UNSEEN):
            return understood(outcome.as_event(spec))
        from airflow_provider_itwin.triggers.itwin import ITwinRunTrigger

        # The trigger keeps the deadline; the limit of the deferral itself, a little later, is for when no triggerer works.
        return self.defer(
            trigger=ITwinRunTrigger(
                itwin_conn_id=self.itwin_conn_id, **spec.as_dict(), memo=marked(context, memory.as_dict())
            ),
            method_name="execute_complete",
            timeout=deferral_timeout(spec.deadline, time.time()),
        )

    def _deadline(self, memory: TaskState) -> float | None:
        limits = [seconds_of(self.timeout, "timeout")]
        if self.deferrable:
            # On the worker Airflow enforces this one itself.
            limits.append(seconds_of(self.execution_timeout, "execution_timeout"))
        known = [limit for limit in limits if limit is not None]
        return memory.asked_at + min(known) if known else None

    def _after_wait(self, memory: TaskState, ending: WaitEvent) -> TaskState:
        from airflow_provider_itwin.api.wait.waiter import WaitEnd

        raise_trouble(ending)
        deadline = self._deadline(memory)
        if ending.end is WaitEnd.DEADLINE or (memory.own is None and deadline is not None and time.time() >= deadline):
            text = overdue_text(ending, _LIMITS)
            if memory.queue_turns > 1:
                text += f" The service has answered {memory.queue_turns} requests for a run with an active run instead."
            raise ITwinWaitTimeLimitError(text)
        if memory.own is None:
            self.log.info("%s has ended; it is this task's turn after %s", ending.spec.target, _spoken(ending.elapsed))
            return replace(memory, active=None)
        return replace(memory, ending=ending)

    def _judge(self, context: Any, store: Store, memory: TaskState) -> str:
        assert memory.ending is not None  # noqa: S101 (else there would be no such step)
        assert memory.ending.report is not None  # noqa: S101 (as its reading has checked)
        report = memory.ending.report
        policy = ResultPolicy.of(self.fail_on, self.skip_on, self.strict)
        self._report = report
        try:
            tell_outlets(self, context, concluded(context, self.hook, report, policy, ITwinRunFailedError))
        except ITwinRunFailedError:
            # A retry is to start a new run.
            store.forget()
            raise
        # Nothing is forgotten: Airflow has not heard of the end yet, and a retry after a loss in this moment judges the same run
        # again.
        return report.ref.run_id


def _spoken(seconds: float) -> str:
    from airflow_provider_itwin.api.models.durations import spoken_duration

    return spoken_duration(seconds)
