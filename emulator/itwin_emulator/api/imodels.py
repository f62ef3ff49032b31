"""Operations on iModels, as far as links of connections need them."""

from __future__ import annotations

from itwin_emulator.api.request import ApiRequest
from itwin_emulator.http.errors import imodel_not_found
from itwin_emulator.http.responses import Response


def get_imodel(request: ApiRequest) -> Response:
    """Return an iModel."""
    imodel = request.store.imodels.get(request.params["iModelId"])
    if imodel is None or request.store.role(request.client, imodel.id) is None:
        raise imodel_not_found()
    return Response(200, {"iModel": request.serializer.imodel(imodel)})
