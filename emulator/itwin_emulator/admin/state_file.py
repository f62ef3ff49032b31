"""
The state file: keeps the state of the emulator across restarts.

Runs continue while the emulator is stopped: the file contains their start and their plan. It also contains client secrets and the
signing key of the tokens; only its owner can read it.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from itwin_emulator.admin import job_state, storage_state, validation
from itwin_emulator.admin.validation import SchemaError
from itwin_emulator.domain.entities import Client, Connection, IModel, ITwin
from itwin_emulator.domain.imodel_history import (
    Changeset,
    ChangesetGroup,
    ImodelHistory,
    NamedVersion,
    PendingRun,
)
from itwin_emulator.domain.quirks import Quirks
from itwin_emulator.domain.run_plans import RunPlan
from itwin_emulator.domain.runs import Run
from itwin_emulator.domain.source_files import SourceFile
from itwin_emulator.domain.store import Store
from itwin_emulator.http.oauth import TokenService

VERSION = 1
BATCH_SIZE = 50
"""Connections that are serialized while the store is locked."""
SYNC_LIMIT = 0.05
"""Seconds that a request may wait for the state to be written."""
IDLE_FACTOR = 20.0
"""Pause between writes as a multiple of the duration of the last write."""
_ENCODER = json.JSONEncoder(separators=(",", ":"))
_T = TypeVar("_T")
_PLAIN = ("id", "kind", "imodel_id", "display_name", "authentication_type", "owner", "owner_signed_in", "planned")


class StateFile:
    """A file that contains the state of an emulator."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def exists(self) -> bool:
        """Return whether the file exists."""
        return self.path.exists()

    def save(self, store: Store, tokens: TokenService) -> None:
        """Write the state atomically: a reader sees the old file or the new one."""
        descriptor, name = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.writelines(dump(store, tokens))
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self.path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def load(self, store: Store, tokens: TokenService) -> None:
        """
        Restore the state from the file.

        :raises SchemaError: the file cannot be read or is invalid
        """
        try:
            data = json.loads(self.path.read_text(encoding="utf-8"))
            restore(store, tokens, data)
        except OSError as error:
            raise SchemaError(f"{self.path}: cannot read: {error.strerror}") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise SchemaError(f"{self.path}: not a state file of this emulator: {error}") from error


