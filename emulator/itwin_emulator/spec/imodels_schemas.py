"""Schemas of the bodies of the iModels API."""

from __future__ import annotations

from itwin_emulator.api.imodels import CREATION_MODES
from itwin_emulator.domain.imodel_history import NAMED_VERSION_STATES
from itwin_emulator.spec.schema_types import (
    BOOLEAN,
    INTEGER,
    STRING,
    Schema,
    array,
    enumeration,
    nullable,
    object_,
    open_object,
    ref,
    response,
)

_NUMBER: Schema = {"type": "number"}
_TEXT: Schema = nullable(STRING)
_LINK = ref("nullable-link")
_POINT = ("latitude", "longitude")


def _page(name: str, schema: str) -> Schema:
    return object_({name: array(ref(schema)), "_links": ref("nullable-paging-links")}, (name, "_links"))


_IMODEL_SUMMARY: dict[str, Schema] = {"id": STRING, "displayName": STRING}
_VERSION_SUMMARY: dict[str, Schema] = {
    "id": STRING,
    "displayName": STRING,
    "changesetId": _TEXT,
    "changesetIndex": INTEGER,
}
_CHANGESET: dict[str, Schema] = {
    "id": STRING,
    "displayName": STRING,
    "description": STRING,
    "index": INTEGER,
    "parentId": STRING,
    "creatorId": STRING,
    "pushDateTime": STRING,
    "state": enumeration(("waitingForFile", "fileUploaded")),
    "containingChanges": INTEGER,
    "fileSize": INTEGER,
    "briefcaseId": INTEGER,
    "groupId": _TEXT,
}
_CHANGESET_LINKS: dict[str, Schema] = {"self": _LINK, "creator": _LINK}
_USER: dict[str, Schema] = {"id": STRING, "displayName": STRING, "_links": object_({"self": _LINK})}

_RESPONSES: dict[str, Schema] = {
    "nullable-link": nullable(object_({"href": STRING})),
    "nullable-paging-links": object_({"self": _LINK, "prev": _LINK, "next": _LINK}),
    "imodel-summary": object_(_IMODEL_SUMMARY),
    "imodel": object_(
        {
            **_IMODEL_SUMMARY,
            "dataCenterLocation": STRING,
            "name": STRING,
            "description": _TEXT,
            "state": ref("imodel-state"),
            "createdDateTime": STRING,
            "lastChangesetPushDateTime": _TEXT,
            "iTwinId": STRING,
            "projectId": STRING,
            "isSecured": BOOLEAN,
            "extent": nullable(open_object({"southWest": ref("point"), "northEast": ref("point")})),
            "containersEnabled": INTEGER,
            "_links": object_({"creator": _LINK, "changesets": _LINK, "namedVersions": _LINK, "iTwin": _LINK}),
        }
    ),
    "point": open_object(dict.fromkeys(_POINT, _NUMBER), _POINT),
    "imodel-state": enumeration(("notInitialized", "initialized")),
    "imodel-response": response("iModel", "imodel"),
    "imodels-page": _page("iModels", "imodel"),
    "imodels-summary-page": _page("iModels", "imodel-summary"),
    "create-operation": object_(
        {
            "state": enumeration(
                ("successful", "waitingForFile", "scheduled", "failed", "mainIModelIsMissingFederationGuids")
            ),
            "clonedFrom": nullable(object_({"iModelId": STRING, "changesetId": STRING})),
            "forkedFrom": nullable(object_({"iModelId": STRING, "changesetId": STRING, "relationshipId": STRING})),
        }
    ),
    "create-operation-response": response("createOperation", "create-operation"),
    "application": nullable(object_({"id": STRING, "name": STRING})),
    "changeset-summary": object_({**_CHANGESET, "_links": object_(_CHANGESET_LINKS)}),
    "changeset": object_(
        {
            **_CHANGESET,
            "application": ref("application"),
            "synchronizationInfo": nullable(object_({"taskId": _TEXT, "changedFiles": nullable(array(STRING))})),
            "_links": object_(
                {
                    **_CHANGESET_LINKS,
                    "namedVersion": _LINK,
                    "currentOrPrecedingCheckpoint": _LINK,
                    "download": _LINK,
                }
            ),
        }
    ),
    "changeset-response": response("changeset", "changeset"),
    "changesets-page": _page("changesets", "changeset"),
    "changesets-summary-page": _page("changesets", "changeset-summary"),
    "changeset-group": object_(
        {
            "id": STRING,
            "description": STRING,
            "state": enumeration(("inProgress", "completed", "timedOut", "forciblyClosed")),
            "creatorId": STRING,
            "createdDateTime": STRING,
            "_links": object_({"creator": _LINK}),
        }
    ),
    "changeset-group-response": response("changesetGroup", "changeset-group"),
    "changeset-groups-page": _page("changesetGroups", "changeset-group"),
    "named-version-summary": object_(_VERSION_SUMMARY),
    "named-version": object_(
        {
            **_VERSION_SUMMARY,
            "name": STRING,
            "description": _TEXT,
            "createdDateTime": STRING,
            "state": enumeration(NAMED_VERSION_STATES),
            "application": ref("application"),
            "_links": object_({"creator": _LINK, "changeset": _LINK}),
        }
    ),
    "named-version-response": response("namedVersion", "named-version"),
    "named-versions-page": _page("namedVersions", "named-version"),
    "named-versions-summary-page": _page("namedVersions", "named-version-summary"),
    "checkpoint": object_(
        {
            "changesetIndex": INTEGER,
            "changesetId": STRING,
            "state": enumeration(("successful", "scheduled", "failed", "notGenerated")),
            "size": INTEGER,
            "dbName": STRING,
            "directoryAccessInfo": nullable({"type": "object"}),
            "_links": object_({"download": _LINK}),
        }
    ),
    "checkpoint-response": response("checkpoint", "checkpoint"),
    "imodel-user-summary": object_(_USER),
    "imodel-user": object_(
        {
            **_USER,
            "givenName": STRING,
            "surname": STRING,
            "email": STRING,
            "statistics": object_(
                {
                    "pushedChangesetsCount": INTEGER,
                    "lastChangesetPushDate": _TEXT,
                    "createdVersionsCount": INTEGER,
                    "briefcasesCount": INTEGER,
                    "applications": array({"type": "object"}),
                }
            ),
        }
    ),
    "imodel-user-response": response("user", "imodel-user"),
    "imodel-users-page": _page("users", "imodel-user"),
    "imodel-users-summary-page": _page("users", "imodel-user-summary"),
    "imodel-permissions-response": object_({"permissions": array(STRING)}, ("permissions",)),
}

