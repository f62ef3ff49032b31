"""The driver turns what a flow wants into steps: send, sleep, fetch a token."""

from __future__ import annotations

import logging
from typing import Any, TypeVar

import pytest

from airflow_provider_itwin.api.errors import ITwinAuthenticationError, ITwinServerError
from airflow_provider_itwin.api.http.auth import Credentials, ReadyToken
from airflow_provider_itwin.api.http.backoff import LONGEST_RETRY_AFTER
from airflow_provider_itwin.api.http.config import Account, Limits
from airflow_provider_itwin.api.http.driver import Driver, FetchToken, Sleep, Steps
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
from tests.api.scripted_service import CREDENTIALS, PRODUCTION

T = TypeVar("T")

REQUEST = Request("GET", "https://api.bentley.com/x", {})
OK = Response(200, {}, b"{}")
TOKEN = Token("t", 1e9)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def account(clock: Clock, limits: Limits = Limits(), credentials: Credentials = CREDENTIALS) -> Account:  # noqa: B008
    return Account(PRODUCTION, credentials, limits=limits, clock=clock)


def wanting(*wants: Send | Pause | Authorize) -> Flow[list[Any]]:
    outcomes = []
    for want in wants:
        outcomes.append((yield want))  # noqa: PERF401 (a comprehension cannot yield)
    return outcomes


def finish(steps: Steps[T], outcome: Any) -> T:
    with pytest.raises(StopIteration) as end:
        steps.send(outcome)
    result: T = end.value.value
    return result


def assert_waits_for_turn(step: object, seconds: float) -> None:
    assert isinstance(step, Sleep)
    assert step.is_turn
    assert step.seconds == pytest.approx(seconds)


def test_a_request_is_sent_at_once_and_its_outcome_returned_to_the_flow() -> None:
    steps = Driver(account(Clock())).steps(wanting(Send(REQUEST)))
    assert next(steps) is REQUEST
    assert finish(steps, OK) == [OK]


def test_a_request_waits_for_its_turn() -> None:
    driver = Driver(account(Clock(), Limits(per_minute=6)))
    steps = driver.steps(wanting(Send(REQUEST), Send(REQUEST)))
    assert next(steps) is REQUEST
    assert_waits_for_turn(steps.send(OK), 10.0)
    assert steps.send(None) is REQUEST
    assert finish(steps, OK) == [OK, OK]


def test_a_request_whose_turn_would_be_too_late_is_not_sent_and_takes_no_turn() -> None:
    driver = Driver(account(Clock(), Limits(per_minute=6)))
    steps = driver.steps(wanting(Send(REQUEST), Send(REQUEST, latest=1001.0), Send(REQUEST)))
    next(steps)
    assert_waits_for_turn(steps.send(OK), 10.0)
    assert steps.send(None) is REQUEST
    assert finish(steps, OK) == [OK, NO_TURN, OK]


def test_a_request_that_does_not_count_takes_no_turn() -> None:
    driver = Driver(account(Clock(), Limits(per_minute=6)))
    steps = driver.steps(wanting(*[Send(REQUEST, counts=False)] * 3))
    assert [next(steps), steps.send(OK), steps.send(OK)] == [REQUEST] * 3


@pytest.mark.parametrize(("asked", "held"), [("7", 7.0), ("86400", LONGEST_RETRY_AFTER)])
def test_a_429_holds_back_every_client_of_the_account(asked: str, held: float) -> None:
    clock = Clock()
    first, second = Driver(account(clock)), Driver(account(clock))
    steps = first.steps(wanting(Send(REQUEST)))
    next(steps)
    finish(steps, Response(429, {"retry-after": asked}))
    assert next(second.steps(wanting(Send(REQUEST)))) == Sleep(held, is_turn=True)


def test_a_retry_is_logged_and_a_pause_between_polls_is_not(caplog: pytest.LogCaptureFixture) -> None:
    steps = Driver(account(Clock())).steps(wanting(Pause(2.0), Pause(3.0, ITwinServerError("it failed"))))
    assert next(steps) == Sleep(2.0)
    assert not caplog.records
    assert steps.send(None) == Sleep(3.0)
    assert caplog.messages == ["it failed. Retrying in 3.0 s."]
    assert finish(steps, None) == [None, None]


def test_throttling_is_logged_whichever_client_is_throttled(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    driver = Driver(account(Clock(), Limits(per_minute=6)))
    next(driver.steps(wanting(Send(REQUEST))))
    next(driver.steps(wanting(Send(REQUEST))))
    assert "are throttled" in caplog.text


def test_a_ready_token_is_used_as_it_is() -> None:
    steps = Driver(account(Clock(), credentials=ReadyToken("ready"))).steps(wanting(Authorize(None, 1.0), Pause(0.0)))
    assert next(steps) == Sleep(0.0)
    assert finish(steps, None) == [Token("ready"), None]


def test_a_token_is_fetched_if_the_account_has_none() -> None:
    driver = Driver(account(Clock()))
    steps = driver.steps(wanting(Authorize(None, 1.0)))
    step = next(steps)
    assert isinstance(step, FetchToken)
    assert finish(steps, driver.state.obtain(step.refused, lambda: TOKEN)) == [TOKEN]
    again = driver.steps(wanting(Authorize(None, 1.0), Pause(0.0)))
    assert next(again) == Sleep(0.0)


def test_an_error_in_place_of_a_token_is_raised_in_the_flow() -> None:
    steps = Driver(account(Clock())).steps(wanting(Authorize(None, 1.0)))
    next(steps)
    refusal = ITwinAuthenticationError("refused")
    with pytest.raises(ITwinAuthenticationError) as raised:
        steps.send(refusal)
    assert raised.value is refusal
