"""What is wrong with an account, in one sentence for the person who has just typed in its settings."""

from __future__ import annotations

import re

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
from airflow_provider_itwin.api.redaction import excerpt

_REASONS = (
    (re.compile(r"certificate|SSL", re.IGNORECASE), "its TLS certificate cannot be verified", "Verify TLS"),
    (re.compile(r"proxy", re.IGNORECASE), "the proxy does not let the request through", "Proxies"),
    (re.compile(r"resolv|name or service|gaierror|nodename", re.IGNORECASE), "there is no host of that name", None),
    (re.compile(r"refused", re.IGNORECASE), "nobody listens there", None),
    (re.compile(r"timed? ?out", re.IGNORECASE), "it does not answer in time", None),
)


def diagnosis(account: Account, error: ITwinError) -> str:
    """
    Say what to fix, in the words of the connection form.

    :param error: what kept the account from reading a list of connections
    """
    api, issuer = account.environment.api, account.environment.issuer
    at_issuer = error.url == f"{issuer}/connect/token"
    place = issuer if at_issuer else api
    field = "Token issuer" if at_issuer and issuer != api else "API host"
    said = f" ({error.code})" if error.code else f" ({error.status})" if error.status else ""
    match error:
        case ITwinAuthenticationError() if at_issuer:
            return _refused_by_issuer(account, error, field, said)
        case ITwinAuthenticationError():
            return _refused_by_api(account, error, said)
        case ITwinPermissionError():
            return f"{api} accepts {who(account)}, which lacks a role{said}: {_invitation(account)}."
        case ITwinRateLimitError():
            when = f"in {error.retry_after:.0f} s" if error.retry_after else "later"
            return f"{place} has had as many requests as the account is allowed{said}: try again {when}."
        case ITwinServerError():
            named = f", and name it {error.correlation_id} to Bentley's support" if error.correlation_id else ""
            return f"{place} is not well and answers {error.status}: try again later{named}."
        case ITwinConnectionError():
            return _unreachable(error, place, field)
        case ITwinProtocolError() if error.status and 300 <= error.status < 400:
            return f"{place} redirects the request, which is not followed: look at {field}."
        case ITwinProtocolError() if error.status and error.status >= 400:
            seems = "as if it issued no tokens" if at_issuer else "as if it were not the iTwin Platform"
            return (
                f"{place} answers {error.status}, {seems}: look at {field}, and whether a proxy or a sign-in page stands in "
                "between."
            )
        case ITwinProtocolError():
            return (
                f"{place} answers, but not as the iTwin Platform does ({error.summary}): look at {field}, and whether a proxy "
                "or a sign-in page stands in between."
            )
    if error.status:
        return f"{place} answers {error.status}, as if it were not the iTwin Platform: look at {field}."
    return str(error)


def who(account: Account) -> str:
    """Name the client that an account stands for."""
    credentials = account.credentials
    return credentials.client_id if isinstance(credentials, ClientCredentials) else "the access token"


def nothing_seen(account: Account) -> str:
    """Say what to do when the service takes the token, but shows no connection."""
    return (
        f"{account.environment.api} accepts {who(account)}, but shows it no storage connection: {_invitation(account)}, "
        "unless there is none yet, or only manifest and export connections, which this test cannot see."
    )


def _invitation(account: Account) -> str:
    credentials = account.credentials
    member = credentials.service_user if isinstance(credentials, ClientCredentials) else "whom the token stands for"
    return f"let an administrator of the iTwin add {member} as a member with a role"


def _refused_by_issuer(account: Account, error: ITwinError, field: str, said: str) -> str:
    issuer = account.environment.issuer
    if error.status not in (400, 401, 403):
        return f"{issuer} answers {error.status}, as if it issued no tokens: look at {field}."
    if error.code == "invalid_scope":
        credentials = account.credentials
        scope = credentials.scope if isinstance(credentials, ClientCredentials) else ""
        return f"{issuer} refuses the scope {excerpt(scope, 100)!r}{said}: leave Scope as it was, itwin-platform."
    return (
        f"{issuer} refuses the client {who(account)}{said}: look at Client id and Client secret, and whether they were "
        f"registered for this environment ({account.environment.api})."
    )


def _refused_by_api(account: Account, error: ITwinError, said: str) -> str:
    api, issuer = account.environment.api, account.environment.issuer
    if "UnknownClient" in {error.code, *(detail.code for detail in error.details)}:
        return f"{api} does not know the client {who(account)} (UnknownClient): register it at https://developer.bentley.com."
    if not isinstance(account.credentials, ClientCredentials):
        return (
            f"{api} refuses the access token{said}: it has expired or is for another environment, so give a new one, or a "
            "client id and secret instead."
        )
    fix = "API host and Token issuer belong to different environments"
    if account.environment.is_usual:
        fix = "look at Scope, and whether the client is a service application that is registered for this environment"
    return f"{api} refuses the token that {issuer} gave to {who(account)}{said}: {fix}."


def _unreachable(error: ITwinError, place: str, field: str) -> str:
    for pattern, reason, other_field in _REASONS:
        if pattern.search(error.summary):
            return f"{place} cannot be reached, for {reason}: look at {other_field or field}."
    return f"{place} cannot be reached ({excerpt(error.summary, 200)}): look at {field}."
