"""The platform itself: what exists, who may touch it, and the one rule that shapes everything: one run per iModel."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import overload

from itwin_emulator.api.json_cache import RunPrints
from itwin_emulator.api.serializers import Show
from itwin_emulator.domain import ids
from itwin_emulator.domain.catalog import Catalog
from itwin_emulator.domain.clock import Clock
from itwin_emulator.domain.entities import (
    AUTHENTICATION_TYPES,
    Client,
    Connection,
    IModel,
    ITwin,
    SourceFile,
    invent_files,
)
from itwin_emulator.domain.kinds import KINDS, Kind
from itwin_emulator.domain.quirks import Oddities
from itwin_emulator.domain.run_plans import USER_NOT_AUTHENTICATED, RunPlan
from itwin_emulator.domain.runs import Run
from itwin_emulator.http import errors


class NewestFirst(Sequence[Run]):
    """The first so many of a list of runs the other way round; a page of it costs no more than the page."""

    def __init__(self, runs: Sequence[Run], count: int) -> None:
        self._runs = runs
        self._count = count

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Run: ...

    @overload
    def __getitem__(self, index: slice) -> list[Run]: ...

    def __getitem__(self, index: int | slice) -> Run | list[Run]:
        places = range(self._count - 1, -1, -1)[index]
        return self._runs[places] if isinstance(places, int) else [self._runs[place] for place in places]


@dataclass(slots=True)
class Platform:
    """All state of the emulated service. Whoever uses it from outside its own methods holds the lock."""

    clock: Clock
    oddities: Oddities = field(default_factory=Oddities)
    prints: RunPrints = field(default_factory=RunPrints)
    clients: dict[str, Client] = field(default_factory=dict)
    itwins: dict[str, ITwin] = field(default_factory=dict)
    imodels: dict[str, IModel] = field(default_factory=dict)
    connections: Catalog = field(default_factory=Catalog)
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False)
    _runs: dict[str, Run] = field(default_factory=dict)
    """All runs by their ids."""
    _newest: dict[str, Run] = field(default_factory=dict)
    """The newest run of each iModel, active or not."""
    _maybe_active: dict[str, Run] = field(default_factory=dict)
    """Runs by their ids: all those at work, and some that have ended without anybody looking."""
    _starting: set[str] = field(default_factory=set)

    def show(self, origin: str) -> Show:
        """Give a printer of entities as they are at this moment."""
        return Show(self.clock.now(), self.clock.skew, origin, self.oddities)

    # What exists

    def add_itwin(self, itwin_id: str | None = None, display_name: str | None = None) -> ITwin:
        """Add an iTwin, or give the one with this id."""
        with self.lock:
            key = itwin_id or ids.guid()
            return self.itwins.setdefault(key, ITwin(key, display_name or f"iTwin {len(self.itwins) + 1}"))

    def add_imodel(
        self, imodel_id: str | None = None, itwin_id: str | None = None, display_name: str | None = None
    ) -> IModel:
        """Add an iModel, or give the one with this id."""
        with self.lock:
            if imodel_id is not None and imodel_id in self.imodels:
                return self.imodels[imodel_id]
            home = self.add_itwin(itwin_id or next(iter(self.itwins), None))
            key = imodel_id or ids.guid()
            imodel = IModel(key, home.id, display_name or f"iModel {len(self.imodels) + 1}")
            self.imodels[key] = imodel
            return imodel

    def add_connection(
        self,
        kind: Kind,
        connection_id: str | None = None,
        imodel_id: str | None = None,
        display_name: str | None = None,
        authentication_type: str = "Service",
        files: Iterable[SourceFile] | None = None,
    ) -> Connection:
        """Add a connection; without an iModel it gets one of its own."""
        if kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, not {kind!r}")
        if authentication_type not in AUTHENTICATION_TYPES:
            raise ValueError(f"authentication_type must be User or Service, not {authentication_type!r}")
        with self.lock:
            key = connection_id or ids.opaque_id()
            if not ids.is_sound(key):
                raise ValueError(f"connection id {key!r}: only letters, digits, '-' and '_', at most 128 of them")
            if key in self.connections:
                raise ValueError(f"there is a connection {key!r} already")
            imodel = self.add_imodel(imodel_id)
            own = list(files) if files is not None else invent_files(1 if kind == "export" else 3)
            connection = Connection(key, kind, imodel.id, display_name, authentication_type, files=own)
            self.connections.add(connection, imodel.itwin_id)
            return connection

    def adopt(self, connection: Connection) -> None:
        """Take in a connection with runs of its own, from a kept state."""
        with self.lock:
            self.connections.add(connection, self.imodels[connection.imodel_id].itwin_id)
            for run in connection.runs:
                self._file_run(run)

    def remove_connection(self, connection: Connection) -> None:
        """Forget a connection and its runs; one that is at work goes on and keeps the iModel busy."""
        with self.lock:
            self.connections.remove(connection)
            for run in connection.runs:
                self._runs.pop(run.id, None)

    def connection(self, connection_id: str) -> Connection:
        """Give a connection by its id, of whatever kind, for the emulator's own controls."""
        with self.lock:
            if connection_id not in self.connections:
                raise LookupError(f"no connection {connection_id!r}")
            return self.connections[connection_id]

    # Who may touch it

    def role(self, client: Client, imodel_id: str) -> str | None:
        """Tell a client's role where an iModel belongs, or None if it has not been invited there."""
        if client.everywhere:
            return "owner"
        imodel = self.imodels.get(imodel_id)
        itwin = self.itwins.get(imodel.itwin_id) if imodel else None
        return itwin.members.get(client.id) if itwin else None

    def visible(self, client: Client, kind: Kind, connection_id: str) -> Connection:
        """Give the connection if the client may see it; what it may not see does not exist for it."""
        connection = self.connections.get(connection_id)
        if connection is None or connection.kind != kind:
            raise KINDS[kind].connection_not_found()
        if self.role(client, connection.imodel_id) is None:
            # Only the pages of the Export API still promise a 403 to those who merely look.
            raise errors.insufficient_permissions() if kind == "export" else KINDS[kind].connection_not_found()
        return connection

    def listed(self, client: Client, kind: Kind | None, imodel_id: str | None) -> Sequence[Connection]:
        """Give the connections that a list shows to a client: of an iModel, or all of a kind that it may see."""
        if imodel_id is not None:
            return self.connections.of_imodel(imodel_id, kind) if self.role(client, imodel_id) else ()
        if kind is None:
            raise ValueError("either a kind or an iModel must be named")
        if client.everywhere:
            return self.connections.of_kind(kind)
        return self.connections.of_itwins((one.id for one in self.itwins.values() if client.id in one.members), kind)

    # Runs

    def active_run(self, imodel_id: str) -> Run | None:
        """Give the run that is at work on an iModel, whoever started it and whatever its kind."""
        with self.lock:
            run = self._newest.get(imodel_id)
            return run if run is not None and run.is_active(self.clock.now()) else None

    def active_runs(self) -> list[Run]:
        """Give all runs that are at work, in the order of their starts."""
        with self.lock:
            now = self.clock.now()
            over = [run.id for run in self._maybe_active.values() if not run.is_active(now)]
            for run_id in over:
                del self._maybe_active[run_id]
            return list(self._maybe_active.values())

    def record_run(self, connection: Connection, run: Run) -> None:
        """Note a run of a connection, newer than those that it had before."""
        with self.lock:
            connection.runs.append(run)
            self._file_run(run)

    def _file_run(self, run: Run) -> None:
        self._runs[run.id] = run
        if run.is_active(self.clock.now()):
            self._maybe_active[run.id] = run
        newest = self._newest.get(run.imodel_id)
        if newest is None or newest.started <= run.started:
            self._newest[run.imodel_id] = run

    def begin_run(self, connection: Connection, files: Sequence[SourceFile] | None = None) -> tuple[Run, bool]:
        """Start a run, or give the active one of the iModel; the second value tells whether it is new."""
        with self.lock:
            active = self.active_run(connection.imodel_id)
            if active is not None:
                return active, False
            plan = self._next_plan(connection)
            if plan.invent_files is not None:
                work = invent_files(plan.invent_files)
            elif files is not None:
                work = list(files)
            elif connection.kind == "export":
                work = connection.files[:1] or invent_files(1)
            else:
                work = list(connection.files)
            run = Run.begin(connection, work, plan, self.clock.now(), self.clock.speed)
            self.record_run(connection, run)
            return run, True

    def claim_start(self, imodel_id: str) -> None:
        """Begin the start of a run that takes a while; refuse if another is being started for the iModel."""
        with self.lock:
            if imodel_id in self._starting:
                raise errors.conflicting_start(self.oddities.conflict_code)
            self._starting.add(imodel_id)

    def release_start(self, imodel_id: str) -> None:
        """End the start of a run."""
        with self.lock:
            self._starting.discard(imodel_id)

    def run(self, connection: Connection, run_id: str) -> Run | None:
        """Give a run by its id, or None if it does not exist or cannot be seen yet."""
        run = self._runs.get(run_id)
        return run if run is not None and run.connection_id == connection.id and self._is_visible(run) else None

    def _is_visible(self, run: Run) -> bool:
        hidden = self.oddities.invisible_for
        return not hidden or run.started + hidden <= self.clock.now()

    def last_run(self, connection: Connection) -> Run | None:
        """Give the run that the connection's ``lastRun`` shows."""
        for run in reversed(connection.runs):
            stale = self.oddities.stale_last_run_for
            if not stale or run.started + stale <= self.clock.now():
                return run
        return None

    def ordered_runs(self, connection: Connection) -> Sequence[Run]:
        """Give the runs of a connection in the order that the list shows them, without those that cannot be seen yet."""
        runs = connection.runs
        visible = len(runs)
        while visible and not self._is_visible(runs[visible - 1]):
            visible -= 1
        match self.oddities.run_order:
            case "oldest-first":
                return runs[:visible]
            case "shuffled":
                return sorted(runs[:visible], key=lambda run: ids.derived_id("shuffle", run.id))
            case _:
                return NewestFirst(runs, visible)

    def _next_plan(self, connection: Connection) -> RunPlan:
        if connection.next_plans:
            return connection.next_plans.pop(0)
        owner = self.clients.get(connection.owner or "")
        signed_in = connection.owner_signed_in or (owner is not None and owner.signed_in)
        if connection.authentication_type == "User" and not signed_in and not connection.planned:
            return RunPlan(result="Error", duration=60.0, error=USER_NOT_AUTHENTICATED)
        return connection.usual_plan
