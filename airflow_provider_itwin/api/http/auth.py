"""Credentials and access tokens."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from typing import TypeAlias
from urllib.parse import urlencode

import msgspec

from airflow_provider_itwin.api.errors import ITwinProtocolError
from airflow_provider_itwin.api.http.messages import Response, Token
from airflow_provider_itwin.api.models.decoding import (
    LARGEST_SMALL_BODY,
    MOST_SMALL_VALUES,
    UNREADABLE,
    OversizedError,
    check_size,
)

DEFAULT_SCOPE = "itwin-platform"
SERVICE_USER_DOMAIN = "apps.imsoidc.bentley.com"

_ASSUMED_LIFETIME = 3600.0
_LONGEST_MARGIN = 300.0


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """
    A service application, as registered with Bentley.

    :param client_id: the client id, such as ``service-…``
    :param client_secret: the client secret, not part of the ``repr``
    :param scope: OAuth scope to request
    """

    client_id: str
    client_secret: str = field(repr=False)
    scope: str = DEFAULT_SCOPE

    @property
    def secrets(self) -> tuple[str, ...]:
        """Texts that must not be shown to anybody."""
        return (self.client_secret,)

    @property
    def service_user(self) -> str:
        """The e-mail address with which the application is added to an iTwin as a member."""
        return f"{self.client_id}@{SERVICE_USER_DOMAIN}"

    @property
    def fingerprint(self) -> str:
        """A digest that is equal for equal credentials and reveals nothing about them."""
        return digest("client", self.client_id, self.client_secret, self.scope)

    def form(self) -> bytes:
        """Return the body of the token request."""
        return urlencode(
            {
                "grant_type": "client_credentials",
                "client_id": self.client_id,
                "client_secret": self.client_secret,
                "scope": self.scope,
            }
        ).encode()


@dataclass(frozen=True, slots=True)
class ReadyToken:
    """A caller-supplied access token; it cannot be renewed."""

    token: str = field(repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Texts that must not be shown to anybody."""
        return (self.token,)

    @property
    def fingerprint(self) -> str:
        """A digest that is equal for equal tokens and reveals nothing about them."""
        return digest("token", self.token)


Credentials: TypeAlias = ClientCredentials | ReadyToken


_SALT = secrets.token_bytes(32)


def digest(*parts: str) -> str:
    """
    Return a digest that is equal for equal `parts` and reveals nothing about them.

    The key is random in each process, so a list of common passwords does not help to find the parts. HMAC-SHA256 is allowed on
    machines in FIPS mode, where other hashes may not be.
    """
    message = "".join(f"{len(part)}:{part}" for part in parts)
    return hmac.digest(_SALT, message.encode("utf-8", "surrogatepass"), hashlib.sha256).hex()


class _TokenAnswer(msgspec.Struct):
    access_token: str
    expires_in: float | None = None
    token_type: str | None = None


def read_token(response: Response, now: float) -> Token:
    """
    Parse the response of the token endpoint.

    A token is renewed when a tenth of its lifetime is left, but no earlier than five minutes before it expires.

    :param now: start of the lifetime, on the caller's clock
    :raises ITwinProtocolError: if the response has no usable token; the error text quotes nothing from it
    """
    try:
        check_size(response.body, MOST_SMALL_VALUES, LARGEST_SMALL_BODY)
        answer = msgspec.json.decode(response.body, type=_TokenAnswer, strict=False)
    except OversizedError as error:
        raise ITwinProtocolError(f"The response of the token endpoint is too large: {error}") from error
    except UNREADABLE as error:
        raise ITwinProtocolError("The token endpoint returned 200 without a readable access token") from error
    value = answer.access_token
    if not value or not value.isascii() or not value.isprintable() or " " in value:
        raise ITwinProtocolError("The token endpoint returned 200 with an access token that is no valid header value")
    if answer.token_type and answer.token_type.lower() != "bearer":
        raise ITwinProtocolError("The token endpoint returned 200 with a token whose type is not Bearer")
    expires_in = answer.expires_in
    lifetime = expires_in if expires_in is not None and 0 < expires_in < float("inf") else _ASSUMED_LIFETIME
    return Token(value, now + lifetime - min(_LONGEST_MARGIN, lifetime / 10))
