"""Operations on iTwins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from itwin_emulator.api.request import ApiRequest
from itwin_emulator.domain.entities import ACCOUNT_ID, ITwin
from itwin_emulator.http.errors import (
    insufficient_permissions,
    invalid_value,
    itwin_not_found,
    missing_parameter,
    unprocessable,
)
from itwin_emulator.http.responses import Response

INVALID = "InvalidiTwinsRequest"
CLASSES = {
    "Account": ("Account",),
    "Thing": ("Asset", "Portfolio"),
    "Endeavor": ("Program", "Project", "WorkPackage"),
}
"""The classes, each with its subclasses."""
STATUSES = ("Active", "Inactive", "Trial")
_TEXTS = ("displayName", "number", "type", "geographicLocation", "ianaTimeZone", "dataCenterLocation", "parentId")
_FIELDS = {
    "displayName": "display_name",
    "number": "number",
    "class": "itwin_class",
    "subClass": "sub_class",
    "type": "type",
    "status": "status",
    "parentId": "parent_id",
    "geographicLocation": "geographic_location",
    "latitude": "latitude",
    "longitude": "longitude",
    "ianaTimeZone": "iana_time_zone",
    "dataCenterLocation": "data_center_location",
}
_FILTERS: dict[str, Callable[[ITwin], str | None]] = {
    "type": lambda one: one.type,
    "number": lambda one: one.number or one.id,
    "displayName": lambda one: one.display_name,
    "parentId": lambda one: one.parent_id or ACCOUNT_ID,
    "iTwinAccountId": lambda one: ACCOUNT_ID,
}


def list_itwins(request: ApiRequest) -> Response:
    """Return the iTwins that the client is a member of; inactive ones only on request."""
    query = request.query
    details = []
    status, inactive = query.get("status"), query.get("includeinactive", "false")
    if status is not None and status not in STATUSES:
        details.append(invalid_value("status"))
    if inactive not in ("true", "false"):
        details.append(invalid_value("includeInactive"))
    if status is not None and "includeinactive" in query:
        details.append(invalid_value("includeInactive", "status and includeInactive cannot be used together."))
    search = query.get("$search")
    if search is not None and ("number" in query or "displayname" in query):
        details.append(invalid_value("$search", "$search cannot be used together with number or displayName."))
    sub_classes = query["subclass"].split(",") if "subclass" in query else []
    if not set(sub_classes) <= {one for names in CLASSES.values() for one in names}:
        details.append(invalid_value("subClass"))
    if details:
        raise unprocessable(INVALID, *details)
    found = [
        one
        for one in request.store.itwins.values()
        if request.store.itwin_role(request.client, one.id) is not None
        and (one.status == status if status is not None else inactive == "true" or one.status != "Inactive")
        and (not sub_classes or one.sub_class in sub_classes)
        and all(query.get(name.lower()) in (None, read(one)) for name, read in _FILTERS.items())
        and (search is None or search.lower() in f"{one.display_name}\n{one.number or ''}".lower())
    ]
    serializer = request.serializer
    names = ("subClass", "status", "includeInactive", "$search", *_FILTERS)
    return request.page(
        "iTwins",
        found,
        serializer.itwin if request.representation else serializer.itwin_summary,
        INVALID,
        extra_query=request.repeated(names),
    )


def get_itwin(request: ApiRequest) -> Response:
    """Return an iTwin, in full unless the client asks for less."""
    itwin = visible_itwin(request)
    serializer = request.serializer
    minimal = request.preference("return") == "minimal"
    return Response(200, {"iTwin": serializer.itwin_summary(itwin) if minimal else serializer.itwin(itwin)})


def create_itwin(request: ApiRequest) -> Response:
    """Create an iTwin; the client becomes its owner."""
    body = request.json(INVALID)
    details = _find_problems(body)
    for name in ("class", "subClass", "displayName"):
        if body.get(name) is None:
            details.append(missing_parameter(name))
    if details:
        raise unprocessable(INVALID, *details)
    itwin = request.store.add_itwin(None, body["displayName"])
    _assign(itwin, body)
    itwin.created_by = request.client.id
    itwin.members[request.client.id] = "owner"
    return Response(201, {"iTwin": request.serializer.itwin(itwin)})


def update_itwin(request: ApiRequest) -> Response:
    """Update an iTwin."""
    itwin = owned_itwin(request)
    body = request.json(INVALID)
    details = _find_problems(body)
    if details:
        raise unprocessable(INVALID, *details)
    _assign(itwin, body)
    itwin.modified = request.store.clock.now()
    return Response(200, {"iTwin": request.serializer.itwin(itwin)})


def delete_itwin(request: ApiRequest) -> Response:
    """Delete an iTwin with its iModels."""
    request.store.remove_itwin(owned_itwin(request))
    return Response(204)


def visible_itwin(request: ApiRequest) -> ITwin:
    """
    Return the iTwin in the path.

    :raises ApiError: it does not exist or is not visible to the client
    """
    itwin = request.store.itwins.get(request.params["iTwinId"])
    if itwin is None or request.store.itwin_role(request.client, itwin.id) is None:
        raise itwin_not_found()
    return itwin


def owned_itwin(request: ApiRequest) -> ITwin:
    """
    Return the iTwin in the path if the client is its owner.

    :raises ApiError: see :func:`visible_itwin`; also if the client is not an owner
    """
    itwin = visible_itwin(request)
    if request.store.itwin_role(request.client, itwin.id) != "owner":
        raise insufficient_permissions()
    return itwin


def _find_problems(body: dict[str, Any]) -> list[dict[str, str]]:
    details = []
    for name in _TEXTS:
        value = body.get(name)
        if value is not None and not (isinstance(value, str) and len(value) <= 255):
            details.append(invalid_value(name))
    for name, limit in (("latitude", 90), ("longitude", 180)):
        value = body.get(name)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if value is not None and not (number and abs(value) <= limit):
            details.append(invalid_value(name))
    if body.get("displayName") is not None and not str(body["displayName"]).strip():
        details.append(invalid_value("displayName"))
    itwin_class, sub_class = body.get("class"), body.get("subClass")
    if itwin_class is not None and itwin_class not in list(CLASSES):
        details.append(invalid_value("class"))
    elif sub_class is not None and not any(
        sub_class in names and itwin_class in (None, key) for key, names in CLASSES.items()
    ):
        details.append(invalid_value("subClass"))
    if body.get("status") not in (None, *STATUSES):
        details.append(invalid_value("status"))
    return details


def _assign(itwin: ITwin, body: dict[str, Any]) -> None:
    for name, attribute in _FIELDS.items():
        if body.get(name) is not None:
            setattr(itwin, attribute, body[name])
