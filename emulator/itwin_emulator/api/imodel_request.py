"""What the operations of the iModels API have in common: the iModel in the path, errors, filters and the order of lists."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, TypeVar

from itwin_emulator.api.imodel_serializer import ImodelSerializer
from itwin_emulator.api.request import ApiRequest
from itwin_emulator.domain.entities import IModel
from itwin_emulator.domain.imodel_history import ImodelHistory
from itwin_emulator.http.errors import ApiError, imodel_not_found, insufficient_permissions
from itwin_emulator.http.responses import Response

INVALID = "InvalidiModelsRequest"
MAX_TEXT = 255
Detail = Mapping[str, Any]
Details = list[Detail]
T = TypeVar("T")


def invalid_request(action: str, details: Iterable[Detail]) -> ApiError:
    """Return the 422 of the iModels API; ``action`` completes "Cannot ..."."""
    return ApiError(422, INVALID, f"Cannot {action}.", list(details))


def invalid_parameter(name: str, value: str) -> Detail:
    """Return a detail of a 422: a query parameter is invalid."""
    return {"code": "InvalidValue", "message": f"'{value}' is not a valid '{name}' value.", "target": name}


def missing_parameter(name: str) -> Detail:
    """Return a detail of a 422: a query parameter is missing."""
    return {"code": "MissingRequiredParameter", "message": f"Required parameter '{name}' is missing.", "target": name}


def missing_property(name: str) -> Detail:
    """Return a detail of a 422: a property is missing."""
    return {"code": "MissingRequiredProperty", "message": "Required property is missing.", "target": name}


def invalid_property(name: str, reason: str, inner: str | None = None) -> Detail:
    """Return a detail of a 422: a property is invalid; ``inner`` is the code of the inner error."""
    detail: dict[str, Any] = {
        "code": "InvalidValue",
        "message": f"Provided '{name}' value is not valid. {reason}",
        "target": name,
    }
    return detail if inner is None else {**detail, "innerError": {"code": inner}}


def visible_imodel(request: ApiRequest) -> IModel:
    """
    Return the iModel in the path.

    :raises ApiError: it does not exist or is not visible to the client
    """
    imodel = request.store.imodels.get(request.params["iModelId"])
    if imodel is None or request.store.role(request.client, imodel.id) is None:
        raise imodel_not_found()
    return imodel


def writable_imodel(request: ApiRequest) -> IModel:
    """
    Return the iModel in the path if the client may change it.

    :raises ApiError: see :func:`visible_imodel`; also if the client is only a reader
    """
    imodel = visible_imodel(request)
    if request.store.role(request.client, imodel.id) == "reader":
        raise insufficient_permissions()
    return imodel


def opened(request: ApiRequest) -> tuple[ImodelHistory, ImodelSerializer]:
    """Return the history of the iModel in the path, and a serializer for it."""
    imodel = visible_imodel(request)
    return request.store.history(imodel.id), ImodelSerializer(request.serializer, imodel)


def check_name(body: Mapping[str, Any], details: Details, *, required: bool) -> None:
    """Append a detail for the property ``name`` if it is missing or invalid."""
    name = body.get("name")
    if name is None:
        if required:
            details.append(missing_property("name"))
    elif not isinstance(name, str) or not name.strip():
        details.append(invalid_property("name", "The value must not be empty or whitespace."))
    elif len(name) > MAX_TEXT:
        details.append(invalid_property("name", f"The value exceeds allowed {MAX_TEXT} characters."))


def check_description(body: Mapping[str, Any], details: Details) -> None:
    """Append a detail for the property ``description`` if it is invalid."""
    text = body.get("description")
    if text is not None and not isinstance(text, str):
        details.append(invalid_property("description", "The value must be a string."))
    elif text is not None and len(text) > MAX_TEXT:
        details.append(invalid_property("description", f"The value exceeds allowed {MAX_TEXT} characters."))


def choice(request: ApiRequest, name: str, allowed: Sequence[str], details: Details) -> str | None:
    """Return a query parameter that has one of some values, or None; append a detail if it has another."""
    value = request.query.get(name.lower())
    if value is None or value in allowed:
        return value
    details.append(invalid_parameter(name, value))
    return None


def number(request: ApiRequest, name: str, details: Details) -> int | None:
    """Return a query parameter that is a number, or None; append a detail if it is none."""
    value = request.query.get(name.lower())
    if value is None:
        return None
    if value.isascii() and value.isdigit() and len(value) < 10:
        return int(value)
    details.append(invalid_parameter(name, value))
    return None


Keys = Mapping[str, Callable[[T], Any]]
"""What entities can be ordered by: functions by the name of the property."""


def ordered(request: ApiRequest, entities: Sequence[T], keys: Keys[T], details: Details) -> Sequence[T]:
    """Return entities in the order of ``$orderBy``; append a detail if it is invalid."""
    given = request.query.get("$orderby")
    if given is None:
        return entities
    criteria: list[tuple[str, Literal["asc", "desc"]]] = []
    for part in given.split(","):
        name, _, direction = part.strip().partition(" ")
        way = direction.strip().lower() or "asc"
        if name not in keys or way not in ("asc", "desc"):
            details.append(invalid_parameter("$orderBy", given))
            return entities
        criteria.append((name, "desc" if way == "desc" else "asc"))
    result = list(entities)
    for name, way in reversed(criteria):
        result.sort(key=keys[name], reverse=way == "desc")
    return result


def page(
    request: ApiRequest,
    name: str,
    entities: Sequence[T],
    serialize: Callable[[T], dict[str, Any]],
    parameters: Iterable[str] = (),
) -> Response:
    """
    Return a page of a list, with links in which ``prev`` and ``next`` are null rather than absent.

    :param parameters: query parameters that the links repeat
    """
    extra = request.repeated((*parameters, "$orderBy"))
    return request.page(name, entities, serialize, INVALID, extra_query=extra, null_links=True)
