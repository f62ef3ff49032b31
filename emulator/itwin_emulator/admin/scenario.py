"""
Scenario files: what exists on the emulated platform at the start, and how its runs go, written in TOML.

A scenario that comes with the emulator is named (``demo``); any other is the path of a file. ``scenarios/demo.toml`` is the
best description of the format.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

from itwin_emulator.admin import validation
from itwin_emulator.admin.validation import SchemaError
from itwin_emulator.domain import ids
from itwin_emulator.domain.entities import Client, SourceFile, invent_files
from itwin_emulator.domain.kinds import Kind
from itwin_emulator.domain.quirks import Oddities
from itwin_emulator.domain.run_plans import RunPlan
from itwin_emulator.domain.store import Platform
from itwin_emulator.http.rate_limit import TIERS

SCENARIOS = Path(__file__).parent / "scenarios"

CONNECTOR_OF_EXTENSION = {
    "dgn": "MSTN",
    "dwg": "DWG",
    "dxf": "DWG",
    "rvt": "REVIT",
    "ifc": "IFC",
    "nwd": "NWD",
    "shp": "GEOSPATIAL",
    "kml": "GEOSPATIAL",
    "vue": "SPXREVIEW",
}
"""Which connector a file goes to when nobody says."""


@dataclass(frozen=True, slots=True)
class ITwinSpec:
    """An iTwin and the clients that were invited to it."""

    id: str
    display_name: str | None = None
    members: dict[str, Literal["owner", "maintainer", "reader"]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class IModelSpec:
    """An iModel."""

    id: str
    itwin: str | None = None
    display_name: str | None = None


@dataclass(frozen=True, slots=True)
class FileSpec:
    """A file of a connection."""

    name: str
    connector_type: str | None = None
    file_id: str | None = None
    id: str | None = None

    def source_file(self) -> SourceFile:
        """Make the file."""
        extension = self.name.rpartition(".")[2].lower()
        return SourceFile(
            file_id=self.file_id or ids.derived_id("file", self.name),
            name=self.name,
            connector_type=self.connector_type or CONNECTOR_OF_EXTENSION.get(extension, "MSTN"),
            id=self.id or ids.guid(),
        )


@dataclass(frozen=True, slots=True)
class ConnectionSpec:
    """A connection and how its runs go."""

    id: str
    kind: Kind = "storage"
    imodel: str | None = None
    display_name: str | None = None
    authentication_type: Literal["User", "Service"] = "Service"
    owner: str | None = None
    """The client whose stored sign-in its runs use, for a ``User`` connection."""
    owner_signed_in: bool = False
    """Whether a sign-in is stored, whoever the owner is."""
    files: tuple[FileSpec, ...] | None = None
    invent_files: int | None = None
    run: RunPlan = field(default_factory=RunPlan)
    """How its runs usually go."""
    next_runs: tuple[RunPlan, ...] = ()
    """How its next runs go, one after the other, before the usual applies."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """All that a scenario file can say."""

    description: str = ""
    tier: str | None = None
    """Rate-limit tier of all clients that have none of their own."""
    oddities: Oddities | None = None
    client: tuple[Client, ...] = ()
    itwin: tuple[ITwinSpec, ...] = ()
    imodel: tuple[IModelSpec, ...] = ()
    connection: tuple[ConnectionSpec, ...] = ()

    def apply(self, platform: Platform, where: str = "scenario") -> None:
        """Make it so."""
        if self.oddities is not None:
            for option in fields(Oddities):
                setattr(platform.oddities, option.name, getattr(self.oddities, option.name))
        if self.tier is not None and self.tier not in TIERS:
            raise SchemaError(f"{where}: tier: {self.tier!r} is not allowed; allowed: {', '.join(TIERS)}")
        for client in self.client:
            platform.clients[client.id] = replace(client)
        for itwin in self.itwin:
            platform.add_itwin(itwin.id, itwin.display_name).members.update(itwin.members)
        for index, imodel in enumerate(self.imodel):
            if imodel.itwin is not None and imodel.itwin not in platform.itwins:
                raise SchemaError(f"{where}: imodel[{index}].itwin: there is no itwin {imodel.itwin!r}")
            platform.add_imodel(imodel.id, imodel.itwin, imodel.display_name)
        for index, one in enumerate(self.connection):
            place = f"{where}: connection[{index}]"
            if one.imodel is not None and one.imodel not in platform.imodels:
                raise SchemaError(f"{place}.imodel: there is no imodel {one.imodel!r}")
            _add_connection(platform, one, place)


def _add_connection(platform: Platform, spec: ConnectionSpec, place: str) -> None:
    files = None if spec.files is None else [file.source_file() for file in spec.files]
    if spec.invent_files is not None:
        files = (files or []) + invent_files(spec.invent_files)
    try:
        connection = platform.add_connection(
            spec.kind, spec.id, spec.imodel, spec.display_name, spec.authentication_type, files
        )
    except ValueError as error:
        raise SchemaError(f"{place}: {error}") from error
    connection.owner = spec.owner
    connection.owner_signed_in = spec.owner_signed_in
    connection.usual_plan = spec.run
    connection.next_plans = list(spec.next_runs)


def load(source: str | Path | Mapping[str, Any]) -> tuple[Scenario, str]:
    """Read a scenario by name, from a file, or from data; also give the name to use for it in errors."""
    if isinstance(source, Mapping):
        return validation.build(Scenario, source, "scenario"), "scenario"
    path = _find(source)
    try:
        with path.open("rb") as file:
            data = tomllib.load(file)
    except OSError as error:
        raise SchemaError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SchemaError(f"{path}: not a TOML file: {error}") from error
    return validation.build(Scenario, data, str(path)), str(path)


def names() -> list[str]:
    """Give the names of the scenarios that come with the emulator."""
    return sorted(path.stem for path in SCENARIOS.glob("*.toml"))


def _find(source: str | Path) -> Path:
    if isinstance(source, str) and source in names():
        return SCENARIOS / f"{source}.toml"
    path = Path(source)
    if not path.is_file():
        raise SchemaError(f"there is no scenario file {str(source)!r}; built in are: {', '.join(names())}")
    return path
