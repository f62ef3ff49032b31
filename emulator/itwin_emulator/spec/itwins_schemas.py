"""Schemas of the bodies of the iTwins API."""

from __future__ import annotations

from itwin_emulator.api.itwins import CLASSES, STATUSES
from itwin_emulator.api.repositories import CLASSES as REPOSITORY_CLASSES
from itwin_emulator.spec.schema_types import (
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

_TEXT: Schema = nullable(STRING)
_NUMBER: Schema = {"type": "number"}
_FREE: Schema = {"type": "object"}
_SUB_CLASSES = tuple(one for names in CLASSES.values() for one in names)
_SUMMARY: dict[str, Schema] = {
    "id": STRING,
    "class": enumeration(tuple(CLASSES)),
    "subClass": enumeration(_SUB_CLASSES),
    "type": _TEXT,
    "number": STRING,
    "displayName": STRING,
}

_SHORT: Schema = nullable({**STRING, "maxLength": 255})
_SETTINGS: dict[str, Schema] = {
    "type": _SHORT,
    "number": _SHORT,
    "status": nullable(enumeration(STATUSES)),
    "parentId": _SHORT,
    "geographicLocation": _SHORT,
    "latitude": nullable({**_NUMBER, "minimum": -90, "maximum": 90}),
    "longitude": nullable({**_NUMBER, "minimum": -180, "maximum": 180}),
    "ianaTimeZone": _SHORT,
    "dataCenterLocation": _SHORT,
}
_FILLED: Schema = {**STRING, "minLength": 1, "pattern": r"\S"}
_REPOSITORY_SETTINGS: dict[str, Schema] = dict.fromkeys(("authentication", "options"), nullable(_FREE))
_NAME: Schema = {**STRING, "minLength": 1, "maxLength": 255, "pattern": r"\S"}

ITWINS_SCHEMAS: dict[str, Schema] = {
    "itwin-summary": object_(_SUMMARY),
    "itwin": object_(
        {
            **_SUMMARY,
            "geographicLocation": _TEXT,
            "latitude": nullable(_NUMBER),
            "longitude": nullable(_NUMBER),
            "ianaTimeZone": _TEXT,
            "dataCenterLocation": STRING,
            "status": enumeration(STATUSES),
            "parentId": STRING,
            "iTwinAccountId": STRING,
            "imageName": _TEXT,
            "image": _TEXT,
            "createdDateTime": STRING,
            "createdBy": _TEXT,
            "lastModifiedDateTime": STRING,
            "lastModifiedBy": _TEXT,
        }
    ),
    "itwin-response": response("iTwin", "itwin"),
    "itwins-page": page("iTwins", "itwin"),
    "itwins-summary-page": page("iTwins", "itwin-summary"),
    "repository": object_(
        {
            "id": STRING,
            "class": STRING,
            "subClass": _TEXT,
            "displayName": STRING,
            "uri": STRING,
            **dict.fromkeys(("authentication", "options"), _FREE),
        }
    ),
    "repository-response": response("repository", "repository"),
    "repositories-response": object_({"repositories": array(ref("repository"))}, ("repositories",)),
    "create-itwin": open_object(
        # Which subclass goes with which class is not said here.
        {
            **_SETTINGS,
            "class": enumeration(("Endeavor",)),
            "subClass": enumeration(CLASSES["Endeavor"]),
            "displayName": _NAME,
        },
        ("class", "subClass", "displayName"),
    ),
    "create-repository": open_object(
        # Which subclass goes with which class is not said here.
        {
            "class": enumeration(("GeographicInformationSystem",)),
            "subClass": nullable(enumeration(REPOSITORY_CLASSES["GeographicInformationSystem"])),
            "uri": _FILLED,
            "displayName": nullable(_FILLED),
            **_REPOSITORY_SETTINGS,
        },
        ("class", "uri"),
    ),
    "update-repository": open_object({"uri": _FILLED, "displayName": _FILLED, **_REPOSITORY_SETTINGS}),
    "update-itwin": open_object({**_SETTINGS, "displayName": nullable(_NAME)}),
}
