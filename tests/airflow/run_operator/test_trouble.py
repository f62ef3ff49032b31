"""What a run operator makes of trouble while it waits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_itwin.exceptions import (
    ITwinPermanentError,
    ITwinTransientError,
    ITwinWaitTimeLimitError,
)
from tests.airflow.single_task import Outcome

from .operators import (
    ALL_MODES,
    NIGHT,
    RIVAL,
    WAITING,
    operator,
    run_ids,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from itwin_emulator import Emulator
    from tests.airflow.fake_clock import FakeClock

    RunTask = Callable[..., Outcome]


@WAITING
def test_rides_out_an_outage_while_waiting(
    emulator: Emulator, run_task: RunTask, clock: FakeClock, mode: dict[str, Any]
) -> None:
    emulator.plan_run(NIGHT, "Success", 600)
    emulator.fail("get-storage-connection-run", None, 503, after=3, lasting=800)
    outcome = run_task(operator(**mode))
    assert (outcome.state, [outcome.value]) == ("success", run_ids(emulator))


@WAITING
def test_gives_up_after_an_outage_that_is_longer_than_tolerated_and_says_so(
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
def test_a_refusal_while_waiting_ends_the_task_for_good(
    emulator: Emulator, run_task: RunTask, mode: dict[str, Any], status: int
) -> None:
    emulator.plan_run(NIGHT, "Success", 3600)
    emulator.fail("get-storage-connection-run", None, status, after=12)
    outcome = run_task(operator(**mode))
    assert outcome.state == "failed"
    assert isinstance(outcome.error, ITwinPermanentError)
    assert str(status) in outcome.text


@WAITING
def test_a_new_run_may_be_invisible_for_a_while(emulator: Emulator, run_task: RunTask, mode: dict[str, Any]) -> None:
    emulator.oddities.invisible_for = 40
    outcome = run_task(operator(**mode))
    assert (outcome.state, [outcome.value]) == ("success", run_ids(emulator))


@WAITING
def test_uses_a_secret_that_was_changed_while_it_waited(
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
@pytest.mark.parametrize("moment", ["GET", "POST"])
def test_uses_a_secret_that_is_changed_just_before_it_asks_for_its_run(
    emulator: Emulator,
    run_task: RunTask,
    connection: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    mode: dict[str, Any],
    moment: str,
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

    _once_before_or_after(monkeypatch, moment, rotate, after=lost)
    outcome = run_task(operator(**mode))
    assert (outcome.state, [outcome.value]) == ("success", run_ids(emulator))


def test_a_secret_that_is_refused_and_was_not_changed_fails_for_good(
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
    """Let something happen right before, or right after, the first request of a kind to the API."""
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
