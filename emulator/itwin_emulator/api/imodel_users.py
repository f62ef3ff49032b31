"""Operations on the users of an iModel: the clients with access to it, and the creators of its changesets."""

from __future__ import annotations

from itwin_emulator.api.imodel_request import Details, Keys, invalid_request, opened, ordered, page, visible_imodel
from itwin_emulator.api.imodel_serializer import user_id
from itwin_emulator.api.request import ApiRequest
from itwin_emulator.domain.imodel_history import ImodelHistory
from itwin_emulator.http.errors import ApiError
from itwin_emulator.http.responses import Response

_KEYS: Keys[str] = {"givenName": lambda one: "Service", "surname": lambda one: one}


def list_users(request: ApiRequest) -> Response:
    """Return the users of an iModel."""
    history, serializer = opened(request)
    details: Details = []
    users = ordered(request, _user_names(request, history), _KEYS, details)
    if details:
        raise invalid_request("get Users", details)
    full = request.representation
    return page(
        request,
        "users",
        users,
        lambda one: serializer.user(one, history) if full else serializer.user_summary(one),
    )


def get_user(request: ApiRequest) -> Response:
    """Return a user; ``me`` is the client."""
    history, serializer = opened(request)
    wanted = request.params["userId"]
    if wanted == "me":
        return Response(200, {"user": serializer.user(request.client.id, history)})
    for name in _user_names(request, history):
        if user_id(name) == wanted:
            return Response(200, {"user": serializer.user(name, history)})
    raise ApiError(404, "UserNotFound", "Requested User is not available.")


def get_permissions(request: ApiRequest) -> Response:
    """Return the permissions of the client for an iModel."""
    imodel = visible_imodel(request)
    permissions = ["imodels_webview", "imodels_read"]
    role = request.store.role(request.client, imodel.id)
    if role != "reader":
        permissions.append("imodels_write")
    if role == "owner":
        permissions += ["imodels_manage", "imodels_delete"]
    return Response(200, {"permissions": permissions})


def _user_names(request: ApiRequest, history: ImodelHistory) -> list[str]:
    imodel = visible_imodel(request)
    clients = request.store.clients.values()
    names = [one.id for one in clients if request.store.role(one, imodel.id) is not None]
    names += [one.creator for one in history.changesets]
    names += [one.creator for one in history.named_versions]
    names += [imodel.creator] if imodel.creator is not None else []
    return list(dict.fromkeys(names))
