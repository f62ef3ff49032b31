"""Ids of the shapes that the real service hands out."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
import uuid

SOUND_PATTERN = "^[A-Za-z0-9_-]{1,128}$"
_SOUND = re.compile(SOUND_PATTERN.strip("^$"))


def guid() -> str:
    """Make an id as iTwins, iModels, runs and source files have."""
    return str(uuid.uuid4())


def opaque_id() -> str:
    """Make an id of 43 characters, possibly with ``-`` and ``_`` in it, as connections and stored files have."""
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=").decode()


def derived_id(*parts: object) -> str:
    """Make an id of 40 hexadecimal digits that is always the same for the same parts."""
    return hashlib.sha1("/".join(map(str, parts)).encode(), usedforsecurity=False).hexdigest()


def derived_guid(*parts: object) -> str:
    """Make a GUID that is always the same for the same parts."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, "/".join(map(str, parts))))


def is_sound(identifier: str) -> bool:
    """Tell whether the service would look such an id up at all, or answer 422."""
    return _SOUND.fullmatch(identifier) is not None
