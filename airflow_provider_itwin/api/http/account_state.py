"""
What all clients of one account in this process share: the token, the budget of requests, and a refusal of the client.

Two Airflow connections that differ only in their network settings, or a worker's client beside a triggerer's, are the same
client to the service: they spend one token and one budget.
"""

from __future__ import annotations

import asyncio
import copy
import threading
from collections.abc import Awaitable, Callable
from math import inf
from weakref import WeakKeyDictionary, WeakValueDictionary

from airflow_provider_itwin.api.errors import ITwinAuthenticationError, ITwinError
from airflow_provider_itwin.api.http.config import Account
from airflow_provider_itwin.api.http.messages import Token
from airflow_provider_itwin.api.http.rate_limit import RequestBudget

REFUSAL_IS_REMEMBERED_FOR = 30.0
"""
Seconds for which a refusal of the client counts for all who would ask with the same credentials.

A secret that was rotated under a thousand waits is then tried twice a minute rather than a thousand times, which can lock a
client out; and a client that the issuer refused by mistake is used again within half a minute.
"""


class AccountState:
    """
    The shared state of an account; may be used by several threads and event loops.

    It belongs to the clients that use it: with the last of them it is forgotten.
    """

    def __init__(self, account: Account) -> None:
        self.budget = RequestBudget(account.limits.per_minute, account.limits.per_hour)
        self._clock = account.clock
        self._token: Token | None = None
        self._error: ITwinError | None = None
        self._failed_at = 0.0
        self._attempts = 0
        self._replaced_at = -inf
        self._lock = threading.Lock()
        self._locks: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()

    def good_token(self, refused: Token | None) -> Token | None:
        """
        Return the token, None if there is none, it is about to expire, or it is the one that the service refused.

        A refused token is replaced once within :data:`REFUSAL_IS_REMEMBERED_FOR`: if its successor is refused too, a
        third one would not help.
        """
        token, now = self._token, self._clock()
        if token is None or not token.is_good(now):
            return None
        if token is refused and now >= self._replaced_at + REFUSAL_IS_REMEMBERED_FOR:
            return None
        return token

    def obtain(self, refused: Token | None, fetch: Callable[[], Token]) -> Token:
        """
        Return a good token, fetched if need be by one thread while the others wait for it.

        :raises ITwinError: why there is none; a refusal counts for all who ask within :data:`REFUSAL_IS_REMEMBERED_FOR`
        """
        if (token := self.good_token(refused)) is not None:
            return token
        attempts = self._attempts
        with self._lock:
            if (token := self._settled(refused, attempts)) is not None:
                return token
            try:
                token = fetch()
            except ITwinError as error:
                self._note_failure(error)
                raise
            self._note(token, refused)
            return token

    async def obtain_async(self, refused: Token | None, fetch: Callable[[], Awaitable[Token]]) -> Token:
        """Return a good token as :meth:`obtain` does, fetched by one task of this event loop."""
        if (token := self.good_token(refused)) is not None:
            return token
        attempts = self._attempts
        async with self._locks.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
            if (token := self._settled(refused, attempts)) is not None:
                return token
            try:
                token = await fetch()
            except ITwinError as error:
                self._note_failure(error)
                raise
            self._note(token, refused)
            return token

    def _settled(self, refused: Token | None, attempts: int) -> Token | None:
        """Return what others have fetched since, or raise what came of their attempt; None if it is our turn."""
        if (token := self.good_token(refused)) is not None:
            return token
        if self._error is None:
            return None
        is_recent = self._clock() < self._failed_at + REFUSAL_IS_REMEMBERED_FOR
        if attempts != self._attempts or (isinstance(self._error, ITwinAuthenticationError) and is_recent):
            raise copy.copy(self._error)
        return None

    def _note(self, token: Token, refused: Token | None) -> None:
        if refused is not None:
            self._replaced_at = self._clock()
        self._token, self._error = token, None
        self._attempts += 1

    def _note_failure(self, error: ITwinError) -> None:
        self._error, self._failed_at = copy.copy(error), self._clock()
        self._attempts += 1


_states: WeakValueDictionary[tuple[object, ...], AccountState] = WeakValueDictionary()
_states_lock = threading.Lock()


def state_of(account: Account) -> AccountState:
    """Return the state that all clients of `account` share."""
    with _states_lock:
        state = _states.get(account.identity)
        if state is None:
            state = _states[account.identity] = AccountState(account)
        return state
