"""
Which proxy leads to a host: read and checked once, in one way for both clients.

``requests`` and ``aiohttp`` read the same text differently: without a scheme, with a scheme that they do not know, with
special characters in the password. So the text is read here, and both are given the same parts.
"""

from __future__ import annotations

import base64
import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from airflow_provider_itwin.api.errors import ITwinInputError

SCHEMES = ("http", "https", "all")
"""What the proxies of a connection can be for; each can be limited to one host, as in ``https://api.bentley.com``."""

_VARIABLES = {"http": "HTTP_PROXY", "https": "HTTPS_PROXY", "all": "ALL_PROXY"}


@dataclass(frozen=True, slots=True)
class Proxy:
    """
    A proxy.

    :param url: where it is; holds no credentials
    :param user: who we are to it, None if it does not ask
    :param password: never shown
    """

    url: str
    user: str | None = None
    password: str = field(default="", repr=False)

    @property
    def authorization(self) -> str | None:
        """The header that identifies us to it."""
        if self.user is None:
            return None
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode("utf-8", "surrogatepass")).decode()

    @property
    def secrets(self) -> tuple[str, ...]:
        """Texts that must not be shown to anybody: the password, and the header that holds it."""
        if not self.password:
            return ()
        return (self.password, (self.authorization or "").removeprefix("Basic "))


_AROUND = string.whitespace + "\ufeff\u00a0\x00"


def trimmed(text: str | None) -> str | None:
    """Remove what a file leaves around a value: blanks, line ends, a byte order mark. None if nothing is left."""
    return (text or "").strip(_AROUND) or None


def parse_proxy(text: str, setting: str) -> Proxy:
    """
    Read the URL of a proxy; without a scheme it is ``http``.

    The password may hold any character, percent-encoded or not.

    :param setting: what the text is called where the user wrote it, for the error
    :raises ITwinInputError: if it is not the URL of a proxy that both clients can use; the error quotes nothing from it
    """
    text = trimmed(text) or ""
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "http", text
    scheme = scheme.lower()
    if scheme not in ("http", "https"):
        known = f"a {scheme} proxy" if scheme in _OTHER_PROXIES else "of an unknown kind"
        raise ITwinInputError(
            f"{setting} is {known}, which is not supported: it must be a URL such as http://user:password@proxy.example:3128"
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
        # What is wrong with it would be shown by quoting from it, and a password may be in it.
        raise ITwinInputError(
            f"{setting} is not the URL of a proxy: it must name a host and, if it has one, a port, such as "
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
    Check the proxies of an Airflow connection, and return them in a form that can be compared.

    :raises ITwinInputError: if a key is not a scheme, or a value is not the URL of a proxy
    """
    checked = []
    for key, text in proxies.items():
        scheme, _, host = key.strip().lower().partition("://")
        if scheme not in SCHEMES or any(char in ":/?#@" for char in host):
            raise ITwinInputError(
                f"{setting} has the key {_shown(key)!r}: each must be one of {', '.join(SCHEMES)}, or one of these with a host, "
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
    """Return a key as an error may quote it: one that looks like a URL with a password in it has no place there."""
    return key[:40] if "@" not in key else "***"


def proxy_for(url: str, proxies: Iterable[tuple[str, str]], *, use_environment: bool) -> Proxy | None:
    """
    Return the proxy on the way to `url`, None for a direct connection.

    :param proxies: those of the Airflow connection; if there are any, the machine's variables do not count
    :param use_environment: whether the variables ``HTTPS_PROXY``, ``ALL_PROXY``, ``NO_PROXY`` count
    :raises ITwinInputError: if the text that names it is not the URL of a proxy
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
