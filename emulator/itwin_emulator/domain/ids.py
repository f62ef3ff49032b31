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
    return _digest(parts).hex()[:40]


def derived_guid(*parts: object) -> str:
    """Make a GUID that is always the same for the same parts."""
    return str(uuid.UUID(bytes=_digest(parts)[:16], version=5))


def _digest(parts: tuple[object, ...]) -> bytes:
    # SHA-256, and not the SHA-1 of uuid5, so that the emulator runs where only approved hashes are allowed.
    return hashlib.sha256("/".join(map(str, parts)).encode()).digest()


def is_sound(identifier: str) -> bool:
    """Tell whether the service would look such an id up at all, or answer 422."""
    return _SOUND.fullmatch(identifier) is not None
