"""Entities: clients, iTwins, iModels, connections and their files."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from itwin_emulator.domain import ids
from itwin_emulator.domain.kinds import KINDS, Kind, KindTraits
from itwin_emulator.domain.run_plans import RunPlan
from itwin_emulator.domain.runs import Run
from itwin_emulator.domain.source_files import SourceFile

AUTHENTICATION_TYPES = ("User", "Service")
ACCOUNT_ID = ids.derived_guid("account")
"""The account that all iTwins belong to."""


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
    number: str | None = None
    """Its number or other short name; None: the id."""
    itwin_class: str = "Endeavor"
    sub_class: str = "Project"
    type: str | None = None
    status: str = "Active"
    parent_id: str | None = None
    """None: the account."""
    geographic_location: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    iana_time_zone: str | None = None
    data_center_location: str = "East US"
    created: float = 0.0
    created_by: str | None = None
    """Id of a client; None: nobody knows."""
    modified: float = 0.0
    repositories: list[dict[str, Any]] = field(default_factory=list)
    """What clients have registered, as JSON data; it can contain credentials."""


@dataclass(frozen=True, slots=True)
class ImodelSource:
    """The iModel that another one was cloned or forked from."""

    imodel_id: str
    changeset_id: str
    fork: bool = False


@dataclass(slots=True)
class IModel:
    """A model of an iTwin; at most one run at a time is active on it."""

    id: str
    itwin_id: str
    display_name: str
    description: str | None = None
    extent: dict[str, dict[str, float]] | None = None
    """``southWest`` and ``northEast``, each with ``latitude`` and ``longitude``."""
    containers_enabled: int = 0
    created: float = 0.0
    creator: str | None = None
    """Id of a client; None: nobody knows."""
    initialized: float = 0.0
    """Time at which its creation is complete."""
    source: ImodelSource | None = None
    change_tracking: bool | None = None
    """Whether the Changed Elements API processes its changesets; None: nobody has said."""


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
