"""Pre-signed URLs of blobs, in the form of a shared access signature of Azure Blob Storage."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from calendar import timegm
from collections.abc import Mapping
from typing import Literal
from urllib.parse import quote, urlencode

ROOT = "blobs"
"""First segment of the paths of blobs."""
_VERSION = "2024-11-04"
_TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"

Permission = Literal["r", "w"]


def blob_path(itwin_id: str, blob_id: str) -> str:
    """Return the path of a blob: the iTwin is its container."""
    return f"/{ROOT}/{quote(itwin_id, safe='')}/{quote(blob_id, safe='')}"


def signed_url(origin: str, key: bytes, itwin_id: str, blob_id: str, permissions: str, expires: float) -> str:
    """
    Return a pre-signed URL. It is a secret.

    :param permissions: letters of Azure: ``r`` (read), ``c`` (create), ``w`` (write)
    :param expires: seconds since the epoch, on the clock of the service
    """
    until = time.strftime(_TIME_FORMAT, time.gmtime(expires))
    signature = _sign(key, itwin_id, blob_id, permissions, until)
    query = {"sv": _VERSION, "se": until, "sr": "b", "sp": permissions, "sig": signature}
    return f"{origin}{blob_path(itwin_id, blob_id)}?{urlencode(query)}"


def find_problem(
    key: bytes, itwin_id: str, blob_id: str, query: Mapping[str, str], needed: Permission, now: float
) -> str | None:
    """
    Return why a query does not permit a request: ``signature``, ``expired`` or ``permission``; None: it does.

    :param now: seconds since the epoch, on the clock of the service
    """
    permissions, until = query.get("sp", ""), query.get("se", "")
    expected = _sign(key, itwin_id, blob_id, permissions, until)
    if not hmac.compare_digest(expected.encode(), query.get("sig", "").encode()):
        return "signature"
    if timegm(time.strptime(until, _TIME_FORMAT)) <= now:
        return "expired"
    return None if needed in permissions else "permission"


def _sign(key: bytes, itwin_id: str, blob_id: str, permissions: str, until: str) -> str:
    text = "\n".join((itwin_id, blob_id, permissions, until))
    return base64.b64encode(hmac.new(key, text.encode(), hashlib.sha256).digest()).decode()
