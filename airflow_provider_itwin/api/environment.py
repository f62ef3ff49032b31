"""Which iTwin Platform to talk to: where its API is, who issues its tokens, and whether either may be trusted with a secret."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from airflow_provider_itwin.api.errors import ITwinInputError, ITwinUntrustedHostError

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
