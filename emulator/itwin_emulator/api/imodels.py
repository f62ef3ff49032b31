"""Operations on iModels: create, clone, fork, get, list, update, delete."""

from __future__ import annotations

from typing import Any

from itwin_emulator.api.imodel_request import (
    INVALID,
    Details,
    Keys,
    check_description,
    check_name,
    choice,
    invalid_parameter,
    invalid_property,
    invalid_request,
    missing_parameter,
    missing_property,
    ordered,
    page,
    visible_imodel,
    writable_imodel,
)
from itwin_emulator.api.imodel_serializer import ImodelSerializer
from itwin_emulator.api.request import ApiRequest
from itwin_emulator.domain import ids
from itwin_emulator.domain.entities import IModel, ImodelSource, ITwin
from itwin_emulator.domain.imodel_history import ImodelHistory
from itwin_emulator.http.errors import ApiError, insufficient_permissions, itwin_not_found, not_emulated
from itwin_emulator.http.responses import Response

INITIALIZATION = 60.0
"""Emulated seconds until an iModel with a template is initialized."""
CREATION_MODES = ("empty", "fromiModelVersion", "fromBaseline")
_KEYS: Keys[IModel] = {"name": lambda one: one.display_name, "createdDateTime": lambda one: one.created}


def list_imodels(request: ApiRequest) -> Response:
    """Return the iModels of an iTwin."""
    details: Details = []
    # Version 1 of the API calls an iTwin a project.
    itwin_id = request.query.get("itwinid") or request.query.get("projectid")
    if itwin_id is None:
        details.append(missing_parameter("iTwinId"))
    elif not ids.is_valid(itwin_id):
        details.append(invalid_parameter("iTwinId", itwin_id))
    state = choice(request, "state", ("initialized", "notInitialized"), details)
    now = request.store.clock.now()
    found = [
        one
        for one in request.store.imodels.values()
        if one.itwin_id == itwin_id
        and request.query.get("name") in (None, one.display_name)
        and _contains(request.query.get("$search"), one)
        and (state is None or (now >= one.initialized) == (state == "initialized"))
    ]
    entities = ordered(request, found, _KEYS, details)
    if details:
        raise invalid_request("get iModels", details)
    _visible_itwin(request, str(itwin_id))
    full = request.representation
    return page(
        request,
        "iModels",
        entities,
        lambda one: _serialize(request, one) if full else ImodelSerializer(request.serializer, one).summary(),
        ("iTwinId", "projectId", "name", "$search", "state"),
    )


def get_imodel(request: ApiRequest) -> Response:
    """Return an iModel."""
    return Response(200, {"iModel": _serialize(request, visible_imodel(request))})


def get_create_operation(request: ApiRequest) -> Response:
    """Return the progress of the creation of an iModel."""
    serializer = ImodelSerializer(request.serializer, visible_imodel(request))
    return Response(200, {"createOperation": serializer.create_operation()})


def create_imodel(request: ApiRequest) -> Response:
    """Create an empty iModel, at once, or one from a template, which takes a while."""
    body = request.json(INVALID)
    details = _find_problems(body)
    itwin_id = body.get("iTwinId", body.get("projectId"))
    if itwin_id is None:
        details.append(missing_property("iTwinId"))
    elif not isinstance(itwin_id, str):
        details.append(invalid_property("iTwinId", "The value must be a string."))
    if body.get("creationMode") not in (None, *CREATION_MODES):
        details.append(invalid_property("creationMode", f"It must be one of {', '.join(CREATION_MODES)}."))
    template = body.get("template")
    source = None if template is None else _read_template(request, template, details)
    if details:
        raise invalid_request("create iModel", details)
    if body.get("creationMode") == "fromBaseline" or body.get("baselineFile") is not None:
        raise not_emulated("create-imodel with a baseline file")
    imodel = _add(request, str(itwin_id), str(body["name"]), body)
    if source is not None or body.get("creationMode") is not None:
        imodel.initialized = imodel.created + INITIALIZATION / request.store.clock.speed
    imodel.extent = body.get("extent")
    return Response(201, {"iModel": _serialize(request, imodel)})


def clone_imodel(request: ApiRequest) -> Response:
    """Create a copy of an iModel with its changesets."""
    return _copy(request, fork=False)


def fork_imodel(request: ApiRequest) -> Response:
    """Create a fork of an iModel, without the history unless ``preserveHistory`` is set."""
    return _copy(request, fork=True)


def update_imodel(request: ApiRequest) -> Response:
    """Update name, description or extent of an iModel."""
    imodel = writable_imodel(request)
    body = request.json(INVALID)
    details = _find_problems(body, creation=False)
    if not details and all(body.get(name) is None for name in ("name", "description", "extent")):
        details.append(missing_property("name"))
    if details:
        raise invalid_request("update iModel", details)
    if body.get("name") is not None:
        _check_unique(request, imodel.itwin_id, body["name"], imodel)
        imodel.display_name = body["name"]
    imodel.description = body.get("description", imodel.description)
    imodel.extent = body.get("extent", imodel.extent)
    return Response(200, {"iModel": _serialize(request, imodel)})


def delete_imodel(request: ApiRequest) -> Response:
    """Delete an iModel with its connections."""
    request.store.remove_imodel(writable_imodel(request))
    return Response(204)


