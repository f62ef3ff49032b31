"""
The trigger behind an ``AssetWatcher``: an event for each run of a connection that ends, whoever started it.

For Airflow 3 and newer, which alone has such triggers. A DAG file that watches imports this module, so what it needs more than
Airflow is imported where it is used.
"""

from __future__ import annotations

import hashlib
import logging
from asyncio import sleep
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack
from time import monotonic
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from airflow_provider_itwin.api.errors import ITwinInputError
from airflow_provider_itwin.api.models.enums import ConnectionKind, known_result
from airflow_provider_itwin.api.models.validation import checked_id
from airflow_provider_itwin.utils.asset_events import RUN_KEY, told_run
from airflow_provider_itwin.utils.stored_kwargs import StoredKwargs, parameters_of

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from airflow_provider_itwin.api.async_client import AsyncITwinClient
    from airflow_provider_itwin.api.runs.finished_feed import (
        Cursor,
        Ended,
        PollOutcome,
    )
    from airflow_provider_itwin.api.wait.schedule import FeedSchedule

log = logging.getLogger(__name__)

DEFAULT_CATCH_UP = 7 * 24 * 3600.0

_SETTLING = 5.0
"""Seconds from an event to the moment when Airflow has certainly written it down: it does so about every second."""

_FOR_EVER = 24 * 3600.0


