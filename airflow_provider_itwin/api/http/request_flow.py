"""
The flow of one :class:`~.messages.Call`: token, retries, ``Retry-After``.

A flow is a generator without I/O: it yields what is to be done and is sent the result. So these rules exist once for the
synchronous and the asynchronous client, and are tested without a server and without an event loop.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import TypeVar
from urllib.parse import quote

from airflow_provider_itwin.api.errors import (
    ITwinAuthenticationError,
    ITwinConflictError,
    ITwinConnectionError,
    ITwinError,
)
from airflow_provider_itwin.api.http.auth import (
    ClientCredentials,
    Credentials,
    read_token,
)
from airflow_provider_itwin.api.http.backoff import backoff
from airflow_provider_itwin.api.http.config import Account
from airflow_provider_itwin.api.http.connection_advice import connection_advice
from airflow_provider_itwin.api.http.error_mapping import (
    correlation_id,
    map_error,
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
"""Default for the seconds for which a call retries temporary errors."""


def perform_call(
    account: Account,
    call: Call[T],
    retry_budget: float = DEFAULT_RETRY_BUDGET,
    latest: float = inf,
    before_retry: Callable[[ITwinError, float], Flow[T | None]] | None = None,
) -> Flow[T]:
    """
    Perform `call` and return its result.

    After a 401, the call is repeated once with a new token. Temporary errors (no response, 5xx, 429, an invalid response, a 409
    where that is temporary) are retried with a growing delay, or after the ``Retry-After`` of the service, until `retry_budget`
    is used up. Every operation can be repeated after an attempt with an unknown outcome: reading changes nothing, and starting
    a run while one is active is answered with 303.

    :param retry_budget: seconds for which temporary errors are retried; 0: one attempt
    :param latest: latest time, on the account's clock, to send the request
    :param before_retry: called before each retry with the error and the seconds that are left of the retry budget; what it
        returns, unless None, is returned in place of a response
    :raises ITwinError: if the call failed
    """
    give_up_at = account.clock() + retry_budget
    attempts = 0
    refused: Token | None = None
    renewed: Token | None = None
    while True:
        token = yield Authorize(refused, give_up_at - account.clock())
        if refused is not None:
            refused, renewed = None, token
        request = _request(account, call, token)
        outcome = yield Send(request, latest=latest)
        error = _error(account, call, request, outcome)
        if not isinstance(error, ITwinError):
            return error
        # Whatever its body is: gateways that check tokens have their own error bodies.
        if error.status == 401 and token is not renewed and token.renew_at is not None:
            refused = token
            continue
        if not (error.transient or (call.conflict_passes and isinstance(error, ITwinConflictError))):
            raise error
        attempts += 1
        yield _pause_or_raise(account, error, attempts, give_up_at, retry_budget)
        if before_retry is not None:
            found = yield from before_retry(error, max(0.0, give_up_at - account.clock()))
            if found is not None:
                return found


def obtain_token(
    account: Account, credentials: ClientCredentials, retry_budget: float = DEFAULT_RETRY_BUDGET
) -> Flow[Token]:
    """
    Fetch an access token with the client credentials grant; temporary errors are retried as by :func:`perform_call`.

    :raises ITwinAuthenticationError: if the issuer refuses the client, or is not a token issuer
    """
    give_up_at = account.clock() + retry_budget
    attempts = 0
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
            error = map_error(outcome, request, "The request for an access token", credentials, by_issuer=True)
            if not error.transient:
                raise _refused_client(error, credentials)
        else:
            error = _no_response(account, outcome, request, "The request for an access token", by_issuer=True)
        if not error.transient:
            raise error
        attempts += 1
        yield _pause_or_raise(account, error, attempts, give_up_at, retry_budget)


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
        return _no_response(account, outcome, request, call.operation)
    if outcome.status in call.accepts:
        try:
            return call.read(outcome)
        except ITwinError as unreadable:
            return _located(unreadable, outcome, request, account.credentials)
    return map_error(outcome, request, call.operation, account.credentials)


def _no_response(
    account: Account, outcome: NoResponse, request: Request, what: str, *, by_issuer: bool = False
) -> ITwinConnectionError:
    advice = connection_advice(outcome.reason, at_issuer=by_issuer and not account.environment.is_usual)
    hint = None
    if advice is not None:
        place = f"{advice.setting} {'in' if advice.setting == 'host' else 'in the extra of'} the Airflow connection"
        hint = f"If this lasts, check {place}: {advice.reason}."
    return ITwinConnectionError(
        f"{what} got no complete response: {outcome.reason}",
        method=request.method,
        url=request.url.partition("?")[0],
        hint=hint,
    )


def _located(error: ITwinError, response: Response, request: Request, credentials: Credentials) -> ITwinError:
    error.status, error.method, error.url = response.status, request.method, request.url.partition("?")[0]
    error.correlation_id = correlation_id(response, secrets_of(request, credentials))
    return error


def _refused_client(error: ITwinError, credentials: ClientCredentials) -> ITwinAuthenticationError:
    hint = {
        "invalid_client": "Check login (client id) and password (client secret) of the Airflow connection.",
        "invalid_scope": f"Check scope in the extra of the Airflow connection; the request had {credentials.scope!r}.",
    }.get(
        error.code or "",
        "Check login, password and scope of the Airflow connection, and that its host and issuer belong together.",
    )
    return ITwinAuthenticationError(
        f"The token endpoint refused the client {credentials.client_id}"
        if error.status in (400, 401, 403)
        else f"The token endpoint returned {error.status}",
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


def _pause_or_raise(
    account: Account, error: ITwinError, attempts: int, give_up_at: float, retry_budget: float
) -> Pause:
    left = give_up_at - account.clock()
    seconds = backoff(attempts, account.chance(), error.retry_after)
    if left <= 0 or (error.retry_after and seconds > left):
        if attempts > 1:
            error.summary += f" (gave up after {attempts} attempts in {retry_budget - left:.0f} s)"
        raise error
    return Pause(min(seconds, left), error)
