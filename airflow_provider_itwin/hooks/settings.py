"""Settings from an Airflow connection, and from the section ``[itwin]`` of Airflow's configuration."""

from __future__ import annotations

import json
import logging
import math
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_itwin.api.errors import ITwinInputError
from airflow_provider_itwin.api.http.auth import (
    DEFAULT_SCOPE,
    ClientCredentials,
    Credentials,
    ReadyToken,
)
from airflow_provider_itwin.api.http.config import (
    DEFAULT_TIMEOUT,
    Account,
    Environment,
    Limits,
    Network,
)
from airflow_provider_itwin.api.http.proxies import (
    checked_proxies,
    parse_proxy,
    trimmed,
)
from airflow_provider_itwin.api.redaction import excerpt
from airflow_provider_itwin.hooks.connection_form import FIELDS

if TYPE_CHECKING:
    from airflow_provider_itwin.sdk_compat import Connection
log = logging.getLogger(__name__)

CONN_TYPE = "itwin"

_LONGEST_TIMEOUT = 600.0


def outage_tolerance() -> float:
    """
    Return the seconds without a good response after which a wait fails (``[itwin] outage_tolerance``).

    :raises ITwinInputError: if it is not a number
    """
    return _setting("outage_tolerance", 900.0)


def account_of(connection: Connection) -> Account:
    """
    Return the account of an Airflow connection.

    :raises ITwinInputError: if a setting is invalid; the error text names the fix and contains no secret
    :raises ITwinUntrustedHostError: if a secret would be sent unencrypted
    """
    _check_type(connection)
    # extra_dejson would make a synchronous call to mask secrets, which must not happen in the triggerer's event loop.
    extra = connection.extra or ""
    _warn_of_unknown_keys(connection.conn_id, extra)
    return _account(
        connection.host,
        connection.port,
        connection.schema,
        connection.login,
        connection.password,
        extra,
        _limits(),
    )


def secrets_to_mask(connection: Connection) -> tuple[str, ...]:
    """
    Return the secrets of a connection that Airflow does not mask by itself, as it does the password.

    :raises ITwinInputError: as :func:`account_of`
    """
    account = account_of(connection)
    proxies = (parse_proxy(text, "proxies") for _, text in account.network.proxies if text)
    found = {*account.credentials.secrets, *(secret for proxy in proxies for secret in proxy.secrets)}
    return tuple(sorted(found - {connection.password}))


def _check_type(connection: Connection) -> None:
    """Refuse a connection of another type: its login and password must not be sent to the iTwin Platform."""
    kind = (connection.conn_type or "").strip().lower()
    if kind not in ("", CONN_TYPE):
        raise ITwinInputError(
            f"The Airflow connection {connection.conn_id!r} has the type {kind[:40]!r} instead of {CONN_TYPE!r}. Change its "
            f"type; in a URI, replace {kind[:40]}:// by {CONN_TYPE}://."
        )


def _warn_of_unknown_keys(conn_id: str | None, text: str) -> None:
    """Log the unknown keys of extra, once for each connection, without their values."""
    for key in _unknown_keys(text):
        if (conn_id, key) in _reported or len(_reported) >= _MOST_REPORTED:
            continue
        _reported.add((conn_id, key))
        bare = key.removeprefix(f"extra__{CONN_TYPE}__").strip().lower()
        similar = get_close_matches(bare, FIELDS, 1, 0.5) or [name for name in FIELDS if name in bare or bare in name]
        log.warning(
            "The extra of the Airflow connection %r has the unknown key %r. %s",
            conn_id,
            excerpt(key, 40),
            f"Did you mean {similar[0]!r}?" if similar and bare else f"Known keys are {', '.join(FIELDS)}.",
        )


@lru_cache(maxsize=64)
def _unknown_keys(text: str) -> tuple[str, ...]:
    try:
        return tuple(key for key in _extra_of(text) if key not in FIELDS)
    except ValueError:
        return ()


_MOST_REPORTED = 1000
_reported: set[tuple[str | None, str]] = set()


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
    """Return an account; cached, because thousands of triggers that start together need the same one."""
    extra = _extra_of(extra_text)
    host, scheme = trimmed(host), (trimmed(scheme) or "").lower()
    if host and "://" not in host and scheme in ("http", "https"):
        host = f"{scheme}://{host}"
    environment = Environment.of(host, _text(extra, "issuer_url"), port)
    return Account(environment, _credentials_of(login, password, extra), _network_of(extra), limits)


def _limits() -> Limits:
    return Limits(_setting("requests_per_minute", 500.0), _setting("requests_per_hour", 5000.0))


def _setting(name: str, otherwise: float) -> float:
    from airflow_provider_itwin.sdk_compat import conf

    text = conf.get("itwin", name, fallback=str(otherwise))
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ITwinInputError(f"[itwin] {name} in Airflow's configuration must be a number, not {text!r}")
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
    """Return the `portal_url` of a connection; an invalid one is ignored."""
    try:
        return _text(_extra_of(connection.extra or ""), "portal_url")
    except ITwinInputError:
        return None


def _text(extra: dict[str, Any], name: str) -> str | None:
    value = extra.get(name)
    if value is not None and not isinstance(value, str):
        raise ITwinInputError(f"{name} in the extra of the iTwin connection must be a str")
    return trimmed(value)


def _credentials_of(login: str | None, password: str | None, extra: dict[str, Any]) -> Credentials:
    token = _text(extra, "token")
    if token:
        if not token.isascii() or not token.isprintable() or " " in token:
            raise ITwinInputError(
                "token in the extra of the iTwin connection must be the bare access token, without 'Bearer '"
            )
        return ReadyToken(token)
    login, password = trimmed(login), trimmed(password)
    if not login or not password:
        raise ITwinInputError(
            "The iTwin connection has no credentials: set login to the client id and password to the client secret of a "
            "service application registered at https://developer.bentley.com, or token in extra to an access token."
        )
    return ClientCredentials(login, password, _text(extra, "scope") or DEFAULT_SCOPE)


def _network_of(extra: dict[str, Any]) -> Network:
    # The connection form stores an empty field as null.
    verify = True if extra.get("verify") is None else extra["verify"]
    if isinstance(verify, str):
        verify = trimmed(verify) or ""
        if verify.lower() in ("true", "false", ""):
            verify = verify.lower() != "false"
    if not isinstance(verify, bool | str):
        raise ITwinInputError(
            "verify in the extra of the iTwin connection must be true, false, or the path of a CA bundle"
        )
    if isinstance(verify, str) and not Path(verify).exists():
        raise ITwinInputError(
            f"verify in the extra of the iTwin connection is {verify!r}; no such file or folder on this machine"
        )
    proxies = extra.get("proxies") or {}
    if not isinstance(proxies, dict):
        raise ITwinInputError(
            'proxies in the extra of the iTwin connection must be an object such as {"https": "http://proxy:3128"}'
        )
    checked = checked_proxies(proxies, "proxies in the extra of the iTwin connection")
    try:
        timeout = float(extra.get("timeout") or DEFAULT_TIMEOUT)
    except (TypeError, ValueError):
        timeout = 0.0
    if not 0 < timeout <= _LONGEST_TIMEOUT:
        raise ITwinInputError(
            f"timeout in the extra of the iTwin connection must be a positive number of seconds, at most {_LONGEST_TIMEOUT:.0f}"
        )
    return Network(timeout=timeout, verify=verify, proxies=checked)
