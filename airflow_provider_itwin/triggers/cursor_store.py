"""The cursor of a watcher in the state store of its assets (Airflow 3.3 and newer)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_itwin.api.runs.finished_feed import Cursor

log = logging.getLogger(__name__)


class CursorStore:
    """
    Reads and writes the cursor of a watcher; without a state store, nothing is stored.

    :param stores: the state store of each asset
    :param target: what is polled, for log lines
    :param key: the key of the cursor in each store
    """

    def __init__(self, stores: list[Any], target: str, key: str) -> None:
        self._stores = stores
        self._target = target
        self._key = key
        self._written: Cursor | None = None
        self._is_failing = False

    async def read(self) -> Cursor | None:
        """
        Return the newest stored cursor; None if there is none.

        :raises ITwinConnectionError: if Airflow cannot read it; to begin without it would lose runs
        """
        from airflow_provider_itwin.api.errors import ITwinConnectionError

        cursors = []
        for store in self._stores:
            try:
                values = await store.aget(self._key)
            except Exception as error:
                raise ITwinConnectionError(f"Airflow could not read the stored cursor: {error}") from error
            cursor = None if values is None else self._parse(values)
            cursors += [] if cursor is None else [cursor]
        self._written = max(cursors, key=lambda cursor: cursor.since, default=None)
        return self._written

    def _parse(self, values: Any) -> Cursor | None:
        from airflow_provider_itwin.api.models.stored_version import UnknownVersionError
        from airflow_provider_itwin.api.runs.finished_feed import Cursor

        try:
            return Cursor.from_dict(values)
        except UnknownVersionError as error:
            # A run that is reported twice is better than one that is never reported.
            log.warning("%s Polling %s resumes by time alone; a run can be reported twice.", error, self._target)
            return Cursor.from_newer(values)
        except ValueError as error:
            log.warning(
                "The stored cursor of %s is invalid; runs that have finished before now are not reported: %s",
                self._target,
                error,
            )
            return None

    async def write(self, cursor: Cursor) -> None:
        """Persist the cursor; on failure log, and retry at the next write."""
        if not self._stores or cursor == self._written:
            return
        try:
            for store in self._stores:
                await store.aset(self._key, cursor.as_dict())
        except Exception as error:  # noqa: BLE001 (Airflow raises various errors)
            if not self._is_failing:
                log.warning(
                    "Could not store the cursor of %s: after a restart, runs may be reported again. %s",
                    self._target,
                    error,
                )
            self._is_failing = True
        else:
            self._written, self._is_failing = cursor, False
