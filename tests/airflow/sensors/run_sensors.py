"""A connection, and sensors that wait for its runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_itwin.sensors.itwin import ITwinStorageConnectionRunSensor
from airflow_provider_itwin.version_compat import AIRFLOW_V_3_3_PLUS

if TYPE_CHECKING:
    pass

NIGHT = "night-connection"
DAWN = "2020-01-01T00:00:00Z"
"""A time before all runs."""

MODES: dict[str, dict[str, Any]] = {
    "poke": {"mode": "poke"},
    "reschedule": {"mode": "reschedule"},
    "deferred": {"deferrable": True},
}
EACH_MODE = pytest.mark.parametrize("mode", MODES.values(), ids=MODES.keys())
FLAGS: dict[str, dict[str, Any]] = {
    "no flag": {},
    "soft_fail": {"soft_fail": True},
    "never_fail": {"never_fail": True},
    "silent_fail": {"silent_fail": True},
}
only_3_3 = pytest.mark.skipif(not AIRFLOW_V_3_3_PLUS, reason="only the triggerer of Airflow 3.3 starts and ends tasks")


def sensor(**arguments: Any) -> ITwinStorageConnectionRunSensor:
    """
    Return a sensor.

    Values in ``rendered`` appear only when the task is rendered: a DAG file with them is refused.
    """
    rendered: dict[str, Any] = arguments.pop("rendered", {})
    given: dict[str, Any] = {"task_id": "wait", "connection_id": NIGHT, "timeout": 7200} | arguments
    task = ITwinStorageConnectionRunSensor(**given)
    for name, value in rendered.items():
        setattr(task, name, value)
        if task.start_trigger_args is not None:
            trigger_kwargs: Any = task.start_trigger_args.trigger_kwargs
            (trigger_kwargs if name in trigger_kwargs else trigger_kwargs["spec"])[name] = value
    return task
