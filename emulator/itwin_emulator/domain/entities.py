"""Entities: clients, iTwins, iModels, connections and their files."""

from __future__ import annotations

from dataclasses import dataclass, field

from itwin_emulator.domain.kinds import KINDS, Kind, KindTraits
from itwin_emulator.domain.run_plans import RunPlan
from itwin_emulator.domain.runs import Run
from itwin_emulator.domain.source_files import SourceFile

AUTHENTICATION_TYPES = ("User", "Service")


@dataclass(slots=True)
class Client:
    """A service application that can request tokens."""

    id: str
    secret: str = field(repr=False)
    scopes: tuple[str, ...] = ("itwin-platform",)
    registered: bool = True
    """False: it gets tokens, but every request with them fails with UnknownClient."""
    everywhere: bool = False
    """Whether it has access to every iTwin without a role there."""
    signed_in: bool = False
    """Whether a sign-in is stored; runs of its ``User`` connections need one."""
    tier: str | None = None
    """Rate-limit tier; None: the tier of the emulator."""


@dataclass(slots=True)
class ITwin:
    """A project."""

    id: str
    display_name: str
    members: dict[str, str] = field(default_factory=dict)
    """Roles by client id: ``owner``, ``maintainer`` or ``reader``."""


@dataclass(slots=True)
class IModel:
    """A model of an iTwin; at most one run at a time is active on it."""

    id: str
    itwin_id: str
    display_name: str


@dataclass(slots=True)
class Connection:
    """A connection: its files, its iModel and its runs."""

    id: str
    kind: Kind
    imodel_id: str
    display_name: str | None = None
    authentication_type: str = "Service"
    owner: str | None = None
    """The client that created it."""
    owner_signed_in: bool = False
    """For a ``User`` connection: whether a sign-in is stored, independent of the owner."""
    files: list[SourceFile] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    """Oldest first."""
    default_plan: RunPlan = field(default_factory=RunPlan)
    next_plans: list[RunPlan] = field(default_factory=list)
    """Plans of the next runs, one each; after them the default plan applies."""
    planned: bool = False
    """Whether the default plan was set explicitly; it then applies even to a ``User`` connection without sign-in."""
    serial: int = 0
    """Position in the order of creation."""

    @property
    def traits(self) -> KindTraits:
        """Properties of the kind of connection."""
        return KINDS[self.kind]

    @property
    def path(self) -> str:
        """Path of the connection in the API."""
        return f"{self.traits.root}/{self.id}"
