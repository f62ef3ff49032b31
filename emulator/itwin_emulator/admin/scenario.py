"""
Scenarios: TOML files that define the entities at the start and the plans of their runs.

Built-in scenarios have names (``demo``); all others are file paths. ``scenarios/demo.toml`` documents the format.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from itwin_emulator.admin import stored_files, validation
from itwin_emulator.admin.job_controls import JobControls
from itwin_emulator.admin.validation import SchemaError
from itwin_emulator.domain import ids
from itwin_emulator.domain.entities import Client
from itwin_emulator.domain.job_kinds import JOB_KINDS, JobKindName
from itwin_emulator.domain.job_plans import JobPlan
from itwin_emulator.domain.job_registry import PlannedJobs
from itwin_emulator.domain.kinds import Kind
from itwin_emulator.domain.quirks import Quirks
from itwin_emulator.domain.run_plans import RunPlan
from itwin_emulator.domain.source_files import SourceFile, invent_files
from itwin_emulator.domain.store import Store
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
"""The default connector of a file."""


@dataclass(frozen=True, slots=True)
class ITwinSpec:
    """An iTwin and the roles of clients in it."""

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
        """Create the source file."""
        extension = self.name.rpartition(".")[2].lower()
        return SourceFile(
            file_id=self.file_id or ids.derived_id("file", self.name),
            name=self.name,
            connector_type=self.connector_type or CONNECTOR_OF_EXTENSION.get(extension, "MSTN"),
            id=self.id or ids.guid(),
        )


FileLike = str | Mapping[str, Any] | FileSpec


@dataclass(frozen=True, slots=True)
class ConnectionSpec:
    """A connection and the plans of its runs."""

    id: str
    kind: Kind = "storage"
    imodel: str | None = None
    display_name: str | None = None
    authentication_type: Literal["User", "Service"] = "Service"
    owner: str | None = None
    """The client whose stored sign-in the runs of a ``User`` connection use."""
    owner_signed_in: bool = False
    """Whether a sign-in is stored, independent of the owner."""
    files: tuple[FileSpec, ...] | None = None
    invent_files: int | None = None
    run: RunPlan = field(default_factory=RunPlan)
    """The plan of its runs."""
    next_runs: tuple[RunPlan, ...] = ()
    """Plans of its next runs, one each, before the default plan applies."""


@dataclass(frozen=True, slots=True)
class StoredFileSpec:
    """A file in Storage. Source files of connections have its id if they have its name, without its folders."""

    path: str
    """Path below the root folder: ``designs/bridge.dgn``. The folders are created."""
    itwin: str
    id: str | None = None
    """None: derived from the name, as for files of connections."""
    text: str | None = None
    size: int | None = None
    """Size in bytes, instead of the text; the content is the path and zero bytes."""
    description: str | None = None

    def __post_init__(self) -> None:
        if self.text is not None and self.size is not None:
            raise ValueError("text and size exclude each other")
        if self.size is not None and self.size < 0:
            raise ValueError("size must not be negative")


@dataclass(frozen=True, slots=True)
class StoredFolderSpec:
    """A folder in Storage, for folders without files."""

    path: str
    itwin: str


@dataclass(frozen=True, slots=True)
class ConfigurationSpec:
    """A configuration of transformations."""

    id: str
    source: str
    """Id of the iModel that is transformed."""
    target: str
    """Id of the iModel that the result is pushed to."""
    name: str | None = None
    transform_type: str = "ImportIModel"


@dataclass(frozen=True, slots=True)
class JobSpec:
    """The plans of the jobs of a kind."""

    kind: JobKindName
    subject: str | None = None
    """Id of an iTwin, an iModel or a configuration; None: jobs of any."""
    plan: JobPlan | None = None
    """The plan of all its jobs; None: a successful job of ten minutes."""
    next_plans: tuple[JobPlan, ...] = ()
    """Plans of the next jobs, one each, before that plan applies."""

    def __post_init__(self) -> None:
        for plan in (*self.next_plans, *([] if self.plan is None else [self.plan])):
            plan.check(JOB_KINDS[self.kind])


@dataclass(frozen=True, slots=True)
class Scenario:
    """The content of a scenario file."""

    description: str = ""
    tier: str | None = None
    """Rate-limit tier of all clients without their own."""
    quirks: Quirks | None = None
    client: tuple[Client, ...] = ()
    itwin: tuple[ITwinSpec, ...] = ()
    imodel: tuple[IModelSpec, ...] = ()
    connection: tuple[ConnectionSpec, ...] = ()
    folder: tuple[StoredFolderSpec, ...] = ()
    file: tuple[StoredFileSpec, ...] = ()
    configuration: tuple[ConfigurationSpec, ...] = ()
    job: tuple[JobSpec, ...] = ()

    def apply(self, store: Store, where: str = "scenario") -> None:
        """
        Create the entities in a store.

        :param where: name of the scenario in error messages
        :raises SchemaError: the scenario is invalid
        """
        if self.quirks is not None:
            store.quirks.update(self.quirks)
        if self.tier is not None and self.tier not in TIERS:
            raise SchemaError(f"{where}: tier: {self.tier!r} is not allowed; allowed: {', '.join(TIERS)}")
        for client in self.client:
            store.clients[client.id] = replace(client)
        for itwin in self.itwin:
            store.add_itwin(itwin.id, itwin.display_name).members.update(itwin.members)
        for index, imodel in enumerate(self.imodel):
            if imodel.itwin is not None and imodel.itwin not in store.itwins:
                raise SchemaError(f"{where}: imodel[{index}].itwin: unknown itwin {imodel.itwin!r}")
            store.add_imodel(imodel.id, imodel.itwin, imodel.display_name)
        for index, one in enumerate(self.connection):
            location = f"{where}: connection[{index}]"
            if one.imodel is not None and one.imodel not in store.imodels:
                raise SchemaError(f"{location}.imodel: unknown imodel {one.imodel!r}")
            _add_connection(store, one, location)
        self._apply_storage(store, where)
        self._apply_jobs(store, where)

    def _apply_storage(self, store: Store, where: str) -> None:
        for index, folder in enumerate(self.folder):
            location = f"{where}: folder[{index}]"
            _check_itwin(store, folder.itwin, location)
            try:
                stored_files.add_folders(store, folder.itwin, folder.path)
            except ValueError as error:
                raise SchemaError(f"{location}: {error}") from error
        for index, file in enumerate(self.file):
            location = f"{where}: file[{index}]"
            _check_itwin(store, file.itwin, location)
            try:
                stored_files.add_file(store, file.itwin, file.path, file.text, file.size, file.id, file.description)
            except ValueError as error:
                raise SchemaError(f"{location}: {error}") from error

    def _apply_jobs(self, store: Store, where: str) -> None:
        controls = JobControls(store, lambda: None)
        for index, one in enumerate(self.configuration):
            try:
                controls.add_configuration(one.source, one.target, one.id, one.name, one.transform_type)
            except (LookupError, ValueError) as error:
                raise SchemaError(f"{where}: configuration[{index}]: {error}") from error
        for job in self.job:
            store.jobs.plans[job.kind, job.subject] = PlannedJobs(job.plan, list(job.next_plans))


def _check_itwin(store: Store, itwin_id: str, location: str) -> None:
    if itwin_id not in store.itwins:
        raise SchemaError(f"{location}.itwin: unknown itwin {itwin_id!r}")


def _add_connection(store: Store, spec: ConnectionSpec, location: str) -> None:
    files = None if spec.files is None else [file.source_file() for file in spec.files]
    if spec.invent_files is not None:
        files = (files or []) + invent_files(spec.invent_files)
    try:
        connection = store.add_connection(
            spec.kind, spec.id, spec.imodel, spec.display_name, spec.authentication_type, files
        )
    except ValueError as error:
        raise SchemaError(f"{location}: {error}") from error
    connection.owner = spec.owner
    connection.owner_signed_in = spec.owner_signed_in
    connection.default_plan = spec.run
    connection.next_plans = list(spec.next_runs)


def source_files(files: int | Iterable[FileLike] | None) -> list[SourceFile] | None:
    """Create source files: from names, dicts or specifications; from a number, that many invented ones; None for None."""
    if files is None:
        return None
    if isinstance(files, int):
        return invent_files(files)
    specs = []
    for index, one in enumerate(files):
        data = {"name": one} if isinstance(one, str) else one
        specs.append(validation.convert(FileSpec, data, f"files[{index}]"))
    return [spec.source_file() for spec in specs]


def load(source: str | Path | Mapping[str, Any]) -> tuple[Scenario, str]:
    """
    Read a scenario: a built-in name, a file path, or the data itself.

    :return: the scenario, and its name for error messages
    :raises SchemaError: the scenario cannot be read or is invalid
    """
    if isinstance(source, Mapping):
        return validation.build(Scenario, source, "scenario"), "scenario"
    path = _find(source)
    try:
        with path.open("rb") as file:
            data = tomllib.load(file)
    except OSError as error:
        raise SchemaError(f"{path}: cannot read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SchemaError(f"{path}: not a TOML file: {error}") from error
    return validation.build(Scenario, data, str(path)), str(path)


def names() -> list[str]:
    """Return the names of the built-in scenarios."""
    return sorted(path.stem for path in SCENARIOS.glob("*.toml"))


def _find(source: str | Path) -> Path:
    if isinstance(source, str) and source in names():
        return SCENARIOS / f"{source}.toml"
    path = Path(source)
    if not path.is_file():
        raise SchemaError(f"no scenario file {str(source)!r}; built-in scenarios: {', '.join(names())}")
    return path
