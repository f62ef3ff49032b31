"""
The trigger of an ``AssetWatcher``: an event for each run of a connection that finishes, whoever started it.

Airflow 3 and newer have such triggers. DAG files import this module, so whatever needs more than Airflow is imported where it is
used.
"""

from __future__ import annotations

import hashlib
import logging
from asyncio import sleep
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import AsyncExitStack, aclosing
from datetime import timedelta
from time import monotonic
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from airflow_provider_itwin.api.errors import ITwinInputError
from airflow_provider_itwin.api.models.enums import ConnectionKind, ExecutionResult, known_result
from airflow_provider_itwin.api.models.validation import checked_id
from airflow_provider_itwin.assets import RUN_KEY, short_report
from airflow_provider_itwin.triggers.cursor_store import CursorStore
from airflow_provider_itwin.utils.stored_kwargs import StoredKwargs, parameters_of
from airflow_provider_itwin.version_compat import asset_state_stores, event_trigger_queue

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from airflow_provider_itwin.api.async_client import AsyncITwinClient
    from airflow_provider_itwin.api.models.json_types import KindName
    from airflow_provider_itwin.api.runs.finished_feed import Cursor, FeedUpdate, FinishedRun
    from airflow_provider_itwin.api.runs.result_policy import ResultName
    from airflow_provider_itwin.api.wait.schedule import FeedSchedule

log = logging.getLogger(__name__)

DEFAULT_CATCH_UP = 7 * 24 * 3600.0

_EVENT_STORED_AFTER = 5.0
"""Seconds after which Airflow has certainly stored an event; it stores events about once per second."""

_ONE_DAY = 24 * 3600.0


