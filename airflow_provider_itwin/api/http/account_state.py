"""
State that all clients of an account share in this process: token, rate limit, and a refusal by the token issuer.

Two Airflow connections that differ only in their network settings are the same client to the service: they share one token and
one rate limit.
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

REFUSAL_LIFETIME = 30.0
"""
Seconds for which a refusal by the token issuer applies to every request with the same credentials.

When a secret is rotated during a thousand waits, the old one is tried twice a minute instead of a thousand times, which could
lock the client out. A client that was refused by mistake is used again within half a minute.
"""


class AccountState:
    """
    The shared state of an account; thread-safe, and usable in several event loops.

    The clients of the account own it: it is dropped with the last of them.

    :param account: one of the accounts with this identity
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
        Return the token; None if there is none, it is about to expire, or the service refused it.

        A refused token is replaced once within :data:`REFUSAL_LIFETIME`: if the new token is refused too, another one would not
        help.
        """
        token, now = self._token, self._clock()
        if token is None or not token.is_good(now):
            return None
        if token is refused and now >= self._replaced_at + REFUSAL_LIFETIME:
            return None
        return token

    def obtain(self, refused: Token | None, fetch: Callable[[], Token]) -> Token:
        """
        Return a valid token. If there is none, one thread fetches it while the others wait.

        :raises ITwinError: if the fetch failed; a refusal is raised again for :data:`REFUSAL_LIFETIME`
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
        """Return a valid token as :meth:`obtain` does, fetched by one task of this event loop."""
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
        """Return the token that another caller has fetched meanwhile, or raise its error; None if there was no such fetch."""
        if (token := self.good_token(refused)) is not None:
            return token
        if self._error is None:
            return None
        is_recent = self._clock() < self._failed_at + REFUSAL_LIFETIME
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
