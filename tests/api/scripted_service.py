"""A service, a driver and a clock for flows: no network, no event loop, and no time passes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias, TypeVar

from airflow_provider_itwin.api.errors import ITwinError
from airflow_provider_itwin.api.http.auth import ClientCredentials, Credentials
from airflow_provider_itwin.api.http.config import Account, Environment, Network
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

T = TypeVar("T")

Answer: TypeAlias = Response | NoResponse | Callable[[Request], Response | NoResponse]

PRODUCTION = Environment("https://api.bentley.com", "https://ims.bentley.com")
CREDENTIALS = ClientCredentials("service-a1", "s3cret+of/a1=")
WALL = 1_790_000_000.0
"""The wall clock at the beginning: 2026-09-21T14:13:20Z."""

_ENDLESS = 100_000


class ScriptedService:
    """
    Answers the requests of a flow in order, and records them.

    :param answers: one for each request; a function is called with the request
    :param always: the answer when there are none left; None: there must be no further request
    :param tokens: the token for the first `Authorize` and for each that refuses one; an error is raised
    :param takes: seconds that each request takes
    :param chance: the random number of the account
    """

    def __init__(
        self,
        *answers: Answer,
        always: Answer | None = None,
        tokens: Iterable[Token | ITwinError] = (),
        takes: float = 0.0,
        chance: float = 0.5,
    ) -> None:
        self.answers = list(answers)
        self.always = always
        self.takes = takes
        self.chance = chance
        self.passed = 0.0
        self.requests: list[Request] = []
        self.pauses: list[Pause] = []
        self.authorizations: list[Authorize] = []
        self._tokens = iter(tokens)
        self._token: Token | None = None
        self._fetched = 0

    def account(
        self,
        environment: Environment = PRODUCTION,
        credentials: Credentials = CREDENTIALS,
        network: Network = Network(),  # noqa: B008 -- immutable
    ) -> Account:
        """Return an account whose clocks are those of the script."""
        return Account(
            environment,
            credentials,
            network,
            clock=lambda: 5000.0 + self.passed,
            wall=lambda: WALL + self.passed,
            chance=lambda: self.chance,
        )

    def play(self, flow: Flow[T]) -> T:
        """Drive a flow to completion, check that it used every answer, and return its result."""
        outcome: Any = None
        thrown: ITwinError | None = None
        for _ in range(_ENDLESS):
            try:
                want = flow.send(outcome) if thrown is None else flow.throw(thrown)
            except StopIteration as end:
                assert not self.answers, f"{len(self.answers)} answers were not used"
                result: T = end.value
                return result
            outcome = thrown = None
            match want:
                case Send(request):
                    outcome = self._answer(request)
                case Pause(seconds):
                    assert seconds >= 0
                    self.pauses.append(want)
                    self.passed += seconds
                case Authorize(refused):
                    self.authorizations.append(want)
                    given = self._authorize(refused)
                    outcome, thrown = (None, given) if isinstance(given, ITwinError) else (given, None)
        raise AssertionError("the flow has no end")

    def _answer(self, request: Request) -> Response | NoResponse:
        self.requests.append(request)
        self.passed += self.takes
        answer = self.answers.pop(0) if self.answers else self.always
        assert answer is not None, f"unexpected request {request.method} {request.url}"
        return answer(request) if callable(answer) else answer

    def _authorize(self, refused: Token | None) -> Token | ITwinError:
        if self._token is None or refused is not None:
            given = next(self._tokens, None)
            if isinstance(given, ITwinError):
                return given
            self._fetched += 1
            self._token = given or Token(f"token-{self._fetched}", renew_at=5000.0 + self.passed + 3300.0)
        return self._token

    @property
    def lines(self) -> list[str]:
        """The requests so far, as method and URL."""
        return [f"{request.method} {request.url}" for request in self.requests]

    @property
    def seconds(self) -> list[float]:
        """The lengths of the pauses so far."""
        return [pause.seconds for pause in self.pauses]


def first(*answers: Answer, then: Answer) -> Callable[[Request], Response | NoResponse]:
    """Answer with `answers` one after the other, and with `then` from there on."""
    left = list(answers)

    def answer(request: Request) -> Response | NoResponse:
        given = left.pop(0) if left else then
        return given(request) if callable(given) else given

    return answer
