"""Operations on the repositories of an iTwin: where its data is."""

from __future__ import annotations

from typing import Any

from itwin_emulator.api.itwins import INVALID, owned_itwin, visible_itwin
from itwin_emulator.api.request import ApiRequest
from itwin_emulator.domain import ids
from itwin_emulator.domain.entities import ITwin
from itwin_emulator.http.errors import ApiError, invalid_value, missing_parameter, unprocessable
from itwin_emulator.http.responses import Response

CLASSES = {
    "GeographicInformationSystem": (
        "WebMapService",
        "WebMapTileService",
        "WebFeatureService",
        "MapServer",
        "ArcGIS",
        "UrlTemplate",
        "OgcApiFeatures",
    ),
    "Construction": ("Performance",),
    "Subsurface": ("EvoWorkspace",),
}
"""The classes of repositories that clients can register, each with its subclasses."""
MISSING = ("iTwinRepositoryNotFound", "Requested iTwin Repository is not available.")
_TEXTS = ("displayName", "uri")
_OBJECTS = ("authentication", "options")
_FIXED = ("id", "class", "subClass")
Details = list[dict[str, str]]


def list_repositories(request: ApiRequest) -> Response:
    """Return the repositories of an iTwin: its iModels, its files, and what clients have registered."""
    filters = {name: request.query[name.lower()] for name in ("class", "subClass") if name.lower() in request.query}
    found = [
        one
        for one in _all(request, visible_itwin(request))
        if all(one.get(name) == value for name, value in filters.items())
    ]
    return Response(200, {"repositories": found})


def get_repository(request: ApiRequest) -> Response:
    """Return a repository."""
    return Response(200, {"repository": _find(request, _all(request, visible_itwin(request)))})


def create_repository(request: ApiRequest) -> Response:
    """Register a repository."""
    itwin = owned_itwin(request)
    body = request.json(INVALID)
    details: Details = [missing_parameter(name) for name in ("class", "uri") if body.get(name) is None]
    repository_class, sub_class = body.get("class"), body.get("subClass")
    if repository_class is not None and repository_class not in list(CLASSES):
        details.append(invalid_value("class"))
    elif sub_class is not None and sub_class not in CLASSES.get(str(repository_class), ()):
        details.append(invalid_value("subClass"))
    _check(body, details)
    repository = {"id": ids.guid()} | {
        name: body[name] for name in ("class", "subClass", *_TEXTS, *_OBJECTS) if body.get(name) is not None
    }
    if details:
        raise unprocessable(INVALID, *details)
    itwin.repositories.append(repository)
    return Response(201, {"repository": repository})


def update_repository(request: ApiRequest) -> Response:
    """Change a repository that a client has registered; null removes its options or its authentication."""
    repository = _registered(request)
    body = request.json(INVALID)
    details: Details = [invalid_value(name) for name in _FIXED if name in body]
    details += [invalid_value(name) for name in _TEXTS if name in body and body[name] is None]
    _check(body, details)
    if details:
        raise unprocessable(INVALID, *details)
    for name in (*_TEXTS, *_OBJECTS):
        if body.get(name) is not None:
            repository[name] = body[name]
        elif name in body:
            repository.pop(name, None)
    return Response(200, {"repository": repository})


def delete_repository(request: ApiRequest) -> Response:
    """Remove a repository that a client has registered."""
    repository = _registered(request)
    owned_itwin(request).repositories.remove(repository)
    return Response(204)


def _all(request: ApiRequest, itwin: ITwin) -> list[dict[str, Any]]:
    link = request.serializer.link
    return [
        {"id": "iModels", "class": "iModels", "subClass": None, "uri": link(f"/imodels?iTwinId={itwin.id}")},
        {"id": "Storage", "class": "Storage", "subClass": None, "uri": link(f"/storage?iTwinId={itwin.id}")},
        *itwin.repositories,
    ]


def _find(request: ApiRequest, repositories: list[dict[str, Any]]) -> dict[str, Any]:
    wanted = request.params["repositoryId"]
    for one in repositories:
        if one["id"] == wanted:
            return one
    raise ApiError(404, *MISSING)


def _registered(request: ApiRequest) -> dict[str, Any]:
    itwin = owned_itwin(request)
    found = _find(request, _all(request, itwin))
    if not any(one is found for one in itwin.repositories):
        message = "Generated repositories cannot be changed."
        raise unprocessable(INVALID, invalid_value("repositoryId", message))
    return found


def _check(body: dict[str, Any], details: Details) -> None:
    for name in _TEXTS:
        value = body.get(name)
        if value is not None and not (isinstance(value, str) and value.strip()):
            details.append(invalid_value(name))
    details += [invalid_value(name) for name in _OBJECTS if not isinstance(body.get(name), dict | None)]