_NAME: Schema = {**STRING, "minLength": 1, "maxLength": 255, "pattern": r"\S"}
_DESCRIPTION: Schema = nullable({**STRING, "maxLength": 255})
_EDITABLE: dict[str, Schema] = {"description": _DESCRIPTION, "extent": nullable({"type": "object"})}
_NEW: dict[str, Schema] = {
    "iTwinId": STRING,
    "description": _DESCRIPTION,
    "containersEnabled": nullable({"type": "integer", "minimum": 0, "maximum": 7}),
}
_COPY: dict[str, Schema] = {
    **_NEW,
    "name": nullable(_NAME),
    "changesetId": _TEXT,
    "changesetIndex": nullable({"type": "integer", "minimum": 0}),
}

_REQUESTS: dict[str, Schema] = {
    "create-imodel": open_object(
        {
            **_NEW,
            **_EDITABLE,
            "name": _NAME,
            "creationMode": nullable(enumeration(CREATION_MODES)),
            "template": nullable(open_object({"iModelId": STRING, "changesetId": _TEXT}, ("iModelId",))),
        },
        ("iTwinId", "name"),
    ),
    "update-imodel": open_object({"name": nullable(_NAME), **_EDITABLE}),
    "clone-imodel": open_object(_COPY, ("iTwinId",)),
    "fork-imodel": open_object({**_COPY, "preserveHistory": nullable(BOOLEAN)}, ("iTwinId",)),
    "create-named-version": open_object({"name": _NAME, "description": _DESCRIPTION, "changesetId": _TEXT}, ("name",)),
    "update-named-version": open_object(
        {"name": nullable(_NAME), "description": _DESCRIPTION, "state": nullable(enumeration(NAMED_VERSION_STATES))}
    ),
}

IMODELS_SCHEMAS: dict[str, Schema] = {**_RESPONSES, **_REQUESTS}