def _serialize(request: ApiRequest, imodel: IModel) -> dict[str, Any]:
    serializer = ImodelSerializer(request.serializer, imodel)
    return serializer.full(request.store.history(imodel.id), request.version)


def _contains(text: str | None, imodel: IModel) -> bool:
    return text is None or text.lower() in f"{imodel.display_name}\n{imodel.description or ''}".lower()


def _visible_itwin(request: ApiRequest, itwin_id: str) -> ITwin:
    itwin = request.store.itwins.get(itwin_id)
    if itwin is None or request.store.itwin_role(request.client, itwin_id) is None:
        raise itwin_not_found()
    return itwin


def _find_problems(body: dict[str, Any], *, creation: bool = True) -> Details:
    details: Details = []
    check_name(body, details, required=creation)
    check_description(body, details)
    extent = body.get("extent")
    if extent is not None and not _is_extent(extent):
        details.append(invalid_property("extent", "It must have southWest and northEast with latitude and longitude."))
    containers = body.get("containersEnabled")
    if containers is not None and (not _is_index(containers) or containers > 7):
        details.append(invalid_property("containersEnabled", "It must be a number from 0 to 7."))
    return details


def _is_extent(extent: object) -> bool:
    if not isinstance(extent, dict) or set(extent) != {"southWest", "northEast"}:
        return False
    return all(
        isinstance(point, dict)
        and set(point) == {"latitude", "longitude"}
        and all(isinstance(value, int | float) and not isinstance(value, bool) for value in point.values())
        and abs(point["latitude"]) <= 90
        and abs(point["longitude"]) <= 180
        for point in extent.values()
    )


def _read_template(request: ApiRequest, template: object, details: Details) -> ImodelHistory | None:
    imodel_id = template.get("iModelId") if isinstance(template, dict) else None
    if not isinstance(template, dict) or not isinstance(imodel_id, str):
        details.append(missing_property("template.iModelId"))
        return None
    if imodel_id not in request.store.imodels or request.store.role(request.client, imodel_id) is None:
        details.append(invalid_property("template.iModelId", "The iModel is not available.", "iModelNotFound"))
        return None
    history = request.store.history(imodel_id)
    changeset_id = template.get("changesetId")
    if changeset_id not in (None, "") and (
        not isinstance(changeset_id, str) or history.changeset(changeset_id) is None
    ):
        details.append(invalid_property("template.changesetId", "The Changeset is not available.", "ChangesetNotFound"))
    return history


def _check_unique(request: ApiRequest, itwin_id: str, name: str, own: IModel | None = None) -> None:
    for other in request.store.imodels.values():
        if other.itwin_id == itwin_id and other.display_name == name and other is not own:
            raise ApiError(409, "iModelExists", "iModel with the same name already exists within the iTwin.")


def _add(request: ApiRequest, itwin_id: str, name: str, body: dict[str, Any]) -> IModel:
    itwin = _visible_itwin(request, itwin_id)
    if request.store.itwin_role(request.client, itwin.id) == "reader":
        raise insufficient_permissions()
    _check_unique(request, itwin.id, name)
    imodel = request.store.add_imodel(None, itwin.id, name)
    imodel.description = body.get("description")
    imodel.containers_enabled = body.get("containersEnabled") or 0
    imodel.creator = request.client.id
    return imodel


def _copy(request: ApiRequest, *, fork: bool) -> Response:
    original = visible_imodel(request)
    action = "fork iModel" if fork else "clone iModel"
    body = request.json(INVALID)
    details = _find_problems(body, creation=False)
    if not isinstance(body.get("iTwinId"), str):
        details.append(missing_property("iTwinId"))
    if not isinstance(body.get("preserveHistory"), bool | None):
        details.append(invalid_property("preserveHistory", "It must be true or false."))
    history = request.store.history(original.id)
    last = _last_index(body, history, details)
    if details:
        raise invalid_request(action, details)
    copy = _add(request, body["iTwinId"], body.get("name") or original.display_name, body)
    copy.initialized = copy.created + INITIALIZATION / request.store.clock.speed
    copy.source = ImodelSource(original.id, history.changesets[last - 1].id if last else "", fork)
    if not fork or body.get("preserveHistory") is True:
        history.copy_to(request.store.history(copy.id), last)
    headers = {
        "Location": request.serializer.link(f"/imodels/{copy.id}"),
        "Create-iModel-Operation": request.serializer.link(f"/imodels/{copy.id}/operations/create"),
    }
    return Response(202, None, headers)


def _last_index(body: dict[str, Any], history: ImodelHistory, details: Details) -> int:
    """Return the index of the last changeset to copy; 0: only the baseline."""
    changeset_id, index = body.get("changesetId"), body.get("changesetIndex")
    if not isinstance(changeset_id, str | None):
        details.append(invalid_property("changesetId", "The value must be a string."))
        return 0
    if index is not None and not _is_index(index):
        details.append(invalid_property("changesetIndex", "The value must be a number from 0."))
        return 0
    if changeset_id is None and index is None:
        return len(history.changesets)
    if changeset_id == "" or (changeset_id is None and index == 0):
        return 0
    found = history.changeset(str(index) if changeset_id is None else changeset_id)
    if found is None:
        target = "changesetIndex" if changeset_id is None else "changesetId"
        details.append(invalid_property(target, "The Changeset is not available.", "ChangesetNotFound"))
        return 0
    return found.index


def _is_index(value: object) -> bool:
    # In Python bool is an int, in JSON it is not.
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
