"""Configuration: where the iTwin Platform is, which credentials and network settings apply, and whom a secret may be sent to."""

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
    How requests reach the service.

    :param timeout: seconds that one request may take, and a sixth of it for the connect
    :param verify: whether to verify TLS certificates, or the path of a bundle of authorities to verify them with
    :param proxies: proxy URL for each scheme, as ``requests`` takes them; they may hold a password, so they are never shown
    """

    timeout: float = DEFAULT_TIMEOUT
    verify: bool | str = True
    proxies: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    @property
    def fingerprint(self) -> str:
        """A text that is the same for the same network, and tells nothing of its passwords."""
        return digest("network", repr((self.timeout, self.verify, self.proxies)))


@dataclass(frozen=True, slots=True)
class Limits:
    """
    How often the account may ask, over all who share it in this process.

    :param per_minute: requests in any minute; 0 for no limit
    :param per_hour: requests in any hour; 0 for no limit
    """

    per_minute: float = 0
    per_hour: float = 0


@dataclass(frozen=True, slots=True)
class Account:
    """
    What every conversation with the service needs to know; the clocks are parameters so that tests need no time.

    :param clock: seconds that only ever go forward
    :param wall: seconds since 1970
    :param chance: random numbers from 0 up to 1
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
        What two accounts have in common when one token and one budget serve both; holds no secret.

        The clock belongs to it, since moments of the one mean nothing on another.
        """
        return (self.environment, self.credentials.fingerprint, self.limits, self.clock)

    @property
    def key(self) -> tuple[object, ...]:
        """What two accounts have in common when one session can serve both; holds no secret."""
        return (self.environment, self.credentials.fingerprint, self.network.fingerprint, self.limits)


DEFAULT_API = "https://api.bentley.com"

_ISSUERS = {
    "api.bentley.com": "https://ims.bentley.com",
    "qa-api.bentley.com": "https://qa-ims.bentley.com",
    "dev-api.bentley.com": "https://qa-ims.bentley.com",
}

_USUAL_PORTS = {"https": 443, "http": 80}


def is_loopback(host: str | None) -> bool:
    """Tell whether `host` (a name or an address, no port) is this machine."""
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
    An iTwin Platform.

    :param api: base URL of the API, without a trailing slash
    :param issuer: base URL of the service that issues its tokens, without a trailing slash
    """

    api: str
    issuer: str

    @classmethod
    def of(cls, host: str | None, issuer_url: str | None = None, port: int | None = None) -> Self:
        """
        Work out an environment from what the fields of an Airflow connection say.

        :param host: base URL or bare host name of the API; empty means production
        :param issuer_url: base URL of the token issuer; needed for hosts that are neither Bentley's nor loopback
        :param port: port of the API, if it is not part of `host`
        :raises ITwinUntrustedHostError: for plain http to anything but this machine
        :raises ValueError: if a URL makes no sense, or the issuer of an unknown host is not named
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
            f"The host of the iTwin connection is {name!r}, which is not one whose token issuer is known "
            f"({', '.join(_ISSUERS)}). Set issuer_url in the extra of the connection to the service that issues "
            "tokens for it, such as https://ims.bentley.com."
        )

    @property
    def is_usual(self) -> bool:
        """Whether the issuer is the one that is known to belong to the API."""
        return self.issuer == _ISSUERS.get(urlsplit(self.api).hostname or "", self.api)

    @property
    def is_local(self) -> bool:
        """Whether the API is on this machine, as the emulator is; no proxy is used then."""
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
        # What is wrong with it would be told by quoting from it, and a password may be in it.
        raise ITwinInputError(
            f"{field} of the iTwin connection is not a URL: look at its port and its brackets"
        ) from None
    name = parts.hostname
    if parts.scheme not in ("http", "https") or not name:
        raise ITwinInputError(f"{field} of the iTwin connection must be an https URL, such as {DEFAULT_API}")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ITwinInputError(
            f"{field} of the iTwin connection must be a bare URL: credentials belong in login and password, "
            "and a query has no meaning here"
        )
    if parts.scheme == "http" and not is_loopback(name):
        raise ITwinUntrustedHostError(
            f"{field} of the iTwin connection is plain http to {name}, which would send the secret and the token "
            "readable over the network",
            hint="Use https. Plain http is accepted for this machine only (127.0.0.1, localhost, ::1).",
        )
    netloc = f"[{name}]" if ":" in name else name
    port = found_port or port
    if port and port != _USUAL_PORTS[parts.scheme]:
        netloc += f":{port}"
    return f"{parts.scheme}://{netloc}{parts.path.rstrip('/')}"