class ITwinRunEventTrigger(BaseEventTrigger):
    """
    Fires for each run of a connection that finishes, so that a DAG can start after runs that somebody else started.

    The payload is ``{"itwin_run": {...}}`` with `ref`, `state`, `result`, `started`, `ended`, `duration`, `totals`, `error` and
    `summary`; :func:`airflow_provider_itwin.assets.triggering_runs` returns it to the tasks of the DAG that was started.

    **Reported runs.** On its very first start, a watcher does not report runs that have finished before. It reports each run that
    finishes later once, oldest first, including a run that is active at the start.

    On Airflow 3.3 and newer, the watcher stores its cursor in the asset's state store. After a restart of the triggerer, or after
    the DAG was paused, it reports the runs that finished meanwhile: the 100 newest at most, and none that ended longer than
    `catch_up` ago. It stores the cursor some seconds after an event, when Airflow has stored the event. If the triggerer is
    killed within these seconds, the run is reported twice, with the same run id, rather than never.
    Airflow 3.0 to 3.2 have no such store: each restart is a first start, and runs that finish while no triggerer runs are not
    reported.

    **Errors** never fire an event and never end the watcher. It logs them once in the triggerer's log and retries.

    Mirrors ``get-storage-connection``, ``get-storage-connection-runs`` and ``get-storage-connection-run``, or the same operations
    of the other kinds.

    :param itwin_conn_id: the Airflow connection, of type ``itwin``
    :param kind: kind of the connection: ``storage``, ``manifest`` or ``export``
    :param connection_id: id of the iTwin connection
    :param poll_interval: seconds, or a timedelta, between two polls; None: 5 % of the time since the last change, at least 10 s
        and at most 2 min
    :param fire_on: results to report, such as ``["Success", "PartialSuccess"]``; None: all
    :param catch_up: seconds, or a timedelta, before a restart; runs that ended earlier are not reported; None: no limit; default:
        7 days
    :param queue: queue of the triggerers that run this watcher (Airflow 3.4 and newer, with ``[triggerer] queues_enabled``);
        None: any triggerer
    :param stored: ``version``, the version of these parameters, and parameters that a later version of this package stored
    """

    def __init__(
        self,
        itwin_conn_id: str,
        kind: KindName | ConnectionKind,
        connection_id: str,
        poll_interval: float | timedelta | None = None,
        fire_on: Iterable[ResultName | ExecutionResult] | None = None,
        catch_up: float | timedelta | None = DEFAULT_CATCH_UP,
        *,
        queue: str | None = None,
        **stored: Any,
    ) -> None:
        super().__init__(**event_trigger_queue(queue))  # type: ignore[no-untyped-call]
        self._stored = StoredKwargs(type(self).__name__, stored)
        self.itwin_conn_id = itwin_conn_id
        self.kind = kind
        self.connection_id = connection_id
        self.poll_interval = _seconds(poll_interval)
        # The parameters are validated when the trigger runs: an error in the constructor would stop the triggerer.
        self.fire_on = _serializable(fire_on)
        self.catch_up = _seconds(catch_up)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class and the parameters that make an equal trigger."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {**{name: getattr(self, name) for name in _PARAMETERS}, **self._stored.as_dict()},
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Poll for ever, and fire for each run that finishes."""
        from airflow_provider_itwin.api.wait.schedule import FeedSchedule

        try:
            self._stored.check()
            self._check()
            schedule = FeedSchedule(self._target, self.poll_interval, monotonic)
        except (ValueError, TypeError) as error:
            log.error("Cannot poll for finished runs: %s", error)  # noqa: TRY400 (the text says everything)
            # Airflow would restart a trigger that ends, again and again.
            while True:  # noqa: ASYNC110 (there is nothing to wait for)
                await sleep(_ONE_DAY)
        log.info("Polling %s for finished runs", self._target)
        store = CursorStore(asset_state_stores(self), self._target, self._store_key)
        cursor = await self._read_cursor(store, schedule)
        async with aclosing(self._updates(cursor, schedule)) as updates:
            async for update in updates:
                if update.is_gap:
                    log.warning(
                        "More runs of %s have finished than can be reported; the oldest are missing", self._target
                    )
                reports = [run.report for run in update.finished if self._fires_on(run)]
                for report in reports:
                    log.info("%s. Run %s", report.summary, report.ref)
                    yield TriggerEvent({RUN_KEY: short_report(report.as_dict())})  # type: ignore[no-untyped-call]
                if reports:
                    await sleep(_EVENT_STORED_AFTER)
                await store.write(update.cursor)

    async def _read_cursor(self, store: CursorStore, schedule: FeedSchedule) -> Cursor | None:
        """Return the stored cursor; retry until Airflow can read it."""
        from airflow_provider_itwin.api.errors import ITwinConnectionError

        while True:
            try:
                return await store.read()
            except ITwinConnectionError as error:
                await sleep(schedule.after_error(error))

    async def _updates(self, cursor: Cursor | None, schedule: FeedSchedule) -> AsyncGenerator[FeedUpdate, None]:
        """Poll for ever: yield the result of each poll that succeeds, and retry after each that fails."""
        polled: dict[str, FinishedRun] = {}
        catch_up = self.catch_up
        client: AsyncITwinClient | None = None
        async with AsyncExitStack() as stack:
            while True:
                try:
                    if client is None:
                        client = await stack.enter_async_context(self._client())
                    update = await self._poll_once(client, cursor, catch_up, polled)
                except Exception as error:  # noqa: BLE001 (no error ends the watcher)
                    if not getattr(error, "transient", False):
                        # The next poll reads the Airflow connection again: it may have been fixed.
                        client = None
                        await stack.aclose()
                    await sleep(schedule.after_error(error))
                    continue
                yield update
                has_changed = update.cursor != cursor
                cursor, catch_up = update.cursor, None
                await sleep(schedule.after_poll(has_changed=has_changed))

    def _client(self) -> AbstractAsyncContextManager[AsyncITwinClient]:
        from airflow_provider_itwin.hooks.itwin import ITwinHook

        return ITwinHook(self.itwin_conn_id).async_client()

    async def _poll_once(
        self, client: AsyncITwinClient, cursor: Cursor | None, catch_up: float | None, polled: dict[str, FinishedRun]
    ) -> FeedUpdate:
        from airflow_provider_itwin.api.runs.finished_feed import poll_finished_runs

        kind = ConnectionKind(self.kind)
        flow = poll_finished_runs(client.account, kind, self.connection_id, cursor, catch_up, polled)
        return await client.run_flow(flow)

    def _fires_on(self, run: FinishedRun) -> bool:
        return self.fire_on is None or known_result(run.report.result) in map(known_result, self.fire_on)

    def _check(self) -> None:
        """
        Check the parameters.

        :raises ValueError: for an invalid parameter
        """
        ConnectionKind(self.kind)
        checked_id(self.connection_id, "connection_id")
        if self.catch_up is not None and not 0 <= self.catch_up < float("inf"):
            raise ITwinInputError(f"catch_up must be a number of seconds, or None for no limit, not {self.catch_up!r}")
        for name in self.fire_on or ():
            if not isinstance(name, str) or known_result(name) is None:
                raise ITwinInputError(f"invalid fire_on {name!r}; expected one of {', '.join(ExecutionResult)}")

    @property
    def _target(self) -> str:
        return f"{self.kind} connection {self.connection_id}"

    @property
    def _store_key(self) -> str:
        """The key in the asset's state store; watchers of one asset that report different runs have different keys."""
        parts = [self.connection_id, *sorted(str(known_result(name)) for name in self.fire_on or ())]
        return f"itwin_finished_runs.{self.kind}.{hashlib.sha256('/'.join(parts).encode()).hexdigest()[:32]}"


# Airflow stores the queue itself.
_PARAMETERS = tuple(name for name in parameters_of(ITwinRunEventTrigger) if name != "queue")


def _seconds(duration: float | timedelta | None) -> float | None:
    """Return a duration as JSON; an invalid one stays as it is until the trigger runs."""
    return duration.total_seconds() if isinstance(duration, timedelta) else duration


def _serializable(names: Any) -> Any:
    """Return `fire_on` in a form that is equal to itself after serialization."""
    if names is None or isinstance(names, list):
        return names
    return [names] if isinstance(names, str) or not isinstance(names, Iterable) else sorted(map(str, names))
