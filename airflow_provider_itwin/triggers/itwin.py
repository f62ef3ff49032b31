"""Triggers: waiting for runs in the triggerer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from airflow.providers.common.compat.sdk import AirflowException
from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_itwin.api.errors import ITwinError
from airflow_provider_itwin.api.waiting import DEFAULT_OUTAGE_TOLERANCE, WaitEnd, WaitOrder, WaitOutcome
from airflow_provider_itwin.hooks.itwin import ITwinHook


class ITwinRunTrigger(BaseTrigger):
    """
    Waits for a run and fires once, with what :class:`~airflow_provider_itwin.api.waiting.WaitOutcome` says.

    All it knows is in its parameters, which are JSON values and hold no secret: a restarted triggerer goes on where the old
    one stopped. The run is looked at before the deadline is judged, so one that finished meanwhile counts as finished.

    :param itwin_conn_id: the Airflow connection
    :param kind: ``storage``, ``manifest`` or ``export``
    :param connection_id: the iTwin connection
    :param run_id: the run; None for the newest that began at or after `started_after`
    :param poll_interval: seconds between two looks, None for the adaptive schedule
    :param deadline: epoch seconds at which the wait ends
    :param started_after: ISO 8601, needed with no `run_id`
    :param began: epoch seconds at which the wait began; the adaptive schedule counts from there
    :param outage_tolerance: seconds without one good answer after which the wait is given up
    :param in_queue: whether the run is another task's, waited for only to start one of our own
    :param memo: what the task wants to find again in the event
    :raises ValueError: for parameters that make no sense
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
        in_queue: bool = False,
        memo: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.itwin_conn_id = itwin_conn_id
        self.memo = memo
        self.order = WaitOrder(
            kind=kind,  # type: ignore[arg-type]
            connection_id=connection_id,
            run_id=run_id,
            started_after=started_after,
            poll_interval=poll_interval,
            deadline=deadline,
            began=began,
            outage_tolerance=outage_tolerance,
            in_queue=in_queue,
        )

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Give the class and the parameters that make an equal trigger."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {"itwin_conn_id": self.itwin_conn_id, **self.order.as_dict(), "memo": self.memo},
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and fire once."""
        self.log.info("Waiting for %s", self.order.target)
        try:
            outcome = await ITwinHook(self.itwin_conn_id).wait_async(self.order)
        except (ITwinError, ValueError, AirflowException) as error:
            refused = error if isinstance(error, ITwinError) else ITwinError(str(error))
            outcome = WaitOutcome(WaitEnd.REFUSED, self.order.ref, error=refused)
        yield TriggerEvent(outcome.as_event(self.order, self.memo))  # type: ignore[no-untyped-call]

    async def on_kill(self) -> None:
        """Say that the run goes on, when somebody ends the waiting task (Airflow 3.3 and newer)."""
        self.log.warning(
            "The wait for %s ends; the run goes on in the cloud: the iTwin Platform has no operation to cancel one.",
            self.order.target,
        )
