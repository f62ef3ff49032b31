"""
Drives a request flow: rate limit, ``Retry-After``, the logs of retries and throttling, the shared token.

What is left for a client are three primitives: send a request, sleep, fetch a token.
"""

from __future__ import annotations

import logging
from collections.abc import Generator
from math import inf
from typing import Any, NamedTuple, TypeAlias, TypeVar

from airflow_provider_itwin.api.errors import ITwinError
from airflow_provider_itwin.api.http.account_state import AccountState, state_of
from airflow_provider_itwin.api.http.auth import ReadyToken
from airflow_provider_itwin.api.http.backoff import LONGEST_RETRY_AFTER
from airflow_provider_itwin.api.http.config import Account
from airflow_provider_itwin.api.http.error_mapping import retry_after
from airflow_provider_itwin.api.http.messages import (
    NO_TURN,
    Authorize,
    Flow,
    Pause,
    Request,
    Response,
    Send,
    Token,
)
from airflow_provider_itwin.api.http.rate_limit import ThrottlingLog
from airflow_provider_itwin.api.http.request_flow import obtain_token

log = logging.getLogger(__name__)

T = TypeVar("T")


class Sleep(NamedTuple):
    """
    Sleep for `seconds`.

    :param is_turn: whether the request that follows waits for its turn in the rate limit
    """

    seconds: float
    is_turn: bool = False


class FetchToken(NamedTuple):
    """
    Get a token from the state of the account, with `flow` if it has none; the result is a :class:`Token`, or the error.

    :param refused: the token that the service refused, None for none
    """

    refused: Token | None
    flow: Flow[Token]


Step: TypeAlias = Request | Sleep | FetchToken
"""What a client does: send the request and return its :class:`Response` or :class:`NoResponse`, sleep, or fetch a token."""

Steps: TypeAlias = Generator[Step, Any, T]
"""The steps of a flow; it is sent the result of each, and returns the result of the flow."""


class Driver:
    """
    Turns flows into steps. One per client; several flows may be driven at the same time.

    :param account: the account of the client
    """

    def __init__(self, account: Account) -> None:
        self.state: AccountState = state_of(account)
        self._account = account
        self._clock = account.clock
        self._budget = self.state.budget
        self._throttling = ThrottlingLog(account.environment.api)

    def steps(self, flow: Flow[T]) -> Steps[T]:
        """Drive a flow to completion and return its result."""
        outcome: Any = None
        no_token: ITwinError | None = None
        while True:
            try:
                want = flow.send(outcome) if no_token is None else flow.throw(no_token)
            except StopIteration as end:
                result: T = end.value
                return result
            outcome = no_token = None
            match want:
                case Send(request, counts, latest):
                    if counts:
                        now = self._clock()
                        if latest < inf and self._budget.next_turn(now) > latest:
                            outcome = NO_TURN
                            continue
                        seconds = self._budget.take(now)
                        self._throttling.note(seconds, now)
                        if seconds > 0:
                            yield Sleep(seconds, is_turn=True)
                    outcome = yield request
                    if isinstance(outcome, Response) and outcome.status == 429:
                        self._hold_back(outcome)
                case Pause(seconds, error):
                    if error is not None:
                        log.warning("%s Retrying in %.1f s.", error, seconds)
                    yield Sleep(seconds)
                case Authorize(refused, retry_budget):
                    credentials = self._account.credentials
                    if isinstance(credentials, ReadyToken):
                        outcome = Token(credentials.token)
                    elif (outcome := self.state.good_token(refused)) is None:
                        outcome = yield FetchToken(refused, obtain_token(self._account, credentials, retry_budget))
                    if isinstance(outcome, ITwinError):
                        outcome, no_token = None, outcome

    def _hold_back(self, response: Response) -> None:
        """Apply a ``Retry-After`` to every request of the account."""
        seconds = min(retry_after(response) or 0.0, LONGEST_RETRY_AFTER)
        self._budget.hold_back(self._clock() + seconds)
