"""Who we are to the iTwin Platform, and for how long a token is good."""

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

    :param client_id: such as ``service-…``
    :param client_secret: its secret, never shown
    :param scope: what to ask a token for
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
        """The e-mail address under which the application can be given a role in an iTwin."""
        return f"{self.client_id}@{SERVICE_USER_DOMAIN}"

    @property
    def fingerprint(self) -> str:
        """A text that is the same for the same credentials, and tells nothing of them."""
        return digest("client", self.client_id, self.client_secret, self.scope)

    def form(self) -> bytes:
        """Give the form that asks the issuer for a token."""
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
    """An access token that somebody else obtained; when it expires, nothing can be done about it here."""

    token: str = field(repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Texts that must not be shown to anybody."""
        return (self.token,)

    @property
    def fingerprint(self) -> str:
        """A text that is the same for the same token, and tells nothing of it."""
        return digest("token", self.token)


Credentials: TypeAlias = ClientCredentials | ReadyToken


_SALT = secrets.token_bytes(32)


def digest(*parts: str) -> str:
    """
    Return a text that is the same for the same `parts` and reveals nothing about them.

    The key differs in each process, so that a list of common passwords does not help to find out what the parts were.
    HMAC-SHA256 is allowed on machines in FIPS mode, other hashes may not be.
    """
    message = "".join(f"{len(part)}:{part}" for part in parts)
    return hmac.digest(_SALT, message.encode("utf-8", "surrogatepass"), hashlib.sha256).hex()


class _TokenAnswer(msgspec.Struct):
    access_token: str
    expires_in: float | None = None
    token_type: str | None = None


def read_token(response: Response, now: float) -> Token:
    """
    Read the answer of the token endpoint.

    A token is renewed a tenth of its life before it ends, and no more than five minutes before.

    :param now: the moment, on the caller's clock, from which its life is counted
    :raises ITwinProtocolError: if there is no usable token in the answer; what is in it is never shown
    """
    try:
        check_size(response.body, MOST_SMALL_VALUES, LARGEST_SMALL_BODY)
        answer = msgspec.json.decode(response.body, type=_TokenAnswer, strict=False)
    except OversizedError as error:
        raise ITwinProtocolError(f"The answer of the token endpoint is too large: {error}") from error
    except UNREADABLE as error:
        raise ITwinProtocolError("The token endpoint answered 200 without an access token that can be read") from error
    value = answer.access_token
    if not value or not value.isascii() or not value.isprintable() or " " in value:
        raise ITwinProtocolError("The token endpoint answered 200 with an access token that cannot be sent in a header")
    if answer.token_type and answer.token_type.lower() != "bearer":
        raise ITwinProtocolError("The token endpoint answered 200 with a token of another type than Bearer")
    told = answer.expires_in
    lifetime = told if told is not None and 0 < told < float("inf") else _ASSUMED_LIFETIME
    return Token(value, now + lifetime - min(_LONGEST_MARGIN, lifetime / 10))
