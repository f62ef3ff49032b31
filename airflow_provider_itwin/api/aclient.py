"""The asynchronous client: carries the same conversations through ``aiohttp``."""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
from collections.abc import Awaitable, Callable, Coroutine
from math import inf
from pathlib import Path
from typing import Any, Self, TypeVar

import aiohttp
from requests.utils import get_environ_proxies, select_proxy
from yarl import URL

from airflow_provider_itwin.api.account import Account
from airflow_provider_itwin.api.credentials import ClientCredentials, ReadyToken, Token
from airflow_provider_itwin.api.errors import ITwinError, ITwinInputError
from airflow_provider_itwin.api.exchange import DEFAULT_PATIENCE, exchange, obtain_token
from airflow_provider_itwin.api.operations import Call
from airflow_provider_itwin.api.pace import LONGEST_OBEDIENCE, RequestBudget
from airflow_provider_itwin.api.poll_queue import PollInFlight
from airflow_provider_itwin.api.poller import MOST_SLOW, MOST_WORKERS_BESIDE_SLOW, Poller
from airflow_provider_itwin.api.redact import excerpt
from airflow_provider_itwin.api.refusal import retry_after
from airflow_provider_itwin.api.throttling import ThrottlingLog
from airflow_provider_itwin.api.waiting import WaitOrder, WaitOutcome, find
from airflow_provider_itwin.api.wire import LARGEST_BODY, NO_TURN, Authorize, Flow, NoReply, Pause, Reply, Request, Send

log = logging.getLogger(__name__)

T = TypeVar("T")

_MOST_CONNECTIONS = MOST_WORKERS_BESIDE_SLOW + MOST_SLOW + 2
"""So that polls without an answer keep no connection from others; the poller uses a third of them as long as all answer."""

_OURS_TO_SAY = ("Content-Type",)


