"""The trigger that waits for a run."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TaskSuccessEvent, TriggerEvent

from airflow_provider_itwin import metrics
from airflow_provider_itwin.api.models.enums import (
    ExecutionResult,
    known_result,
)
from airflow_provider_itwin.api.models.report import RunReport
from airflow_provider_itwin.api.models.validation import checked_text
from airflow_provider_itwin.api.wait.any_wait import error_event
from airflow_provider_itwin.api.wait.models import WaitSpec
from airflow_provider_itwin.hooks.itwin import ITwinHook
from airflow_provider_itwin.hooks.settings import outage_tolerance
from airflow_provider_itwin.links import stored_links
from airflow_provider_itwin.utils.deferral import GRACE_OF_FRAMEWORK
from airflow_provider_itwin.utils.stored_kwargs import StoredKwargs, parameters_of
from airflow_provider_itwin.version_compat import AIRFLOW_V_3_0_PLUS, trigger_deadline

if AIRFLOW_V_3_0_PLUS:
    from airflow_provider_itwin.triggers.events import ITwinRunEventTrigger as ITwinRunEventTrigger

if TYPE_CHECKING:
    from jinja2 import Environment

    from airflow_provider_itwin.sdk_compat import Context

# One logger for all triggers: a logger per trigger takes as much memory as its wait, and Airflow routes log lines by context.
log = logging.getLogger(__name__)


class ITwinRunTrigger(BaseTrigger):
    """
    Waits for a run and fires one event, a :class:`~airflow_provider_itwin.api.wait.models.WaitEvent`.

    Its parameters are JSON values without secrets, so a restarted triggerer resumes where the old one stopped. The run is polled
    before the deadline is judged: a run that finished meanwhile counts as finished.

    The parameters are validated when the trigger runs: an error in the constructor would stop the triggerer.

    :param itwin_conn_id: the Airflow connection
    :param spec: what to wait for: a :class:`~airflow_provider_itwin.api.wait.models.WaitSpec`, or its JSON values
    :param memo: returned to the task in the event
    :param timeout: seconds that a task may take that starts in the triggerer, in place of the deadline of `spec`; the outage
        tolerance is then read from the configuration, and templates in `spec` are rendered
    :param ends_task: whether the trigger itself ends the task, as a success, when the run is a success without failing files
    :param grace: with `timeout`: seconds by which the scheduler's timeout is later
    :param stored: ``version``, the version of these parameters, and parameters that a later version of this package stored
    """

    def __init__(
        self,
        itwin_conn_id: str,
        spec: WaitSpec | Mapping[str, object],
        memo: dict[str, object] | None = None,
        timeout: float | None = None,
        ends_task: bool = False,
        grace: float = GRACE_OF_FRAMEWORK,
        **stored: Any,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._stored = StoredKwargs(type(self).__name__, stored)
        self.itwin_conn_id = itwin_conn_id
        self.spec: Any = spec
        self.memo = memo
        self.timeout = timeout
        self.ends_task = ends_task
        self.grace = grace

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class and the parameters that make an equal trigger."""
        parameters = {name: getattr(self, name) for name in _PARAMETERS}
        if isinstance(self.spec, WaitSpec):
            parameters["spec"] = self.spec.as_dict()
        return f"{type(self).__module__}.{type(self).__qualname__}", {**parameters, **self._stored.as_dict()}

    def render_template_fields(self, context: Context, jinja_env: Environment | None = None) -> None:
        """
        Render the parameters of a task that starts in the triggerer; those that a worker has rendered stay as they are.

        Airflow calls this for every trigger of such a task, also after a worker has deferred it again. A rendered value that
        resembles a template would then be rendered twice.
        """
        if self.timeout is not None:
            environment = jinja_env or self.get_template_env()
            self.itwin_conn_id = self.render_template(self.itwin_conn_id, context, environment)
            self.spec = self.render_template(self.spec, context, environment)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and fire one event."""
        try:
            spec = self._checked_spec()
        except ValueError as error:
            # The task fails with this text; an exception here would hide it.
            log.error("Cannot begin the wait: %s", error)  # noqa: TRY400 (the text says everything)
            yield TriggerEvent(error_event(error))  # type: ignore[no-untyped-call]
            return
        _log_beginning(spec)
        result = await ITwinHook(self.itwin_conn_id).wait_async(spec)
        # The report of a large run takes longer than the event loop may be blocked.
        event = await asyncio.to_thread(result.as_event, self.memo)
        if self.ends_task and result.ref is not None and result.run is not None:
            report = await asyncio.to_thread(RunReport.of, result.ref, result.run)
            if known_result(report.result) is ExecutionResult.SUCCESS and not report.failing_tasks:
                log.info("%s", report.text("its result is Success"))
                metrics.run_ended(report)
                links = await stored_links(ITwinHook(self.itwin_conn_id), result.ref)
                yield TaskSuccessEvent(xcoms={"return_value": event["report"], "run_report": event["report"], **links})
                return
        yield TriggerEvent(event)  # type: ignore[no-untyped-call]

    def _checked_spec(self) -> WaitSpec:
        self._stored.check(WaitSpec.unknown_members(self.spec))
        checked_text(self.itwin_conn_id, "itwin_conn_id")
        spec = WaitSpec.from_dict(self.spec)
        if self.timeout is None:
            return spec
        # The scheduler has stored when the task times out, so the timeout does not restart with the triggerer.
        ends_at = trigger_deadline(self)
        deadline = time.time() + self.timeout if ends_at is None else ends_at - self.grace
        # The configuration is read here: a DAG file that is only parsed does not need it.
        return replace(spec, deadline=deadline, began=deadline - self.timeout, outage_tolerance=outage_tolerance())

    async def on_kill(self) -> None:
        """Log that the run continues, when a user ends the waiting task (Airflow 3.3 and newer)."""
        log.warning(
            "The wait for %s ends; the run continues in the cloud: the iTwin Platform cannot cancel a run.",
            self._target,
        )

    @property
    def _target(self) -> str:
        try:
            return WaitSpec.from_dict(self.spec).target
        except ValueError:
            return "a run"


_PARAMETERS = parameters_of(ITwinRunTrigger)


def _log_beginning(spec: WaitSpec) -> None:
    # A separate function: logging inspects the calling frame, and an inspected coroutine takes more memory during the wait.
    log.info("Waiting for %s", spec.target)
