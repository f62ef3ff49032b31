"""
Keeping the platform's state in a file, so that it survives a restart of the emulator.

Runs go on while the emulator is down, as they would elsewhere: what is kept is when they started and what was planned.
The file holds client secrets and the key that tokens are signed with, and only its owner may read it.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, TypeVar

from itwin_emulator.admin import validation
from itwin_emulator.admin.validation import SchemaError
from itwin_emulator.domain.entities import Client, Connection, IModel, ITwin, SourceFile
from itwin_emulator.domain.quirks import Oddities
from itwin_emulator.domain.run_plans import RunPlan
from itwin_emulator.domain.runs import Run
from itwin_emulator.domain.store import Platform
from itwin_emulator.http.oauth import TokenDesk

VERSION = 1
AT_ONCE = 50
"""Connections that are told while nobody else may do anything."""
_ENCODER = json.JSONEncoder(separators=(",", ":"))
_T = TypeVar("_T")
_PLAIN = ("id", "kind", "imodel_id", "display_name", "authentication_type", "owner", "owner_signed_in", "planned")


class StateFile:
    """A file with the state of a platform."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def exists(self) -> bool:
        """Tell whether there is anything to go on with."""
        return self.path.exists()

    def save(self, platform: Platform, desk: TokenDesk) -> None:
        """Write the state; a reader sees the old file or the new one, and never a part."""
        descriptor, name = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.writelines(dump(platform, desk))
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self.path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def load(self, platform: Platform, desk: TokenDesk) -> None:
        """Read the state."""
        try:
            data = json.loads(self.path.read_text(encoding="utf-8"))
            restore(platform, desk, data)
        except OSError as error:
            raise SchemaError(f"{self.path}: cannot be read: {error.strerror}") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise SchemaError(f"{self.path}: not a state file of this emulator: {error}") from error


def dump(platform: Platform, desk: TokenDesk) -> Iterator[str]:
    """
    Give the state as JSON, piece by piece.

    Between the pieces others may do what they like: each connection is told as it is at one moment, not all of them at the
    same one.
    """
    with platform.lock:
        connections = list(platform.connections.values())
        head = {
            "version": VERSION,
            "desk": desk.dump(),
            "oddities": asdict(platform.oddities),
            "clients": [asdict(one) for one in platform.clients.values()],
            "itwins": [asdict(one) for one in platform.itwins.values()],
            "imodels": [_plain(one) for one in platform.imodels.values()],
        }
    yield _ENCODER.encode(head).removesuffix("}") + ',"connections":['
    texts = _Texts()
    for start in range(0, len(connections), AT_ONCE):
        with platform.lock:
            part = [texts.of_connection(one) for one in connections[start : start + AT_ONCE]]
        yield ("," if start else "") + ",".join(part)
    yield "]}"


def restore(platform: Platform, desk: TokenDesk, data: dict[str, Any]) -> None:
    """Fill an empty platform with what was dumped."""
    if data["version"] != VERSION:
        raise ValueError(f"version {data['version']!r} instead of {VERSION}")
    desk.restore(data["desk"])
    oddities = validation.build(Oddities, data["oddities"], "oddities")
    for field in fields(Oddities):
        setattr(platform.oddities, field.name, getattr(oddities, field.name))
    for one in data["clients"]:
        client = validation.build(Client, one, "client")
        platform.clients[client.id] = client
    for one in data["itwins"]:
        itwin = validation.build(ITwin, one, "itwin")
        platform.itwins[itwin.id] = itwin
    for one in data["imodels"]:
        imodel = validation.build(IModel, one, "imodel")
        platform.imodels[imodel.id] = imodel
    things = _Things()
    for one in data["connections"]:
        platform.adopt(things.connection(one))


class _Texts:
    """Turns things into JSON; what many runs have in common only once."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[object, str]] = {}

    def of_connection(self, connection: Connection) -> str:
        plain: dict[str, Any] = {name: getattr(connection, name) for name in _PLAIN}
        plans = ",".join(map(self._of_plan, connection.next_plans))
        files = ",".join(map(self._of_file, connection.files))
        runs = ",".join(map(self._of_run, connection.runs))
        return (
            _ENCODER.encode(plain).removesuffix("}")
            + f',"files":[{files}],"usual_plan":{self._of_plan(connection.usual_plan)}'
            + f',"next_plans":[{plans}],"runs":[{runs}]}}'
        )

    def _of_run(self, run: Run) -> str:
        plain = {"id": run.id, "started": run.started, "speed": run.speed, "ended_early": run.ended_early}
        files = ",".join(map(self._of_file, run.files))
        return _ENCODER.encode(plain).removesuffix("}") + f',"plan":{self._of_plan(run.plan)},"files":[{files}]}}'

    def _of_plan(self, plan: RunPlan) -> str:
        return self._once(plan, asdict)

    def _of_file(self, file: SourceFile) -> str:
        return self._once(file, _plain)

    def _once(self, thing: _T, make: Callable[[_T], dict[str, Any]]) -> str:
        known = self._known.get(id(thing))
        # The thing is held on to, so that no other can get its place in memory meanwhile.
        if known is None:
            known = self._known[id(thing)] = (thing, _ENCODER.encode(make(thing)))
        return known[1]


def _plain(thing: SourceFile | IModel) -> dict[str, Any]:
    return {name: getattr(thing, name) for name in thing.__dataclass_fields__}


class _Things:
    """Makes things out of JSON; what many runs have in common only once."""

    def __init__(self) -> None:
        self._files: dict[tuple[tuple[str, Any], ...], SourceFile] = {}
        self._plans: dict[str, RunPlan] = {}

    def connection(self, data: dict[str, Any]) -> Connection:
        connection = Connection(
            **{name: data[name] for name in _PLAIN},
            files=[self._file(file) for file in data["files"]],
            usual_plan=self._plan(data["usual_plan"], "usual_plan"),
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
