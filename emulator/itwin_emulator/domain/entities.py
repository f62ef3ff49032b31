"""What exists on the platform: clients, iTwins, iModels, connections and their files."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from itwin_emulator.domain import ids
from itwin_emulator.domain.kinds import KINDS, Kind, KindTraits
from itwin_emulator.domain.run_plans import MOST_FILES, RunPlan

if TYPE_CHECKING:
    from itwin_emulator.domain.runs import Run

AUTHENTICATION_TYPES = ("User", "Service")

CONNECTOR_TYPES = (
    "AUTOPLANT",
    "CIVIL",
    "CIVIL3D",
    "DWG",
    "GEOSPATIAL",
    "IFC",
    "MSTN",
    "NWD",
    "OBD",
    "OPENTOWER",
    "REVIT",
    "SPPID",
    "SPXREVIEW",
)
"""The connectors that the newest documentation lists."""


@dataclass(slots=True)
class Client:
    """A service application that may ask for tokens."""

    id: str
    secret: str = field(repr=False)
    scopes: tuple[str, ...] = ("itwin-platform",)
    registered: bool = True
    """Whether the platform knows it. Otherwise it gets tokens, and every request with them fails with UnknownClient."""
    everywhere: bool = False
    """Whether it has access to every iTwin without being a member."""
    signed_in: bool = False
    """Whether a sign-in is stored, so that runs of its ``User`` connections can work."""
    tier: str | None = None
    """Rate-limit tier; None: that of the emulator."""


@dataclass(slots=True)
class ITwin:
    """A project."""

    id: str
    display_name: str
    members: dict[str, str] = field(default_factory=dict)
    """Role of each client that was invited: ``owner``, ``maintainer`` or ``reader``."""


@dataclass(slots=True)
class IModel:
    """A model of an iTwin; at most one run may work on it at a time."""

    id: str
    itwin_id: str
    display_name: str


@dataclass(slots=True)
class SourceFile:
    """A file of a connection."""

    file_id: str
    """Storage file id or, for a manifest connection, the id that the manifest uses."""
    name: str
    connector_type: str = "MSTN"
    id: str = field(default_factory=ids.guid)


@dataclass(slots=True)
class Connection:
    """Files, the iModel that they go into, and the runs so far."""

    id: str
    kind: Kind
    imodel_id: str
    display_name: str | None = None
    authentication_type: str = "Service"
    owner: str | None = None
    """The client that created it."""
    owner_signed_in: bool = False
    """For a ``User`` connection: whether a sign-in is stored, whoever the owner is."""
    files: list[SourceFile] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    """Oldest first."""
    usual_plan: RunPlan = field(default_factory=RunPlan)
    next_plans: list[RunPlan] = field(default_factory=list)
    """Plans for the next runs, one each; after them the usual plan applies."""
    planned: bool = False
    """Whether somebody asked for the usual plan; it then applies even to a ``User`` connection."""
    serial: int = 0
    """Which one it is in the order in which connections were added."""

    @property
    def traits(self) -> KindTraits:
        """What is peculiar to connections of this kind."""
        return KINDS[self.kind]

    @property
    def path(self) -> str:
        """Path of the connection in the API."""
        return f"{self.traits.root}/{self.id}"


_INVENTED = (
    ("Structure", "dgn", "MSTN"),
    ("Layout", "dwg", "DWG"),
    ("Architecture", "rvt", "REVIT"),
    ("Ductwork", "ifc", "IFC"),
    ("Alignment", "dgn", "CIVIL"),
    ("Grading", "dwg", "CIVIL3D"),
)


def invent_files(count: int, start: int = 0) -> list[SourceFile]:
    """Make up files of various connectors; the same number always has the same name and id."""
    if not 0 <= count <= MOST_FILES:
        raise ValueError(f"the number of files must be between 0 and {MOST_FILES}")
    files = []
    for number in range(start, start + count):
        stem, extension, connector = _INVENTED[number % len(_INVENTED)]
        name = f"{stem}-{number + 1:04d}.{extension}"
        files.append(SourceFile(ids.derived_id("invented", name), name, connector))
    return files
