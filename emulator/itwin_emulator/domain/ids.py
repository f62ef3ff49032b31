"""Ids in the formats of the real service."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
import uuid

ID_PATTERN = "^[A-Za-z0-9_-]{1,128}$"
_VALID_ID = re.compile(ID_PATTERN.strip("^$"))


def guid() -> str:
    """Generate a GUID: the id format of iTwins, iModels, runs and source files."""
    return str(uuid.uuid4())


def opaque_id() -> str:
    """Generate an id of 43 characters, possibly with ``-`` and ``_``: the format of connections and stored files."""
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=").decode()


def derived_opaque_id(*parts: object) -> str:
    """Derive an id of 43 characters; equal parts give equal ids."""
    return base64.urlsafe_b64encode(_digest(parts)).rstrip(b"=").decode()


def derived_id(*parts: object) -> str:
    """Derive an id of 40 hexadecimal digits; equal parts give equal ids."""
    return _digest(parts).hex()[:40]


def derived_guid(*parts: object) -> str:
    """Derive a GUID; equal parts give equal ids."""
    return str(uuid.UUID(bytes=_digest(parts)[:16], version=5))


def client_email(client_id: str) -> str:
    """Return the address that the service shows for a client."""
    return f"{client_id}@apps.imsoidc.bentley.com"


def is_valid(identifier: str) -> bool:
    """Return whether the service would look up this id; it rejects others with 422."""
    return _VALID_ID.fullmatch(identifier) is not None


def _digest(parts: tuple[object, ...]) -> bytes:
    # SHA-256 instead of the SHA-1 of uuid5: SHA-1 may be disabled (FIPS mode).
    return hashlib.sha256("/".join(map(str, parts)).encode()).digest()
