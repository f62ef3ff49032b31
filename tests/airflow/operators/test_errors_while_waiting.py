"""A run operator and errors during the wait."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_itwin.exceptions import (
    ITwinPermanentError,
    ITwinTransientError,
    ITwinWaitTimeLimitError,
)
from tests.airflow.operators.run_operators import (
    ALL_MODES,
    NIGHT,
    RIVAL,
    WAITING,
    operator,
    run_ids,
)
from tests.airflow.single_task import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from itwin_emulator import Emulator
    from tests.airflow.fake_clock import FakeClock

    RunTask = Callable[..., Outcome]


@WAITING
def test_an_outage_within_the_tolerance_does_not_end_the_wait(
    emulator: Emulator, run_task: RunTask, clock: FakeClock, mode: dict[str, Any]
) -> None:
    emulator.plan_run(NIGHT, "Success", 600)
    emulator.fail("get-storage-connection-run", None, 503, after=3, lasting=800)
    outcome = run_task(operator(**mode))
    assert (outcome.state, [outcome.value]) == ("success", run_ids(emulator))


@WAITING
def test_an_outage_longer_than_the_tolerance_fails_the_task_retryably(
    emulator: Emulator, run_task: RunTask, clock: FakeClock, mode: dict[str, Any]
) -> None:
    emulator.plan_run(NIGHT, "Success", 600)
    emulator.fail("get-storage-connection-run", None, 503, after=1)
    outcome = run_task(operator(**mode))
    assert outcome.state == "up_for_retry"
    assert isinstance(outcome.error, ITwinTransientError)
    assert not isinstance(outcome.error, ITwinWaitTimeLimitError)
    for words in ("outage_tolerance", "503", run_ids(emulator)[0]):
        assert words in outcome.text
    assert 900 <= clock.elapsed < 1300


@WAITING
@pytest.mark.parametrize("status", [403, 404, 401])
def test_a_refusal_during_the_wait_fails_the_task_permanently(
    emulator: Emulator, run_task: RunTask, mode: dict[str, Any], status: int
) -> None:
    emulator.plan_run(NIGHT, "Success", 3600)
    emulator.fail("get-storage-connection-run", None, status, after=12)
    outcome = run_task(operator(**mode))
    assert outcome.state == "failed"
    assert isinstance(outcome.error, ITwinPermanentError)
    assert str(status) in outcome.text


@WAITING
def test_a_new_run_may_return_404_at_first(emulator: Emulator, run_task: RunTask, mode: dict[str, Any]) -> None:
    emulator.quirks.invisible_for = 40
    outcome = run_task(operator(**mode))
    assert (outcome.state, [outcome.value]) == ("success", run_ids(emulator))


@WAITING
def test_a_secret_changed_during_the_wait_is_used(
    emulator: Emulator, run_task: RunTask, clock: FakeClock, connection: Callable[..., None], mode: dict[str, Any]
) -> None:
    client_id, _ = emulator.add_client("service-rotated", "first", everywhere=True)
    connection(host=emulator.url, login=client_id, password="first")
    emulator.plan_run(NIGHT, "PartialSuccess", 3600, failing=["Roof.rvt"])

    def rotate() -> None:
        emulator.add_client(client_id, "second", everywhere=True)
        emulator.revoke_tokens()
        connection(host=emulator.url, login=client_id, password="second")

    clock.at(600, rotate)
    outcome = run_task(operator(**mode))
    assert (outcome.state, [outcome.value]) == ("success", run_ids(emulator))
    assert outcome.xcoms["run_report"]["failing_tasks"][0]["file_name"] == "Roof.rvt"


@ALL_MODES
@pytest.mark.parametrize("lost", [False, True], ids=["refused", "answer lost, then refused"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_secret_changed_just_before_the_start_request_is_used(
    emulator: Emulator,
    run_task: RunTask,
    connection: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    mode: dict[str, Any],
    method: str,
    lost: bool,
) -> None:
    client_id, _ = emulator.add_client("service-rotated", "first", everywhere=True)
    connection(host=emulator.url, login=client_id, password="first")
    emulator.start_run(RIVAL)
    emulator.finish_run(RIVAL)
    if lost:
        emulator.fail("run-storage-connection", kind="reset-after")

    def rotate() -> None:
        emulator.add_client(client_id, "second", everywhere=True)
        emulator.revoke_tokens()
        connection(host=emulator.url, login=client_id, password="second")

    _once_before_or_after(monkeypatch, method, rotate, after=lost)
    outcome = run_task(operator(**mode))
    assert (outcome.state, [outcome.value]) == ("success", run_ids(emulator))


def test_a_refused_and_unchanged_secret_is_a_permanent_error(
    emulator: Emulator, run_task: RunTask, connection: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    client_id, _ = emulator.add_client("service-rotated", "first", everywhere=True)
    connection(host=emulator.url, login=client_id, password="first")

    def rotate() -> None:
        emulator.add_client(client_id, "second", everywhere=True)
        emulator.revoke_tokens()

    _once_before_or_after(monkeypatch, "POST", rotate, after=False)
    outcome = run_task(operator())
    assert isinstance(outcome.error, ITwinPermanentError)
    assert "refused the client service-rotated" in outcome.text
    assert run_ids(emulator) == []


def _once_before_or_after(
    monkeypatch: pytest.MonkeyPatch, method: str, happens: Callable[[], None], *, after: bool
) -> None:
    """Call `happens` right before, or right after, the first matching request to the API."""
    from airflow_provider_itwin.api import client

    made: Any = client.ITwinClient
    real_send = made.func._send
    pending = [happens]

    def send(this: Any, request: Any) -> Any:
        is_it = bool(pending) and request.method == method and not request.url.endswith("/connect/token")
        if is_it and not after:
            pending.pop()()
        outcome = real_send(this, request)
        if is_it and after:
            pending.pop()()
        return outcome

    monkeypatch.setattr(made.func, "_send", send)
