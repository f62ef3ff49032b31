"""
The proxy for a host, parsed and validated in the same way for both clients.

``requests`` and ``aiohttp`` parse the same proxy URL differently if it has no scheme, an unknown scheme, or special characters
in the password. So it is parsed here, and both get the same parts.
"""

from __future__ import annotations

import base64
import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from airflow_provider_itwin.api.errors import ITwinInputError

SCHEMES = ("http", "https", "all")
"""Schemes of the `proxies` of a connection; each can be limited to one host, as in ``https://api.bentley.com``."""

_VARIABLES = {"http": "HTTP_PROXY", "https": "HTTPS_PROXY", "all": "ALL_PROXY"}


@dataclass(frozen=True, slots=True)
class Proxy:
    """
    A proxy.

    :param url: its URL, without credentials
    :param user: user name; None for a proxy without authentication
    :param password: password, not part of the ``repr``
    """

    url: str
    user: str | None = None
    password: str = field(default="", repr=False)

    @property
    def authorization(self) -> str | None:
        """The value of the header ``Proxy-Authorization``; None for a proxy without authentication."""
        if self.user is None:
            return None
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode("utf-8", "surrogatepass")).decode()

    @property
    def secrets(self) -> tuple[str, ...]:
        """The password, and the header that contains it, to be masked."""
        if not self.password:
            return ()
        return (self.password, (self.authorization or "").removeprefix("Basic "))


_AROUND = string.whitespace + "\ufeff\u00a0\x00"


def trimmed(text: str | None) -> str | None:
    """Strip blanks, line ends and byte order marks, which values from files have. Return None if nothing is left."""
    return (text or "").strip(_AROUND) or None


def parse_proxy(text: str, setting: str) -> Proxy:
    """
    Parse the URL of a proxy; the default scheme is ``http``.

    The password may contain any character, percent-encoded or not.

    :param setting: the name of the setting, for the error text
    :raises ITwinInputError: if it is not the URL of a supported proxy; the error text quotes nothing from it
    """
    text = trimmed(text) or ""
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "http", text
    scheme = scheme.lower()
    if scheme not in ("http", "https"):
        kind = f"a {scheme} proxy" if scheme in _OTHER_PROXIES else "a proxy of an unknown kind"
        raise ITwinInputError(
            f"{setting} is {kind}, which is not supported; use a URL such as http://user:password@proxy.example:3128"
        )
    credentials, at, place = rest.rpartition("@")
    place = place.removesuffix("/")
    try:
        parts = urlsplit(f"{scheme}://{place}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    user, _, password = (unquote(part) for part in credentials.partition(":"))
    if not host or port == 0 or ":" in user or _is_odd(place) or parts.netloc != place or place.endswith(":"):
        # The error quotes nothing from the URL, which may contain a password.
        raise ITwinInputError(
            f"{setting} is not a valid proxy URL; use a URL with a host and an optional port, such as "
            "http://user:password@proxy.example:3128"
        )
    usual = {"http": 80, "https": 443}[scheme]
    url = f"{scheme}://{f'[{host}]' if ':' in host else host}:{port or usual}"
    if not at:
        return Proxy(url)
    return Proxy(url, user, password)


_OTHER_PROXIES = ("socks", "socks4", "socks4a", "socks5", "socks5h", "ftp")


def _is_odd(place: str) -> bool:
    return any(char.isspace() or not char.isprintable() or char in "/?#\\%" for char in place)


def checked_proxies(proxies: Mapping[str, object], setting: str) -> tuple[tuple[str, str], ...]:
    """
    Validate the proxies of an Airflow connection and return them in a canonical form.

    :raises ITwinInputError: if a key is not a scheme, or a value is not the URL of a supported proxy
    """
    checked = []
    for key, text in proxies.items():
        scheme, _, host = key.strip().lower().partition("://")
        if scheme not in SCHEMES or any(char in ":/?#@" for char in host):
            raise ITwinInputError(
                f"{setting} has the invalid key {_shown(key)!r}; expected {', '.join(SCHEMES)}, or one of these with a host, "
                "such as https://api.bentley.com"
            )
        if text is not None and not isinstance(text, str):
            raise ITwinInputError(f'{setting} must be an object such as {{"https": "http://proxy:3128"}}')
        value = trimmed(text)
        if value:
            parse_proxy(value, f"{key.strip()} in {setting}")
        checked.append((f"{scheme}://{host}" if host else scheme, value or ""))
    return tuple(sorted(checked))


def _shown(key: str) -> str:
    """Return a key for an error text; one that may be a URL with a password is masked."""
    return key[:40] if "@" not in key else "***"


def proxy_for(url: str, proxies: Iterable[tuple[str, str]], *, use_environment: bool) -> Proxy | None:
    """
    Return the proxy for `url`, None for a direct connection.

    :param proxies: proxies of the Airflow connection; if there are any, environment variables are ignored
    :param use_environment: whether ``HTTPS_PROXY``, ``ALL_PROXY`` and ``NO_PROXY`` apply
    :raises ITwinInputError: if the setting is not the URL of a supported proxy
    """
    from requests.utils import get_environ_proxies, select_proxy

    own = dict(proxies)
    if not own and not use_environment:
        return None
    text = select_proxy(url, own or get_environ_proxies(url))
    if not text or not text.strip():
        return None
    scheme = urlsplit(url).scheme
    if own:
        return parse_proxy(text, "proxies in the extra of the iTwin connection")
    return parse_proxy(text, f"{_VARIABLES.get(scheme, '')} or ALL_PROXY in the environment")
