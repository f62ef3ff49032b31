"""Takes secrets out of text that the service, or a library, wrote."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote

# Each of these takes time in proportion to the text, whatever is in it.
_USER = re.compile(r"(?<=://)[^\s\"'<>/@]+@")
_URL = re.compile(r"(?P<url>\bhttps?://[^\s\"'<>?#]++)(?P<query>[?#][^\s\"'<>]*+)?", re.IGNORECASE)
_BEARER = re.compile(r"\b(?P<scheme>bearer|basic)\s++[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)
_JWT = re.compile(r"\beyJ[A-Za-z0-9_-]*+(?P<rest>(?:\.[A-Za-z0-9_-]++)*+)")
_SIGNATURE = re.compile(
    r"\b(?P<key>sig|signature|client_secret|access_token)(?P<is>=|%3D|\"\s*:\s*\")[^\s&\"'<>]+", re.IGNORECASE
)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")

HIDDEN = "***"

_MOST_READ = 1 << 16


def redact(text: str, secrets: tuple[str, ...] = ()) -> str:
    """
    Give `text` with what could be a secret replaced by ``***``.

    :param text: anything that may end in a log or an exception
    :param secrets: values known to be secret, hidden wherever they stand and in whichever way their signs are encoded
    :return: the text without queries and user names of URLs (a pre-signed URL is a secret), tokens, signatures, the known
        secrets, and control characters
    """
    for secret in secrets:
        if secret:
            text = _pattern_of(secret).sub(HIDDEN, text)
    text = _USER.sub(f"{HIDDEN}@", text)
    text = _URL.sub(lambda url: f"{url['url']}?{HIDDEN}" if url["query"] else url[0], text)
    text = _BEARER.sub(rf"\g<scheme> {HIDDEN}", text)
    text = _JWT.sub(lambda token: HIDDEN if token["rest"] else token[0], text)
    text = _SIGNATURE.sub(rf"\g<key>\g<is>{HIDDEN}", text)
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


def excerpt(text: str, longest: int, secrets: tuple[str, ...] = ()) -> str:
    """Give the beginning of `text` in at most `longest` characters, redacted before it is cut."""
    if len(text) > _MOST_READ:
        # What is torn at the end of a word could be the half of a secret.
        text = text[:_MOST_READ].rsplit(None, 1)[0]
    return shortened(redact(text, secrets), longest)


def shortened(text: str, longest: int) -> str:
    """Give `text` in at most `longest` characters, with an ellipsis where it was cut."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


@lru_cache(maxsize=64)
def _pattern_of(secret: str) -> re.Pattern[str]:
    """Give a pattern for a secret; a token has a thousand signs, and in an outage it is looked for again and again."""
    return re.compile("".join(map(_spellings, secret)))


def _spellings(char: str) -> str:
    """Give a pattern for one character of a secret: as it is, or as a form, a URL or JSON has it."""
    plain = re.escape(char)
    if char.isascii() and char.isalnum():
        return plain
    encoded = quote(char, safe="", errors="surrogatepass")
    space = r"|\+" if char == " " else ""
    return rf"(?:\\?{plain}|(?i:{encoded}){space})"
