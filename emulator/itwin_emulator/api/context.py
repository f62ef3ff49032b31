"""What is around connections: whether the caller's sign-in is stored, and the iModel and iTwin that links lead to."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

from itwin_emulator.http import errors
from itwin_emulator.http.errors import Answer, invalid_value, unprocessable
from itwin_emulator.http.request import Call


def get_authorization_information(call: Call) -> Answer:
    """Answer whether the caller's sign-in is stored, and where to sign in if not."""
    redirect_url = call.query.get("redirecturl")
    export = call.traits is not None
    if redirect_url is not None and not _is_url(redirect_url):
        target = "$redirectUrl" if export else "redirectUrl"
        detail = invalid_value(target, "redirectUrl should be a valid URL.")
        raise unprocessable("InvalidAuthorizationInformationRequest", detail)
    # The page of the emulator plays the part of Bentley's portal.
    url = f"{call.origin}/?sign-in={quote(call.client.id)}"
    if redirect_url is not None:
        url += f"&redirectUrl={quote(redirect_url, safe='')}"
    information = {"isUserAuthorized": call.client.signed_in, "_links": {"authorizationUrl": {"href": url}}}
    return Answer(200, {"authorizationInformation": information})


def get_imodel(call: Call) -> Answer:
    """Answer with an iModel."""
    imodel = call.platform.imodels.get(call.params["iModelId"])
    if imodel is None or call.platform.role(call.client, imodel.id) is None:
        raise errors.imodel_not_found()
    return Answer(200, {"iModel": call.show.imodel(imodel)})


def get_itwin(call: Call) -> Answer:
    """Answer with an iTwin."""
    itwin = call.platform.itwins.get(call.params["iTwinId"])
    if itwin is None or not (call.client.everywhere or call.client.id in itwin.members):
        raise errors.itwin_not_found()
    return Answer(200, {"iTwin": call.show.itwin(itwin)})


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)
