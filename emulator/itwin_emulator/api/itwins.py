"""Operations on iTwins, as far as links of connections need them."""

from __future__ import annotations

from itwin_emulator.api.request import ApiRequest
from itwin_emulator.http.errors import itwin_not_found
from itwin_emulator.http.responses import Response


def get_itwin(request: ApiRequest) -> Response:
    """Return an iTwin."""
    itwin = request.store.itwins.get(request.params["iTwinId"])
    if itwin is None or not (request.client.everywhere or request.client.id in itwin.members):
        raise itwin_not_found()
    return Response(200, {"iTwin": request.serializer.itwin(itwin)})
