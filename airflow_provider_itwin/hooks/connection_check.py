"""Results of the connection test, in one sentence with the names of the fields in the connection form."""

from __future__ import annotations

from airflow_provider_itwin.api.errors import (
    ITwinAuthenticationError,
    ITwinConnectionError,
    ITwinError,
    ITwinPermissionError,
    ITwinProtocolError,
    ITwinRateLimitError,
    ITwinServerError,
)
from airflow_provider_itwin.api.http.auth import ClientCredentials
from airflow_provider_itwin.api.http.config import Account
from airflow_provider_itwin.api.http.connection_advice import connection_advice
from airflow_provider_itwin.api.redaction import excerpt

_LABELS = {"host": "API host", "issuer_url": "Token issuer", "verify": "Verify TLS", "proxies": "Proxies"}
"""The fields of the connection form."""


def describe_failure(account: Account, error: ITwinError) -> str:
    """
    Return why the connection test failed and which field to check.

    :param error: the error of the request for a list of connections
    """
    api, issuer = account.environment.api, account.environment.issuer
    at_issuer = error.url == f"{issuer}/connect/token"
    place = issuer if at_issuer else api
    field = _LABELS["issuer_url" if at_issuer and issuer != api else "host"]
    code = f" ({error.code})" if error.code else f" ({error.status})" if error.status else ""
    match error:
        case ITwinAuthenticationError() if at_issuer:
            return _refused_by_issuer(account, error, field, code)
        case ITwinAuthenticationError():
            return _refused_by_api(account, error, code)
        case ITwinPermissionError():
            return f"{_client_name(account)} has no role{code} at {api}: {_add_member(account)}."
        case ITwinRateLimitError():
            when = f"in {error.retry_after:.0f} s" if error.retry_after else "later"
            return f"The account exceeded its rate limit at {place}{code}: try again {when}."
        case ITwinServerError():
            support = f", and report {error.correlation_id} to Bentley support" if error.correlation_id else ""
            return f"{place} failed with {error.status}: try again later{support}."
        case ITwinConnectionError():
            return _unreachable(error, place, field)
        case ITwinProtocolError() if error.status and 300 <= error.status < 400:
            return f"{place} redirects the request, which is not followed: check {field}."
        case ITwinProtocolError() if error.status and error.status >= 400:
            seems = _NO_ISSUER if at_issuer else _NO_PLATFORM
            return f"{place} returned {error.status} and {seems}: check {field}, {_INTERCEPTED}."
        case ITwinProtocolError():
            return f"{place} {_NO_PLATFORM} ({error.summary}): check {field}, {_INTERCEPTED}."
    if error.status:
        return f"{place} returned {error.status} and {_NO_PLATFORM}: check {field}."
    return str(error)


_NO_ISSUER = "does not seem to be a token issuer"
_NO_PLATFORM = "does not seem to be the iTwin Platform"
_INTERCEPTED = "and whether a proxy or a sign-in page intercepts the request"


def describe_success(account: Account, *, sees_connections: bool | None) -> str:
    """
    Return the result of a connection test that succeeded.

    :param sees_connections: whether storage connections are visible; None if the API did not list any without an iModel id
    """
    connected = _connected(account)
    return f"{connected}; storage connections are visible." if sees_connections else f"{connected}."


def describe_no_connections(account: Account) -> str:
    """Return the result of a connection test that sees no storage connection."""
    return (
        f"{_connected(account)}, but no storage connection is visible: {_add_member(account)}, unless there are only manifest or "
        "export connections, or none at all."
    )


def _connected(account: Account) -> str:
    token = not isinstance(account.credentials, ClientCredentials)
    return (
        f"Connected to {account.environment.api} {'with the access token' if token else f'as {_client_name(account)}'}"
    )


def _client_name(account: Account) -> str:
    credentials = account.credentials
    return credentials.client_id if isinstance(credentials, ClientCredentials) else "the owner of the access token"


def _add_member(account: Account) -> str:
    credentials = account.credentials
    member = credentials.service_user if isinstance(credentials, ClientCredentials) else "the owner of the token"
    return f"ask an administrator of the iTwin to add {member} as a member with a role"


def _refused_by_issuer(account: Account, error: ITwinError, field: str, code: str) -> str:
    issuer = account.environment.issuer
    if error.status not in (400, 401, 403):
        return f"{issuer} returned {error.status} and {_NO_ISSUER}: check {field}."
    if error.code == "invalid_scope":
        credentials = account.credentials
        scope = credentials.scope if isinstance(credentials, ClientCredentials) else ""
        return f"{issuer} refused the scope {excerpt(scope, 100)!r}{code}: reset Scope to itwin-platform."
    return (
        f"{issuer} refused the client {_client_name(account)}{code}: check Client id and Client secret, and that they are "
        f"registered for this environment ({account.environment.api})."
    )


def _refused_by_api(account: Account, error: ITwinError, code: str) -> str:
    api, issuer = account.environment.api, account.environment.issuer
    if "UnknownClient" in {error.code, *(detail.code for detail in error.details)}:
        return f"{_client_name(account)} is unknown at {api} (UnknownClient): register it at https://developer.bentley.com."
    if not isinstance(account.credentials, ClientCredentials):
        return (
            f"{api} refused the access token{code}: it has expired or is for another environment; enter a new one, or a client "
            "id and secret."
        )
    fix = "API host and Token issuer belong to different environments"
    if account.environment.is_usual:
        fix = "check Scope, and that the client is a service application registered for this environment"
    return f"{api} refused the token that {issuer} issued to {_client_name(account)}{code}: {fix}."


def _unreachable(error: ITwinError, place: str, field: str) -> str:
    advice = connection_advice(error.summary, at_issuer=field == _LABELS["issuer_url"])
    if advice is not None:
        return f"Cannot connect to {place}: {advice.reason}; check {_LABELS[advice.setting]}."
    return f"Cannot connect to {place} ({excerpt(error.summary, 200)}); check {field}."
