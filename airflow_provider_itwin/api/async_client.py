"""The asynchronous client, on ``aiohttp``."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, Self, TypeVar

import aiohttp
from yarl import URL

from airflow_provider_itwin.api.errors import ITwinError
from airflow_provider_itwin.api.http.config import Account
from airflow_provider_itwin.api.http.content_encoding import (
    ACCEPT_ENCODING,
    BodyError,
    BodyReader,
)
from airflow_provider_itwin.api.http.driver import Driver, FetchToken, Sleep, Step, Steps
from airflow_provider_itwin.api.http.messages import (
    LARGEST_BODY,
    Call,
    Flow,
    NoResponse,
    Request,
    Response,
    Token,
)
from airflow_provider_itwin.api.http.proxies import Proxy
from airflow_provider_itwin.api.http.request_flow import (
    DEFAULT_RETRY_BUDGET,
    perform_call,
)
from airflow_provider_itwin.api.http.transport import Transport
from airflow_provider_itwin.api.redaction import excerpt
from airflow_provider_itwin.api.wait.any_wait import ResultT, WaitLimits
from airflow_provider_itwin.api.wait.poll_queue import PollInFlight
from airflow_provider_itwin.api.wait.poller import (
    MOST_SLOW,
    MOST_WORKERS_BESIDE_SLOW,
    Poller,
)
from airflow_provider_itwin.api.wait.waiter import (
    poll,
)

log = logging.getLogger(__name__)
T = TypeVar("T")

_MOST_CONNECTIONS = MOST_WORKERS_BESIDE_SLOW + MOST_SLOW + 2
"""Enough for polls that hang and for all others; the poller uses a third of them while the service responds."""

_LARGEST_DECODED_ON_LOOP = 1 << 18
"""Bytes of a response that is decoded on the event loop; a larger one is decoded in a thread."""

_NO_DEFAULT_FOR = ("Content-Type",)


class AsyncITwinClient:
    """
    An asynchronous client of the iTwin Platform; it belongs to the event loop in which it is entered.

    :param account: URLs, credentials, network settings and rate limits
    :param sleep: sleeps for some seconds; a parameter, so that tests do not take time
    """

    def __init__(self, account: Account, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self.account = account
        self._sleep = sleep
        self._transport = Transport.of(account)
        self._driver = Driver(account)
        self._decoding = asyncio.Lock()
        self._poller = Poller(
            account,
            lambda spec, in_flight: self.run_flow(poll(account, spec, asks_why=in_flight.asks_why), in_flight),
            sleep,
        )
        self._session: aiohttp.ClientSession | None = None
        self._routes: dict[str, _Route] = {}

    async def __aenter__(self) -> Self:
        network = self.account.network
        # With trust_env, aiohttp refuses to send a token to a host that has a password in a .netrc file.
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
        Perform one call and return its result.

        :param retry_budget: seconds for which temporary errors are retried
        :raises ITwinError: if the call failed
        """
        return await self.run_flow(perform_call(self.account, call, retry_budget))

    def wait(self, spec: WaitLimits[ResultT]) -> Coroutine[object, None, ResultT]:
        """Wait for a run or a job, sharing polls with all waits of this client; errors are part of the result, not raised."""
        # Return the coroutine of the poller itself: there are thousands of them.
        return self._poller.wait(spec)

    async def run_flow(self, flow: Flow[T], poll: PollInFlight | None = None) -> T:
        """
        Drive a flow to completion and return its result.

        :param poll: the poll that the flow belongs to; it measures the time without the wait for its turn in the rate limit
        """
        steps = self._driver.steps(flow)
        outcome: Response | NoResponse | Token | ITwinError | None = None
        while True:
            step: Step | _Ended[T]
            try:
                if isinstance(outcome, Response) and len(outcome.body) > _LARGEST_DECODED_ON_LOOP:
                    # One at a time: each needs memory in proportion to its body.
                    async with self._decoding:
                        step = await asyncio.to_thread(_resume, steps, outcome)
                else:
                    step = steps.send(outcome)
            except StopIteration as end:
                step = _Ended(end.value)
            if isinstance(step, _Ended):
                result: T = step.result
                return result
            match step:
                case Request():
                    outcome = await self._send(step)
                case Sleep(seconds, is_turn):
                    sleeping = self._sleep(seconds)
                    await (poll.wait_for_turn(sleeping) if is_turn and poll is not None else sleeping)
                    outcome = None
                case FetchToken():
                    outcome = await self._fetch_token(step)

    async def _fetch_token(self, step: FetchToken) -> Token | ITwinError:
        try:
            return await self._driver.state.obtain_async(step.refused, lambda: self.run_flow(step.flow))
        except ITwinError as error:
            return error

    async def _tls(self) -> ssl.SSLContext | bool:
        verify = self._transport.verify
        return verify if isinstance(verify, bool) else await asyncio.to_thread(self._transport.tls)

    def _route(self, url: str) -> tuple[URL, _Route]:
        """Return `url` for aiohttp, and the route to its host, which is determined once."""
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
                skip_auto_headers=_NO_DEFAULT_FOR if request.method == "POST" else None,
                allow_redirects=False,
                **route.proxy,
            ) as response:
                return Response(response.status, response.headers, await _body(response))
        except BodyError as error:
            return NoResponse(str(error))
        except TimeoutError:
            return NoResponse(f"timeout after {self.account.network.timeout:.0f} s")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            text = str(error)
            if isinstance(error, aiohttp.ClientResponseError) and not isinstance(error, aiohttp.ClientHttpProxyError):
                # The error quotes the response, which may contain a token.
                text = "invalid HTTP response"
            secrets = (*self.account.credentials.secrets, *self._transport.secrets)
            return NoResponse(excerpt(f"{type(error).__name__}: {text}", 600, secrets))


class _Ended(NamedTuple, Generic[T]):
    """The result of a flow; a future cannot carry StopIteration."""

    result: T


def _resume(steps: Steps[T], outcome: Response) -> Step | _Ended[T]:
    """Resume a flow in a thread: decoding a large response would block the event loop."""
    try:
        return steps.send(outcome)
    except StopIteration as end:
        return _Ended(end.value)


@dataclass(frozen=True, slots=True)
class _Route:
    """
    The route to a host.

    :param base: base URL of the host
    :param proxy: parameters of a request for the proxy
    :param headers: headers of a request for the proxy
    """

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
            # A proxy reads the headers of a plain http request; those of an https request only the service reads.
            return cls(base, {"proxy": URL(proxy.url)}, headers)
        return cls(base, {"proxy": URL(proxy.url), "proxy_headers": headers})


async def _body(response: aiohttp.ClientResponse) -> bytes:
    """
    Return the body.

    :raises BodyError: if it is too large, or not encoded as its headers say
    """
    body = BodyReader(response.headers, LARGEST_BODY)
    if response.content.is_eof():
        # It arrived together with the headers, so it is no larger than the read buffer.
        for _ in body.steps(await response.read()):
            await asyncio.sleep(0)
        return body.finish()
    async for part in response.content.iter_any():
        for _ in body.steps(part):
            await asyncio.sleep(0)
    return body.finish()
