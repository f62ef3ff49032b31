"""Triggers: waiting for runs in the triggerer."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TaskSuccessEvent, TriggerEvent

from airflow_provider_itwin import metrics
from airflow_provider_itwin.api.models.enums import (
    ConnectionKind,
    ExecutionResult,
    known_result,
)
from airflow_provider_itwin.api.models.report import RunReport
from airflow_provider_itwin.api.models.validation import checked_text
from airflow_provider_itwin.api.wait.models import (
    DEFAULT_OUTAGE_TOLERANCE,
    WaitSpec,
    event_of_error,
)
from airflow_provider_itwin.hooks.itwin import ITwinHook
from airflow_provider_itwin.hooks.settings import outage_tolerance
from airflow_provider_itwin.links import stored_links
from airflow_provider_itwin.utils.deferral import GRACE_OF_FRAMEWORK
from airflow_provider_itwin.utils.stored_kwargs import StoredKwargs, parameters_of
from airflow_provider_itwin.version_compat import AIRFLOW_V_3_0_PLUS

if AIRFLOW_V_3_0_PLUS:
    from airflow_provider_itwin.triggers.events import ITwinRunEventTrigger as ITwinRunEventTrigger

# One for all: a trigger's own logger takes as much memory as its wait, and what is logged finds its task's log either way.
log = logging.getLogger(__name__)


class ITwinRunTrigger(BaseTrigger):
    """
    Waits for a run and fires once, with what :class:`~airflow_provider_itwin.api.wait.models.WaitResult` says.

    All it knows is in its parameters, which are JSON values and hold no secret: a restarted triggerer goes on where the old
    one stopped. The run is looked at before the deadline is judged, so one that finished meanwhile counts as finished.

    The parameters are looked at when the trigger runs, not before: a constructor that raised would take down the triggerer.

    :param itwin_conn_id: the Airflow connection
    :param kind: ``storage``, ``manifest`` or ``export``
    :param connection_id: the iTwin connection
    :param run_id: the run; None for the newest that began at or after `started_after`
    :param poll_interval: seconds between two looks, None for the adaptive schedule
    :param deadline: epoch seconds at which the wait ends
    :param started_after: ISO 8601, needed with no `run_id`
    :param began: epoch seconds at which the wait began; the adaptive schedule counts from there
    :param outage_tolerance: seconds without one good answer after which the wait is given up
    :param queued: whether the run is another task's, waited for only to start one of our own
    :param seen: whether the worker that deferred the task had a good answer about the run
    :param not_before: epoch seconds before which the wait does not end, unless its deadline passes
    :param memo: what the task wants to find again in the event
    :param timeout: seconds that a task may take which starts in the triggerer, in place of `deadline` and `began`; the outage
        tolerance is then that of the settings
    :param ends_task: whether to end the task here, as a success, when the run is one beyond doubt
    :param grace: with `timeout`: seconds by which the limit of the scheduler lies behind it
    :param stored: ``version``, the form of these parameters, and what a later version of this package has stored beside them
    """

    def __init__(
        self,
        itwin_conn_id: str,
        kind: str,
        connection_id: str,
        run_id: str | None = None,
        poll_interval: float | None = None,
        deadline: float | None = None,
        started_after: str | None = None,
        began: float = 0.0,
        outage_tolerance: float = DEFAULT_OUTAGE_TOLERANCE,
        queued: bool = False,
        seen: bool = False,
        not_before: float | None = None,
        memo: dict[str, Any] | None = None,
        timeout: float | None = None,
        ends_task: bool = False,
        grace: float = GRACE_OF_FRAMEWORK,
        **stored: Any,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._stored = StoredKwargs(type(self).__name__, stored)
        self.itwin_conn_id = itwin_conn_id
        self.kind = kind
        self.connection_id = connection_id
        self.run_id = run_id
        self.poll_interval = poll_interval
        self.deadline = deadline
        self.started_after = started_after
        self.began = began
        self.outage_tolerance = outage_tolerance
        self.queued = queued
        self.seen = seen
        self.not_before = not_before
        self.memo = memo
        self.timeout = timeout
        self.ends_task = ends_task
        self.grace = grace

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Give the class and the parameters that make an equal trigger."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {**{name: getattr(self, name) for name in _PARAMETERS}, **self._stored.as_dict()},
        )

    def render_template_fields(self, context: Any, jinja_env: Any = None) -> None:
        """
        Render the parameters of a task that starts in the triggerer; those that a worker has rendered stay as they are.

        Airflow renders the parameters of every trigger of such a task, also when a worker has deferred it again. A value that is
        itself a template would be evaluated then.
        """
        if self.timeout is not None:
            super().render_template_fields(context, jinja_env)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and fire once."""
        try:
            spec = self._order()
        except ValueError as error:
            # The task says so itself when it looks at its parameters; an exception would tell it less.
            log.error("There is nothing to wait for: %s", error)  # noqa: TRY400 (the reason is all there is to tell)
            yield TriggerEvent(event_of_error(error))  # type: ignore[no-untyped-call]
            return
        _tell_beginning(spec)
        outcome = await ITwinHook(self.itwin_conn_id).wait_async(spec)
        # The report of a large run takes longer than the event loop may stand still.
        event = await asyncio.to_thread(outcome.as_event, spec, self.memo)
        if self.ends_task and outcome.ref is not None and outcome.run is not None:
            report = await asyncio.to_thread(RunReport.of, outcome.ref, outcome.run)
            if known_result(report.result) is ExecutionResult.SUCCESS and not report.failing_tasks:
                log.info("%s", report.text("its result is Success"))
                metrics.run_ended(report)
                links = await stored_links(ITwinHook(self.itwin_conn_id), outcome.ref)
                yield TaskSuccessEvent(xcoms={"return_value": event["report"], "run_report": event["report"], **links})
                return
        yield TriggerEvent(event)  # type: ignore[no-untyped-call]

    def _order(self) -> WaitSpec:
        self._stored.check()
        checked_text(self.itwin_conn_id, "itwin_conn_id")
        began, deadline, tolerance = self.began, self.deadline, self.outage_tolerance
        if self.timeout is not None:
            # A DAG file that is only parsed does not ask for this setting.
            tolerance = outage_tolerance()
            # The scheduler has written down when the task has to end, so this does not begin anew with the triggerer.
            limit = getattr(self, "timeout_after", None)
            deadline = limit.timestamp() - self.grace if limit else time.time() + self.timeout
            began = deadline - self.timeout
        return WaitSpec(
            kind=ConnectionKind(self.kind),
            connection_id=self.connection_id,
            run_id=self.run_id,
            started_after=self.started_after,
            poll_interval=self.poll_interval,
            deadline=deadline,
            began=began,
            outage_tolerance=tolerance,
            queued=self.queued,
            seen=self.seen,
            not_before=self.not_before,
        )

    async def on_kill(self) -> None:
        """Say that the run goes on, when somebody ends the waiting task (Airflow 3.3 and newer)."""
        log.warning(
            "The wait for %s ends; the run goes on in the cloud: the iTwin Platform has no operation to cancel one.",
            f"run {self.run_id} of {self.kind} connection {self.connection_id}",
        )


_PARAMETERS = parameters_of(ITwinRunTrigger)


def _tell_beginning(spec: WaitSpec) -> None:
    # To log looks up its caller, and a coroutine that was looked at takes more memory for as long as it waits.
    log.info("Waiting for %s", spec.target)