class AsyncITwinClient:
    """
    The iTwin Platform, asynchronously; belongs to the event loop in which it is entered.

    :param account: where it is and who we are there
    :param sleep: how to pass time; a parameter so that tests need none
    """

    def __init__(self, account: Account, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self.account = account
        self._sleep = sleep
        self._token: Token | None = None
        self._budget = RequestBudget(account.limits.per_minute, account.limits.per_hour)
        self._throttling = ThrottlingLog(account.environment.api)
        self._poller = Poller(account, lambda order, poll: self.carry(find(account, order), poll), sleep)
        self._renewal: asyncio.Task[Token] | None = None
        self._session: aiohttp.ClientSession | None = None
        self._routes: dict[str, tuple[URL, str | None]] = {}

    async def __aenter__(self) -> Self:
        network = self.account.network
        # No trust_env: with it aiohttp refuses to send our token to a host that a .netrc file has a password for.
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=network.timeout, connect=max(1.0, network.timeout / 6)),
            connector=aiohttp.TCPConnector(limit=_MOST_CONNECTIONS, ssl=await _tls(self._bundle())),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._poller.close()
        if self._renewal is not None:
            self._renewal.cancel()
        if self._session is not None:
            await self._session.close()

    async def call(self, call: Call[T], patience: float = DEFAULT_PATIENCE) -> T:
        """
        Carry one call through.

        :param patience: seconds for which trouble that can pass is ridden out
        :raises ITwinError: what kept it from succeeding
        """
        return await self.carry(exchange(self.account, call, patience))

    def wait(self, order: WaitOrder) -> Coroutine[Any, Any, WaitOutcome]:
        """Wait as `order` says, sharing looks with all who wait here; trouble is told by the outcome, not raised."""
        # No coroutine around that of the poller: there are thousands of these.
        return self._poller.wait(order)

    async def carry(self, flow: Flow[T], poll: PollInFlight | None = None) -> T:
        """
        Carry a conversation through: do what it wants, tell it what came of it, and give what it ends with.

        :param poll: the poll that this is, which has to know when it waits for its turn
        """
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
                    if latest < inf and counts and self._budget.next_turn(self.account.clock()) > latest:
                        outcome = NO_TURN
                        continue
                    if counts:
                        await self._wait_for_turn(poll)
                    outcome = await self._send(request)
                    if isinstance(outcome, Reply) and outcome.status == 429:
                        asked_for = min(retry_after(outcome) or 0.0, LONGEST_OBEDIENCE)
                        self._budget.hold_back(self.account.clock() + asked_for)
                case Pause(seconds, trouble):
                    if trouble is not None:
                        log.warning("%s Trying again in %.1f s.", trouble, seconds)
                    await self._sleep(seconds)
                case Authorize(refused, patience):
                    outcome = self._good_token(refused)
                    if outcome is None:
                        try:
                            outcome = await self._obtain_token(patience)
                        except ITwinError as error:
                            no_token = error

    async def _wait_for_turn(self, poll: PollInFlight | None) -> None:
        now = self.account.clock()
        seconds = self._budget.take(now)
        self._throttling.note(seconds, now)
        if seconds > 0:
            turn = self._sleep(seconds)
            await (turn if poll is None else poll.wait_for_turn(turn))

    def _good_token(self, refused: Token | None) -> Token | None:
        credentials = self.account.credentials
        if isinstance(credentials, ReadyToken):
            return Token(credentials.token)
        token = self._token
        return token if token is not None and token is not refused and token.is_good(self.account.clock()) else None

    async def _obtain_token(self, patience: float) -> Token:
        credentials = self.account.credentials
        assert isinstance(credentials, ClientCredentials)  # noqa: S101 (any other token is always good)
        if self._renewal is None:
            self._renewal = asyncio.create_task(self._renew(credentials, patience))
            # If all who wait for it give up, nobody else would take note of its failure.
            self._renewal.add_done_callback(lambda renewal: renewal.cancelled() or renewal.exception())
        return await asyncio.shield(self._renewal)

    async def _renew(self, credentials: ClientCredentials, patience: float) -> Token:
        try:
            self._token = await self.carry(obtain_token(self.account, credentials, patience))
            return self._token
        finally:
            self._renewal = None

    def _bundle(self) -> bool | str:
        """Give whom to trust; the variables are those that ``requests`` heeds in the synchronous client."""
        verify = self.account.network.verify
        if verify is not True or self.account.environment.is_local:
            return verify
        return os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or verify

    def _route(self, url: str) -> tuple[URL, str | None]:
        """Give `url` as aiohttp takes it, and the proxy on the way to it; what a host has in common is found out once."""
        at = url.find("/", len("https://"))
        host = url[:at]
        route = self._routes.get(host)
        if route is None:
            route = self._routes[host] = URL(host, encoded=True), self._look_up_proxy(url)
        base, proxy = route
        return (URL(url, encoded=True) if "?" in url else base.with_path(url[at:], encoded=True)), proxy

    def _look_up_proxy(self, url: str) -> str | None:
        """By the rules of ``requests``."""
        if self.account.network.proxies:
            return select_proxy(url, dict(self.account.network.proxies))
        return None if self.account.environment.is_local else select_proxy(url, get_environ_proxies(url))

    async def _send(self, request: Request) -> Reply | NoReply:
        if self._session is None:
            raise RuntimeError("The client is used outside its `async with` block")
        try:
            url, proxy = self._route(request.url)
            async with self._session.request(
                request.method,
                url,
                headers=request.headers,
                data=request.body,
                skip_auto_headers=_OURS_TO_SAY if request.method == "POST" else None,
                allow_redirects=False,
                proxy=proxy,
            ) as response:
                body = await _bounded_body(response)
                if body is None:
                    return NoReply(f"its body is larger than {LARGEST_BODY >> 20} MiB")
                return Reply(response.status, response.headers, body)
        except TimeoutError:
            return NoReply(f"it took longer than {self.account.network.timeout:.0f} s")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            text = str(error)
            if isinstance(error, aiohttp.ClientResponseError) and not isinstance(error, aiohttp.ClientHttpProxyError):
                # It quotes what came, and that can be the rest of an answer with a token in it.
                text = "what came is not HTTP"
            return NoReply(excerpt(f"{type(error).__name__}: {text}", 600, self.account.credentials.secrets))


async def _bounded_body(response: aiohttp.ClientResponse) -> bytes | None:
    """Give the body, or None if it is too large to be taken in."""
    if response.content.is_eof():
        # It came together with the head, as short answers do.
        return await response.read() if response.content.total_bytes <= LARGEST_BODY else None
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > LARGEST_BODY:
            return None
    return bytes(body)


async def _tls(verify: bool | str) -> ssl.SSLContext | bool:
    if isinstance(verify, bool):
        return verify
    try:
        return await asyncio.to_thread(_trusting, Path(verify))
    except OSError as error:
        raise ITwinInputError(
            f"verify names {verify!r}, which is no bundle of certificate authorities: {error}"
        ) from error


def _trusting(bundle: Path) -> ssl.SSLContext:
    if bundle.is_dir():
        return ssl.create_default_context(capath=bundle)
    return ssl.create_default_context(cafile=bundle)
