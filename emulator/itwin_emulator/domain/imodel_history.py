"""
The history of an iModel: its changesets, changeset groups and named versions.

Runs push changesets. As everything about a run, the pushes are a function of its plan: they are added to the history when the
history is read, with the times at which they happened.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from itwin_emulator.domain import ids
from itwin_emulator.domain.runs import FileTask, Run, task_id

NamedVersionState = Literal["visible", "hidden"]
NAMED_VERSION_STATES: tuple[NamedVersionState, ...] = ("visible", "hidden")
SYNCHRONIZER = "imodel-bridge-administrator"
"""Creator of the changesets of a connection without an owner, and id of the application that pushes them."""
SCHEMA_CHANGES = 1

_Task = tuple[int, int, FileTask]
"""A task with the positions of its job and of itself."""


@dataclass(slots=True)
class Changeset:
    """A changeset. Its index is its position in the history, from 1."""

    id: str
    index: int
    parent_id: str
    """Id of the changeset before it; empty: the baseline."""
    pushed: float
    creator: str
    """Id of a client, or another name."""
    description: str
    group_id: str | None = None
    run_id: str | None = None
    """The run that pushed it, or None if something else did."""
    task_id: str | None = None
    """The task of that run."""
    changed_files: tuple[str, ...] = ()
    """Names of the files whose changes it contains."""
    containing_changes: int = 0
    file_size: int = 1024
    briefcase_id: int = 2


@dataclass(slots=True)
class ChangesetGroup:
    """The changesets of one run."""

    id: str
    description: str
    created: float
    creator: str
    ended: float
    """Time at which it is complete, past or future."""


@dataclass(slots=True)
class NamedVersion:
    """A name for a changeset, or for the baseline."""

    id: str
    name: str
    changeset_id: str | None
    """None: the baseline."""
    changeset_index: int
    created: float
    creator: str
    description: str | None = None
    state: NamedVersionState = "visible"


@dataclass(slots=True)
class PendingRun:
    """A run that may push more changesets."""

    run: Run
    creator: str
    pushed: int = 0
    """Number of its changesets in the history."""


@dataclass(slots=True)
class ImodelHistory:
    """The history of one iModel. The caller holds the lock of the store."""

    imodel_id: str
    changesets: list[Changeset] = field(default_factory=list)
    """Oldest first: the changeset with index 1 is the first."""
    groups: list[ChangesetGroup] = field(default_factory=list)
    named_versions: list[NamedVersion] = field(default_factory=list)
    """Oldest first."""
    pending: list[PendingRun] = field(default_factory=list)
    """In the order of their starts."""

    def add_run(self, run: Run, creator: str | None) -> None:
        """Add a run that has started. Runs of export connections push nothing."""
        if run.kind != "export":
            self.pending.append(PendingRun(run, creator or SYNCHRONIZER))

    def update(self, now: float) -> None:
        """Add the changesets that runs have pushed up to a time."""
        for pending in list(self.pending):
            for moment, tasks in pushes_of(pending.run, now)[pending.pushed :]:
                self._push_of_run(pending, moment, tasks)
            if not pending.run.is_active(now):
                self.pending.remove(pending)

    def push(self, moment: float, creator: str, description: str) -> Changeset:
        """Add a changeset that no run has pushed; :meth:`update` must have been called for this time."""
        return self._append(moment, creator, description)

    def copy_to(self, other: ImodelHistory, last_index: int) -> None:
        """Copy the changesets up to an index into the empty history of another iModel."""
        other.changesets = [replace(one, group_id=None) for one in self.changesets[:last_index]]

    def changeset(self, id_or_index: str) -> Changeset | None:
        """Return a changeset by its id or its index, or None."""
        if id_or_index.isascii() and id_or_index.isdigit() and len(id_or_index) < 40:
            index = int(id_or_index)
            return self.changesets[index - 1] if 1 <= index <= len(self.changesets) else None
        wanted = id_or_index.lower()
        return next((one for one in reversed(self.changesets) if one.id == wanted), None)

    def named_version(self, version_id: str) -> NamedVersion | None:
        """Return a named version by id, or None."""
        return next((one for one in self.named_versions if one.id == version_id), None)

    def named_version_on(self, index: int) -> NamedVersion | None:
        """Return the named version on the changeset with this index (0: the baseline), or None."""
        return next((one for one in self.named_versions if one.changeset_index == index), None)

    def named_version_called(self, name: str) -> NamedVersion | None:
        """Return the named version with this name, or None."""
        return next((one for one in self.named_versions if one.name == name), None)

    def checkpoint_index(self, index: int) -> int:
        """Return the index of the newest changeset with a checkpoint, at or before this one; 0: the baseline."""
        return max((one.changeset_index for one in self.named_versions if one.changeset_index <= index), default=0)

    def add_named_version(
        self, name: str, changeset: Changeset | None, created: float, creator: str, description: str | None = None
    ) -> NamedVersion:
        """Add a named version on a changeset; None: on the baseline."""
        version_id, index = (None, 0) if changeset is None else (changeset.id, changeset.index)
        version = NamedVersion(ids.guid(), name, version_id, index, created, creator, description)
        self.named_versions.append(version)
        return version

    def _push_of_run(self, pending: PendingRun, moment: float, tasks: Sequence[_Task]) -> None:
        run = pending.run
        group_id = ids.derived_guid(run.id, "group")
        if pending.pushed == 0:
            group = ChangesetGroup(group_id, f"Synchronization run {run.id}", moment, pending.creator, run.ended)
            self.groups.append(group)
        self.groups[-1].ended = run.ended
        changeset = self._append(moment, pending.creator, _description(tasks))
        changeset.group_id = group_id
        changeset.run_id = run.id
        if tasks:
            job, position, _ = tasks[-1]
            changeset.task_id = task_id(run.id, job, position)
        changeset.changed_files = tuple(task.file.name for _, _, task in tasks)
        pending.pushed += 1

    def _append(self, moment: float, creator: str, description: str) -> Changeset:
        index = len(self.changesets) + 1
        parent_id = self.changesets[-1].id if self.changesets else ""
        changeset_id = ids.derived_id("changeset", self.imodel_id, index, ids.guid())
        changeset = Changeset(
            changeset_id,
            index,
            parent_id,
            moment,
            creator,
            description,
            containing_changes=SCHEMA_CHANGES if index == 1 else 0,
            file_size=200 + int(changeset_id[:4], 16),
        )
        self.changesets.append(changeset)
        return changeset


def pushes_of(run: Run, now: float) -> list[tuple[float, Sequence[_Task]]]:
    """
    Return the pushes of a run up to a time: the time of each, and the tasks whose changes it contains.

    A run that fails pushes nothing, and neither does a run without changed files, unless its plan sets a number of changesets.
    """
    if run.plan.result not in ("Success", "PartialSuccess"):
        return []
    planned = run.plan.changesets
    count = 1 if planned is None else planned
    due = [moment for moment in run.push_times(count) if moment <= now]
    if not due:
        return []
    # A file that has not changed is skipped, so a successful task is a change.
    tasks = [one for one in run.tasks() if one[2].result == "Success"]
    if planned is None and not tasks:
        return []
    bounds = [len(tasks) * number // count for number in range(count + 1)]
    return [
        (moment, tasks[bounds[number] : max(bounds[number + 1], bounds[number] + 1)])
        for number, moment in enumerate(due)
    ]


def _description(tasks: Sequence[_Task]) -> str:
    if not tasks:
        return "Synchronization"
    connectors = sorted({task.file.connector_type for _, _, task in tasks})
    files = "1 file" if len(tasks) == 1 else f"{len(tasks)} files"
    return f"{', '.join(connectors)} - synchronization of {files}"
