"""
Keeping the platform's state in a file, so that it survives a restart of the emulator.

Runs go on while the emulator is down, as they would elsewhere: what is kept is when they started and what was planned.
The file holds client secrets and the key that tokens are signed with, and only its owner may read it.
"""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from airflow_provider_itwin.emulator import schema
from airflow_provider_itwin.emulator.model import Client, Connection, IModel, ITwin, SourceFile
from airflow_provider_itwin.emulator.oddities import Oddities
from airflow_provider_itwin.emulator.plans import RunPlan
from airflow_provider_itwin.emulator.platform import Platform
from airflow_provider_itwin.emulator.runs import Run
from airflow_provider_itwin.emulator.schema import SchemaError
from airflow_provider_itwin.emulator.tokens import TokenDesk

VERSION = 1
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
        with platform.lock:
            text = json.dumps(dump(platform, desk), separators=(",", ":"))
            descriptor, name = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")
            try:
                with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                    file.write(text)
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


def dump(platform: Platform, desk: TokenDesk) -> dict[str, Any]:
    """Give the state as JSON data."""
    return {
        "version": VERSION,
        "desk": desk.dump(),
        "oddities": asdict(platform.oddities),
        "clients": [asdict(one) for one in platform.clients.values()],
        "itwins": [asdict(one) for one in platform.itwins.values()],
        "imodels": [asdict(one) for one in platform.imodels.values()],
        "connections": [_dump_connection(one) for one in platform.connections.values()],
    }


def restore(platform: Platform, desk: TokenDesk, data: dict[str, Any]) -> None:
    """Fill an empty platform with what was dumped."""
    if data["version"] != VERSION:
        raise ValueError(f"version {data['version']!r} instead of {VERSION}")
    desk.restore(data["desk"])
    oddities = schema.build(Oddities, data["oddities"], "oddities")
    for field in fields(Oddities):
        setattr(platform.oddities, field.name, getattr(oddities, field.name))
    for one in data["clients"]:
        client = schema.build(Client, one, "client")
        platform.clients[client.id] = client
    for one in data["itwins"]:
        itwin = schema.build(ITwin, one, "itwin")
        platform.itwins[itwin.id] = itwin
    for one in data["imodels"]:
        imodel = schema.build(IModel, one, "imodel")
        platform.imodels[imodel.id] = imodel
    for one in data["connections"]:
        platform.adopt(_restore_connection(one))


def _dump_connection(connection: Connection) -> dict[str, Any]:
    plain = {name: getattr(connection, name) for name in _PLAIN}
    return plain | {
        "files": [asdict(file) for file in connection.files],
        "usual_plan": asdict(connection.usual_plan),
        "next_plans": [asdict(plan) for plan in connection.next_plans],
        "runs": [_dump_run(run) for run in connection.runs],
    }


def _restore_connection(data: dict[str, Any]) -> Connection:
    connection = Connection(
        **{name: data[name] for name in _PLAIN},
        files=[schema.build(SourceFile, file, "file") for file in data["files"]],
        usual_plan=schema.build(RunPlan, data["usual_plan"], "usual_plan"),
        next_plans=[schema.build(RunPlan, plan, "next_plans") for plan in data["next_plans"]],
    )
    connection.runs = [_restore_run(run, connection) for run in data["runs"]]
    return connection


def _dump_run(run: Run) -> dict[str, Any]:
    return {
        "id": run.id,
        "started": run.started,
        "speed": run.speed,
        "ended_early": run.ended_early,
        "plan": asdict(run.plan),
        "files": [asdict(file) for file in run.files],
    }


def _restore_run(data: dict[str, Any], connection: Connection) -> Run:
    return Run(
        id=data["id"],
        connection_id=connection.id,
        kind=connection.kind,
        imodel_id=connection.imodel_id,
        started=float(data["started"]),
        plan=schema.build(RunPlan, data["plan"], "plan"),
        speed=float(data["speed"]),
        files=[schema.build(SourceFile, file, "file") for file in data["files"]],
        ended_early=data["ended_early"],
    )
