"""Operations on authorization information: whether a sign-in of the client is stored."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

from itwin_emulator.api.request import ApiRequest
from itwin_emulator.http.errors import invalid_value, unprocessable
from itwin_emulator.http.responses import Response


def get_authorization_information(request: ApiRequest) -> Response:
    """Return whether the client's sign-in is stored, and the URL to sign in."""
    redirect_url = request.query.get("redirecturl")
    export = request.traits is not None
    if redirect_url is not None and not _is_url(redirect_url):
        target = "$redirectUrl" if export else "redirectUrl"
        detail = invalid_value(target, "redirectUrl should be a valid URL.")
        raise unprocessable("InvalidAuthorizationInformationRequest", detail)
    # The dashboard of the emulator replaces Bentley's sign-in page.
    url = f"{request.origin}/?sign-in={quote(request.client.id)}"
    if redirect_url is not None:
        url += f"&redirectUrl={quote(redirect_url, safe='')}"
    information = {"isUserAuthorized": request.client.signed_in, "_links": {"authorizationUrl": {"href": url}}}
    return Response(200, {"authorizationInformation": information})


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)
