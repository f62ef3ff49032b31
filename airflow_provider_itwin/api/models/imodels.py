"""Resources of the iModels API: changesets and named versions."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from airflow_provider_itwin.api.models.moments import read_moment
from airflow_provider_itwin.api.models.resource import Page, Resource


class SynchronizationInfo(Resource):
    """
    What a synchronization says about a changeset that it has pushed.

    Whether `task_id` is the id of a run, of a job or of a task is not documented.
    """

    task_id: str | None = None
    changed_files: list[str] | None = None


class Changeset(Resource):
    """A set of changes that was pushed to an iModel. The service counts changesets by `index`, from 1."""

    id: str | None = None
    display_name: str | None = None
    description: str | None = None
    index: int | None = None
    parent_id: str | None = None
    creator_id: str | None = None
    push_text: str | None = msgspec.field(default=None, name="pushDateTime")
    state: str | None = None
    containing_changes: int | None = None
    file_size: int | None = None
    briefcase_id: int | None = None
    group_id: str | None = None
    synchronization_info: SynchronizationInfo | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values, with `push_date_time` in UTC."""
        values = super().as_dict()
        del values["push_text"]
        pushed = self.push_date_time
        return values | {"push_date_time": pushed.isoformat() if pushed else None}

    @property
    def push_date_time(self) -> datetime | None:
        """When it was pushed, in UTC; None if the service does not report it."""
        return read_moment(self.push_text)

    @property
    def is_uploaded(self) -> bool:
        """Whether its content has arrived; a missing or an unknown state counts as uploaded."""
        return self.state is None or self.state.strip().lower() != "waitingforfile"


class NamedVersion(Resource):
    """A name for the state of an iModel after a changeset; without a changeset, for its state before all changesets."""

    id: str | None = None
    display_name: str | None = None
    name: str | None = None
    description: str | None = None
    changeset_id: str | None = None
    changeset_index: int | None = None
    created_text: str | None = msgspec.field(default=None, name="createdDateTime")
    state: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values, with `created_date_time` in UTC."""
        values = super().as_dict()
        del values["created_text"]
        created = self.created_date_time
        return values | {"created_date_time": created.isoformat() if created else None}

    @property
    def created_date_time(self) -> datetime | None:
        """When it was created, in UTC; None if the service does not report it."""
        return read_moment(self.created_text)


class ChangesetPage(Page):
    """One page of changesets."""

    changesets: list[Changeset] | None = None


class NamedVersionPage(Page):
    """One page of named versions."""

    named_versions: list[NamedVersion] | None = None


class ChangesetEnvelope(Resource):
    """The response to a request for a changeset."""

    changeset: Changeset


class NamedVersionEnvelope(Resource):
    """The response to a request for a named version, or to create one."""

    named_version: NamedVersion
