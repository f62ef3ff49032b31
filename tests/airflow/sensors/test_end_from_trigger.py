"""XComs and links do not depend on where a task ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_itwin.sensors.itwin import ITwinStorageConnectionRunSensor
from tests.airflow.sdk import Asset
from tests.airflow.sensors.run_sensors import NIGHT, only_3_3, sensor
from tests.airflow.single_task import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from itwin_emulator import Emulator

    RunTask = Callable[..., Outcome]

pytestmark = only_3_3


class Sensor(ITwinStorageConnectionRunSensor):
    """A sensor with a ``post_execute``."""

    def post_execute(self, context: Any, result: Any = None) -> None:
        """Do nothing."""


class Concluding(ITwinStorageConnectionRunSensor):
    """A sensor with its own ``execute_complete``."""

    def execute_complete(self, context: Any, event: Any = None) -> Any:
        """Do nothing."""
        return super().execute_complete(context, event)


ONLY_ON_A_WORKER: dict[str, tuple[type[Any], dict[str, Any]]] = {
    "outlets": (ITwinStorageConnectionRunSensor, {"outlets": [Asset("itwin://api.bentley.com/imodels/a")]}),
    "do_xcom_push=False": (ITwinStorageConnectionRunSensor, {"do_xcom_push": False}),
    "multiple_outputs": (ITwinStorageConnectionRunSensor, {"multiple_outputs": True}),
    "post_execute": (ITwinStorageConnectionRunSensor, {"post_execute": lambda context, result: None}),
    "a subclass with post_execute": (Sensor, {}),
    "a subclass that concludes itself": (Concluding, {}),
    "Success fails": (ITwinStorageConnectionRunSensor, {"fail_on": ["Success"]}),
}


@pytest.mark.parametrize("name", ONLY_ON_A_WORKER)
def test_a_task_with_worker_only_code_ends_on_a_worker(emulator: Emulator, run_task: RunTask, name: str) -> None:
    cls, arguments = ONLY_ON_A_WORKER[name]
    emulator.plan_run(NIGHT, "Success", 600)
    given = {"connection_id": NIGHT, "run_id": emulator.start_run(NIGHT), "timeout": 7200, "deferrable": True}
    outcome = run_task(cls(task_id="wait", end_from_trigger=True, **given | arguments))
    assert outcome.parts == 2


def test_a_custom_xcom_backend_is_used(emulator: Emulator, run_task: RunTask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__XCOM_BACKEND", "our.xcoms.Backend")
    emulator.plan_run(NIGHT, "Success", 600)
    assert run_task(sensor(run_id=emulator.start_run(NIGHT), deferrable=True, end_from_trigger=True)).parts == 2


PORTALS = {"of one's own": {"portal_url": "https://portal.example/{itwin_id}/{connection_id}"}, "none": {}}


@pytest.mark.parametrize("portal", PORTALS)
@pytest.mark.parametrize("which", ["run_id", "started_after"])
def test_the_same_xcoms_and_links_as_on_a_worker(
    emulator: Emulator, run_task: RunTask, connection: Callable[..., None], portal: str, which: str
) -> None:
    connection(host=emulator.url, login=emulator.client_id, password=emulator.client_secret, extra=PORTALS[portal])
    emulator.plan_run(NIGHT, "Success", 600)
    run_id = emulator.start_run(NIGHT)
    wanted = {"run_id": run_id} if which == "run_id" else {"started_after": "2020-01-01"}
    there = run_task(sensor(**wanted, deferrable=True, end_from_trigger=True))
    emulator.plan_run(NIGHT, "Success", 600)
    here = run_task(sensor(run_id=run_id, deferrable=True, end_from_trigger=False))
    assert (there.parts, there.state, here.state) == (1, "success", "success")
    assert {"return_value": here.value, **here.xcoms} == there.xcoms
