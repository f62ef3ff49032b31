"""The ``requests`` session of all synchronous requests: nothing from the environment, no cookies, no redirects."""

from __future__ import annotations

from collections.abc import Mapping
from http.cookiejar import DefaultCookiePolicy

import requests

from airflow_provider_itwin.api.http.deadline import DeadlineAdapter


class _Session(requests.Session):
    """Ignores redirects: even if ``requests`` must not follow one, it parses the target and reads the whole body."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        return None


def new_session(proxy_authorization: Mapping[str, str]) -> requests.Session:
    """
    Return a session whose requests keep to the deadline of :func:`~.deadline.deadline`.

    :param proxy_authorization: the header for each proxy, by its URL, for those that want one
    """
    session = _Session()
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
    # Proxies and CA bundles have been read from the environment before. A .netrc file would replace the access token.
    session.trust_env = False
    adapter = DeadlineAdapter(dict(proxy_authorization))
    for scheme in ("http://", "https://"):
        session.mount(scheme, adapter)
    return session
