"""Configuration: the environment of the iTwin Platform, its trusted hosts, credentials, network settings and rate limits."""

from __future__ import annotations

import ipaddress
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlsplit

from airflow_provider_itwin import __version__
from airflow_provider_itwin.api.errors import ITwinInputError, ITwinUntrustedHostError
from airflow_provider_itwin.api.http.auth import Credentials, digest

DEFAULT_TIMEOUT = 60.0


@dataclass(frozen=True, slots=True)
class Network:
    """
    Network settings.

    :param timeout: timeout of a request in seconds; connecting may take a sixth of it
    :param verify: whether to verify TLS certificates, or the path of a CA bundle
    :param proxies: proxy URL for each scheme, as ``requests`` expects them; not part of the ``repr``, because of passwords
    """

    timeout: float = DEFAULT_TIMEOUT
    verify: bool | str = True
    proxies: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    @property
    def fingerprint(self) -> str:
        """A digest that is equal for equal settings and reveals nothing about passwords."""
        return digest("network", repr((self.timeout, self.verify, self.proxies)))


@dataclass(frozen=True, slots=True)
class Limits:
    """
    Rate limits of an account in this process.

    :param per_minute: requests in any minute; 0: no limit
    :param per_hour: requests in any hour; 0: no limit
    """

    per_minute: float = 0
    per_hour: float = 0


@dataclass(frozen=True, slots=True)
class Account:
    """
    Everything that a request needs to know; clocks are parameters, so that tests do not take time.

    :param environment: URLs of the API and of the token issuer
    :param credentials: client credentials, or an access token
    :param network: network settings
    :param limits: rate limits
    :param clock: a monotonic clock, in seconds
    :param wall: the wall clock, in epoch seconds
    :param chance: returns random numbers from 0 to 1
    :param user_agent: the ``User-Agent`` of every request
    """

    environment: Environment
    credentials: Credentials
    network: Network = Network()
    limits: Limits = Limits()
    clock: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    chance: Callable[[], float] = random.random
    user_agent: str = f"airflow-provider-itwin/{__version__}"

    @property
    def identity(self) -> tuple[object, ...]:
        """
        Equal for accounts that share a token and a rate limit; contains no secret.

        The clock is part of it, because times of one clock are meaningless on another.
        """
        return (self.environment, self.credentials.fingerprint, self.limits, self.clock)

    @property
    def key(self) -> tuple[object, ...]:
        """Equal for accounts that share a client; contains no secret."""
        return (self.environment, self.credentials.fingerprint, self.network.fingerprint, self.limits)


DEFAULT_API = "https://api.bentley.com"

_ISSUERS = {
    "api.bentley.com": "https://ims.bentley.com",
    "qa-api.bentley.com": "https://qa-ims.bentley.com",
    "dev-api.bentley.com": "https://qa-ims.bentley.com",
}

_USUAL_PORTS = {"https": 443, "http": 80}


def is_loopback(host: str | None) -> bool:
    """Return whether `host` (a name or an address, without port) is this machine."""
    if not host:
        return False
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class Environment:
    """
    The URLs of an iTwin Platform.

    :param api: base URL of the API, without a trailing slash
    :param issuer: base URL of the token issuer, without a trailing slash
    """

    api: str
    issuer: str

    @classmethod
    def of(cls, host: str | None, issuer_url: str | None = None, port: int | None = None) -> Self:
        """
        Return the environment for the fields of an Airflow connection.

        :param host: base URL or host name of the API; empty: production
        :param issuer_url: base URL of the token issuer; required for hosts that are neither Bentley's nor loopback
        :param port: port of the API, if it is not part of `host`
        :raises ITwinUntrustedHostError: for plain http to another machine
        :raises ValueError: if a URL is invalid, or the issuer of an unknown host is missing
        """
        api = _checked_base(host or DEFAULT_API, "host", port)
        name = urlsplit(api).hostname or ""
        if issuer_url:
            return cls(api, _checked_base(issuer_url, "issuer_url in extra"))
        if is_loopback(name):
            return cls(api, api)
        if name in _ISSUERS:
            return cls(api, _ISSUERS[name])
        raise ITwinInputError(
            f"The token issuer of {name!r}, the host of the iTwin connection, is unknown; known hosts are "
            f"{', '.join(_ISSUERS)}. Set issuer_url in the extra of the connection, such as https://ims.bentley.com."
        )

    @property
    def is_usual(self) -> bool:
        """Whether the issuer is the known one of the API."""
        return self.issuer == _ISSUERS.get(urlsplit(self.api).hostname or "", self.api)

    @property
    def is_local(self) -> bool:
        """Whether the API is on this machine, such as an emulator; no proxy is used then."""
        return is_loopback(urlsplit(self.api).hostname)


def _checked_base(text: str, field: str, port: int | None = None) -> str:
    text = text.strip()
    if "://" not in text:
        bare_name = text.split("/")[0].rsplit(":", 1)[0]
        if is_loopback(text) and ":" in text.strip("[]"):
            text = f"http://[{text.strip('[]')}]"
        else:
            text = ("http://" if is_loopback(bare_name) or is_loopback(text) else "https://") + text
    try:
        parts = urlsplit(text)
        found_port = parts.port
    except ValueError:
        # The original error quotes the URL, which may contain a password.
        raise ITwinInputError(f"{field} of the iTwin connection is not a URL: check its port and brackets") from None
    name = parts.hostname
    if parts.scheme not in ("http", "https") or not name:
        raise ITwinInputError(f"{field} of the iTwin connection must be an https URL, such as {DEFAULT_API}")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ITwinInputError(
            f"{field} of the iTwin connection must be a URL without credentials, which belong in login and password, and "
            "without a query"
        )
    if parts.scheme == "http" and not is_loopback(name):
        raise ITwinUntrustedHostError(
            f"{field} of the iTwin connection is plain http to {name}, which would send the secret and the token "
            "unencrypted over the network",
            hint="Use https. Plain http is accepted for this machine only (127.0.0.1, localhost, ::1).",
        )
    netloc = f"[{name}]" if ":" in name else name
    port = found_port or port
    if port and port != _USUAL_PORTS[parts.scheme]:
        netloc += f":{port}"
    return f"{parts.scheme}://{netloc}{parts.path.rstrip('/')}"
