"""From an Airflow connection, and the section ``[itwin]`` of Airflow's configuration, to what a client needs to know."""

from __future__ import annotations

import json
import math
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_itwin.api.account import DEFAULT_TIMEOUT, Account, Limits, Network
from airflow_provider_itwin.api.credentials import DEFAULT_SCOPE, ClientCredentials, Credentials, ReadyToken
from airflow_provider_itwin.api.environment import Environment
from airflow_provider_itwin.api.errors import ITwinInputError
from airflow_provider_itwin.connection_form import FIELDS

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Connection

_LONGEST_TIMEOUT = 600.0


def outage_tolerance() -> float:
    """
    Give the seconds without one good answer after which a wait is given up (``[itwin] outage_tolerance``).

    :raises ValueError: if that is no number
    """
    return _setting("outage_tolerance", 900.0)


def account_of(connection: Connection) -> Account:
    """
    Work out the account that an Airflow connection describes.

    :raises ValueError: if its settings make no sense; the text says what to set, and shows no secret
    :raises ITwinUntrustedHostError: if a secret would travel in the clear
    """
    return _account(
        connection.host,
        connection.port,
        connection.schema,
        connection.login,
        connection.password,
        # Not extra_dejson: it masks secrets through a synchronous call, which must not happen on the triggerer's event loop.
        connection.extra or "",
        _limits(),
    )


@lru_cache(maxsize=8)
def _account(
    host: str | None,
    port: int | None,
    scheme: str | None,
    login: str | None,
    password: str | None,
    extra_text: str,
    limits: Limits,
) -> Account:
    """Work out an account; thousands of triggers that start together ask for the same one."""
    extra = _extra_of(extra_text)
    if host and "://" not in host and scheme in ("http", "https"):
        host = f"{scheme}://{host}"
    environment = Environment.of(host, _text(extra, "issuer_url"), port)
    return Account(environment, _credentials_of(login, password, extra), _network_of(extra), limits)


def _limits() -> Limits:
    return Limits(_setting("requests_per_minute", 500.0), _setting("requests_per_hour", 5000.0))


def _setting(name: str, otherwise: float) -> float:
    from airflow.providers.common.compat.sdk import conf

    text = conf.get("itwin", name, fallback=str(otherwise))
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ITwinInputError(
            f"{name} in the section [itwin] of Airflow's configuration must be a number, not {text!r}"
        )
    return max(0.0, value)


def _extra_of(text: str) -> dict[str, Any]:
    if not text:
        return {}
    try:
        extra = json.loads(text)
    except ValueError as error:
        raise ITwinInputError("The extra of the iTwin connection is not JSON") from error
    if not isinstance(extra, dict):
        raise ITwinInputError(
            f"The extra of the iTwin connection must be a JSON object with any of {', '.join(FIELDS)}"
        )
    return extra


def portal_of(connection: Connection) -> str | None:
    """Give the address to link to; one that makes no sense costs no run."""
    try:
        return _text(_extra_of(connection.extra or ""), "portal_url")
    except ITwinInputError:
        return None


def _text(extra: dict[str, Any], name: str) -> str | None:
    value = extra.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise ITwinInputError(f"{name} in the extra of the iTwin connection must be a text")
    return value.strip()


def _credentials_of(login: str | None, password: str | None, extra: dict[str, Any]) -> Credentials:
    token = _text(extra, "token")
    if token:
        if not token.isascii() or not token.isprintable() or " " in token:
            raise ITwinInputError(
                "token in the extra of the iTwin connection must be the bare access token, without 'Bearer '"
            )
        return ReadyToken(token)
    if not login or not password:
        raise ITwinInputError(
            "The iTwin connection has no credentials: set login to the client id and password to the client secret of a "
            "service application registered at https://developer.bentley.com, or token in extra to an access token."
        )
    return ClientCredentials(login, password, _text(extra, "scope") or DEFAULT_SCOPE)


def _network_of(extra: dict[str, Any]) -> Network:
    # Null is what the connection form leaves of a field that nobody has filled in.
    verify = True if extra.get("verify") is None else extra["verify"]
    if isinstance(verify, str) and verify.strip().lower() in ("true", "false", ""):
        verify = verify.strip().lower() != "false"
    if not isinstance(verify, bool | str):
        raise ITwinInputError(
            "verify in the extra of the iTwin connection must be true, false, or the path of a CA bundle"
        )
    if isinstance(verify, str) and not Path(verify).exists():
        raise ITwinInputError(
            f"verify in the extra of the iTwin connection is {verify!r}, and there is no such file or folder on this machine"
        )
    proxies = extra.get("proxies") or {}
    if not isinstance(proxies, dict) or not all(isinstance(proxy, str) for proxy in proxies.values()):
        raise ITwinInputError(
            'proxies in the extra of the iTwin connection must be an object such as {"https": "http://proxy:3128"}'
        )
    try:
        timeout = float(extra.get("timeout") or DEFAULT_TIMEOUT)
    except (TypeError, ValueError):
        timeout = 0.0
    if not 0 < timeout <= _LONGEST_TIMEOUT:
        raise ITwinInputError(
            f"timeout in the extra of the iTwin connection must be seconds, at most {_LONGEST_TIMEOUT:.0f}"
        )
    return Network(timeout=timeout, verify=verify, proxies=tuple(sorted(proxies.items())))
