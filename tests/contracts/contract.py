"""The documented schemas of responses, by operation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
from referencing import Registry, Resource

SCHEMA_FOLDER = Path(__file__).parent / "schemas"
BASE = "https://contracts.example/"
_REGISTRY: Registry[Any] = Registry().with_resources(
    (BASE + path.name, Resource.from_contents(json.loads(path.read_text()))) for path in SCHEMA_FOLDER.glob("*.json")
)

# The location of the schema of each operation; of two, the first is for "Prefer: return=minimal".
SCHEMAS: dict[str, tuple[str, ...]] = {
    "create-storage-connection": ("connection.json#/$defs/response",),
    "get-storage-connections": ("connection.json#/$defs/summaryPage", "connection.json#/$defs/page"),
    "get-storage-connection": ("connection.json#/$defs/response",),
    "update-storage-connection": ("connection.json#/$defs/response",),
    "delete-storage-connection": (),
    "run-storage-connection": (),
    "get-storage-connection-runs": ("common.json#/$defs/runsSummaryPage", "storage-run.json#/$defs/page"),
    "get-storage-connection-run": ("storage-run.json#/$defs/response",),
    "add-storage-connection-sourcefile": ("storage-sourcefile.json#/$defs/response",),
    "get-storage-connection-sourcefiles": (
        "storage-sourcefile.json#/$defs/summaryPage",
        "storage-sourcefile.json#/$defs/page",
    ),
    "get-storage-connection-sourcefile": ("storage-sourcefile.json#/$defs/response",),
    "update-storage-connection-sourcefile": ("storage-sourcefile.json#/$defs/response",),
    "remove-storage-connection-sourcefile": (),
    "create-manifest-connection": ("connection.json#/$defs/response",),
    "get-manifest-connections": ("connection.json#/$defs/summaryPage", "connection.json#/$defs/page"),
    "get-manifest-connection": ("connection.json#/$defs/response",),
    "update-manifest-connection": ("connection.json#/$defs/response",),
    "delete-manifest-connection": (),
    "create-manifest-connection-run": (),
    "get-manifest-connection-runs": ("common.json#/$defs/runsSummaryPage", "manifest-run.json#/$defs/page"),
    "get-manifest-connection-run": ("manifest-run.json#/$defs/response",),
    "add-manifest-connection-sourcefile": ("manifest-sourcefile.json#/$defs/response",),
    "get-manifest-connection-sourcefiles": ("manifest-sourcefile.json#/$defs/page",),
    "get-manifest-connection-sourcefile": ("manifest-sourcefile.json#/$defs/response",),
    "update-manifest-connection-sourcefile": ("manifest-sourcefile.json#/$defs/response",),
    "remove-manifest-connection-sourcefile": (),
    "create-export-connection": ("connection.json#/$defs/response",),
    "get-export-connections": ("connection.json#/$defs/page",),
    "get-export-connection": ("connection.json#/$defs/response",),
    "delete-export-connection": (),
    "create-export-connection-run": (),
    "get-export-connection-runs": ("export-run.json#/$defs/page",),
    "get-export-connection-run": ("export-run.json#/$defs/response",),
    "get-connections": ("connection.json#/$defs/summaryPage", "connection.json#/$defs/page"),
    "get-authorization-information": ("around.json#/$defs/authorizationInformation",),
    "get-export-authorization-information": ("around.json#/$defs/authorizationInformation",),
    "get-itwin-imodels": ("imodels.json#/$defs/imodelsSummaryPage", "imodels.json#/$defs/imodelsPage"),
    "create-imodel": ("imodels.json#/$defs/imodelResponse",),
    "get-imodel-details": ("imodels.json#/$defs/imodelResponse",),
    "update-imodel": ("imodels.json#/$defs/imodelResponse",),
    "delete-imodel": (),
    "clone-imodel": (),
    "fork-imodel": (),
    "get-create-imodel-operation-details": ("imodels.json#/$defs/createOperationResponse",),
    "get-imodel-changesets": ("imodels.json#/$defs/changesetsSummaryPage", "imodels.json#/$defs/changesetsPage"),
    "get-imodel-changeset-details": ("imodels.json#/$defs/changesetResponse",),
    "get-imodel-changeset-groups": ("imodels.json#/$defs/changesetGroupsPage",),
    "get-imodel-changeset-group-details": ("imodels.json#/$defs/changesetGroupResponse",),
    "create-imodel-named-version": ("imodels.json#/$defs/namedVersionResponse",),
    "get-imodel-named-versions": (
        "imodels.json#/$defs/namedVersionsSummaryPage",
        "imodels.json#/$defs/namedVersionsPage",
    ),
    "get-imodel-named-version-details": ("imodels.json#/$defs/namedVersionResponse",),
    "update-imodel-named-version": ("imodels.json#/$defs/namedVersionResponse",),
    "get-changeset-checkpoint": ("imodels.json#/$defs/checkpointResponse",),
    "get-named-version-checkpoint": ("imodels.json#/$defs/checkpointResponse",),
    "get-latest-checkpoint": ("imodels.json#/$defs/checkpointResponse",),
    "get-imodel-users": ("imodels.json#/$defs/imodelUsersSummaryPage", "imodels.json#/$defs/imodelUsersPage"),
    "get-imodel-user-details": ("imodels.json#/$defs/imodelUserResponse",),
    "get-imodel-user-permissions": ("imodels.json#/$defs/imodelPermissionsResponse",),
    "get-my-itwins": ("itwins.json#/$defs/itwinsSummaryPage", "itwins.json#/$defs/itwinsPage"),
    "create-itwin": ("itwins.json#/$defs/itwinResponse",),
    "get-itwin": ("itwins.json#/$defs/itwinResponse",),
    "update-itwin": ("itwins.json#/$defs/itwinResponse",),
    "delete-itwin": (),
    "get-repositories-by-itwin-id": ("itwins.json#/$defs/repositoriesResponse",),
    "create-repository": ("itwins.json#/$defs/repositoryResponse",),
    "get-repository": ("itwins.json#/$defs/repositoryResponse",),
    "update-itwin-repository": ("itwins.json#/$defs/repositoryResponse",),
    "delete-repository": (),
    "get-top-level-folders-and-files-by-itwin": ("storage.json#/$defs/topLevelPage",),
    "get-folders-and-files-in-folder": ("storage.json#/$defs/itemsPage",),
    "get-files-in-folder": ("storage.json#/$defs/filesPage",),
    "get-folders-in-folder": ("storage.json#/$defs/foldersPage",),
    "search-for-folders-and-files-in-folder": ("storage.json#/$defs/itemsPage",),
    "get-folder": ("storage.json#/$defs/folderResponse",),
    "create-folder": ("storage.json#/$defs/folderResponse",),
    "update-folder": ("storage.json#/$defs/folderResponse",),
    "delete-folder": (),
    "move-folder": ("storage.json#/$defs/folderResponse",),
    "lock-files-in-folder": ("storage.json#/$defs/filesPage",),
    "unlock-files-in-folder": ("storage.json#/$defs/filesPage",),
    "create-file": ("storage.json#/$defs/uploadResponse",),
    "update-file-content": ("storage.json#/$defs/uploadResponse",),
    "complete-file-upload": ("storage.json#/$defs/fileResponse",),
    "get-file": ("storage.json#/$defs/fileResponse",),
    "update-file": ("storage.json#/$defs/fileResponse",),
    "delete-file": (),
    "download-file": (),
    "move-file": ("storage.json#/$defs/fileResponse",),
    "get-folders-and-files-in-recycle-bin": ("storage.json#/$defs/itemsPage",),
    "delete-file-from-recycle-bin": (),
    "delete-folder-from-recycle-bin": (),
    "restore-file": (),
    "restore-folder": (),
    "create-transformation": ("jobs.json#/$defs/transformationResponse",),
    "get-all-transformations": (
        "jobs.json#/$defs/transformationsSummaryPage",
        "jobs.json#/$defs/transformationsPage",
    ),
    "get-transformation": ("jobs.json#/$defs/transformationResponse",),
    "delete-transformation": ("jobs.json#/$defs/transformationResponse",),
    "get-transformation-report": ("jobs.json#/$defs/transformationReportResponse",),
    "get-transformation-configuration": ("jobs.json#/$defs/transformationConfigurationResponse",),
    "enable-change-tracking": (),
    "get-tracking": ("jobs.json#/$defs/trackingResponse",),
    "get-changesets": ("jobs.json#/$defs/changesetStatusesPage",),
    "get-comparison": ("jobs.json#/$defs/comparisonResponse",),
    "create-diff-job": ("jobs.json#/$defs/diffJobResponse",),
    "get-diff-jobs": ("jobs.json#/$defs/diffJobsResponse",),
    "get-diff-job": ("jobs.json#/$defs/diffJobResponse",),
    "delete-diff-job": (),
    "run-extraction": ("jobs.json#/$defs/extractionResponse",),
    "get-imodel-extractions": ("jobs.json#/$defs/extractionsPage",),
    "get-extraction-status": ("jobs.json#/$defs/extractionResponse",),
    "get-extraction-logs": ("jobs.json#/$defs/extractionLogsPage",),
    "get-mapping-extractions": ("jobs.json#/$defs/mappingExtractionsPage",),
    "get-cdm-partition": ("jobs.json#/$defs/csv",),
    "get-cdm": ("jobs.json#/$defs/cdm",),
    "reality-modeling-jobs-create": ("jobs.json#/$defs/realityJobResponse",),
    "reality-modeling-jobs-get-all": ("jobs.json#/$defs/realityJobsPage",),
    "reality-modeling-jobs-get": ("jobs.json#/$defs/realityJobResponse",),
    "reality-modeling-jobs-cancel": ("jobs.json#/$defs/realityJobResponse",),
    "reality-modeling-jobs-progress": ("jobs.json#/$defs/realityJobProgress",),
    "reality-modeling-jobs-messages": ("jobs.json#/$defs/realityJobMessages",),
    "reality-analysis-jobs-create": ("jobs.json#/$defs/realityJobResponse",),
    "reality-analysis-jobs-get-all": ("jobs.json#/$defs/realityJobsPage",),
    "reality-analysis-jobs-get": ("jobs.json#/$defs/realityJobResponse",),
    "reality-analysis-jobs-cancel": ("jobs.json#/$defs/realityJobResponse",),
    "reality-analysis-jobs-progress": ("jobs.json#/$defs/realityJobProgress",),
    "reality-analysis-jobs-messages": ("jobs.json#/$defs/realityJobMessages",),
    "reality-conversion-jobs-create": ("jobs.json#/$defs/realityJobResponse",),
    "reality-conversion-jobs-get-all": ("jobs.json#/$defs/realityJobsPage",),
    "reality-conversion-jobs-get": ("jobs.json#/$defs/realityJobResponse",),
    "reality-conversion-jobs-cancel": ("jobs.json#/$defs/realityJobResponse",),
    "reality-conversion-jobs-progress": ("jobs.json#/$defs/realityJobProgress",),
    "reality-conversion-jobs-messages": ("jobs.json#/$defs/realityJobMessages",),
    "token": ("identity.json#/$defs/token",),
    "discovery": ("identity.json#/$defs/discovery",),
    "jwks": ("identity.json#/$defs/keySet",),
}
ERROR = "common.json#/$defs/errorResponse"
TOKEN_ERROR = "identity.json#/$defs/tokenError"


def check(body: Any, place: str) -> None:
    """Fail unless a body matches the schema at a location."""
    validator = jsonschema.Draft202012Validator({"$ref": BASE + place}, registry=_REGISTRY)
    problems = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(body)]
    assert not problems, f"not {place}: {problems}"


def place_of(operation: str | None, status: int, *, representation: bool) -> str | None:
    """Return the location of the schema of a response, or None if it has no body."""
    if operation is None or status >= 400:
        return TOKEN_ERROR if operation == "token" else ERROR
    schemas = SCHEMAS[operation]
    if not schemas or status in (302, 303):
        return None
    return schemas[-1] if representation else schemas[0]


def resolved(place: str) -> Any:
    """Return the schema at a location with all references resolved, without descriptions."""
    found = _REGISTRY.resolver(BASE).lookup(BASE + place)
    return _inlined(found.contents, found.resolver)


def _inlined(schema: Any, resolver: Any) -> Any:
    if isinstance(schema, list):
        return [_inlined(one, resolver) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        found = resolver.lookup(schema["$ref"])
        return _inlined(found.contents, found.resolver)
    return {
        name: _inlined(value, resolver)
        for name, value in schema.items()
        # There are also properties of these names.
        if not (name in ("description", "title") and isinstance(value, str))
    }
