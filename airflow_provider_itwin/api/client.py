"""The synchronous client: carries conversations with the service through ``requests``."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from http.cookiejar import DefaultCookiePolicy
from math import inf
from typing import Any, Self, TypeVar

import requests
from urllib3.exceptions import HTTPError

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
from airflow_provider_itwin.api.http.deadline import (
    Deadline,
    DeadlineAdapter,
    deadline,
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
from airflow_provider_itwin.api.http.request_flow import (
    DEFAULT_RETRY_BUDGET,
    obtain_token,
    perform_call,
)
from airflow_provider_itwin.api.http.transport import Transport
from airflow_provider_itwin.api.models.resources import (
    Connection,
    ConnectionKind,
    Run,
    RunRef,
    SourceFile,
)
from airflow_provider_itwin.api.redaction import excerpt
from airflow_provider_itwin.api.runs import endpoints, start
from airflow_provider_itwin.api.runs.active_run_policy import Active
from airflow_provider_itwin.api.runs.pagination import (
    Pages,
    connection_pages,
    run_pages,
    source_file_pages,
)
from airflow_provider_itwin.api.runs.start import Baseline, StartedRun
from airflow_provider_itwin.api.wait.waiter import (
    WaitResult,
    WaitSpec,
    look,
    wait,
)

log = logging.getLogger(__name__)

T = TypeVar("T")

_CHUNK = 1 << 16
_LARGEST_HEAD = 1 << 20


class _Session(requests.Session):
    """Understands no redirect: requests reads where one leads, and its whole body, even if it is not to follow it."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        return None


