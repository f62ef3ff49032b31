"""The trigger that waits for a job."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_itwin.api.errors import ITwinError
from airflow_provider_itwin.api.models.validation import checked_text
from airflow_provider_itwin.api.wait.any_wait import error_event
from airflow_provider_itwin.api.wait.job_wait import JobWaitSpec
from airflow_provider_itwin.hooks.itwin import ITwinHook
from airflow_provider_itwin.utils.stored_kwargs import StoredKwargs, parameters_of

# One logger for all triggers: a logger per trigger takes as much memory as its wait, and Airflow routes log lines by context.
log = logging.getLogger(__name__)


class ITwinJobTrigger(BaseTrigger):
    """
    Waits for a job and fires one event, a :class:`~airflow_provider_itwin.api.wait.job_wait.JobWaitEvent`.

    Its parameters are JSON values without secrets: the definition of the job and its reference, not its inputs. So a restarted
    triggerer resumes where the old one stopped.

    :param itwin_conn_id: the Airflow connection
    :param spec: what to wait for: a :class:`~airflow_provider_itwin.api.wait.job_wait.JobWaitSpec`, or its JSON values
    :param memo: returned to the task in the event
    :param cancel_on_kill: whether the job is canceled when a user ends the waiting task (Airflow 3.3 and newer)
    :param stored: ``version``, the version of these parameters, and parameters that a later version of this package stored
    """

    def __init__(
        self,
        itwin_conn_id: str,
        spec: JobWaitSpec | Mapping[str, object],
        memo: dict[str, object] | None = None,
        cancel_on_kill: bool = False,
        **stored: Any,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._stored = StoredKwargs(type(self).__name__, stored)
        self.itwin_conn_id = itwin_conn_id
        self.spec: Any = spec
        self.memo = memo
        self.cancel_on_kill = cancel_on_kill

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class and the parameters that make an equal trigger."""
        parameters = {name: getattr(self, name) for name in _PARAMETERS}
        if isinstance(self.spec, JobWaitSpec):
            parameters["spec"] = self.spec.as_dict()
        return f"{type(self).__module__}.{type(self).__qualname__}", {**parameters, **self._stored.as_dict()}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and fire one event."""
        try:
            self._stored.check(JobWaitSpec.unknown_members(self.spec))
            checked_text(self.itwin_conn_id, "itwin_conn_id")
            spec = JobWaitSpec.from_dict(self.spec)
        except ValueError as error:
            # The task fails with this text; an exception here would hide it.
            log.error("Cannot begin the wait: %s", error)  # noqa: TRY400 (the text says everything)
            yield TriggerEvent(error_event(error))  # type: ignore[no-untyped-call]
            return
        _log_beginning(spec)
        result = await ITwinHook(self.itwin_conn_id).wait_async(spec)
        event = await asyncio.to_thread(result.as_event, self.memo)
        yield TriggerEvent(event)  # type: ignore[no-untyped-call]

    async def on_kill(self) -> None:
        """Cancel the job when a user ends the waiting task (Airflow 3.3 and newer), or log why it continues."""
        try:
            spec = JobWaitSpec.from_dict(self.spec)
        except ValueError:
            return
        if not self.cancel_on_kill or spec.definition.cancel is None:
            log.warning("The wait for %s ends; the job continues in the cloud.", spec.target)
            return
        try:
            await ITwinHook(self.itwin_conn_id).cancel_job_async(spec.definition, spec.ref)
        except ITwinError as error:
            log.error("The task ends, but %s was not canceled: %s", spec.target, error)  # noqa: TRY400 (the text says all)
        else:
            log.warning("The task ends, so %s was canceled.", spec.target)


_PARAMETERS = parameters_of(ITwinJobTrigger)


def _log_beginning(spec: JobWaitSpec) -> None:
    # A separate function: logging inspects the calling frame, and an inspected coroutine takes more memory during the wait.
    log.info("Waiting for %s", spec.target)
