"""The sensor of jobs: the same ends on the worker, in reschedule mode and deferred."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_itwin.api.errors import ITwinInputError
from airflow_provider_itwin.exceptions import ITwinJobFailedFinalError, ITwinPermanentError
from airflow_provider_itwin.hooks.itwin import ITwinHook
from airflow_provider_itwin.jobs import REALITY_MODELING, TRANSFORMATION
from airflow_provider_itwin.sensors.jobs import ITwinJobSensor

if TYPE_CHECKING:
    from collections.abc import Callable

    from itwin_emulator import Emulator
    from tests.airflow.single_task import Outcome

    RunTask = Callable[..., Outcome]

WAYS: dict[str, dict[str, Any]] = {"poke": {}, "reschedule": {"mode": "reschedule"}, "deferred": {"deferrable": True}}
EACH_WAY = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
SPECIFICATIONS: dict[str, Any] = {"inputs": {}, "outputs": {}}


@pytest.fixture
def start(emulator: Emulator) -> Callable[[], dict[str, Any]]:
    """Return a function that starts a job and returns its reference."""
    itwin_id = emulator.add_itwin()

    def started() -> dict[str, Any]:
        inputs = {"itwin_id": itwin_id, "name": "Bridge", "type": "Calibration", "specifications": SPECIFICATIONS}
        return {**ITwinHook().start_job(REALITY_MODELING, inputs).ref.as_dict()}

    return started


def sensor(job_ref: Any, **others: Any) -> ITwinJobSensor:
    return ITwinJobSensor(task_id="wait", job=REALITY_MODELING, job_ref=job_ref, **{"timeout": 3600, **others})


@EACH_WAY
def test_a_job_that_succeeds(run_task: RunTask, start: Callable[[], dict[str, Any]], way: dict[str, Any]) -> None:
    ref = start()

    outcome = run_task(sensor(ref, **way))

    assert outcome.state == "success", outcome.text
    assert outcome.value == outcome.xcoms["job_report"]
    assert (outcome.value["job_id"], outcome.value["state"]) == (ref["job_id"], "Success")


@EACH_WAY
def test_a_failed_job_is_final(
    emulator: Emulator, run_task: RunTask, start: Callable[[], dict[str, Any]], way: dict[str, Any]
) -> None:
    emulator.plan_job("reality-modeling", "Cancelled")

    outcome = run_task(sensor(start(), **way))

    assert isinstance(outcome.error, ITwinJobFailedFinalError)
    assert outcome.state == "failed"
    assert "its state is Cancelled" in outcome.text


@EACH_WAY
def test_a_timeout(
    emulator: Emulator, run_task: RunTask, start: Callable[[], dict[str, Any]], way: dict[str, Any]
) -> None:
    emulator.plan_job("reality-modeling", duration=1e5)

    outcome = run_task(sensor(start(), timeout=600, **way))

    assert outcome.state == "failed"
    assert "was still Queued after 10 min, when the timeout passed (timeout)" in outcome.text
    assert run_task(sensor(start(), timeout=600, soft_fail=True, **way)).state == "skipped"


@EACH_WAY
def test_an_unknown_job(emulator: Emulator, run_task: RunTask, way: dict[str, Any]) -> None:
    outcome = run_task(sensor("3fa85f64-5717-4562-b3fc-2c963f66afa6", **way))

    assert isinstance(outcome.error, ITwinPermanentError)
    assert "404" in outcome.text


def test_the_reference_of_another_kind_of_job_is_refused(
    emulator: Emulator, run_task: RunTask, start: Callable[[], dict[str, Any]]
) -> None:
    text = "job_ref refers to another kind of job: reality modeling job, not transformation"
    ref = start()
    with pytest.raises(ITwinInputError, match=text):
        ITwinJobSensor(task_id="wait", job=TRANSFORMATION, job_ref=ref, timeout=60)

    task = ITwinJobSensor(task_id="wait", job=TRANSFORMATION, job_ref="{{ rendered_later }}", timeout=60)
    task.job_ref = ref
    outcome = run_task(task)

    assert isinstance(outcome.error, ITwinPermanentError)
    assert text in outcome.text


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"job": None, "job_ref": "x"}, "job is missing"),
        ({"job": "x", "job_ref": "x"}, "job must be a JobDefinition"),
        ({"job": REALITY_MODELING, "job_ref": "a/b"}, "job_ref is 'a/b'"),
        ({"job": REALITY_MODELING, "job_ref": None}, "job_ref must be a str"),
        ({"job": REALITY_MODELING, "job_ref": "x", "deferrable": "yes"}, "deferrable must be True or False"),
        ({"job": REALITY_MODELING, "job_ref": "x", "poll_intervall": 3}, "Did you mean 'poll_interval'?"),
    ],
)
def test_an_invalid_parameter_is_refused_when_the_dag_file_is_parsed(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=r"ITwinJobSensor 'wait': ") as caught:
        ITwinJobSensor(task_id="wait", **arguments)
    assert text in str(caught.value)
