"""Jobs: started once, waited for on the worker and in the triggerer, canceled, reported."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_itwin.api.jobs.ref import JobRef
from airflow_provider_itwin.exceptions import (
    ITwinJobFailedError,
    ITwinPermanentError,
    ITwinWaitTimeLimitError,
)
from airflow_provider_itwin.hooks.itwin import ITwinHook
from airflow_provider_itwin.jobs import (
    ITwinRealityConversionOperator,
    ITwinRealityModelingOperator,
    ITwinTransformationOperator,
)
from airflow_provider_itwin.operators.jobs import ITwinJobOperator
from tests.airflow.single_task import FakeStore, through_json
from tests.airflow.triggers.jobs import cancel_in_triggerer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from itwin_emulator import Emulator
    from itwin_emulator.http.faults import FaultKind
    from tests.airflow.fake_clock import FakeClock
    from tests.airflow.single_task import Outcome

    RunTask = Callable[..., Outcome]

BOTH = pytest.mark.parametrize("deferrable", [False, True], ids=["worker", "deferred"])
SPECIFICATIONS: dict[str, Any] = {
    "inputs": {"scene": "3fa85f64-5717-4562-b3fc-2c963f66afa6"},
    "outputs": {},
    "options": {},
}


@pytest.fixture
def configuration(emulator: Emulator) -> str:
    """A configuration of transformations between two iModels of the same iTwin."""
    itwin_id = emulator.add_itwin()
    source, target = (emulator.add_imodel(itwin_id=itwin_id) for _ in range(2))
    return emulator.add_transformation_configuration(source, target)


@pytest.fixture
def transformation(configuration: str) -> Callable[..., ITwinTransformationOperator]:
    """Return a function that makes the task."""
    return lambda **others: ITwinTransformationOperator(task_id="transform", configuration_id=configuration, **others)


@pytest.fixture
def modeling(emulator: Emulator) -> Callable[..., ITwinRealityModelingOperator]:
    """Return a function that makes the task."""
    itwin_id = emulator.add_itwin()

    def make(**others: Any) -> ITwinRealityModelingOperator:
        given: dict[str, Any] = {"name": "Bridge", "type": "Calibration", "specifications": SPECIFICATIONS}
        return ITwinRealityModelingOperator(task_id="model", itwin_id=itwin_id, **(given | others))

    return make


@BOTH
def test_a_job_that_succeeds(
    emulator: Emulator, run_task: RunTask, transformation: Callable[..., ITwinJobOperator], deferrable: bool
) -> None:
    emulator.plan_job("transformation", duration=900)

    outcome = run_task(transformation(deferrable=deferrable))

    assert outcome.state == "success", outcome.text
    [job] = emulator.jobs()
    assert outcome.value == job["id"]
    assert outcome.xcoms["job_ref"] == {"name": "transformation", "job_id": job["id"], "inputs": {}}
    report = outcome.xcoms["job_report"]
    assert (report["state"], report["outcome"], report["messages"]) == ("Succeeded", "passed", [])
    assert report["details"]["transformation"]["id"] == job["id"]
    assert outcome.pushed_without_links == ["job_ref", "job_report"]
    assert outcome.parts == (2 if deferrable else 1)


@BOTH
def test_a_job_that_fails_says_why(
    emulator: Emulator, run_task: RunTask, modeling: Callable[..., ITwinJobOperator], deferrable: bool
) -> None:
    emulator.plan_job(
        "reality-modeling",
        "Failed",
        messages=[
            {"message": "Only {0} photos", "code": "TooFewPhotos", "title": "Not enough overlap", "params": ["3"]},
            {"message": "No position", "level": "warning", "code": "NoGps"},
        ],
    )

    outcome = run_task(modeling(deferrable=deferrable))

    assert isinstance(outcome.error, ITwinJobFailedError)
    assert outcome.state == "up_for_retry"
    [job] = emulator.jobs()
    assert f"Reality modeling job {job['id']} has failed: its state is Failed." in outcome.text
    assert "Only 3 photos" in outcome.text
    levels = [message["level"] for message in outcome.xcoms["job_report"]["messages"]]
    assert levels == ["error", "warning"]
    assert outcome.error.report == outcome.xcoms["job_report"]


@BOTH
def test_the_results_of_reality_jobs_are_their_outputs(
    emulator: Emulator, run_task: RunTask, modeling: Callable[..., ITwinJobOperator], deferrable: bool
) -> None:
    tiling: dict[str, Any] = {"inputs": {"scene": "s"}, "outputs": ["modelingReference"]}
    convert = ITwinRealityConversionOperator(
        task_id="convert",
        itwin_id=emulator.add_itwin(),
        name="Scan",
        type="PointCloudConversion",
        specifications={"inputs": {"pointCloud": "p"}, "options": {"outputFormat": "OPC"}},
        deferrable=deferrable,
    )

    tiled = run_task(modeling(type="Tiling", specifications=tiling, deferrable=deferrable)).xcoms["job_report"]
    converted = run_task(convert).xcoms["job_report"]

    assert set(tiled["result"]["modelingReference"]) == {"location"}
    assert converted["result"] == converted["details"]["job"]["specifications"]["output"]
    assert converted["result"]


def test_each_retry_after_a_failure_starts_a_new_job(
    emulator: Emulator, run_task: RunTask, modeling: Callable[..., ITwinJobOperator]
) -> None:
    emulator.plan_job("reality-modeling", "Failed", times=1)
    store = FakeStore()
    run_task(modeling(), store=store)

    assert run_task(modeling(), store=store).state == "success"
    assert [job["state"] for job in emulator.jobs()] == ["Failed", "Success"]


@BOTH
def test_an_unknown_state_is_waited_for(
    emulator: Emulator,
    run_task: RunTask,
    modeling: Callable[..., ITwinJobOperator],
    logged: Callable[[], str],
    deferrable: bool,
) -> None:
    emulator.plan_job("reality-modeling", states=[("Queued", 1), ("Pondering", 8)])

    assert run_task(modeling(deferrable=deferrable)).state == "success"
    text = logged()
    assert "The state Pondering of reality modeling job" in text
    assert "is Pondering (" in text, "the progress is logged"


@BOTH
def test_a_timeout_says_what_was_reached(
    emulator: Emulator, run_task: RunTask, modeling: Callable[..., ITwinJobOperator], deferrable: bool
) -> None:
    emulator.plan_job("reality-modeling", duration=7200)

    outcome = run_task(modeling(deferrable=deferrable, timeout=600))

    assert isinstance(outcome.error, ITwinWaitTimeLimitError)
    assert "was still Active after 10 min, when the timeout passed" in outcome.text
    assert "it continues in the cloud" in outcome.text


def test_no_wait(emulator: Emulator, run_task: RunTask, modeling: Callable[..., ITwinJobOperator]) -> None:
    outcome = run_task(modeling(wait_for_completion=False))

    [job] = emulator.jobs()
    assert (outcome.state, outcome.value, outcome.pushed_without_links) == ("success", job["id"], ["job_ref"])


@pytest.mark.parametrize("kind", ["reset-before", "reset-after", "truncate"])
def test_a_lost_response_starts_no_second_job(
    emulator: Emulator, run_task: RunTask, modeling: Callable[..., ITwinJobOperator], kind: FaultKind
) -> None:
    run_task(modeling())  # an equal job of the night before
    emulator.fail("reality-modeling-jobs-create", kind=kind)

    outcome = run_task(modeling())

    assert outcome.state == "success", outcome.text
    assert len(emulator.jobs()) == 2
    assert outcome.value == emulator.jobs()[-1]["id"]


def test_a_worker_lost_after_the_start_finds_its_job(
    emulator: Emulator, run_task: RunTask, modeling: Callable[..., ITwinJobOperator], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FakeStore()
    with monkeypatch.context() as patch:
        patch.setattr(ITwinJobOperator, "_publish", _die)
        with pytest.raises(SystemExit):
            run_task(modeling(), store=store)

    outcome = run_task(modeling(), store=store)

    assert outcome.state == "success", outcome.text
    assert [job["id"] for job in emulator.jobs()] == [outcome.value]


def test_a_worker_lost_during_the_start_finds_its_job(
    emulator: Emulator, run_task: RunTask, modeling: Callable[..., ITwinJobOperator], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FakeStore()
    real = ITwinHook.start_job

    def start(hook: ITwinHook, *given: Any, **named: Any) -> None:
        real(hook, *given, **named)
        _die()

    with monkeypatch.context() as patch:
        patch.setattr(ITwinHook, "start_job", start)
        with pytest.raises(SystemExit):
            run_task(modeling(), store=store)

    outcome = run_task(modeling(), store=store)

    assert outcome.state == "success", outcome.text
    assert [job["id"] for job in emulator.jobs()] == [outcome.value]


def test_the_result_is_written_to_a_file(
    emulator: Emulator, run_task: RunTask, transformation: Callable[..., ITwinJobOperator], tmp_path: Path
) -> None:
    outcome = run_task(transformation(result_path=f"{tmp_path}/reports/"))

    assert outcome.state == "success", outcome.text
    [written] = (tmp_path / "reports").iterdir()
    assert outcome.xcoms["job_report"]["result_path"] == str(written)
    assert json.loads(written.read_bytes())
    assert written.name == f"transformation-{outcome.value}"


def test_a_killed_worker_cancels_the_job(
    emulator: Emulator, clock: FakeClock, modeling: Callable[..., ITwinJobOperator], run_task: RunTask
) -> None:
    task = with_job(modeling(), run_task(modeling(wait_for_completion=False)).value)
    clock.sleep(120)

    task.on_kill()

    clock.sleep(120)
    [job] = emulator.jobs()
    assert job["state"] == "Cancelled"


def test_the_trigger_cancels_the_job_of_a_killed_task(
    emulator: Emulator, clock: FakeClock, modeling: Callable[..., ITwinJobOperator], run_task: RunTask
) -> None:
    run_task(modeling(wait_for_completion=False))
    clock.sleep(120)

    cancel_in_triggerer(modeling().definition, emulator.jobs()[0]["id"])

    clock.sleep(120)
    [job] = emulator.jobs()
    assert job["state"] == "Cancelled"


def test_a_job_that_cannot_be_canceled_is_said_to_continue(
    modeling: Callable[..., ITwinJobOperator], run_task: RunTask, logged: Callable[[], str]
) -> None:
    with_job(modeling(cancel_on_kill=False), run_task(modeling(wait_for_completion=False)).value).on_kill()

    assert "continues in the cloud: cancel_on_kill is False" in logged()


@pytest.mark.parametrize(
    ("status", "text"),
    [(403, "returned 403"), (422, "returned 422"), (503, "It is unknown whether the reality modeling job")],
)
def test_a_refused_start(
    emulator: Emulator,
    run_task: RunTask,
    modeling: Callable[..., ITwinJobOperator],
    status: int,
    text: str,
) -> None:
    emulator.fail("reality-modeling-jobs-create", status=status, times=100)
    if status == 503:
        emulator.fail("reality-modeling-jobs-get-all", status=503, times=100, after=1)

    outcome = run_task(modeling())

    assert isinstance(outcome.error, ITwinPermanentError)
    assert text in outcome.text
    assert emulator.jobs() == []


def test_a_template_becomes_the_type_of_the_input(run_task: RunTask, modeling: Callable[..., ITwinJobOperator]) -> None:
    outcome = run_task(modeling(specifications=json.dumps(SPECIFICATIONS)))

    assert outcome.state == "success", outcome.text
    assert outcome.xcoms["job_report"]["details"]["job"]["specifications"] == SPECIFICATIONS


def test_the_trigger_stores_no_input(modeling: Callable[..., ITwinJobOperator], run_task: RunTask) -> None:
    outcome = run_task(modeling(deferrable=True, name="Bridge of secrets"))

    [trigger] = outcome.triggers
    stored = through_json(trigger.serialize()[1])
    assert "Bridge of secrets" not in json.dumps(stored)


def with_job(task: ITwinJobOperator, job_id: str) -> ITwinJobOperator:
    """Return a task in the process that has started the job."""
    task._known_ref = JobRef(task.definition.name, job_id)
    return task


@pytest.fixture
def logged(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Callable[[], str]:
    """Return a function that returns the log: Airflow 3 prints that of tasks."""
    caplog.set_level(logging.INFO)
    return lambda: capsys.readouterr().out + caplog.text


def _die(*_: object, **__: object) -> None:
    raise SystemExit("the worker is lost")