class StateWriter:
    """Writes the state file: after each change while writing is fast, periodically in a thread otherwise."""

    def __init__(self, file: StateFile, store: Store, tokens: TokenService) -> None:
        self._file = file
        self._store = store
        self._tokens = tokens
        self._write_time = 0.0
        self._failure: OSError | None = None
        self._lock = threading.Lock()
        self._dirty = threading.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def load(self) -> bool:
        """Restore the state if the file exists, and return whether it does."""
        if not self._file.exists():
            return False
        self._file.load(self._store, self._tokens)
        return True

    def changed(self) -> None:
        """
        Schedule a write of the state file.

        :raises OSError: this or the previous write failed
        """
        with self._lock:
            failure, self._failure = self._failure, None
            if failure is not None:
                raise failure
            if self._write_time < SYNC_LIMIT:
                self._save()
                return
            self._dirty.set()
            if self._thread is None:
                self._stop.clear()
                self._thread = threading.Thread(
                    target=self._write_in_background, name="itwin-emulator-state", daemon=True
                )
                self._thread.start()

    def close(self) -> None:
        """Write pending changes and stop."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._dirty.is_set():
            self._save()

    def _write_in_background(self) -> None:
        while not self._stop.wait(max(1.0, IDLE_FACTOR * self._write_time)):
            if not self._dirty.is_set():
                continue
            try:
                self._save()
            except OSError as error:
                # Raised by the next call of changed().
                self._failure = error

    def _save(self) -> None:
        # Cleared first: changes during the write may be missing from the file.
        self._dirty.clear()
        began = time.monotonic()
        try:
            self._file.save(self._store, self._tokens)
        except BaseException:
            self._dirty.set()
            raise
        self._write_time = time.monotonic() - began


def dump(store: Store, tokens: TokenService) -> Iterator[str]:
    """
    Return the state as JSON, in parts.

    The store is unlocked between parts: each connection is consistent in itself, but not with other connections.
    """
    with store.lock:
        connections = list(store.connections.values())
        head = {
            "version": VERSION,
            "tokens": tokens.dump(),
            "quirks": asdict(store.quirks),
            "clients": [asdict(one) for one in store.clients.values()],
            "itwins": [asdict(one) for one in store.itwins.values()],
            "imodels": [asdict(one) for one in store.imodels.values()],
            "jobs": job_state.dump(store),
        }
    yield _ENCODER.encode(head).removesuffix("}") + ',"connections":['
    encoder = _Encoder()
    for start in range(0, len(connections), BATCH_SIZE):
        with store.lock:
            part = [encoder.connection(one) for one in connections[start : start + BATCH_SIZE]]
        yield ("," if start else "") + ",".join(part)
    # After the connections: a history refers to active runs, which are written by then.
    yield '],"histories":['
    imodel_ids = store.imodels_with_history()
    for start in range(0, len(imodel_ids), BATCH_SIZE):
        with store.lock:
            batch = [one for one in imodel_ids[start : start + BATCH_SIZE] if one in store.imodels]
            part = [_ENCODER.encode(_history_as_dict(store.history(one))) for one in batch]
        yield ("," if start else "") + ",".join(part)
    with store.lock:
        yield f'],"storage":{_ENCODER.encode(storage_state.dump(store))}}}'


def restore(store: Store, tokens: TokenService, data: dict[str, Any]) -> None:
    """Restore a dumped state into an empty store."""
    if data["version"] != VERSION:
        raise ValueError(f"version {data['version']!r} instead of {VERSION}")
    tokens.restore(data["tokens"])
    store.quirks.update(validation.build(Quirks, data["quirks"], "quirks"))
    for one in data["clients"]:
        client = validation.build(Client, one, "client")
        store.clients[client.id] = client
    for one in data["itwins"]:
        itwin = validation.build(ITwin, one, "itwin")
        store.itwins[itwin.id] = itwin
    for one in data["imodels"]:
        imodel = validation.build(IModel, one, "imodel")
        store.imodels[imodel.id] = imodel
    decoder = _Decoder()
    for one in data["connections"]:
        store.restore_connection(decoder.connection(one))
    for one in data.get("histories", ()):
        store.restore_history(_restored_history(store, one))
    # Older state files have neither of the two.
    if "jobs" in data:
        job_state.restore(store, data["jobs"])
    if "storage" in data:
        storage_state.restore(store, data["storage"])


def _history_as_dict(history: ImodelHistory) -> dict[str, Any]:
    return {
        "imodel_id": history.imodel_id,
        "changesets": [asdict(one) for one in history.changesets],
        "groups": [asdict(one) for one in history.groups],
        "named_versions": [asdict(one) for one in history.named_versions],
        "pending": [{"run": one.run.id, "creator": one.creator, "pushed": one.pushed} for one in history.pending],
    }


def _restored_history(store: Store, data: dict[str, Any]) -> ImodelHistory:
    pending = [
        PendingRun(run, one["creator"], int(one["pushed"]))
        for one in data["pending"]
        if (run := store.recorded_run(one["run"])) is not None
    ]
    return ImodelHistory(
        data["imodel_id"],
        [validation.build(Changeset, one, "changeset") for one in data["changesets"]],
        [validation.build(ChangesetGroup, one, "group") for one in data["groups"]],
        [validation.build(NamedVersion, one, "named_version") for one in data["named_versions"]],
        pending,
    )


class _Encoder:
    """Encodes objects as JSON; objects that many runs share are encoded once."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[object, str]] = {}

    def connection(self, connection: Connection) -> str:
        plain: dict[str, Any] = {name: getattr(connection, name) for name in _PLAIN}
        plans = ",".join(map(self._plan, connection.next_plans))
        files = ",".join(map(self._file, connection.files))
        runs = ",".join(map(self._run, connection.runs))
        return (
            _ENCODER.encode(plain).removesuffix("}")
            + f',"files":[{files}],"default_plan":{self._plan(connection.default_plan)}'
            + f',"next_plans":[{plans}],"runs":[{runs}]}}'
        )

    def _run(self, run: Run) -> str:
        plain: dict[str, Any] = {"id": run.id, "started": run.started, "speed": run.speed}
        plain["ended_early"] = run.ended_early
        if run.versions:
            plain |= {"versions": dict(run.versions), "unchanged": sorted(run.unchanged)}
        if run.kind == "export":
            plain["export_type"] = run.export_type
        files = ",".join(map(self._file, run.files))
        return _ENCODER.encode(plain).removesuffix("}") + f',"plan":{self._plan(run.plan)},"files":[{files}]}}'

    def _plan(self, plan: RunPlan) -> str:
        return self._encode_once(plan, asdict)

    def _file(self, file: SourceFile) -> str:
        return self._encode_once(file, _as_dict)

    def _encode_once(self, value: _T, make: Callable[[_T], dict[str, Any]]) -> str:
        known = self._known.get(id(value))
        # A reference is kept, so that the id is not reused.
        if known is None:
            known = self._known[id(value)] = (value, _ENCODER.encode(make(value)))
        return known[1]


def _as_dict(value: SourceFile) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__dataclass_fields__}


class _Decoder:
    """Decodes objects from JSON; objects that many runs share are decoded once."""

    def __init__(self) -> None:
        self._files: dict[tuple[tuple[str, Any], ...], SourceFile] = {}
        self._plans: dict[str, RunPlan] = {}

    def connection(self, data: dict[str, Any]) -> Connection:
        connection = Connection(
            **{name: data[name] for name in _PLAIN},
            files=[self._file(file) for file in data["files"]],
            default_plan=self._plan(data["default_plan"], "default_plan"),
            next_plans=[self._plan(plan, "next_plans") for plan in data["next_plans"]],
        )
        connection.runs = [self._run(run, connection) for run in data["runs"]]
        return connection

    def _run(self, data: dict[str, Any], connection: Connection) -> Run:
        return Run(
            id=data["id"],
            connection_id=connection.id,
            kind=connection.kind,
            imodel_id=connection.imodel_id,
            started=float(data["started"]),
            plan=self._plan(data["plan"], "plan"),
            speed=float(data["speed"]),
            files=[self._file(file) for file in data["files"]],
            ended_early=data["ended_early"],
            versions=data.get("versions", {}),
            unchanged=frozenset(data.get("unchanged", ())),
            export_type=data.get("export_type", "IFC"),
        )

    def _file(self, data: dict[str, Any]) -> SourceFile:
        key = tuple(data.items())
        if key not in self._files:
            self._files[key] = validation.build(SourceFile, data, "file")
        return self._files[key]

    def _plan(self, data: dict[str, Any], where: str) -> RunPlan:
        key = _ENCODER.encode(data)
        if key not in self._plans:
            self._plans[key] = validation.build(RunPlan, data, where)
        return self._plans[key]
