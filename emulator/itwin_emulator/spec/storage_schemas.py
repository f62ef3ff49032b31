"""Schemas of the Storage API."""

from __future__ import annotations

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
    page,
    ref,
    response,
)

_ITEM_LINKS = object_({"createdBy": ref("link"), "lastModifiedBy": ref("link"), "parentFolder": ref("link")})


def _item(size: dict[str, Schema]) -> Schema:
    """Return the schema of a file or a folder; ``size`` are the properties that only files have."""
    return object_(
        {
            "type": enumeration(("file", "folder")),
            "id": STRING,
            "displayName": STRING,
            "description": STRING,
            "path": STRING,
            **size,
            "lastModifiedByDisplayName": STRING,
            "createdDateTime": STRING,
            "lastModifiedDateTime": STRING,
            "parentFolderId": STRING,
            "_links": _ITEM_LINKS,
        }
    )


_ITEM_NAME: Schema = {"type": "string", "minLength": 1, "maxLength": 255}
_PAGE_LINKS = {"self": ref("link"), "prev": ref("link"), "next": ref("link")}
STORAGE_SCHEMAS: dict[str, Schema] = {
    "storage-file": _item({"size": INTEGER, "isFileLocked": BOOLEAN}),
    "storage-folder": _item({}),
    "storage-file-response": response("file", "storage-file"),
    "storage-folder-response": response("folder", "storage-folder"),
    "storage-files-page": page("files", "storage-file"),
    "storage-folders-page": page("folders", "storage-folder"),
    "storage-items-page": page("items", "storage-file"),
    "storage-top-level-page": object_(
        {"items": array(ref("storage-file")), "_links": object_({**_PAGE_LINKS, "folder": ref("link")})},
        ("items", "_links"),
    ),
    "storage-upload-response": object_(
        {"_links": object_({"uploadUrl": ref("link"), "completeUrl": ref("link")})}, ("_links",)
    ),
    "storage-create-body": open_object({"displayName": _ITEM_NAME, "description": nullable(STRING)}, ("displayName",)),
    "storage-name-body": open_object({"displayName": nullable(_ITEM_NAME), "description": nullable(STRING)}),
    "storage-move-body": open_object({"parentFolderId": STRING}, ("parentFolderId",)),
    "storage-lock-body": open_object({"fileIds": array(STRING)}, ("fileIds",)),
}