class ITwinRunEventTrigger(BaseEventTrigger):
    """
    Fires for each run of a connection that ends, so that a DAG can be started by runs that somebody else has started.

    The payload is ``{"itwin_run": {...}}`` with `ref`, `state`, `result`, `started`, `ended`, `duration`, `totals`, `error` and
    `summary`; :func:`airflow_provider_itwin.assets.triggering_runs` gives it to the tasks of the DAG that was started.

    **What is told.** On its very first start a watcher takes what has ended before for history: only runs that end from then on
    are told, one that is under way included. Each is told once, oldest first, also when several end between two looks.

    On Airflow 3.3 and newer the watcher writes down in the asset's state store how far it has come. After a restart of the
    triggerer, or when the DAG was paused, it tells what has ended meanwhile: the 100 newest runs at most, and none that ended
    longer than `catch_up` ago. It writes some seconds after it has fired, when Airflow has the event: a triggerer that is killed
    within these seconds tells the same run once more, with the same run id, rather than not at all.
    On Airflow 3.0 to 3.2, which have no such store, a restart is a first start: what ends while no triggerer runs is not told.

    **Trouble** with the service, or refusals of it, never fire an event and never end the watcher: they are told in the
    triggerer's log once, and the watcher goes on.

    :param itwin_conn_id: the Airflow connection
    :param kind: ``storage``, ``manifest`` or ``export``
    :param connection_id: the iTwin connection
    :param poll_interval: seconds between two looks; None: 5 % of the time since something last happened, from 10 s to 2 min
    :param fire_on: only tell runs with these results, such as ``["Success", "PartialSuccess"]``; None: all
    :param catch_up: seconds, from now backwards, for which runs are told that ended while nobody watched; None: no limit
    """

    def __init__(
        self,
        itwin_conn_id: str,
        kind: str,
        connection_id: str,
        poll_interval: float | None = None,
        fire_on: Iterable[str] | None = None,
        catch_up: float | None = DEFAULT_CATCH_UP,
        **stored: Any,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._stored = StoredKwargs(type(self).__name__, stored)
        self.itwin_conn_id = itwin_conn_id
        self.kind = kind
        self.connection_id = connection_id
        self.poll_interval = poll_interval
        # What does not make sense is found out when the trigger runs: a constructor that raised would take down the triggerer.
        self.fire_on = _as_list(fire_on)
        self.catch_up = catch_up

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Give the class and the parameters that make an equal trigger."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {**{name: getattr(self, name) for name in _PARAMETERS}, **self._stored.as_dict()},
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Watch, and fire for each run that ends; never ends by itself."""
        from airflow_provider_itwin.api.wait.schedule import FeedSchedule

        try:
            self._stored.check()
            self._check()
            rhythm = FeedSchedule(self._target, self.poll_interval, monotonic)
        except (ValueError, TypeError) as error:
            log.error("Nothing is watched: %s", error)  # noqa: TRY400 (the reason is all there is to tell)
            # A trigger that ended would be started again at once, and again.
            while True:  # noqa: ASYNC110 (there is nothing to wait for)
                await sleep(_FOR_EVER)
        log.info("Watching %s", self._target)
        logbook = _Logbook(getattr(self, "asset_state_store", None), self._target, self._store_key)
        cursor = await logbook.read(rhythm)
        memo: dict[str, Ended] = {}
        catch_up = self.catch_up
        client: AsyncITwinClient | None = None
        async with AsyncExitStack() as lent:
            while True:
                try:
                    if client is None:
                        client = await lent.enter_async_context(self._client())
                    poll_outcome = await self._look(client, cursor, catch_up, memo)
                except Exception as error:  # noqa: BLE001 (whatever it is, the watcher goes on)
                    if not getattr(error, "transient", False):
                        # The next look reads the Airflow connection anew: somebody may have put it right.
                        client = None
                        await lent.aclose()
                    await sleep(rhythm.after_error(error))
                    continue
                catch_up = None
                if poll_outcome.is_gap:
                    log.warning(
                        "More runs of %s have ended than can be told at once: only the newest are", self._target
                    )
                to_tell = [ended.report for ended in poll_outcome.news if self._fires_on(ended)]
                for report in to_tell:
                    log.info("%s. Run %s", report.summary, report.ref)
                    yield TriggerEvent({RUN_KEY: told_run(report.as_dict())})  # type: ignore[no-untyped-call]
                if to_tell:
                    await sleep(_SETTLING)
                has_changed = poll_outcome.cursor != cursor
                cursor = poll_outcome.cursor
                await logbook.write(cursor)
                await sleep(rhythm.after_poll(has_changed=has_changed))

    def _client(self) -> AbstractAsyncContextManager[AsyncITwinClient]:
        from airflow_provider_itwin.hooks.itwin import ITwinHook

        return ITwinHook(self.itwin_conn_id).async_client()

    async def _look(
        self, client: AsyncITwinClient, cursor: Cursor | None, catch_up: float | None, memo: dict[str, Ended]
    ) -> PollOutcome:
        from airflow_provider_itwin.api.runs.finished_feed import look_for_ended

        kind = ConnectionKind(self.kind)
        return await client.run_flow(look_for_ended(client.account, kind, self.connection_id, cursor, catch_up, memo))

    def _fires_on(self, ended: Ended) -> bool:
        return self.fire_on is None or known_result(ended.report.result) in map(known_result, self.fire_on)

    def _check(self) -> None:
        """
        Look at the parameters.

        :raises ValueError: if they make no sense
        """
        ConnectionKind(self.kind)
        checked_id(self.connection_id, "connection_id")
        if self.catch_up is not None and not 0 <= self.catch_up < float("inf"):
            raise ITwinInputError(f"catch_up must be seconds, or None for no limit, not {self.catch_up!r}")
        for name in self.fire_on or ():
            if not isinstance(name, str) or known_result(name) is None:
                raise ITwinInputError(f"fire_on names {name!r}, which is no result of a run")

    @property
    def _target(self) -> str:
        return f"{self.kind} connection {self.connection_id}"

    @property
    def _store_key(self) -> str:
        """The key in the asset's state store: watchers of one asset that tell different things have different ones."""
        parts = [self.connection_id, *sorted(str(known_result(name)) for name in self.fire_on or ())]
        return f"itwin_runs_told.{self.kind}.{hashlib.sha256('/'.join(parts).encode()).hexdigest()[:32]}"


_PARAMETERS = parameters_of(ITwinRunEventTrigger)


def _as_list(names: Any) -> Any:
    """Give what names results in a form that is equal to itself after it was written down."""
    if names is None or isinstance(names, list):
        return names
    return [names] if isinstance(names, str) or not isinstance(names, Iterable) else sorted(map(str, names))


class _Logbook:
    """
    How far a watcher has come, in the state store of its assets (Airflow 3.3); without one nothing is kept.

    :param store: what Airflow has given to the trigger
    """

    def __init__(self, store: Any, target: str, key: str) -> None:
        # One trigger serves all assets that are watched with equal parameters, and then the mapping as a whole refuses to.
        accessors = [*getattr(store, "_by_name", {}).values(), *getattr(store, "_by_uri", {}).values()]
        self._pages: list[Any] = accessors or ([] if store is None else [store])
        self._target = target
        self._key = key
        self._written: Cursor | None = None
        self._is_troubled = False

    async def read(self, rhythm: FeedSchedule) -> Cursor | None:
        """Give what was written last, None if nothing was; waits until Airflow can tell, for guessing would lose runs."""
        from airflow_provider_itwin.api.errors import ITwinConnectionError
        from airflow_provider_itwin.api.models.stored_version import UnknownVersionError
        from airflow_provider_itwin.api.runs.finished_feed import Cursor

        known: list[Cursor] = []
        for page in self._pages:
            while True:
                try:
                    values = await page.aget(self._key)
                except Exception as error:  # noqa: BLE001 (Airflow's own unreadable, of any kind)
                    unreadable = ITwinConnectionError(f"Airflow does not tell how far the watcher had come: {error}")
                    await sleep(rhythm.after_error(unreadable))
                else:
                    break
            try:
                known += [Cursor.from_dict(values)] if values is not None else []
            except UnknownVersionError as error:
                # A run that is reported twice is better than one that is never reported.
                log.warning("%s Watching %s resumes by time alone; a run can be reported twice.", error, self._target)
                newer = Cursor.from_newer(values)
                known += [newer] if newer is not None else []
            except ValueError as error:
                log.warning(
                    "What was kept about watching %s cannot be read, so it begins anew: %s", self._target, error
                )
        self._written = max(known, key=lambda cursor: cursor.since, default=None)
        return self._written

    async def write(self, cursor: Cursor) -> None:
        """Write how far the watcher has come; when that fails, the next time makes good for it."""
        if not self._pages or cursor == self._written:
            return
        try:
            for page in self._pages:
                await page.aset(self._key, cursor.as_dict())
        except Exception as error:  # noqa: BLE001 (Airflow's own trouble, of any kind)
            if not self._is_troubled:
                log.warning(
                    "How far watching %s has come could not be written down: after a restart, runs may be told again. %s",
                    self._target,
                    error,
                )
            self._is_troubled = True
        else:
            self._written, self._is_troubled = cursor, False
