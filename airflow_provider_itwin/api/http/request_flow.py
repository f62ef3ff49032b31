"""
How one :class:`~.messages.Call` is carried through: token, retries, ``Retry-After``, trust.

A generator, with no I/O and no clock of its own: it yields what it wants done and is sent what came of it, so the rules
below exist once for the synchronous and the asynchronous client, and are tested with neither server nor event loop.
"""

from __future__ import annotations

from math import inf
from typing import TypeVar
from urllib.parse import quote

from msgspec.structs import replace

from airflow_provider_itwin.api.errors import (
    ITwinAuthenticationError,
    ITwinConflictError,
    ITwinConnectionError,
    ITwinError,
    ITwinProtocolError,
    ITwinServerError,
)
from airflow_provider_itwin.api.http.auth import (
    ClientCredentials,
    Credentials,
    read_token,
)
from airflow_provider_itwin.api.http.backoff import backoff
from airflow_provider_itwin.api.http.config import Account
from airflow_provider_itwin.api.http.error_mapping import (
    correlation_id,
    refusal,
    secrets_of,
)
from airflow_provider_itwin.api.http.messages import (
    Authorize,
    Call,
    Flow,
    NoResponse,
    Pause,
    Request,
    Response,
    Send,
    Token,
)

T = TypeVar("T")

ACCEPT = "application/vnd.bentley.itwin-platform.v1+json"

DEFAULT_RETRY_BUDGET = 120.0
"""Seconds for which a call rides out trouble that can pass, if nobody says otherwise."""


def perform_call(
    account: Account, call: Call[T], retry_budget: float = DEFAULT_RETRY_BUDGET, latest: float = inf
) -> Flow[T]:
    """
    Carry `call` through and give what it gives.

    A 401 is answered with a new token once; trouble that can pass (no answer, 5xx, 429, an unreadable answer, a 409 where
    that passes) with another try after a growing pause, or after the time that the service asks for, for as long as
    `retry_budget` lasts. Every operation here may be asked again after a failure that left its fate open: reading changes
    nothing, and a run that had been started after all is answered with 303.

    :param retry_budget: seconds; 0 means one try
    :param latest: moment of the account's clock: a request whose turn would come after it is not sent at all
    :raises ITwinError: what kept it from succeeding
    """
    give_up_at = account.clock() + retry_budget
    tries = 0
    in_doubt = False
    refused: Token | None = None
    renewed: Token | None = None
    while True:
        token = yield Authorize(refused, give_up_at - account.clock())
        if refused is not None:
            refused, renewed = None, token
        request = _request(account, call, token)
        outcome = yield Send(request, latest=latest)
        if in_doubt and isinstance(outcome, Response):
            outcome = replace(outcome, in_doubt=True)
        error = _error(account, call, request, outcome)
        if not isinstance(error, ITwinError):
            return error
        # Whatever the body looks like: gateways that check tokens have error bodies of their own.
        if error.status == 401 and token is not renewed and token.renew_at is not None:
            refused = token
            continue
        if not (error.transient or (call.conflict_passes and isinstance(error, ITwinConflictError))):
            raise error
        in_doubt = in_doubt or isinstance(error, ITwinConnectionError | ITwinServerError | ITwinProtocolError)
        tries += 1
        yield _pause_or_give_up(account, error, tries, give_up_at)


def obtain_token(
    account: Account, credentials: ClientCredentials, retry_budget: float = DEFAULT_RETRY_BUDGET
) -> Flow[Token]:
    """
    Fetch an access token with the client credentials grant, by the same rules of patience.

    :raises ITwinAuthenticationError: if the issuer refuses the client, or is none
    """
    give_up_at = account.clock() + retry_budget
    tries = 0
    request = Request(
        "POST",
        f"{account.environment.issuer}/connect/token",
        {
            "accept": "application/json",
            "content-type": "application/x-www-form-urlencoded",
            "user-agent": account.user_agent,
        },
        credentials.form(),
    )
    while True:
        asked_at = account.clock()
        outcome = yield Send(request, counts=False)
        error: ITwinError
        if isinstance(outcome, Response) and outcome.status == 200:
            try:
                return read_token(outcome, asked_at)
            except ITwinError as unreadable:
                error = _located(unreadable, outcome, request, credentials)
        elif isinstance(outcome, Response):
            error = refusal(outcome, request, "The request for an access token", credentials, by_issuer=True)
            if not error.transient:
                raise _refused_client(error, credentials)
        else:
            error = _no_answer(outcome, request, "The request for an access token")
        if not error.transient:
            raise error
        tries += 1
        yield _pause_or_give_up(account, error, tries, give_up_at)


def _request(account: Account, call: Call[T], token: Token) -> Request:
    url = account.environment.api + call.path
    if call.query:
        url += "?" + "&".join(f"{name}={quote(value, safe='')}" for name, value in call.query)
    return Request(
        call.method,
        url,
        {
            "accept": ACCEPT,
            "authorization": f"Bearer {token.value}",
            "user-agent": account.user_agent,
            **call.headers,
        },
        call.body,
    )


def _error(account: Account, call: Call[T], request: Request, outcome: Response | NoResponse) -> T | ITwinError:
    if isinstance(outcome, NoResponse):
        return _no_answer(outcome, request, call.operation)
    if outcome.status in call.accepts:
        try:
            return call.read(outcome)
        except ITwinError as unreadable:
            return _located(unreadable, outcome, request, account.credentials)
    return refusal(outcome, request, call.operation, account.credentials)


def _no_answer(outcome: NoResponse, request: Request, what: str) -> ITwinConnectionError:
    return ITwinConnectionError(
        f"{what} got no complete answer: {outcome.reason}", method=request.method, url=request.url.partition("?")[0]
    )


def _located(error: ITwinError, response: Response, request: Request, credentials: Credentials) -> ITwinError:
    error.status, error.method, error.url = response.status, request.method, request.url.partition("?")[0]
    error.correlation_id = correlation_id(response, secrets_of(request, credentials))
    return error


def _refused_client(error: ITwinError, credentials: ClientCredentials) -> ITwinAuthenticationError:
    hint = {
        "invalid_client": "Look at login (client id) and password (client secret) of the Airflow connection.",
        "invalid_scope": f"Look at scope in the extra of the Airflow connection: {credentials.scope!r} was asked for.",
    }.get(
        error.code or "",
        "Look at login, password and scope of the Airflow connection, and that its host and issuer belong together.",
    )
    return ITwinAuthenticationError(
        f"The token endpoint refused the client {credentials.client_id}"
        if error.status in (400, 401, 403)
        else f"The token endpoint answered {error.status}",
        status=error.status,
        code=error.code,
        message=error.message,
        target=error.target,
        details=error.details,
        correlation_id=error.correlation_id,
        method=error.method,
        url=error.url,
        hint=hint,
    )


def _pause_or_give_up(account: Account, error: ITwinError, tries: int, give_up_at: float) -> Pause:
    left = give_up_at - account.clock()
    seconds = backoff(tries, account.chance(), error.retry_after)
    if left <= 0 or (error.retry_after and seconds > left):
        if tries > 1:
            error.summary += f" ({tries} times, until patience ran out)"
        raise error
    return Pause(min(seconds, left), error)
