"""Why there was no response to a request, and which setting to check."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple, TypeAlias

Setting: TypeAlias = Literal["host", "issuer_url", "verify", "proxies"]
"""A field of the Airflow connection, or of its extra."""


class Advice(NamedTuple):
    """
    What to check.

    :param reason: why there was no response
    :param setting: the setting to check
    """

    reason: str
    setting: Setting


_REASONS: tuple[tuple[re.Pattern[str], str, Setting | None], ...] = (
    (re.compile(r"certificate|SSL", re.IGNORECASE), "TLS certificate verification failed", "verify"),
    (re.compile(r"proxy", re.IGNORECASE), "the proxy rejected the request", "proxies"),
    (re.compile(r"resolv|name or service|gaierror|nodename", re.IGNORECASE), "unknown host name", None),
    (re.compile(r"refused", re.IGNORECASE), "connection refused", None),
    (re.compile(r"timed? ?out", re.IGNORECASE), "timeout", None),
)


def connection_advice(failure: str, *, at_issuer: bool = False) -> Advice | None:
    """
    Return what to check after a request without a response; None if its reason is unknown.

    :param failure: the text of the error, as the operating system or a library reports it
    :param at_issuer: whether the request was for the token issuer, rather than the API
    """
    for pattern, reason, setting in _REASONS:
        if pattern.search(failure):
            return Advice(reason, setting or ("issuer_url" if at_issuer else "host"))
    return None
