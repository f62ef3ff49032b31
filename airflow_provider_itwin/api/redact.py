"""Takes secrets out of text that the service, or a library, wrote."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_URL_QUERY = re.compile(r"(?P<url>\bhttps?://[^\s\"'<>?#]+)[?#][^\s\"'<>]*", re.IGNORECASE)
_URL_USER = re.compile(r"(?P<scheme>\bhttps?://)[^\s\"'<>/@]+@", re.IGNORECASE)
_BEARER = re.compile(r"\b(?P<scheme>bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)
_JWT = re.compile(r"\beyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}(?:\.[A-Za-z0-9_-]*)?")
_SIGNATURE = re.compile(r"\b(?P<key>sig|signature|client_secret|access_token)(?P<eq>=|%3D)[^\s&\"'<>]+", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")

HIDDEN = "***"


def redact(text: str, secrets: tuple[str, ...] = ()) -> str:
    """
    Give `text` with what could be a secret replaced by ``***``.

    :param text: anything that may end in a log or an exception
    :param secrets: values known to be secret, hidden wherever they stand
    :return: the text without queries and user names of URLs (a pre-signed URL is a secret), tokens, signatures, the known
        secrets, and control characters
    """
    for secret in secrets:
        if secret:
            text = text.replace(secret, HIDDEN)
    text = _URL_USER.sub(rf"\g<scheme>{HIDDEN}@", text)
    text = _URL_QUERY.sub(rf"\g<url>?{HIDDEN}", text)
    text = _BEARER.sub(rf"\g<scheme> {HIDDEN}", text)
    text = _JWT.sub(HIDDEN, text)
    text = _SIGNATURE.sub(rf"\g<key>\g<eq>{HIDDEN}", text)
    return _CONTROL.sub(" ", text)


def redacted(value: Any) -> Any:
    """Give a copy of a JSON value in which every text is redacted."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {key: redacted(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [redacted(entry) for entry in value]
    return value


def shortened(text: str, longest: int) -> str:
    """Give `text` in at most `longest` characters, with an ellipsis where it was cut."""
    return text if len(text) <= longest else text[: longest - 1] + "…"
