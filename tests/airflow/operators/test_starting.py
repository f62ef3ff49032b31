"""The start of runs, and the XComs of a run operator, on the worker and deferred."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_itwin.operators.itwin import ITwinRunStorageConnectionOperator
from tests.airflow.operators.run_operators import (
    ALL_MODES,
    DEFERRED,
    NIGHT,
    WAITING,
    operations,
    operator,
    run_ids,
    runs,
    starts,
)
from tests.airflow.sdk import AirflowException
from tests.airflow.single_task import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from itwin_emulator import Emulator
    from tests.airflow.fake_clock import FakeClock

    RunTask = Callable[..., Outcome]


# Starting, and the XComs


@ALL_MODES
def test_returns_the_run_id_and_pushes_the_run_ref_in_every_mode(
    emulator: Emulator, run_task: RunTask, mode: dict[str, Any]
) -> None:
    outcome = run_task(operator(**mode))
    [run_id] = run_ids(emulator)
    assert (outcome.state, outcome.value) == ("success", run_id)
    assert outcome.xcoms["run_ref"] == {"kind": "storage", "connection_id": NIGHT, "run_id": run_id}
    assert bool(outcome.triggers) == (mode == DEFERRED)
    if mode["wait_for_completion"]:
        assert runs(emulator)[0]["state"] == "Completed"
        assert outcome.pushed_without_links == ["run_ref", "run_report"]
        report = outcome.xcoms["run_report"]
        assert (report["ref"]["run_id"], report["state"], report["result"]) == (run_id, "Completed", "Success")
        assert report["totals"]["tasks"] == 2
    else:
        assert outcome.pushed_without_links == ["run_ref"]
        assert runs(emulator)[0]["state"] != "Completed"


@WAITING
def test_pushes_the_run_ref_before_the_first_poll(emulator: Emulator, run_task: RunTask, mode: dict[str, Any]) -> None:
    seen: dict[str, list[str | None]] = {}
    run_task(operator(**mode), on_push=lambda key: seen.setdefault(key, operations(emulator)))
    assert "run-storage-connection" in seen["run_ref"]
    assert "get-storage-connection-run" not in seen["run_ref"]


def test_defers_with_a_trigger_that_has_all_parameters(emulator: Emulator, run_task: RunTask) -> None:
    outcome = run_task(operator(poll_interval=45, timeout=7200, **DEFERRED), resume=False)
    assert outcome.state == "deferred"
    [run_id] = run_ids(emulator)
    path, kwargs = outcome.triggers[0].serialize()
    assert path == "airflow_provider_itwin.triggers.itwin.ITwinRunTrigger"
    expected = {
        "kind": "storage",
        "connection_id": NIGHT,
        "run_id": run_id,
        "poll_interval": 45,
    }
    assert kwargs["itwin_conn_id"] == "itwin_default"
    assert kwargs["spec"].items() >= expected.items()
    assert outcome.xcoms["run_ref"]["run_id"] == run_id


def test_does_not_defer_for_a_finished_run(emulator: Emulator, run_task: RunTask) -> None:
    emulator.plan_run(NIGHT, "Success", duration=0)
    outcome = run_task(operator(**DEFERRED))
    assert (outcome.state, outcome.triggers) == ("success", [])
    assert outcome.xcoms["run_report"]["result"] == "Success"


@WAITING
def test_polls_at_the_given_interval(
    emulator: Emulator, run_task: RunTask, clock: FakeClock, mode: dict[str, Any]
) -> None:
    emulator.plan_run(NIGHT, "Success", duration=600)
    run_task(operator(poll_interval=100, **mode))
    polls = operations(emulator).count("get-storage-connection-run")
    assert 7 <= polls <= 8
    assert 600 <= clock.elapsed < 800


@pytest.mark.parametrize("policy", ["queue", "attach", "fail", "skip"])
@ALL_MODES
def test_starts_a_run_if_the_imodel_is_free(
    emulator: Emulator, run_task: RunTask, policy: str, mode: dict[str, Any]
) -> None:
    outcome = run_task(operator(if_active=policy, **mode))
    assert outcome.state == "success"
    assert [outcome.value] == run_ids(emulator)
    assert starts(emulator) == [202]


# on_kill


def test_on_kill_logs_that_the_run_continues(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    operator().on_kill()
    said = capsys.readouterr().out + caplog.text
    assert "continues in the cloud" in said
    assert "run_ref" in said


# Invalid parameters


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"if_active": "qeue"}, "invalid if_active 'qeue'; expected one of queue, attach, fail, skip"),
        ({"if_active": None}, "invalid if_active None; expected one of queue"),
        ({"poll_interval": 0}, "poll_interval must be a positive number of seconds"),
        ({"poll_interval": -5}, "poll_interval must be a positive number"),
        ({"poll_interval": "10"}, "poll_interval must be a positive number"),
        ({"poll_interval": float("nan")}, "poll_interval must be a positive number"),
        ({"poll_interval": float("inf")}, "poll_interval must be a positive number"),
        ({"poll_interval": True}, "poll_interval must be a positive number"),
        ({"timeout": 0}, "timeout must be a positive number of seconds, a timedelta, or None"),
        ({"timeout": timedelta(seconds=-1)}, "timeout must be a positive number"),
        ({"timeout": "1 hour"}, "timeout must be a positive number"),
        ({"timeout": float("inf")}, "timeout must be a positive number"),
        ({"fail_on": ["Eror"]}, "invalid fail_on 'Eror'; expected one of Success"),
        ({"fail_on": "Eror"}, "invalid fail_on 'Eror'"),
        ({"fail_on": [None]}, "invalid fail_on None"),
        ({"fail_on": None}, "fail_on"),
        ({"skip_on": ["Completed"]}, "invalid skip_on 'Completed'"),
        ({"skip_on": None}, "skip_on"),
        ({"fail_on": ["Error"], "skip_on": ["error"]}, "cannot be in both fail_on and skip_on"),
    ],
    ids=str,
)
def test_invalid_parameters_are_rejected_in_the_dag_file(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        operator(**arguments)
    assert words in str(caught.value)


@pytest.mark.parametrize("timeout", [60, 0.5, timedelta(hours=1), None])
def test_valid_parameters_are_accepted(timeout: Any) -> None:
    task = operator(
        if_active="attach",
        wait_for_completion=True,
        deferrable=True,
        poll_interval=timedelta(seconds=30),
        timeout=timeout,
        fail_on={"Error"},
        skip_on=("Skipped",),
        strict=True,
        durable=False,
        preflight=False,
    )
    assert (task.if_active, task.deferrable, task.poll_interval, task.timeout) == ("attach", True, 30.0, timeout)


def test_needs_a_connection_id() -> None:
    with pytest.raises((TypeError, AirflowException), match="connection_id"):
        ITwinRunStorageConnectionOperator(task_id="synchronize")  # type: ignore[call-arg]
