"""The state of the emulated platform: entities, roles and runs. At most one run is active per iModel."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import overload

from itwin_emulator.domain import ids, job_results
from itwin_emulator.domain.catalog import Catalog
from itwin_emulator.domain.changes import content_versions, unchanged_files
from itwin_emulator.domain.clock import Clock
from itwin_emulator.domain.entities import AUTHENTICATION_TYPES, Client, Connection, IModel, ITwin
from itwin_emulator.domain.exceptions import StartInProgressError
from itwin_emulator.domain.exports import ExportOutputs
from itwin_emulator.domain.imodel_history import ImodelHistory
from itwin_emulator.domain.job_registry import JobRegistry
from itwin_emulator.domain.kinds import KINDS, Kind
from itwin_emulator.domain.quirks import Quirks
from itwin_emulator.domain.run_plans import USER_NOT_AUTHENTICATED, RunPlan
from itwin_emulator.domain.runs import Run
from itwin_emulator.domain.source_files import SourceFile, invent_files
from itwin_emulator.domain.storage import Storage


class NewestFirst(Sequence[Run]):
    """A reversed view of the first ``count`` runs of a list; a page of it costs no more than the page."""

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
        indexes = range(self._count - 1, -1, -1)[index]
        return self._runs[indexes] if isinstance(indexes, int) else [self._runs[one] for one in indexes]


@dataclass(slots=True)
class Store:
    """All state of the emulated service. Code outside its methods must hold :attr:`lock` while it reads or writes."""

    clock: Clock
    quirks: Quirks = field(default_factory=Quirks)
    clients: dict[str, Client] = field(default_factory=dict)
    itwins: dict[str, ITwin] = field(default_factory=dict)
    imodels: dict[str, IModel] = field(default_factory=dict)
    connections: Catalog = field(default_factory=Catalog)
    storage: Storage = field(default_factory=Storage)
    export_outputs: ExportOutputs = field(default_factory=ExportOutputs)
    jobs: JobRegistry = field(default_factory=JobRegistry)
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False)
    _runs: dict[str, Run] = field(default_factory=dict)
    """All runs by id."""
    _newest: dict[str, Run] = field(default_factory=dict)
    """The newest run of each iModel, active or not."""
    _maybe_active: dict[str, Run] = field(default_factory=dict)
    """Runs by id: all active ones, and some that have ended since the last call of :meth:`active_runs`."""
    _starting: set[str] = field(default_factory=set)
    _histories: dict[str, ImodelHistory] = field(default_factory=dict)
    """By the id of the iModel."""

    # Entities

    def add_itwin(self, itwin_id: str | None = None, display_name: str | None = None) -> ITwin:
        """Add an iTwin, or return the existing one with this id."""
        with self.lock:
            key = itwin_id or ids.guid()
            now = self.clock.now()
            name = display_name or f"iTwin {len(self.itwins) + 1}"
            new = ITwin(key, name, created=now, modified=now)
            return self.itwins.setdefault(key, new)

    def add_imodel(
        self, imodel_id: str | None = None, itwin_id: str | None = None, display_name: str | None = None
    ) -> IModel:
        """Add an iModel, or return the existing one with this id."""
        with self.lock:
            if imodel_id is not None and imodel_id in self.imodels:
                return self.imodels[imodel_id]
            itwin = self.add_itwin(itwin_id or next(iter(self.itwins), None))
            key = imodel_id or ids.guid()
            name = display_name or f"iModel {len(self.imodels) + 1}"
            imodel = IModel(key, itwin.id, name, created=self.clock.now())
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
        """
        Add a connection.

        :param imodel_id: None: a new iModel
        :param files: None: invented files
        :raises ValueError: a value is invalid, or the id exists
        """
        if kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, not {kind!r}")
        if authentication_type not in AUTHENTICATION_TYPES:
            raise ValueError(f"authentication_type must be User or Service, not {authentication_type!r}")
        with self.lock:
            key = connection_id or ids.opaque_id()
            if not ids.is_valid(key):
                raise ValueError(f"connection id {key!r}: only letters, digits, '-' and '_', at most 128 of them")
            if key in self.connections:
                raise ValueError(f"connection {key!r} exists already")
            imodel = self.add_imodel(imodel_id)
            own = list(files) if files is not None else invent_files(1 if kind == "export" else 3)
            connection = Connection(key, kind, imodel.id, display_name, authentication_type, files=own)
            self.connections.add(connection, imodel.itwin_id)
            return connection

    def restore_connection(self, connection: Connection) -> None:
        """Add a connection that already has runs, from a state file."""
        with self.lock:
            self.connections.add(connection, self.imodels[connection.imodel_id].itwin_id)
            for run in connection.runs:
                self._index_run(run)

    def remove_connection(self, connection: Connection) -> None:
        """Remove a connection and its runs; an active run continues and still blocks the iModel."""
        with self.lock:
            self.connections.remove(connection)
            for run in connection.runs:
                self._runs.pop(run.id, None)

    def connection(self, connection_id: str) -> Connection:
        """
        Return a connection of any kind by id, for the control API.

        :raises LookupError: no such connection
        """
        with self.lock:
            if connection_id not in self.connections:
                raise LookupError(f"no connection {connection_id!r}")
            return self.connections[connection_id]

    # iTwins and iModels

    def remove_imodel(self, imodel: IModel) -> None:
        """Remove an iModel with its history and its connections."""
        with self.lock:
            for connection in list(self.connections.of_imodel(imodel.id, None)):
                self.remove_connection(connection)
            self._histories.pop(imodel.id, None)
            del self.imodels[imodel.id]

    def remove_itwin(self, itwin: ITwin) -> None:
        """Remove an iTwin with its iModels and its files."""
        with self.lock:
            for imodel in [one for one in self.imodels.values() if one.itwin_id == itwin.id]:
                self.remove_imodel(imodel)
            self.storage.remove_itwin(itwin.id)
            del self.itwins[itwin.id]

    def history(self, imodel_id: str) -> ImodelHistory:
        """Return the history of an iModel up to now."""
        with self.lock:
            self.collect_job_results()
            return self._updated_history(imodel_id)

    def restore_history(self, history: ImodelHistory) -> None:
        """Add the history of an iModel from a state file."""
        with self.lock:
            self._histories[history.imodel_id] = history

    def imodels_with_history(self) -> list[str]:
        """Return the ids of the iModels whose history has been read or changed."""
        with self.lock:
            return list(self._histories)

    def recorded_run(self, run_id: str) -> Run | None:
        """Return a run of any connection by id, visible or not, or None."""
        return self._runs.get(run_id)

    def collect_job_results(self) -> None:
        """Create the results of the jobs that have ended."""
        with self.lock:
            for job in self.jobs.take_ended(self.clock.now()):
                exists = job.imodel_id is not None and job.imodel_id in self.imodels
                job_results.collect(job, self.storage, self._updated_history(str(job.imodel_id)) if exists else None)

    def _updated_history(self, imodel_id: str) -> ImodelHistory:
        history = self._history(imodel_id)
        history.update(self.clock.now())
        return history

    def _history(self, imodel_id: str) -> ImodelHistory:
        return self._histories.setdefault(imodel_id, ImodelHistory(imodel_id))

    # Roles

    def role(self, client: Client, imodel_id: str) -> str | None:
        """Return the role of a client in the iTwin of an iModel, or None if it has no role there."""
        imodel = self.imodels.get(imodel_id)
        return self.itwin_role(client, imodel.itwin_id if imodel else "")

    def itwin_role(self, client: Client, itwin_id: str) -> str | None:
        """Return the role of a client in an iTwin, or None if it has no role there."""
        if client.everywhere:
            return "owner"
        itwin = self.itwins.get(itwin_id)
        return itwin.members.get(client.id) if itwin else None

    def list_connections(self, client: Client, kind: Kind | None, imodel_id: str | None) -> Sequence[Connection]:
        """Return the connections that a client can see: those of an iModel, or all of a kind."""
        if imodel_id is not None:
            return self.connections.of_imodel(imodel_id, kind) if self.role(client, imodel_id) else ()
        if kind is None:
            raise ValueError("kind or imodel_id is required")
        if client.everywhere:
            return self.connections.of_kind(kind)
        return self.connections.of_itwins((one.id for one in self.itwins.values() if client.id in one.members), kind)

    # Runs

    def active_run(self, imodel_id: str) -> Run | None:
        """Return the active run of an iModel, of any connection and kind, or None."""
        with self.lock:
            run = self._newest.get(imodel_id)
            return run if run is not None and run.is_active(self.clock.now()) else None

    def active_runs(self) -> list[Run]:
        """Return all active runs in the order of their starts."""
        with self.lock:
            now = self.clock.now()
            ended = [run.id for run in self._maybe_active.values() if not run.is_active(now)]
            for run_id in ended:
                del self._maybe_active[run_id]
            return list(self._maybe_active.values())

    def begin_run(self, connection: Connection, files: Sequence[SourceFile] | None = None) -> tuple[Run, bool]:
        """
        Start a run, or return the active run of the iModel.

        :param files: None: the files of the connection
        :return: the run, and whether it is new
        """
        with self.lock:
            active = self.active_run(connection.imodel_id)
            if active is not None:
                return active, False
            plan = self._next_plan(connection)
            if plan.invent_files is not None:
                files = invent_files(plan.invent_files)
            elif files is not None:
                files = list(files)
            elif connection.kind == "export":
                files = connection.files[:1] or invent_files(1)
            else:
                files = list(connection.files)
            run = self.new_run(connection, files, plan, self.clock.now())
            if connection.kind == "storage":
                self._skip_unchanged(connection, run)
            elif connection.kind == "export":
                self.export_outputs.expect(run)
            self.record_run(connection, run)
            return run, True

    def new_run(self, connection: Connection, files: Sequence[SourceFile], plan: RunPlan, started: float) -> Run:
        """Create a run of a connection without recording it."""
        return Run(
            id=ids.guid(),
            connection_id=connection.id,
            kind=connection.kind,
            imodel_id=connection.imodel_id,
            started=started,
            plan=plan,
            speed=self.clock.speed,
            files=files,
        )

    def _skip_unchanged(self, connection: Connection, run: Run) -> None:
        """Let a run skip the files whose content in Storage has not changed since the last successful run."""
        run.versions = content_versions(self.storage, run.files)
        run.unchanged = unchanged_files(connection, run.versions, run.started)
        nothing = bool(run.files) and all(file.file_id in run.unchanged for file in run.files)
        if nothing and run.plan.result == "Success" and self.quirks.unchanged_run == "Skipped":
            run.plan = replace(run.plan, result="Skipped")

    def collect_export_outputs(self) -> bool:
        """Write the outputs of export runs that have ended to Storage. Return whether there were any."""
        with self.lock:
            return self.export_outputs.collect(self.storage, self.imodels, self.clock.now())

    def record_run(self, connection: Connection, run: Run) -> None:
        """Add a run to a connection; it must be newer than the runs that the connection has."""
        with self.lock:
            connection.runs.append(run)
            self._index_run(run)
            self._history(run.imodel_id).add_run(run, connection.owner)

    def finish_run(self, run: Run, result: str | None = None) -> None:
        """
        End a run now.

        :param result: None: the planned result
        """
        with self.lock:
            # What it has pushed so far does not depend on the new end.
            self.history(run.imodel_id)
            run.finish(self.clock.now(), result)

    def _index_run(self, run: Run) -> None:
        self._runs[run.id] = run
        if run.is_active(self.clock.now()):
            self._maybe_active[run.id] = run
        newest = self._newest.get(run.imodel_id)
        if newest is None or newest.started <= run.started:
            self._newest[run.imodel_id] = run

    @contextmanager
    def start_in_progress(self, imodel_id: str) -> Iterator[None]:
        """
        Mark the start of a run as in progress while the context is open.

        :raises StartInProgressError: another start for the iModel is in progress
        """
        with self.lock:
            if imodel_id in self._starting:
                raise StartInProgressError(imodel_id)
            self._starting.add(imodel_id)
        try:
            yield
        finally:
            with self.lock:
                self._starting.discard(imodel_id)

    def run(self, connection: Connection, run_id: str) -> Run | None:
        """Return a run by id, or None if it does not exist or is not visible yet."""
        run = self._runs.get(run_id)
        return run if run is not None and run.connection_id == connection.id and self._is_visible(run) else None

    def last_run(self, connection: Connection) -> Run | None:
        """Return the run that ``lastRun`` of the connection links to."""
        for run in reversed(connection.runs):
            stale = self.quirks.stale_last_run_for
            if not stale or run.started + stale <= self.clock.now():
                return run
        return None

    def ordered_runs(self, connection: Connection) -> Sequence[Run]:
        """Return the visible runs of a connection in the order of the API's list."""
        runs = connection.runs
        visible = len(runs)
        while visible and not self._is_visible(runs[visible - 1]):
            visible -= 1
        match self.quirks.run_order:
            case "oldest-first":
                return runs[:visible]
            case "shuffled":
                return sorted(runs[:visible], key=lambda run: ids.derived_id("shuffle", run.id))
            case _:
                return NewestFirst(runs, visible)

    def _is_visible(self, run: Run) -> bool:
        hidden = self.quirks.invisible_for
        return not hidden or run.started + hidden <= self.clock.now()

    def _next_plan(self, connection: Connection) -> RunPlan:
        if connection.next_plans:
            return connection.next_plans.pop(0)
        owner = self.clients.get(connection.owner or "")
        signed_in = connection.owner_signed_in or (owner is not None and owner.signed_in)
        if connection.authentication_type == "User" and not signed_in and not connection.planned:
            return RunPlan(result="Error", duration=60.0, error=USER_NOT_AUTHENTICATED)
        return connection.default_plan
