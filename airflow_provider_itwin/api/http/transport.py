"""
Network settings of both clients: certificate authorities and proxies.

Both clients read the settings here, before anything is sent. So a setting means the same on a worker and in the triggerer, and
an invalid one is reported in the same words.
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
    The network settings of an account, validated.

    :param verify: whether to verify TLS certificates, or the path of the authorities to verify them with
    :param proxies: the proxy for each origin, such as ``https://api.bentley.com``; None for a direct connection
    """

    verify: bool | str
    proxies: dict[str, Proxy | None] = field(default_factory=dict)

    @classmethod
    def of(cls, account: Account) -> Self:
        """
        Determine the network settings of an account; those of its connection take precedence over environment variables.

        :raises ITwinInputError: if a proxy is not supported by both clients
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
        """The credentials of the proxies, to be masked."""
        return tuple(secret for proxy in self.proxies.values() if proxy for secret in proxy.secrets)

    def proxy(self, url: str) -> Proxy | None:
        """Return the proxy for `url`, which must be at one of the hosts of the account."""
        return self.proxies[origin_of(url)]

    def tls(self) -> ssl.SSLContext | bool:
        """
        Load the certificate authorities; this takes milliseconds.

        :return: False for no verification, True for the default authorities
        :raises ITwinInputError: if they cannot be loaded
        """
        if isinstance(self.verify, bool):
            return self.verify
        bundle = Path(self.verify)
        try:
            if bundle.is_dir():
                return ssl.create_default_context(capath=bundle)
            return ssl.create_default_context(cafile=bundle)
        except OSError as error:
            raise ITwinInputError(f"verify is {self.verify!r}, which is not a CA bundle: {error}") from error


def origin_of(url: str) -> str:
    """Return scheme, host and port of a URL."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
