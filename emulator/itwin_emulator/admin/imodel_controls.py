"""The controls of iModels: changesets and named versions that come from no client. Thread-safe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from itwin_emulator.api.imodel_serializer import ImodelSerializer
from itwin_emulator.api.serializers import Serializer
from itwin_emulator.domain.imodel_history import ImodelHistory
from itwin_emulator.domain.run_plans import MAX_CHANGESETS
from itwin_emulator.domain.store import Store


@dataclass(frozen=True, slots=True)
class ImodelControls:
    """
    The controls of the histories of iModels.

    :param get_url: returns the origin of the service
    :param on_change: called after a change of the store
    """

    store: Store
    get_url: Callable[[], str]
    on_change: Callable[[], None]

    def push_changesets(
        self, imodel_id: str, count: int = 1, creator: str = "somebody-else", description: str = "Edited by hand"
    ) -> list[str]:
        """
        Push changesets to an iModel as another program would, also during a run. Return their ids.

        :param creator: id of a client, or another name
        """
        if not 1 <= count <= MAX_CHANGESETS:
            raise ValueError(f"count must be between 1 and {MAX_CHANGESETS}")
        with self.store.lock:
            history = self._history(imodel_id)
            now = self.store.clock.now()
            pushed = [history.push(now, creator, description).id for _ in range(count)]
        self.on_change()
        return pushed

    def changesets(self, imodel_id: str) -> list[dict[str, Any]]:
        """Return the full changesets of an iModel as in the API, oldest first."""
        with self.store.lock:
            history = self._history(imodel_id)
            serializer = self._serializer(imodel_id)
            return [serializer.changeset(one, history) for one in history.changesets]

    def add_named_version(self, imodel_id: str, name: str, changeset: str | int | None = None) -> str:
        """
        Add a named version to an iModel and return its id.

        :param changeset: id or index; None: the newest changeset, or the baseline if there is none
        """
        with self.store.lock:
            history = self._history(imodel_id)
            newest = history.changesets[-1] if history.changesets else None
            chosen = newest if changeset is None else history.changeset(str(changeset))
            if changeset is not None and chosen is None:
                raise LookupError(f"iModel {imodel_id!r} has no changeset {changeset!r}")
            if history.named_version_called(name) or history.named_version_on(chosen.index if chosen else 0):
                raise ValueError(f"iModel {imodel_id!r} has a named version {name!r}, or one on this changeset")
            version = history.add_named_version(name, chosen, self.store.clock.now(), "somebody-else")
        self.on_change()
        return version.id

    def named_versions(self, imodel_id: str) -> list[dict[str, Any]]:
        """Return the full named versions of an iModel as in the API, oldest first."""
        with self.store.lock:
            history = self._history(imodel_id)
            serializer = self._serializer(imodel_id)
            return [serializer.named_version(one) for one in history.named_versions]

    def _history(self, imodel_id: str) -> ImodelHistory:
        if imodel_id not in self.store.imodels:
            raise LookupError(f"no iModel {imodel_id!r}")
        return self.store.history(imodel_id)

    def _serializer(self, imodel_id: str) -> ImodelSerializer:
        clock = self.store.clock
        base = Serializer(clock.now(), clock.skew, self.get_url(), self.store.quirks)
        return ImodelSerializer(base, self.store.imodels[imodel_id])
