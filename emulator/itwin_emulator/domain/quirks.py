"""
Quirks: documented or observed deviations of the real service from its own documentation.

All quirks are off by default. Each can be switched at any time while the emulator serves.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Literal


@dataclass(slots=True)
class Quirks:
    """Switches; the defaults follow the latest documentation."""

    canceled_spelling: Literal["Canceled", "Cancelled"] = "Canceled"
    """Spelling of the result ``Canceled``; older versions of the API use two l."""
    dates: Literal["7-digits", "6-digits", "no-zone", "no-fraction"] = "7-digits"
    """Date format: seven digits and Z, six digits and Z, seven digits without a zone, no fraction and Z."""
    no_end: Literal["absent", "null", "year-1"] = "absent"
    """Value of ``endDateTime`` before the end."""
    no_jobs: Literal["empty", "null", "absent"] = "empty"
    """Value of ``jobs`` before the work is split into jobs; a sample application of Bentley fails without a list."""
    state_names: dict[str, str] = field(default_factory=dict)
    """Replacement names of states, e.g. ``{"Executing": "Pondering"}`` to simulate a value unknown to all clients."""
    result_names: dict[str, str] = field(default_factory=dict)
    """Replacement names of results."""
    extra_fields: bool = False
    """Add undocumented fields of every JSON type."""
    missing_fields: tuple[str, ...] = ()
    """Fields to leave out of every entity."""
    null_fields: tuple[str, ...] = ()
    """Fields to set to null in every entity."""
    success_with_error: bool = False
    """Add an error object to tasks that succeeded, as in the API's examples."""
    success_with_failure: bool = False
    """Report failed runs as ``Success`` while their jobs and tasks show the failure, as in an example of the Export API."""
    invisible_for: float = 0.0
    """Real seconds during which a new run returns 404."""
    stale_last_run_for: float = 0.0
    """Real seconds during which ``lastRun`` still links to the previous run."""
    location: Literal[
        "absolute", "relative", "other-case", "trailing-slash", "query", "missing", "foreign-host", "nonsense"
    ] = "absolute"
    """Form of the Location header of 202 and 303."""
    links_host: str | None = None
    """Origin of all links in bodies (``https://api.bentley.com``) instead of the emulator's own."""
    next_links: Literal["right", "wrong-path", "malformed", "loop", "endless", "empty-object"] = "right"
    """Form of the paging links: right, with another path, without the ``?``, linking to the same page, present after
    the last page, or ``{}`` instead of absent."""
    run_order: Literal["newest-first", "oldest-first", "shuffled"] = "newest-first"
    """Order of the list of runs. The order is not documented and has changed before."""
    old_gateway_errors: bool = False
    """Return 401 and 429 in the format of 2021: without an ``error`` object around code and message."""
    slow_start: float = 0.0
    """Real seconds that the start of a run takes; concurrent starts for the same iModel get 409."""
    conflict_code: Literal["ConflictWithAnotherIModelRequest", "IModelAlreadyProcessingRequest"] = (
        "ConflictWithAnotherIModelRequest"
    )
    """Error code of that 409; the second one is that of 2021."""

    # iModels
    changeset_task_id: Literal["task", "run", "null", "absent"] = "task"
    """Value of ``synchronizationInfo.taskId`` of changesets: the id of a task of the run, or of the run itself, or none."""
    push_date_skew: float = 0.0
    """Seconds by which ``pushDateTime`` is ahead of the clock that the dates of runs use."""

    # Storage
    same_name: Literal["files", "rejected", "accepted"] = "files"
    """A second file or folder with the name of another one in the same folder: accepted for files only, as Bentley's own
    tests rely on it; 409; or accepted."""
    complete_twice: Literal["accepted", "rejected"] = "accepted"
    """Completing an upload again: 200 with the file, or 404."""
    complete_without_content: Literal["rejected", "empty"] = "rejected"
    """Completing an upload before any bytes arrived: 422, or an empty file."""
    upload_permissions: Literal["rcw", "cw"] = "rcw"
    """Permissions of upload URLs: with or without reading what was uploaded."""
    url_lifetime: float = 3600.0
    """Seconds for which pre-signed URLs are valid."""
    largest_put: int = 256 * 1024 * 1024
    """Bytes that one PUT may upload; larger files need blocks."""
    unchanged_run: Literal["Success", "Skipped"] = "Success"
    """Result of a run none of whose files has changed."""

    # Jobs
    queued_transformation: Literal["Created", "Queued"] = "Created"
    """State of a transformation that waits for another one; its name is not documented."""

    def update(self, other: Quirks) -> None:
        """Copy all values from another object."""
        for one in fields(Quirks):
            setattr(self, one.name, getattr(other, one.name))

    def reset(self) -> None:
        """Switch all quirks off."""
        self.update(Quirks())