class ITwinClient:
    """
    The iTwin Platform, synchronously.

    :param account: where it is and who we are there
    :param sleep: how to pass time; a parameter so that tests need none
    """

    def __init__(self, account: Account, sleep: Callable[[float], None] = time.sleep) -> None:
        self.account = account
        self._sleep = sleep
        self._transport = Transport.of(account)
        self._transport.tls()
        self._state = state_of(account)
        self._budget = self._state.budget
        self._session = _Session()
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
        # What the machine says of proxies and authorities is in the transport; a .netrc file would replace our token.
        self._session.trust_env = False
        self._session.headers["Accept-Encoding"] = ACCEPT_ENCODING
        adapter = DeadlineAdapter(
            {
                proxy.url: proxy.authorization
                for proxy in self._transport.proxies.values()
                if proxy and proxy.authorization
            }
        )
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, adapter)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections to the service."""
        self._session.close()

    def call(self, call: Call[T], retry_budget: float = DEFAULT_RETRY_BUDGET) -> T:
        """
        Carry one call through.

        :param retry_budget: seconds for which trouble that can pass is ridden out
        :raises ITwinError: what kept it from succeeding
        """
        return self.run_flow(perform_call(self.account, call, retry_budget))

    def run_flow(self, flow: Flow[T]) -> T:
        """Carry a conversation through: do what it wants, tell it what came of it, and give what it ends with."""
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
                    if counts and (seconds := self._budget.take(self.account.clock())) > 0:
                        self._sleep(seconds)
                    outcome = self._send(request)
                    if isinstance(outcome, Response) and outcome.status == 429:
                        asked_for = min(retry_after(outcome) or 0.0, LONGEST_OBEDIENCE)
                        self._budget.hold_back(self.account.clock() + asked_for)
                case Pause(seconds, cause):
                    if cause is not None:
                        log.warning("%s Trying again in %.1f s.", cause, seconds)
                    self._sleep(seconds)
                case Authorize(refused, retry_budget):
                    try:
                        outcome = self._authorize(refused, retry_budget)
                    except ITwinError as error:
                        no_token = error

    def start_run(
        self,
        connection_id: str,
        kind: ConnectionKind = ConnectionKind.STORAGE,
        body: Mapping[str, Any] | None = None,
        baseline: Baseline | None = None,
        *,
        in_doubt: bool = False,
    ) -> StartedRun:
        """
        Start a run; see :func:`~.start.start_run`.

        :raises ITwinError: if no run was started
        """
        return self.run_flow(start.start_run(self.account, kind, connection_id, body, baseline, in_doubt=in_doubt))

    def take_baseline(self, connection_id: str, kind: ConnectionKind = ConnectionKind.STORAGE) -> Baseline:
        """Look how a connection stands before a run of it is asked for; see :class:`~.start.Baseline`."""
        return self.run_flow(start.take_baseline(self.account, kind, connection_id))

    def find_started_since(
        self, baseline: Baseline, connection_id: str, kind: ConnectionKind = ConnectionKind.STORAGE
    ) -> RunRef | None:
        """Find a run of a connection that began after `baseline` was taken; see :func:`~.start.find_started_since`."""
        return self.run_flow(start.find_started_since(self.account, baseline, kind, connection_id))

    def examine_active(
        self,
        ref: RunRef,
        baseline: Baseline,
        connection_id: str,
        kind: ConnectionKind = ConnectionKind.STORAGE,
        *,
        does_the_same: bool = True,
    ) -> Active:
        """Find out what an active run is to one who asked for another; see :func:`~.start.examine_active`."""
        return self.run_flow(
            start.examine_active(self.account, ref, baseline, kind, connection_id, does_the_same=does_the_same)
        )

    def get_run(self, connection_id: str, run_id: str, kind: ConnectionKind = ConnectionKind.STORAGE) -> Run:
        """Get a run with all its jobs and tasks (``get-storage-connection-run`` and siblings)."""
        return self.call(endpoints.get_run(kind, connection_id, run_id))

    def list_runs(self, connection_id: str, kind: ConnectionKind = ConnectionKind.STORAGE) -> Iterator[Run]:
        """List the runs of a connection, in the order that the service gives, page by page."""
        return self._read(run_pages(kind, connection_id))

    def list_source_files(
        self, connection_id: str, kind: ConnectionKind = ConnectionKind.STORAGE
    ) -> Iterator[SourceFile]:
        """List the source files of a connection, page by page."""
        return self._read(source_file_pages(kind, connection_id))

    def describe_connection(self, connection_id: str, kind: ConnectionKind = ConnectionKind.STORAGE) -> Connection:
        """Get a connection (``get-storage-connection`` and siblings)."""
        return self.call(endpoints.get_connection(kind, connection_id))

    def list_connections(
        self, imodel_id: str | None, kind: ConnectionKind = ConnectionKind.STORAGE
    ) -> Iterator[Connection]:
        """List the connections of an iModel, page by page."""
        return self._read(connection_pages(kind, imodel_id))

    def wait(self, spec: WaitSpec) -> WaitResult:
        """Wait as `spec` says; trouble is told by the outcome, not raised."""
        return self.run_flow(wait(self.account, spec))

    def look(self, spec: WaitSpec, retry_budget: float | None = None) -> WaitResult:
        """Look once whether the wait has an end; see :func:`~.waiter.look`."""
        return self.run_flow(look(self.account, spec, retry_budget))

    def next_page(self, pages: Pages[T]) -> list[T]:
        """
        Read the next page of a list.

        :raises ITwinError: what kept it from an answer; the same page can be read again, by another client too
        """
        return self.run_flow(pages.next_page(self.account))

    def _read(self, pages: Pages[T]) -> Generator[T]:
        while not pages.is_done:
            yield from self.next_page(pages)

    def _authorize(self, refused: Token | None, retry_budget: float) -> Token:
        credentials = self.account.credentials
        if isinstance(credentials, ReadyToken):
            return Token(credentials.token)
        return self._state.obtain(refused, lambda: self.run_flow(obtain_token(self.account, credentials, retry_budget)))

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
                return NoResponse(f"it took longer than {timeout:.0f} s")
            text = str(error)
            if "BadStatusLine" in text or "LineTooLong" in text:
                # They quote what came, and that can be the rest of an answer with a token in it.
                text = "what came is not HTTP"
            return NoResponse(excerpt(f"{type(error).__name__}: {text}", 600, self._secrets))

    @property
    def _secrets(self) -> tuple[str, ...]:
        return (*self.account.credentials.secrets, *self._transport.secrets)
