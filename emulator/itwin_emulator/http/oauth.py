"""
The identity service (IMS): issues access tokens for client credentials.

Tokens have the format of real ones: a JSON Web Token with ``exp``, ``scope`` and ``client_id``. A random
key signs them.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

from itwin_emulator.domain.clock import Clock
from itwin_emulator.domain.entities import Client
from itwin_emulator.http import errors
from itwin_emulator.http.responses import Response
from itwin_emulator.http.scopes import OLDER_SCOPES, PLATFORM_SCOPE

FORBIDDEN_SCOPES = frozenset({"openid", "email", "profile", "organization", "offline_access"})
"""Scopes that only a user can grant."""
MAX_VERIFIED = 4096
"""Limit of the cached verified tokens."""


class TokenRefusedError(Exception):
    """The token endpoint rejects a request; ``error`` is an OAuth error code."""

    def __init__(self, error: str, description: str, status: int = 400, client_id: str | None = None) -> None:
        super().__init__(error)
        self.error = error
        self.description = description
        self.status = status
        self.client_id = client_id

    def to_response(self) -> Response:
        """Return the response of RFC 6749."""
        headers = {"WWW-Authenticate": 'Basic realm="token"'} if self.status == 401 else {}
        return Response(self.status, {"error": self.error, "error_description": self.description}, headers | _NO_STORE)


@dataclass(slots=True)
class TokenService:
    """Issues and verifies tokens."""

    clock: Clock
    clients: dict[str, Client]
    lifetime: float = 3600.0
    """Lifetime of tokens in real seconds."""
    _key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    _generation: int = 0
    _verified_claims: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)
    """Claims of verified Authorization headers, as a cache."""

    def dump(self) -> dict[str, Any]:
        """Return the state that keeps tokens valid after a restart."""
        return {"key": base64.b64encode(self._key).decode(), "generation": self._generation}

    def restore(self, data: Mapping[str, Any]) -> None:
        """Restore the state returned by :meth:`dump`."""
        self._key = base64.b64decode(data["key"])
        self._verified_claims.clear()
        self._generation = int(data["generation"])

    def revoke_all(self) -> None:
        """Invalidate all tokens issued so far."""
        self._generation += 1

    def _issue(self, client: Client, scopes: tuple[str, ...], issuer: str) -> Response:
        """Return the response that contains a new token."""
        token = self.make(client.id, scopes, issuer)
        body = {
            "access_token": token,
            "expires_in": int(self.lifetime),
            "token_type": "Bearer",
            "scope": " ".join(scopes),
        }
        return Response(200, body, dict(_NO_STORE))

    def make(self, client_id: str, scopes: tuple[str, ...], issuer: str, lifetime: float | None = None) -> str:
        """Create a token for a client id; a negative lifetime creates an expired one."""
        now = int(self.clock.service_time())
        claims = {
            "scope": list(scopes),
            "client_id": client_id,
            "iss": issuer,
            "aud": [f"{issuer}/as/token.oauth2", f"{issuer}/resources", "itwin-platform"],
            "nbf": now,
            "iat": now,
            "exp": int(self.clock.service_time() + (self.lifetime if lifetime is None else lifetime)),
            "jti": secrets.token_hex(8),
            "gen": self._generation,
        }
        signed = f"{_encode({'alg': 'HS256', 'typ': 'at+jwt'})}.{_encode(claims)}"
        return f"{signed}.{self._sign(signed)}"

    def grant(self, headers: Mapping[str, str], body: bytes, issuer: str) -> tuple[str | None, Response]:
        """Handle a request to the token endpoint. Return the client id, if known, and the response."""
        try:
            form = _form(headers, body)
            client = self._authenticate_client(headers, form)
            return client.id, self._issue(client, self._scopes(client, form), issuer)
        except TokenRefusedError as error:
            return error.client_id, error.to_response()

    def authenticate(self, authorization: str | None, scopes: Collection[str] = frozenset({PLATFORM_SCOPE})) -> Client:
        """
        Return the client of a token.

        :param scopes: scopes of which the token needs one
        :raises ApiError: the token is missing or invalid
        """
        if not authorization:
            raise errors.header_not_found()
        claims = self._verified_claims.get(authorization)
        if claims is None:
            claims = self._verify(authorization)
            if len(self._verified_claims) >= MAX_VERIFIED:
                self._verified_claims.clear()
            self._verified_claims[authorization] = claims
        if claims.get("exp", 0) <= self.clock.service_time() or claims.get("gen") != self._generation:
            raise errors.unauthorized()
        if not any(scope in scopes for scope in claims.get("scope", ())):
            raise errors.required_scope_missing()
        client = self.clients.get(claims.get("client_id", ""))
        if client is None or not client.registered:
            raise errors.unknown_client()
        return client

    def _verify(self, authorization: str) -> dict[str, Any]:
        """Return the claims of a token with a valid signature; it may be expired or revoked."""
        scheme, _, token = authorization.strip().partition(" ")
        if scheme.lower() != "bearer":
            raise errors.invalid_scheme()
        signed, _, signature = token.strip().rpartition(".")
        claims = _decode(signed.partition(".")[2])
        if claims is None:
            raise errors.invalid_header_value()
        if not hmac.compare_digest(_bytes(signature), _bytes(self._sign(signed))):
            raise errors.unauthorized()
        return claims

    def peek(self, authorization: str | None) -> str | None:
        """Return the client id in a token, verified or not, for the request log."""
        if not authorization:
            return None
        claims = _decode(authorization.strip().partition(" ")[2].strip().rpartition(".")[0].partition(".")[2])
        client_id = (claims or {}).get("client_id")
        return client_id if isinstance(client_id, str) and client_id in self.clients else None

    def _authenticate_client(self, headers: Mapping[str, str], form: Mapping[str, str]) -> Client:
        basic = _basic(headers.get("Authorization"))
        client_id = form.get("client_id")
        if basic is not None and "client_secret" in form:
            raise TokenRefusedError("invalid_request", "Only one way of client authentication may be used.")
        grant = form.get("grant_type")
        status = 400
        if basic is not None:
            client_id, secret = basic
            status = 401
        else:
            secret = form.get("client_secret", "")
        client = self.clients.get(client_id or "")
        known = client.id if client else None
        if client is None or not hmac.compare_digest(_bytes(client.secret), _bytes(secret)):
            raise TokenRefusedError("invalid_client", "Invalid client or client credentials.", status, known)
        if not grant:
            raise TokenRefusedError("invalid_request", "grant_type is required.", client_id=known)
        if grant != "client_credentials":
            raise TokenRefusedError("unsupported_grant_type", "This grant type is not supported.", client_id=known)
        return client

    def _scopes(self, client: Client, form: Mapping[str, str]) -> tuple[str, ...]:
        requested = tuple(dict.fromkeys(form.get("scope", "").split())) or client.scopes
        allowed = {*client.scopes, *(OLDER_SCOPES if PLATFORM_SCOPE in client.scopes else ())}
        for scope in requested:
            if scope in FORBIDDEN_SCOPES or scope not in allowed:
                raise TokenRefusedError(
                    "invalid_scope",
                    "The requested scope(s) must be blank or a subset of the provided scopes.",
                    400,
                    client.id,
                )
        return requested

    def _sign(self, signed: str) -> str:
        return _base64(hmac.digest(self._key, _bytes(signed), hashlib.sha256))


_NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}


def discovery(issuer: str) -> Response:
    """Return the OpenID configuration, with all members that OpenID Connect Discovery 1.0 requires."""
    return Response(
        200,
        {
            "issuer": issuer,
            "authorization_endpoint": f"{issuer}/connect/authorize",
            "token_endpoint": f"{issuer}/connect/token",
            "jwks_uri": f"{issuer}/.well-known/openid-configuration/jwks",
            "scopes_supported": [
                PLATFORM_SCOPE,
                *OLDER_SCOPES,
                "openid",
                "profile",
                "email",
                "organization",
                "offline_access",
            ],
            "response_types_supported": ["code"],
            "grant_types_supported": ["client_credentials"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        },
    )


def key_set() -> Response:
    """Return an empty key set: tokens are signed with a symmetric key."""
    return Response(200, {"keys": []})


def _form(headers: Mapping[str, str], body: bytes) -> dict[str, str]:
    media_type = headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if media_type != "application/x-www-form-urlencoded":
        raise TokenRefusedError("invalid_request", "The request must be of type application/x-www-form-urlencoded.")
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=50)
    except ValueError as error:
        raise TokenRefusedError("invalid_request", "The request body is not valid.") from error
    return dict(pairs)


def _basic(authorization: str | None) -> tuple[str, str] | None:
    if not authorization:
        return None
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        text = base64.b64decode(value.strip(), validate=True).decode()
    except (ValueError, binascii.Error):
        return "", ""
    # RFC 6749, 2.3.1: both parts are form-encoded. The default secret contains a plus to detect clients that omit this.
    identifier, _, secret = text.partition(":")
    return unquote_plus(identifier), unquote_plus(secret)


def _bytes(text: str) -> bytes:
    # Headers may contain bytes that are not UTF-8.
    return text.encode(errors="surrogateescape")


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _encode(data: Mapping[str, Any]) -> str:
    return _base64(json.dumps(data, separators=(",", ":")).encode())


def _decode(part: str) -> dict[str, Any] | None:
    if not part:
        return None
    try:
        data = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None
