"""
State machines for flows: the rules that hold whatever the service answers, in any order.

A flow ends within its retry budget, sends the token to one host and the secret to another, and starts at most one run, however
many responses are lost.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, ClassVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from airflow_provider_itwin.api.errors import ITwinError
from airflow_provider_itwin.api.http.auth import Credentials, ReadyToken
from airflow_provider_itwin.api.http.backoff import LONGEST_RETRY_AFTER
from airflow_provider_itwin.api.http.config import Account
from airflow_provider_itwin.api.http.messages import (
    Authorize,
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
from airflow_provider_itwin.api.models.enums import ConnectionKind
from airflow_provider_itwin.api.runs import endpoints, start
from airflow_provider_itwin.api.runs.start import StartResult
from tests.api.scripted_service import CREDENTIALS, PRODUCTION, WALL

SECRET = "s3cret%2Bof%2Fa1%3D"
READY = ReadyToken("somebodys-token")
MOST_STEPS = 2000

_HEADERS = st.dictionaries(
    st.sampled_from(["retry-after", "location", "date", "content-type", "x-correlation-id"]),
    st.sampled_from(
        [
            "",
            "0",
            "7",
            "-1",
            "1e400",
            "nan",
            "86400",
            "Fri, 31 Dec 2049 23:59:59 GMT",
            "https://evil.example/export/connections/c1/runs/r9",
            "/synchronization/imodels/storageconnections/c1/runs/r9",
            "http://[no link",
            "text/html",
        ]
    ),
    max_size=3,
)
_BODIES = st.sampled_from(
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"<html><title>Sign in</title></html>",
        b'{"run":{"id":"r9","state":"Completed","result":"Success"}}',
        b'{"run":{"state":5}}',
        b'{"connection":{"id":"c1","_links":{"lastRun":{"href":"https://evil.example/x/runs/c1/r9"}}}}',
        b'{"connection":[]}',
        b'{"error":{"code":"Odd","message":"\\ud800"}}',
        b'{"error":"invalid_client","error_description":5}',
        b'{"access_token":"a b"}',
        b'{"access_token":"t","token_type":"mac"}',
        b"\xff\xfe",
    ]
)
_STATUSES = st.sampled_from(
    (
        200,
        201,
        202,
        204,
        301,
        302,
        303,
        304,
        307,
        308,
        400,
        401,
        403,
        404,
        408,
        409,
        410,
        422,
        425,
        429,
        500,
        502,
        503,
        599,
    )
)
ANY_RESPONSE = st.builds(Response, _STATUSES, _HEADERS, _BODIES)
TRANSIENT_ERROR = st.builds(Response, st.sampled_from((408, 425, 429, 500, 502, 503, 504)), _HEADERS, st.just(b""))


class _FlowMachine(RuleBasedStateMachine):
    """Drives a flow one step at a time, and checks each step."""

    credentials: ClassVar[list[Credentials]] = [CREDENTIALS, READY]

    def __init__(self) -> None:
        super().__init__()
        self.now = 5000.0
        self.paused = 0.0
        self.steps = 0
        self.sent = 0
        self.want: Send | Pause | None = None
        self.result: Any = None
        self.error: ITwinError | None = None
        self.token: Token | None = None
        self.fetched = 0
        self.chance = 0.5
        self.account = self._account(CREDENTIALS)
        self._flows: list[Flow[Any]] = []

    def _account(self, credentials: Credentials) -> Account:
        return Account(
            PRODUCTION,
            credentials,
            clock=lambda: self.now,
            wall=lambda: WALL + self.now,
            chance=lambda: self.chance,
        )

    def begin(self, flow: Flow[Any]) -> None:
        self._flows = [flow]
        self._resume(None)

    def _resume(self, outcome: Any, error: ITwinError | None = None) -> None:
        """Send the outcome of a step to the flow, until its next step that is not a token at hand."""
        while True:
            self.steps += 1
            assert self.steps < MOST_STEPS, "the flow has no end"
            try:
                want = self._flows[-1].send(outcome) if error is None else self._flows[-1].throw(error)
            except StopIteration as end:
                self._flows.pop()
                if not self._flows:
                    self.want, self.result = None, end.value
                    return
                self.token = outcome = end.value
                error = None
                continue
            except ITwinError as raised:
                self._flows.pop()
                if not self._flows:
                    self.want, self.error = None, raised
                    return
                error = raised
                continue
            if isinstance(want, Authorize):
                outcome, error = self._authorize(want), None
                if outcome is None:
                    continue
            else:
                self._check(want)
                self.want = want
                return

    def _authorize(self, want: Authorize) -> Token | None:
        credentials = self.account.credentials
        if isinstance(credentials, ReadyToken):
            return Token(credentials.token)
        if self.token is not None and self.token is not want.refused and self.token.is_good(self.now):
            return self.token
        self._flows.append(obtain_token(self.account, credentials, want.retry_budget))
        return None

    def _check(self, want: Send | Pause) -> None:
        if isinstance(want, Pause):
            assert 0 <= want.seconds <= LONGEST_RETRY_AFTER * 1.1
            return
        request = want.request
        body = (request.body or b"").decode()
        if request.url.startswith(f"{PRODUCTION.issuer}/connect/"):
            assert "authorization" not in request.headers
            assert SECRET in body
            return
        assert request.url.startswith(f"{PRODUCTION.api}/")
        assert request.headers["authorization"].removeprefix("Bearer ") in {"somebodys-token", f"token-{self.fetched}"}
        assert SECRET not in body + request.url + json.dumps(dict(request.headers))

    def response(self, outcome: Response | NoResponse, takes: float = 0.0) -> None:
        self.sent += 1
        self.now += takes
        self._resume(outcome)

    @property
    def request(self) -> Request | None:
        return self.want.request if isinstance(self.want, Send) else None

    @property
    def is_about_token(self) -> bool:
        return self.request is not None and self.request.url.startswith(PRODUCTION.issuer)

    @precondition(lambda self: isinstance(self.want, Pause))
    @rule(chance=st.sampled_from([0.0, 0.5, 0.999]))
    def time_passes(self, chance: float) -> None:
        assert isinstance(self.want, Pause)
        self.chance = chance
        self.paused += self.want.seconds
        self.now += self.want.seconds
        self._resume(None)

    @precondition(lambda self: self.is_about_token)
    @rule(lifetime=st.sampled_from([3600, 1, "300", 0, None]))
    def a_token_is_given(self, lifetime: Any) -> None:
        self.fetched += 1
        answer = {"access_token": f"token-{self.fetched}", "expires_in": lifetime, "token_type": "Bearer"}
        self.response(Response(200, {}, json.dumps(answer).encode()))

    @precondition(lambda self: self.request is not None)
    @rule(takes=st.sampled_from([0.0, 1.0, 60.0]))
    def no_response_comes(self, takes: float) -> None:
        self.response(NoResponse("connection reset"), takes)

    @precondition(lambda self: self.want is None)
    @rule()
    def it_has_ended(self) -> None:
        """There is no further step."""

    def end_without_responses(self) -> None:
        """Answer nothing until the flow ends."""
        while self.want is not None:
            if isinstance(self.want, Pause):
                self.time_passes(0.5)
            else:
                self.no_response_comes(0.0)

    def check_end(self) -> None:
        assert (self.error is None) or isinstance(self.error, ITwinError)
        if self.error is not None:
            assert "s3cret" not in str(self.error)
            assert "token-" not in str(self.error)


class OneCall(_FlowMachine):
    """A single call, and a service that may answer anything."""

    retry_budget = 0.0

    @initialize(
        retry_budget=st.sampled_from([0.0, 10.0, 120.0, 900.0]),
        credentials=st.sampled_from(_FlowMachine.credentials),
        call=st.sampled_from(
            [
                endpoints.get_run(ConnectionKind.STORAGE, "c1", "r1"),
                endpoints.get_run_summary(ConnectionKind.MANIFEST, "c1", "r1"),
                endpoints.start_run(ConnectionKind.EXPORT, "c1", {"exportType": "IFC"}),
                endpoints.get_connection_with_time(ConnectionKind.STORAGE, "c1"),
                endpoints.get_runs(ConnectionKind.STORAGE, "c1", 100, 0),
                endpoints.get_source_files(ConnectionKind.MANIFEST, "c1", 100, 0),
            ]
        ),
    )
    def a_call_is_made(self, retry_budget: float, credentials: Credentials, call: Any) -> None:
        self.retry_budget = retry_budget
        self.account = self._account(credentials)
        self.begin(perform_call(self.account, call, retry_budget))

    @precondition(lambda self: self.request is not None)
    @rule(answer=ANY_RESPONSE | TRANSIENT_ERROR, takes=st.sampled_from([0.0, 0.1, 30.0]))
    def any_response_comes(self, answer: Response, takes: float) -> None:
        if self.is_about_token and answer.status == 200 and b'"access_token":"t"' in answer.body:
            takes = 0.0
        self.response(answer, takes)

    def teardown(self) -> None:
        self.end_without_responses()
        self.check_end()
        assert self.paused <= self.retry_budget + 1e-6
        # Two for each attempt: a refused token is renewed once.
        assert self.sent <= 4 * (2 + self.paused)


class Starting(_FlowMachine):
    """
    The start of a run, and a service whose responses are true but can be lost, also after it has started a run.

    Runs begin and end, and the clock of the service differs from ours.
    """

    skew = 0.0
    retry_budget = DEFAULT_RETRY_BUDGET

    @initialize(
        kind=st.sampled_from([ConnectionKind.STORAGE, ConnectionKind.EXPORT]),
        retry_budget=st.sampled_from([0.0, 60.0, DEFAULT_RETRY_BUDGET]),
        skew=st.sampled_from([0.0, 86400.0, -3600.0]),
        ran_before=st.booleans(),
        named=st.booleans(),
    )
    def a_run_is_requested(
        self, kind: ConnectionKind, retry_budget: float, skew: float, ran_before: bool, named: bool
    ) -> None:
        self.kind, self.retry_budget, self.skew, self.named = kind, retry_budget, skew, named
        self.path = endpoints.start_run(kind, "c1").path.rpartition("/")[0]
        self.runs: list[tuple[str, float]] = [("old", self._service_time() - 500.0)] if ran_before else []
        self.active: str | None = None
        self.begin(start.ensure_run(self.account, kind, "c1", retry_budget=retry_budget))

    def _service_time(self) -> float:
        return WALL + self.now + self.skew

    def _serve(self) -> Response:
        """Carry out the request, and return the true response."""
        request = self.request
        assert request is not None
        headers = {"date": format_datetime(datetime.fromtimestamp(int(self._service_time()), UTC), usegmt=True)}
        if request.method == "POST":
            status = 303 if self.active else 202
            if self.active is None:
                self.active = f"r{len(self.runs)}"
                self.runs.append((self.active, self._service_time()))
            if self.named:
                headers["location"] = f"{PRODUCTION.api}{self.path}/runs/{self.active}"
            return Response(status, headers)
        found = request.url.rpartition("/runs/")[2] if "/runs/" in request.url else None
        if found is not None:
            began = dict(self.runs)[found]
            run = {
                "id": found,
                "state": "Executing" if found == self.active else "Completed",
                "startDateTime": datetime.fromtimestamp(began, UTC).isoformat(),
            }
            return Response(200, headers, json.dumps({"run": run}).encode())
        links = {"lastRun": {"href": f"{PRODUCTION.api}{self.path}/runs/{self.runs[-1][0]}"}} if self.runs else {}
        return Response(200, headers, json.dumps({"connection": {"id": "c1", "_links": links}}).encode())

    @precondition(lambda self: self.request is not None and not self.is_about_token)
    @rule(takes=st.sampled_from([0.0, 0.2, 20.0]))
    def it_is_served(self, takes: float) -> None:
        answer = self._serve()
        self.response(answer, takes)

    @precondition(lambda self: self.request is not None and not self.is_about_token)
    @rule(
        lost=st.sampled_from(
            [NoResponse("reset"), Response(500, {}), Response(504, {}), Response(200, {}, b"<html>"), Response(204, {})]
        ),
        takes=st.sampled_from([0.0, 30.0]),
    )
    def it_is_served_but_the_response_is_lost(self, lost: Response | NoResponse, takes: float) -> None:
        self._serve()
        self.response(lost, takes)

    @precondition(lambda self: self.request is not None)
    @rule(status=st.sampled_from([408, 429, 502, 503]), wait=st.sampled_from([None, "5", "200"]))
    def it_is_rejected(self, status: int, wait: str | None) -> None:
        self.response(Response(status, {"retry-after": wait} if wait else {}))

    @precondition(lambda self: self.request is not None and not self.is_about_token)
    @rule()
    def the_token_is_refused(self) -> None:
        self.response(Response(401, {}))

    @rule()
    def the_run_ends(self) -> None:
        self.active = None

    def teardown(self) -> None:
        self.end_without_responses()
        self.check_end()
        begun = [run for run, _ in self.runs if run != "old"]
        assert len(begun) <= 1, "two runs were started"
        if self.result is not None:
            assert isinstance(self.result, StartResult)
            assert [self.result.ref.run_id] == begun
            assert self.result.ref.connection_id == "c1"
        # The request itself, the one before it, and those that find its run.
        assert self.paused <= 3 * self.retry_budget + 10 * DEFAULT_RETRY_BUDGET + 60.0


TestOneCall = OneCall.TestCase
TestOneCall.settings = settings(max_examples=100, stateful_step_count=25)
TestStarting = Starting.TestCase
TestStarting.settings = settings(max_examples=150, stateful_step_count=30)
