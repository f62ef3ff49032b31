"""A run operator and refusals or errors before a run is started."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_itwin.exceptions import (
    ITwinPermanentError,
    ITwinTransientError,
)
from tests.airflow.operators.run_operators import (
    DEFERRED,
    LEAVING,
    operator,
    rendered,
    run_ids,
    runs,
)
from tests.airflow.sdk import AirflowFailException
from tests.airflow.single_task import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from itwin_emulator import Emulator
    from tests.airflow.fake_clock import FakeClock

    RunTask = Callable[..., Outcome]


def refuse_all_tokens(emulator: Emulator, connection: Callable[..., None]) -> None:
    emulator.fail("*-connection*", None, 401)


def take_role(emulator: Emulator, connection: Callable[..., None]) -> None:
    client_id, secret = emulator.add_client("service-reader")
    itwin = emulator.add_itwin("reading-itwin")
    emulator.set_role(client_id, itwin, "reader")
    emulator.add_imodel("reading-imodel", itwin)
    emulator.add_connection(connection_id="read-only-connection", imodel_id="reading-imodel")
    connection(host=emulator.url, login=client_id, password=secret)


def unregistered(emulator: Emulator, connection: Callable[..., None]) -> None:
    client_id, secret = emulator.add_client("service-unknown", registered=False)
    connection(host=emulator.url, login=client_id, password=secret)


def other_scope(emulator: Emulator, connection: Callable[..., None]) -> None:
    fields = {"host": emulator.url, "login": emulator.client_id, "password": emulator.client_secret}
    connection(**fields, extra={"scope": "imodels:read"})


def wrong_secret(emulator: Emulator, connection: Callable[..., None]) -> None:
    connection(host=emulator.url, login=emulator.client_id, password="wrong")


def no_credentials(emulator: Emulator, connection: Callable[..., None]) -> None:
    connection(host=emulator.url)


def plain_http(emulator: Emulator, connection: Callable[..., None]) -> None:
    connection(host="http://api.bentley.com", login=emulator.client_id, password=emulator.client_secret)


def unknown_host(emulator: Emulator, connection: Callable[..., None]) -> None:
    connection(host="api.example.com", login=emulator.client_id, password=emulator.client_secret)


def bad_extra(emulator: Emulator, connection: Callable[..., None]) -> None:
    connection(host=emulator.url, login="a", password="b", extra={"timeout": "soon"})


def expired_token(emulator: Emulator, connection: Callable[..., None]) -> None:
    connection(host=emulator.url, extra={"token": "stale"})


def unprocessable(emulator: Emulator, connection: Callable[..., None]) -> None:
    emulator.fail("run-storage-connection", None, 422)


REFUSALS: list[tuple[Callable[..., None] | None, dict[str, Any], str, bool]] = [
    (None, {"connection_id": "no-such-connection"}, "404", True),
    (take_role, {"connection_id": "read-only-connection"}, "403", True),
    (unprocessable, {}, "422", True),
    (refuse_all_tokens, {}, "401", True),
    (unregistered, {}, "401", True),
    (wrong_secret, {}, "Check login", True),
    (other_scope, {}, "scope", True),
    (expired_token, {}, "token in the extra", True),
    (no_credentials, {}, "no credentials", False),
    (plain_http, {}, "plain http", False),
    (unknown_host, {}, "issuer_url", False),
    (bad_extra, {}, "timeout in the extra", False),
    *(
        (None, {"connection_id": bad}, "connection_id", False)
        for bad in ("", " ", "None", "null", "a/b", "a b", " a", "..", "a?b", "a#b", "a%2fb", "a\n", None, 7, ["a"])
    ),
]


@pytest.mark.parametrize(
    ("prepare", "arguments", "words", "sends"),
    REFUSALS,
    ids=[prepare.__name__ if prepare else repr(arguments["connection_id"]) for prepare, arguments, *_ in REFUSALS],
)
@pytest.mark.parametrize("mode", [DEFERRED, LEAVING], ids=["deferred", "leave"])
def test_an_error_that_no_retry_fixes_is_permanent(
    emulator: Emulator,
    run_task: RunTask,
    connection: Callable[..., None],
    prepare: Callable[..., None] | None,
    arguments: dict[str, Any],
    words: str,
    sends: bool,
    mode: dict[str, Any],
) -> None:
    if prepare is not None:
        prepare(emulator, connection)
    outcome = run_task(rendered(operator(retries=3, **mode), **arguments))
    assert outcome.state == "failed"
    assert isinstance(outcome.error, ITwinPermanentError)
    assert isinstance(outcome.error, AirflowFailException)
    assert words in outcome.text
    assert outcome.xcoms == {}
    assert runs(emulator) == []
    assert bool(emulator.request_log) == sends
    assert all(entry.authorized_host in (None, entry.host) for entry in emulator.request_log)


@pytest.mark.parametrize("mode", [DEFERRED, LEAVING], ids=["deferred", "leave"])
@pytest.mark.parametrize(
    "failure",
    [
        {"status": 503, "times": None},
        {"status": 500, "times": None},
        {"status": 429, "times": None, "headers": {"Retry-After": "20"}},
        {"status": 409, "times": None},
        {"kind": "reset-before", "times": None},
        {"kind": "html", "times": None},
    ],
    ids=str,
)
def test_a_temporary_error_can_be_retried(
    emulator: Emulator, run_task: RunTask, clock: FakeClock, failure: dict[str, Any], mode: dict[str, Any]
) -> None:
    emulator.fail("run-storage-connection", **failure)
    outcome = run_task(operator(**mode))
    assert outcome.state == "up_for_retry"
    assert isinstance(outcome.error, ITwinTransientError)
    assert 60 < clock.elapsed < 600
    assert runs(emulator) == []


@pytest.mark.parametrize("status", [503, 429, 409])
def test_a_brief_error_is_retried_within_the_attempt(emulator: Emulator, run_task: RunTask, status: int) -> None:
    emulator.fail("run-storage-connection", 2, status)
    outcome = run_task(operator())
    assert (outcome.state, [outcome.value]) == ("success", run_ids(emulator))


def test_an_unreachable_service_can_be_retried(
    emulator: Emulator, run_task: RunTask, connection: Callable[..., None]
) -> None:
    connection(host="http://127.0.0.1:9", login="a", password="b")
    outcome = run_task(operator())
    assert outcome.state == "up_for_retry"
    assert isinstance(outcome.error, ITwinTransientError)
    assert "127.0.0.1:9" in outcome.text
