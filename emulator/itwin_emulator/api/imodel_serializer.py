"""iModels, changesets, named versions and users as JSON data, with the documented order of fields and the quirks that are on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from itwin_emulator.api.serializers import Serializer
from itwin_emulator.domain import ids
from itwin_emulator.domain.entities import IModel
from itwin_emulator.domain.imodel_history import SYNCHRONIZER, Changeset, ChangesetGroup, ImodelHistory, NamedVersion

DATA_CENTER = "East US"
_APPLICATION = {"id": SYNCHRONIZER, "name": "iTwin Synchronizer"}
Json = dict[str, Any]


def user_id(client_id: str) -> str:
    """Return the id of a client as a user of iModels."""
    return ids.derived_guid("user", client_id)


@dataclass(frozen=True, slots=True)
class ImodelSerializer:
    """
    Serializes the entities of one iModel for one request.

    :param base: serializer of the request
    """

    base: Serializer
    imodel: IModel

    # iModels

    def full(self, history: ImodelHistory, version: int) -> Json:
        """Return the iModel; version 1 of the API also names its iTwin ``projectId``, as it did first."""
        imodel = self.imodel
        last = history.changesets[-1] if history.changesets else None
        entity: Json = {
            "id": imodel.id,
            "displayName": imodel.display_name,
            "dataCenterLocation": DATA_CENTER,
            "name": imodel.display_name,
            "description": imodel.description,
            "state": "notInitialized" if self.base.now < imodel.initialized else "initialized",
            "createdDateTime": self.base.date(imodel.created),
            "lastChangesetPushDateTime": None if last is None else self._push_date(last),
            "iTwinId": imodel.itwin_id,
            "isSecured": False,
            "extent": imodel.extent,
            "containersEnabled": imodel.containers_enabled,
        }
        if version == 1:
            entity["projectId"] = imodel.itwin_id
        entity["_links"] = {
            "creator": self._user_link(imodel.creator),
            "changesets": self._link("/changesets"),
            "namedVersions": self._link("/namedversions"),
            "iTwin": {"href": self.base.link(f"/itwins/{imodel.itwin_id}")},
        }
        return self.base.apply_quirks(entity)

    def summary(self) -> Json:
        """Return the summary of the iModel for ``Prefer: return=minimal``."""
        return self.base.apply_quirks({"id": self.imodel.id, "displayName": self.imodel.display_name})

    def create_operation(self) -> Json:
        """Return the progress of its creation."""
        source = self.imodel.source
        copied: Json | None = None
        if source is not None:
            copied = {"iModelId": source.imodel_id, "changesetId": source.changeset_id}
            if source.fork:
                copied["relationshipId"] = ids.derived_guid("fork", self.imodel.id)
        entity = {
            "state": "scheduled" if self.base.now < self.imodel.initialized else "successful",
            "clonedFrom": copied if source is not None and not source.fork else None,
            "forkedFrom": copied if source is not None and source.fork else None,
        }
        return self.base.apply_quirks(entity)

    # Changesets

    def changeset(self, changeset: Changeset, history: ImodelHistory) -> Json:
        """Return a changeset."""
        entity = self._changeset(changeset)
        by_run = changeset.run_id is not None
        entity["application"] = dict(_APPLICATION) if by_run else None
        entity["synchronizationInfo"] = self._synchronization_info(changeset) if by_run else None
        version = history.named_version_on(changeset.index)
        checkpoint = history.checkpoint_index(changeset.index)
        entity["_links"] |= {
            "namedVersion": None if version is None else self._link(f"/namedversions/{version.id}"),
            "currentOrPrecedingCheckpoint": self._link(f"/changesets/{checkpoint}/checkpoint"),
            # The file is not emulated. Clients without the permission imodels_read get null, too.
            "download": None,
        }
        return self.base.apply_quirks(entity)

    def changeset_summary(self, changeset: Changeset) -> Json:
        """Return a changeset for ``Prefer: return=minimal``: without the run that pushed it."""
        return self.base.apply_quirks(self._changeset(changeset))

    def _changeset(self, changeset: Changeset) -> Json:
        return {
            "id": changeset.id,
            "displayName": str(changeset.index),
            "description": changeset.description,
            "index": changeset.index,
            "parentId": changeset.parent_id,
            "creatorId": user_id(changeset.creator),
            "pushDateTime": self._push_date(changeset),
            "state": "fileUploaded",
            "containingChanges": changeset.containing_changes,
            "fileSize": changeset.file_size,
            "briefcaseId": changeset.briefcase_id,
            "groupId": changeset.group_id,
            "_links": {
                "self": self._link(f"/changesets/{changeset.index}"),
                "creator": self._user_link(changeset.creator),
            },
        }

    def _synchronization_info(self, changeset: Changeset) -> Json:
        files = list(changeset.changed_files) or None
        match self.base.quirks.changeset_task_id:
            case "task":
                return {"taskId": changeset.task_id, "changedFiles": files}
            case "run":
                return {"taskId": changeset.run_id, "changedFiles": files}
            case "null":
                return {"taskId": None, "changedFiles": files}
            case "absent":
                return {"changedFiles": files}

    def _push_date(self, changeset: Changeset) -> str:
        return self.base.date(changeset.pushed + self.base.quirks.push_date_skew)

    def group(self, group: ChangesetGroup) -> Json:
        """Return a changeset group."""
        entity = {
            "id": group.id,
            "description": group.description,
            "state": "inProgress" if self.base.now < group.ended else "completed",
            "creatorId": user_id(group.creator),
            "createdDateTime": self.base.date(group.created),
            "_links": {"creator": self._user_link(group.creator)},
        }
        return self.base.apply_quirks(entity)

    # Named versions

    def named_version(self, version: NamedVersion) -> Json:
        """Return a named version."""
        changeset = None if version.changeset_id is None else self._link(f"/changesets/{version.changeset_id}")
        entity = {
            "id": version.id,
            "displayName": version.name,
            "changesetId": version.changeset_id,
            "changesetIndex": version.changeset_index,
            "name": version.name,
            "description": version.description,
            "createdDateTime": self.base.date(version.created),
            "state": version.state,
            "application": None,
            "_links": {"creator": self._user_link(version.creator), "changeset": changeset},
        }
        return self.base.apply_quirks(entity)

    def named_version_summary(self, version: NamedVersion) -> Json:
        """Return the summary of a named version for ``Prefer: return=minimal``."""
        entity = {
            "id": version.id,
            "displayName": version.name,
            "changesetId": version.changeset_id,
            "changesetIndex": version.changeset_index,
        }
        return self.base.apply_quirks(entity)

    def checkpoint(self, index: int, history: ImodelHistory) -> Json:
        """Return the checkpoint of a changeset, or of the baseline (index 0). Only named versions and the baseline have one."""
        changeset_id = history.changesets[index - 1].id if index else ""
        exists = history.checkpoint_index(index) == index
        size = 1_000_000 + sum(one.file_size for one in history.changesets[:index])
        entity = {
            "changesetIndex": index,
            "changesetId": changeset_id,
            "state": "successful" if exists else "notGenerated",
            "size": size if exists else 0,
            "dbName": f"baseline-{self.imodel.id}.bim" if exists else "",
            # The file is not emulated.
            "directoryAccessInfo": None,
            "_links": {"download": None},
        }
        return self.base.apply_quirks(entity)

    # Users

    def user(self, client_id: str, history: ImodelHistory) -> Json:
        """Return a client as a user of the iModel."""
        pushed = [one for one in history.changesets if one.creator == client_id]
        entity = self._user(client_id)
        entity |= {
            "givenName": "Service",
            "surname": client_id,
            "email": ids.client_email(client_id),
            "statistics": {
                "pushedChangesetsCount": len(pushed),
                "lastChangesetPushDate": self._push_date(pushed[-1]) if pushed else None,
                "createdVersionsCount": sum(one.creator == client_id for one in history.named_versions),
                "briefcasesCount": 0,
                "applications": [],
            },
        }
        return self.base.apply_quirks(entity)

    def user_summary(self, client_id: str) -> Json:
        """Return the summary of a user for ``Prefer: return=minimal``."""
        return self.base.apply_quirks(self._user(client_id))

    def _user(self, client_id: str) -> Json:
        return {
            "id": user_id(client_id),
            "displayName": client_id,
            "_links": {"self": self._link(f"/users/{user_id(client_id)}")},
        }

    def _link(self, path: str) -> dict[str, str]:
        return {"href": self.base.link(f"/imodels/{self.imodel.id}{path}")}

    def _user_link(self, client_id: str | None) -> dict[str, str] | None:
        return None if client_id is None else self._link(f"/users/{user_id(client_id)}")
