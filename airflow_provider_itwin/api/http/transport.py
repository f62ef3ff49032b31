"""
What both clients have to know of the network: which authorities to trust, and which proxies lead to the two hosts.

Both read it here, once, before anything is sent. So a setting means the same to a worker and to a triggerer, and one that
is invalid is refused by both in the same words.
"""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from airflow_provider_itwin.api.errors import ITwinInputError
from airflow_provider_itwin.api.http.config import Account
from airflow_provider_itwin.api.http.proxies import Proxy, proxy_for


@dataclass(frozen=True, slots=True)
class Transport:
    """
    The network of an account, checked.

    :param verify: whether to verify TLS certificates, or the path of the authorities to verify them with
    :param proxies: the proxy for each origin, such as ``https://api.bentley.com``; None for a direct connection
    """

    verify: bool | str
    proxies: dict[str, Proxy | None] = field(default_factory=dict)

    @classmethod
    def of(cls, account: Account) -> Self:
        """
        Work out the network of an account: what its connection says comes before what the machine says.

        :raises ITwinInputError: if a proxy is not one that both clients can use
        """
        environment, network = account.environment, account.network
        verify = network.verify
        if verify is True and not environment.is_local:
            verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or verify
        proxies = {
            origin_of(url): proxy_for(url, network.proxies, use_environment=not environment.is_local)
            for url in (environment.api, environment.issuer)
        }
        return cls(verify, proxies)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Texts that must not be shown to anybody: what identifies us to proxies."""
        return tuple(secret for proxy in self.proxies.values() if proxy for secret in proxy.secrets)

    def proxy(self, url: str) -> Proxy | None:
        """Return the proxy on the way to `url`, which is at one of the hosts of the account."""
        return self.proxies[origin_of(url)]

    def tls(self) -> ssl.SSLContext | bool:
        """
        Read the authorities to trust; this takes milliseconds.

        :return: False if nothing is to be verified, True for the usual authorities
        :raises ITwinInputError: if they cannot be read
        """
        if isinstance(self.verify, bool):
            return self.verify
        bundle = Path(self.verify)
        try:
            if bundle.is_dir():
                return ssl.create_default_context(capath=bundle)
            return ssl.create_default_context(cafile=bundle)
        except OSError as error:
            raise ITwinInputError(
                f"verify names {self.verify!r}, which is no bundle of certificate authorities: {error}"
            ) from error


def origin_of(url: str) -> str:
    """Return scheme, host and port of a URL."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
