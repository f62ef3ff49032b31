"""Inputs of jobs: what a request asked for, without its secrets."""

from __future__ import annotations

import re
from typing import Any

HIDDEN = "***"
MAX_DEPTH = 100
_SECRET_NAME = re.compile(r"token|secret|password|authorization|signature|apikey|api_key|credential", re.IGNORECASE)
_SECRET_TEXT = re.compile(r"^\s*bearer\s|^eyJ[\w-]+\.[\w-]+\.", re.IGNORECASE)
_URL = re.compile(r"^(https?://[^?#\s]*)[?#]", re.IGNORECASE)


def without_secrets(value: Any, depth: int = 0) -> Any:
    """
    Return JSON data without secrets: tokens, and the queries of URLs, which may be pre-signed.

    The emulator stores only the result, so that no secret gets into the page, the log or the state file. What is nested too
    deeply is hidden, too.
    """
    if depth > MAX_DEPTH:
        return HIDDEN
    if isinstance(value, dict):
        return {
            name: HIDDEN if _is_secret(name, one) else without_secrets(one, depth + 1) for name, one in value.items()
        }
    if isinstance(value, list):
        return [without_secrets(one, depth + 1) for one in value]
    if not isinstance(value, str):
        return value
    if _SECRET_TEXT.match(value):
        return HIDDEN
    url = _URL.match(value)
    return value if url is None else f"{url[1]}?{HIDDEN}"


def _is_secret(name: str, value: Any) -> bool:
    return value is not None and not isinstance(value, bool) and _SECRET_NAME.search(name) is not None
