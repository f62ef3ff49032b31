"""
Liberties that the real service takes, or may take, with its own documentation: each can be switched on.

All of them are off at first, and may be changed at any time while the emulator serves.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(slots=True)
class Oddities:
    """Switches; the defaults are what the newest documentation says."""

    canceled_spelling: Literal["Canceled", "Cancelled"] = "Canceled"
    """How the API spells the result ``Canceled``: older versions of it have two l."""
    dates: Literal["7-digits", "6-digits", "no-zone", "no-fraction"] = "7-digits"
    """How dates are printed: seven digits and Z, six digits and Z, seven digits and nothing, no fraction and Z."""
    no_end: Literal["absent", "null", "year-1"] = "absent"
    """What ``endDateTime`` says before there is one."""
    state_names: dict[str, str] = field(default_factory=dict)
    """Other names for states, e.g. ``{"Executing": "Pondering"}`` for a value that no client knows yet."""
    result_names: dict[str, str] = field(default_factory=dict)
    """Other names for results."""
    extra_fields: bool = False
    """Add fields that no documentation mentions, of every JSON type."""
    missing_fields: tuple[str, ...] = ()
    """Leave these fields out of every body."""
    null_fields: tuple[str, ...] = ()
    """Make these fields null in every body."""
    success_with_error: bool = False
    """Show an error object beside tasks that ended in Success, as the API's examples do."""
    success_with_failure: bool = False
    """Let runs end in Success whose jobs and tasks ended in Error, as an example of the Export API does."""
    invisible_for: float = 0.0
    """Real seconds during which a new run answers 404."""
    stale_last_run_for: float = 0.0
    """Real seconds during which ``lastRun`` still shows the run before the newest."""
    location: Literal[
        "absolute", "relative", "other-case", "trailing-slash", "query", "missing", "foreign-host", "nonsense"
    ] = "absolute"
    """Form of the Location header of 202 and 303."""
    links_host: str | None = None
    """Origin (``https://api.bentley.com``) that all links in bodies show instead of the emulator's own."""
    next_links: Literal["right", "wrong-path", "malformed", "loop", "endless", "empty-object"] = "right"
    """Form of the paging links: right, of another path, without the ``?``, leading back to the same page, present after
    the last page, or ``{}`` instead of absent."""
    run_order: Literal["newest-first", "oldest-first", "shuffled"] = "newest-first"
    """Order of the list of runs; none is documented, and it has changed before."""
    old_gateway_errors: bool = False
    """Answer 401 and 429 as the gateway of 2021 did: without an ``error`` object around code and message."""
    slow_start: float = 0.0
    """Real seconds that the start of a run takes; other starts for the iModel meanwhile get 409."""
    conflict_code: Literal["ConflictWithAnotherIModelRequest", "IModelAlreadyProcessingRequest"] = (
        "ConflictWithAnotherIModelRequest"
    )
    """Code of that 409: the second one is that of 2021."""

    def reset(self) -> None:
        """Switch everything off."""
        fresh = Oddities()
        for name in self.__dataclass_fields__:
            setattr(self, name, getattr(fresh, name))
