"""The asynchronous client: carries the same conversations through ``aiohttp``."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from math import inf
from typing import Any, Generic, NamedTuple, Self, TypeVar

import aiohttp
from yarl import URL

from airflow_provider_itwin.api.errors import ITwinError
from airflow_provider_itwin.api.http.account_state import state_of
from airflow_provider_itwin.api.http.auth import ReadyToken
from airflow_provider_itwin.api.http.backoff import LONGEST_OBEDIENCE
from airflow_provider_itwin.api.http.config import Account
from airflow_provider_itwin.api.http.content_encoding import (
    ACCEPT_ENCODING,
    BodyError,
    BodyReader,
)
from airflow_provider_itwin.api.http.error_mapping import retry_after
from airflow_provider_itwin.api.http.messages import (
    LARGEST_BODY,
    NO_TURN,
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
from airflow_provider_itwin.api.http.proxies import Proxy
from airflow_provider_itwin.api.http.rate_limit import ThrottlingLog
from airflow_provider_itwin.api.http.request_flow import (
    DEFAULT_RETRY_BUDGET,
    obtain_token,
    perform_call,
)
from airflow_provider_itwin.api.http.transport import Transport
from airflow_provider_itwin.api.redaction import excerpt
from airflow_provider_itwin.api.wait.poll_queue import PollInFlight
from airflow_provider_itwin.api.wait.poller import (
    MOST_SLOW,
    MOST_WORKERS_BESIDE_SLOW,
    Poller,
)
from airflow_provider_itwin.api.wait.waiter import (
    WaitResult,
    WaitSpec,
    find,
)

log = logging.getLogger(__name__)
T = TypeVar("T")

_MOST_CONNECTIONS = MOST_WORKERS_BESIDE_SLOW + MOST_SLOW + 2
"""So that polls without an answer keep no connection from others; the poller uses a third of them as long as all answer."""

_LARGEST_DECODED_HERE = 1 << 18
"""Bytes of an answer that is decoded on the event loop; a larger one is decoded in a thread."""

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
        self._transport = Transport.of(account)
        self._state = state_of(account)
        self._budget = self._state.budget
        self._decoding = asyncio.Lock()
        self._throttling = ThrottlingLog(account.environment.api)
        self._poller = Poller(account, lambda spec, poll: self.run_flow(find(account, spec), poll), sleep)
        self._session: aiohttp.ClientSession | None = None
        self._routes: dict[str, _Route] = {}

    async def __aenter__(self) -> Self:
        network = self.account.network
        # No trust_env: with it aiohttp refuses to send our token to a host that a .netrc file has a password for.
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=network.timeout, connect=max(1.0, network.timeout / 6)),
            connector=aiohttp.TCPConnector(limit=_MOST_CONNECTIONS, ssl=await self._tls()),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Accept-Encoding": ACCEPT_ENCODING},
            auto_decompress=False,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._poller.close()
        if self._session is not None:
            await self._session.close()

    async def call(self, call: Call[T], retry_budget: float = DEFAULT_RETRY_BUDGET) -> T:
        """
        Carry one call through.

        :param retry_budget: seconds for which trouble that can pass is ridden out
        :raises ITwinError: what kept it from succeeding
        """
        return await self.run_flow(perform_call(self.account, call, retry_budget))

    def wait(self, spec: WaitSpec) -> Coroutine[Any, Any, WaitResult]:
        """Wait as `spec` says, sharing looks with all who wait here; trouble is told by the outcome, not raised."""
        # No coroutine around that of the poller: there are thousands of these.
        return self._poller.wait(spec)

    async def run_flow(self, flow: Flow[T], poll: PollInFlight | None = None) -> T:
        """
        Carry a conversation through: do what it wants, tell it what came of it, and give what it ends with.

        :param poll: the poll that this is, which has to know when it waits for its turn
        """
        outcome: Any = None
        no_token: ITwinError | None = None
        while True:
            want: Send | Pause | Authorize | None
            try:
                if no_token is not None:
                    want = flow.throw(no_token)
                elif isinstance(outcome, Response) and len(outcome.body) > _LARGEST_DECODED_HERE:
                    # One after the other: each takes memory in proportion to its body.
                    async with self._decoding:
                        want, ended = await asyncio.to_thread(_resumed, flow, outcome)
                    if ended is not None:
                        return ended.result
                else:
                    want = flow.send(outcome)
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
                    if isinstance(outcome, Response) and outcome.status == 429:
                        asked_for = min(retry_after(outcome) or 0.0, LONGEST_OBEDIENCE)
                        self._budget.hold_back(self.account.clock() + asked_for)
                case Pause(seconds, cause):
                    if cause is not None:
                        log.warning("%s Trying again in %.1f s.", cause, seconds)
                    await self._sleep(seconds)
                case Authorize(refused, retry_budget):
                    try:
                        outcome = await self._token(refused, retry_budget)
                    except ITwinError as error:
                        no_token = error

    async def _wait_for_turn(self, poll: PollInFlight | None) -> None:
        now = self.account.clock()
        seconds = self._budget.take(now)
        self._throttling.note(seconds, now)
        if seconds > 0:
            turn = self._sleep(seconds)
            await (turn if poll is None else poll.wait_for_turn(turn))

    async def _token(self, refused: Token | None, retry_budget: float) -> Token:
        credentials = self.account.credentials
        if isinstance(credentials, ReadyToken):
            return Token(credentials.token)
        return await self._state.obtain_async(
            refused, lambda: self.run_flow(obtain_token(self.account, credentials, retry_budget))
        )

    async def _tls(self) -> ssl.SSLContext | bool:
        verify = self._transport.verify
        return verify if isinstance(verify, bool) else await asyncio.to_thread(self._transport.tls)

    def _route(self, url: str) -> tuple[URL, _Route]:
        """Give `url` as aiohttp takes it, and the way to it; what a host has in common is found out once."""
        at = url.find("/", len("https://"))
        host = url[:at]
        route = self._routes.get(host)
        if route is None:
            route = self._routes[host] = _Route.to(host, self._transport.proxy(url))
        return (URL(url, encoded=True) if "?" in url else route.base.with_path(url[at:], encoded=True)), route

    async def _send(self, request: Request) -> Response | NoResponse:
        if self._session is None:
            raise RuntimeError("The client is used outside its `async with` block")
        try:
            url, route = self._route(request.url)
            async with self._session.request(
                request.method,
                url,
                headers={**request.headers, **route.headers} if route.headers else request.headers,
                data=request.body,
                skip_auto_headers=_OURS_TO_SAY if request.method == "POST" else None,
                allow_redirects=False,
                **route.proxy,
            ) as response:
                return Response(response.status, response.headers, await _body(response))
        except BodyError as error:
            return NoResponse(str(error))
        except TimeoutError:
            return NoResponse(f"it took longer than {self.account.network.timeout:.0f} s")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            text = str(error)
            if isinstance(error, aiohttp.ClientResponseError) and not isinstance(error, aiohttp.ClientHttpProxyError):
                # It quotes what came, and that can be the rest of an answer with a token in it.
                text = "what came is not HTTP"
            secrets = (*self.account.credentials.secrets, *self._transport.secrets)
            return NoResponse(excerpt(f"{type(error).__name__}: {text}", 600, secrets))


class _Ended(NamedTuple, Generic[T]):
    """What a flow has ended with; a future cannot carry StopIteration."""

    result: T


def _resumed(flow: Flow[T], outcome: Response) -> tuple[Send | Pause | Authorize | None, _Ended[T] | None]:
    """Resume a flow with an answer, in a thread: what it decodes of a large one would stop the event loop."""
    try:
        return flow.send(outcome), None
    except StopIteration as end:
        return None, _Ended(end.value)


@dataclass(frozen=True, slots=True)
class _Route:
    """The way to a host: its base URL, what aiohttp has to know of the proxy, and the headers that are meant for it."""

    base: URL
    proxy: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def to(cls, host: str, proxy: Proxy | None) -> Self:
        base = URL(host, encoded=True)
        if proxy is None:
            return cls(base)
        headers = {"Proxy-Authorization": proxy.authorization} if proxy.authorization else {}
        if base.scheme == "http":
            # The proxy reads the request itself. In one for https, it would be the service that reads it.
            return cls(base, {"proxy": URL(proxy.url)}, headers)
        return cls(base, {"proxy": URL(proxy.url), "proxy_headers": headers})


async def _body(response: aiohttp.ClientResponse) -> bytes:
    """
    Return the body.

    :raises BodyError: if it is too large, or not encoded as its headers say
    """
    body = BodyReader(response.headers, LARGEST_BODY)
    if response.content.is_eof() and response.content.total_bytes <= _LARGEST_DECODED_HERE:
        # It came together with the head, as short answers do.
        for _ in body.steps(await response.read()):
            await asyncio.sleep(0)
        return body.finish()
    async for part in response.content.iter_any():
        for _ in body.steps(part):
            await asyncio.sleep(0)
    return body.finish()
