"""The synchronous client, on ``requests``."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Self, TypeVar

import requests
from urllib3.exceptions import HTTPError

from airflow_provider_itwin.api.errors import ITwinError, ITwinNotFoundError, ITwinStoppedError
from airflow_provider_itwin.api.http import stopping
from airflow_provider_itwin.api.http.config import Account
from airflow_provider_itwin.api.http.content_encoding import (
    ACCEPT_ENCODING,
    BodyError,
    BodyReader,
)
from airflow_provider_itwin.api.http.deadline import (
    Deadline,
    deadline,
)
from airflow_provider_itwin.api.http.driver import Driver, FetchToken, Sleep
from airflow_provider_itwin.api.http.messages import (
    LARGEST_BODY,
    Call,
    Flow,
    NoResponse,
    Request,
    Response,
    Token,
)
from airflow_provider_itwin.api.http.pagination import Pages
from airflow_provider_itwin.api.http.request_flow import (
    DEFAULT_RETRY_BUDGET,
    perform_call,
)
from airflow_provider_itwin.api.http.session import new_session
from airflow_provider_itwin.api.http.transport import Transport
from airflow_provider_itwin.api.models.resources import (
    Connection,
    ConnectionKind,
    Run,
    SourceFile,
)
from airflow_provider_itwin.api.redaction import excerpt
from airflow_provider_itwin.api.runs import endpoints
from airflow_provider_itwin.api.runs.not_found import explain_connection
from airflow_provider_itwin.api.runs.pagination import (
    connection_pages,
    run_pages,
    source_file_pages,
)
from airflow_provider_itwin.api.runs.start import StartAttempt, StartResult, ensure_run
from airflow_provider_itwin.api.wait.any_wait import ResultT, WaitLimits
from airflow_provider_itwin.api.wait.waiter import (
    poll_once,
    wait,
)

log = logging.getLogger(__name__)

T = TypeVar("T")

_CHUNK = 1 << 16
_LARGEST_HEAD = 1 << 20


class ITwinClient:
    """
    A synchronous client of the iTwin Platform.

    :param account: URLs, credentials, network settings and rate limits
    :param sleep: sleeps for some seconds; a parameter, so that tests do not take time
    """

    def __init__(self, account: Account, sleep: Callable[[float], None] = time.sleep) -> None:
        self.account = account
        self._sleep = sleep
        self._stopped: threading.Event | None = None
        self._transport = Transport.of(account)
        self._transport.tls()
        self._driver = Driver(account)
        self._session = new_session(
            {
                proxy.url: proxy.authorization
                for proxy in self._transport.proxies.values()
                if proxy and proxy.authorization
            }
        )
        self._session.headers["Accept-Encoding"] = ACCEPT_ENCODING

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections to the service."""
        self._session.close()

    @contextmanager
    def stopped_by(self, stopped: threading.Event | None) -> Iterator[None]:
        """
        Return a context manager in which an event ends the pauses before retries, in all threads.

        They raise :class:`ITwinStoppedError` then.

        :param stopped: the event; None: nothing ends the pauses
        """
        self._stopped = stopped
        try:
            yield
        finally:
            self._stopped = None

    def _pause(self, seconds: float) -> None:
        stopped = self._stopped
        if stopped is None:
            self._sleep(seconds)
            return
        stopping.pause(stopped, seconds)
        if stopped.is_set():
            raise ITwinStoppedError("The task was stopped while it waited to send a request")

    def call(self, call: Call[T], retry_budget: float = DEFAULT_RETRY_BUDGET) -> T:
        """
        Perform one call and return its result.

        :param retry_budget: seconds for which temporary errors are retried
        :raises ITwinError: if the call failed
        """
        return self.run_flow(perform_call(self.account, call, retry_budget))

    def run_flow(self, flow: Flow[T]) -> T:
        """Drive a flow to completion and return its result."""
        steps = self._driver.steps(flow)
        outcome: Response | NoResponse | Token | ITwinError | None = None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as end:
                result: T = end.value
                return result
            match step:
                case Request():
                    outcome = self._send(step)
                case Sleep(seconds):
                    self._pause(seconds)
                    outcome = None
                case FetchToken():
                    outcome = self._fetch_token(step)

    def ensure_run(
        self,
        connection_id: str,
        kind: ConnectionKind = ConnectionKind.STORAGE,
        body: Mapping[str, object] | None = None,
        attempt: StartAttempt | None = None,
        save: Callable[[StartAttempt], None] = lambda attempt: None,
    ) -> StartResult:
        """
        Start a run, unless an earlier request has started one; see :func:`~.start.ensure_run`.

        :raises ITwinError: if no run was started
        """
        return self.run_flow(ensure_run(self.account, kind, connection_id, body, attempt, save))

    def get_run(self, connection_id: str, run_id: str, kind: ConnectionKind = ConnectionKind.STORAGE) -> Run:
        """Get a run with all its jobs and tasks (``get-storage-connection-run`` and siblings)."""
        return self.call(endpoints.get_run(kind, connection_id, run_id))

    def list_runs(self, connection_id: str, kind: ConnectionKind = ConnectionKind.STORAGE) -> Iterator[Run]:
        """List the runs of a connection in the order of the service, page by page."""
        return self._read(run_pages(kind, connection_id))

    def list_source_files(
        self, connection_id: str, kind: ConnectionKind = ConnectionKind.STORAGE
    ) -> Iterator[SourceFile]:
        """List the source files of a connection, page by page."""
        return self._read(source_file_pages(kind, connection_id))

    def describe_connection(self, connection_id: str, kind: ConnectionKind = ConnectionKind.STORAGE) -> Connection:
        """Get a connection (``get-storage-connection`` and siblings)."""
        return self.call(endpoints.get_connection(kind, connection_id))

    def explain_not_found(self, error: ITwinNotFoundError, connection_id: str, kind: ConnectionKind) -> None:
        """Add to a 404 which kind of connection the id belongs to, if it is that of another kind."""
        self.run_flow(explain_connection(self.account, error, kind, connection_id))

    def list_connections(
        self, imodel_id: str | None, kind: ConnectionKind = ConnectionKind.STORAGE
    ) -> Iterator[Connection]:
        """List the connections of an iModel, page by page."""
        return self._read(connection_pages(kind, imodel_id))

    def wait(self, spec: WaitLimits[ResultT]) -> ResultT:
        """Wait for a run or a job; errors are part of the result, not raised."""
        return self.run_flow(wait(self.account, spec))

    def poll_once(self, spec: WaitLimits[ResultT], retry_budget: float | None = None) -> ResultT:
        """Look once whether the wait has an end; see :func:`~.waiter.poll_once`."""
        return self.run_flow(poll_once(self.account, spec, retry_budget))

    def next_page(self, pages: Pages[T]) -> list[T]:
        """
        Read the next page of a list.

        :raises ITwinError: if the request failed; the same page can be read again, also by another client
        """
        return self.run_flow(pages.next_page(self.account))

    def _read(self, pages: Pages[T]) -> Generator[T]:
        while not pages.is_done:
            yield from self.next_page(pages)

    def _fetch_token(self, step: FetchToken) -> Token | ITwinError:
        try:
            return self._driver.state.obtain(step.refused, lambda: self.run_flow(step.flow))
        except ITwinError as error:
            return error

    def _send(self, request: Request) -> Response | NoResponse:
        timeout = self.account.network.timeout
        limit = Deadline(timeout, 2 * LARGEST_BODY + _LARGEST_HEAD)
        proxy = self._transport.proxy(request.url)
        try:
            with (
                deadline(limit),
                self._session.request(
                    request.method,
                    request.url,
                    headers=dict(request.headers),
                    data=request.body,
                    timeout=(max(1.0, timeout / 6), timeout),
                    verify=self._transport.verify,
                    proxies={} if proxy is None else {"http": proxy.url, "https": proxy.url},
                    allow_redirects=False,
                    stream=True,
                ) as response,
            ):
                headers = {name.lower(): value for name, value in response.headers.items()}
                body = BodyReader(headers, LARGEST_BODY)
                while part := response.raw.read1(_CHUNK, decode_content=False):
                    body.feed(part)
                    limit.left()
                return Response(response.status_code, headers, body.finish())
        except BodyError as error:
            return NoResponse(str(error))
        except (requests.RequestException, HTTPError, OSError, ValueError) as error:
            if limit.is_over:
                return NoResponse(f"timeout after {timeout:.0f} s")
            text = str(error)
            if "BadStatusLine" in text or "LineTooLong" in text:
                # These errors quote the response, which may contain a token.
                text = "invalid HTTP response"
            return NoResponse(excerpt(f"{type(error).__name__}: {text}", 600, self._secrets))

    @property
    def _secrets(self) -> tuple[str, ...]:
        return (*self.account.credentials.secrets, *self._transport.secrets)
