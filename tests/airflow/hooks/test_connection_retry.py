"""A wait whose Airflow connection is unreadable, or whose credentials are refused."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_itwin.api.errors import ITwinAuthenticationError, ITwinInputError
from airflow_provider_itwin.api.models.enums import ConnectionKind
from airflow_provider_itwin.api.wait.waiter import (
    REFUSAL_CONFIRMATION,
    WaitEnd,
    WaitResult,
    WaitSpec,
)
from airflow_provider_itwin.hooks import base as hooks
from airflow_provider_itwin.hooks.connection_retry import ConnectionRetry
from airflow_provider_itwin.hooks.itwin import ITwinHook

if TYPE_CHECKING:
    from itwin_emulator import Emulator
    from tests.airflow.fake_clock import FakeClock

NIGHT = "night"
ACCOUNT_OF = "account_of"
FAILURES = {
    "not defined": LookupError("The conn_id `itwin_default` isn't defined"),
    "secrets backend down": OSError("vault.example: connection refused"),
    "API server restarting": RuntimeError("API_SERVER_ERROR"),
    "just being edited": ITwinInputError("The extra of the iTwin connection is not JSON"),
    "a bug": KeyError("oops"),
}


@pytest.fixture
def spec(emulator: Emulator, clock: FakeClock) -> WaitSpec:
    """The spec of a wait for a run of one hour."""
    emulator.add_connection(connection_id=NIGHT, files=1)
    emulator.plan_run(NIGHT, "Success", 3600)
    run_id = emulator.start_run(NIGHT)
    return WaitSpec(ConnectionKind.STORAGE, NIGHT, run_id, began=clock.now(), seen=True)


Waits = Callable[[WaitSpec], WaitResult]


@pytest.fixture(params=["worker", "triggerer"])
def wait(request: pytest.FixtureRequest) -> Waits:
    """The synchronous and the asynchronous wait."""
    import asyncio

    if request.param == "worker":
        return lambda spec: ITwinHook().wait(spec)
    return lambda spec: asyncio.run(ITwinHook().wait_async(spec))


@pytest.fixture
def unreadable(monkeypatch: pytest.MonkeyPatch, clock: FakeClock) -> Callable[[Exception, float], list[float]]:
    """Return a function that makes the connection unreadable for some seconds; it returns the times of the reads."""

    def fail(error: Exception, seconds: float) -> list[float]:
        asked: list[float] = []
        until = clock.now() + seconds
        account_of = getattr(hooks, ACCOUNT_OF)

        def read(connection: Any) -> Any:
            asked.append(clock.now())
            if clock.now() < until:
                raise error
            return account_of(connection)

        monkeypatch.setattr(hooks, ACCOUNT_OF, read)
        return asked

    return fail


@pytest.mark.parametrize("name", FAILURES)
def test_a_connection_that_is_briefly_unreadable_does_not_end_a_wait(
    spec: WaitSpec, wait: Waits, unreadable: Callable[[Exception, float], list[float]], name: str
) -> None:
    asked = unreadable(FAILURES[name], 300.0)

    assert wait(spec).end is WaitEnd.FINISHED
    assert 5 <= len(asked) <= 20


@pytest.mark.parametrize("name", FAILURES)
def test_a_connection_that_is_unreadable_for_longer_than_the_tolerance_can_be_retried(
    spec: WaitSpec, wait: Waits, unreadable: Callable[[Exception, float], list[float]], name: str
) -> None:
    unreadable(FAILURES[name], 1e6)

    outcome = wait(spec)

    assert outcome.end is WaitEnd.OUTAGE
    text = str(outcome.error)
    assert "could not read the Airflow connection 'itwin_default' for 15 min" in text
    assert type(FAILURES[name]).__name__ in text
    assert "The connection could be read when the wait began" in text
    assert "secrets backend, environment variables and team" in text


def test_the_deadline_applies_while_the_connection_is_unreadable(
    spec: WaitSpec, wait: Waits, clock: FakeClock, unreadable: Callable[[Exception, float], list[float]]
) -> None:
    unreadable(FAILURES["not defined"], 1e6)
    began = clock.now()

    outcome = wait(replace(spec, deadline=began + 200.0))

    assert outcome.end is WaitEnd.DEADLINE
    assert clock.now() - began == pytest.approx(200.0, abs=35.0)


def test_an_unreadable_connection_is_logged_once(
    spec: WaitSpec,
    wait: Waits,
    unreadable: Callable[[Exception, float], list[float]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    unreadable(FAILURES["not defined"], 300.0)

    wait(spec)

    texts = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert sum("could not read the Airflow connection" in text for text in texts) == 1


def test_the_error_text_has_no_secret() -> None:
    retry = ConnectionRetry("c", WaitSpec(ConnectionKind.STORAGE, "c", "r", outage_tolerance=0.0), "triggerer")

    end = retry.after_unreadable(OSError("https://u:s3cret@vault/?token=abc\nBearer eyJhbGciOi.J9x.yyy"))

    assert isinstance(end, WaitResult)
    assert not {"s3cret", "abc", "J9x"} & set(str(end.error).replace("/", " ").replace("=", " ").split())
    assert "s3cret" not in str(end.error)


def refused(emulator: Emulator, connection: Callable[..., None], clock: FakeClock, seconds: float) -> None:
    """Refuse the credentials for some seconds, starting after ten minutes."""
    client_id, secret = emulator.add_client("service-rotated", "first", everywhere=True)
    connection(host=emulator.url, login=client_id, password=secret)

    def clear() -> None:
        emulator.add_client(client_id, "other", everywhere=True)
        emulator.revoke_tokens()

    clock.at(clock.elapsed + 600.0, clear)
    clock.at(clock.elapsed + 600.0 + seconds, lambda: emulator.add_client(client_id, "first", everywhere=True))


def test_briefly_refused_credentials_do_not_end_a_running_wait(
    emulator: Emulator, clock: FakeClock, connection: Callable[..., None], spec: WaitSpec, wait: Waits
) -> None:
    refused(emulator, connection, clock, seconds=60.0)

    assert wait(spec).end is WaitEnd.FINISHED


def test_permanently_refused_credentials_end_a_running_wait_after_two_minutes(
    emulator: Emulator, clock: FakeClock, connection: Callable[..., None], spec: WaitSpec, wait: Waits
) -> None:
    refused(emulator, connection, clock, seconds=1e6)
    began = clock.now()
    emulator.request_log.clear()

    outcome = wait(spec)

    assert outcome.end is WaitEnd.REFUSED
    assert isinstance(outcome.error, ITwinAuthenticationError)
    assert clock.now() - began == pytest.approx(600.0 + REFUSAL_CONFIRMATION, abs=60.0)
    tokens = [entry for entry in emulator.request_log if entry.operation == "token"]
    assert len(tokens) <= 15


def test_credentials_refused_at_the_start_end_the_wait_at_once(
    emulator: Emulator, clock: FakeClock, connection: Callable[..., None], spec: WaitSpec, wait: Waits
) -> None:
    connection(host=emulator.url, login=emulator.client_id, password="wrong")
    began = clock.now()
    emulator.request_log.clear()

    outcome = wait(replace(spec, seen=False))

    assert outcome.end is WaitEnd.REFUSED
    assert clock.now() - began < 5.0
    assert len([entry for entry in emulator.request_log if entry.operation == "token"]) == 1


def test_alternating_secrets_do_not_cause_a_busy_loop(
    emulator: Emulator, clock: FakeClock, connection: Callable[..., None], spec: WaitSpec, wait: Waits
) -> None:
    emulator.add_client("service-flip", "right", everywhere=True)
    turn = 0
    account_of = getattr(hooks, ACCOUNT_OF)

    def flip(made: Any) -> Any:
        nonlocal turn
        turn += 1
        connection(host=emulator.url, login="service-flip", password=f"wrong-{turn % 2}")
        return account_of(ITwinHook.get_connection("itwin_default"))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hooks, ACCOUNT_OF, flip)
        emulator.request_log.clear()
        outcome = wait(spec)

    assert outcome.end is WaitEnd.REFUSED
    assert len([entry for entry in emulator.request_log if entry.operation == "token"]) <= 20
