"""Parameters that are refused when the DAG file is parsed; ``tests/airflow/mistakes.txt`` has most of them."""

from __future__ import annotations

import copy
from datetime import datetime, timezone
from typing import Any

import pytest

from airflow_provider_itwin.api.errors import ITwinInputError
from airflow_provider_itwin.operators.itwin import (
    ITwinRunExportConnectionOperator,
    ITwinRunManifestConnectionOperator,
    ITwinRunStorageConnectionOperator,
)
from airflow_provider_itwin.sensors.itwin import ITwinStorageConnectionRunSensor
from tests.airflow.sdk import DAG


def dag(**default_args: Any) -> DAG:
    return DAG("a_dag", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc), default_args=default_args)  # noqa: UP017


@pytest.mark.parametrize(
    ("operator", "more"),
    [
        (ITwinRunStorageConnectionOperator, {}),
        (ITwinRunManifestConnectionOperator, {"body": {}}),
        (ITwinRunExportConnectionOperator, {"body": {}}),
    ],
)
def test_an_operator_waits_by_default(operator: Any, more: dict[str, Any]) -> None:
    assert operator(task_id="a", connection_id="c", **more).wait_for_completion is True


def test_default_args_about_waiting_contradict_nothing() -> None:
    results = ["Error"]
    with dag(deferrable=True, timeout=3600, fail_on=results, strict=True):
        task = ITwinRunStorageConnectionOperator(task_id="a", connection_id="c", wait_for_completion=False)
    assert (task.deferrable, task.timeout, task.fail_on) == (True, 3600, ("Error",))


def test_a_parameter_that_differs_from_default_args_is_refused() -> None:
    with dag(strict=False), pytest.raises(ITwinInputError, match="strict would have no effect"):
        ITwinRunStorageConnectionOperator(task_id="a", connection_id="c", wait_for_completion=False, strict=True)


def test_default_args_are_validated() -> None:
    with dag(fail_on=["Failed"]), pytest.raises(ITwinInputError, match="'a': invalid fail_on 'Failed'"):
        ITwinRunStorageConnectionOperator(task_id="a", connection_id="c")


def test_a_task_that_queues_can_be_deferrable_without_waiting_for_its_run() -> None:
    task = ITwinRunStorageConnectionOperator(
        task_id="a", connection_id="c", wait_for_completion=False, deferrable=True, timeout=60, poll_interval=5
    )
    assert task.deferrable


def test_an_iterator_of_results_is_read_once() -> None:
    results: Any = iter(["Error"])
    task = ITwinRunStorageConnectionOperator(task_id="a", connection_id="c", fail_on=results)
    assert task.fail_on == ("Error",)
    assert task.result_policy.judge("Error").outcome == "fail"


def test_a_subclass_has_its_own_parameters() -> None:
    class Mine(ITwinRunStorageConnectionOperator):
        def __init__(self, *, storage_connection_id: str, **kwargs: Any) -> None:
            super().__init__(connection_id=storage_connection_id, **kwargs)

    assert Mine(task_id="a", storage_connection_id="c").connection_id == "c"


@pytest.mark.parametrize(
    "value", ["{{ params.connection_id }}", "{% if a %}b{% endif %}", "{{ var.value.connection }}"]
)
def test_a_template_is_accepted(value: str) -> None:
    assert ITwinRunStorageConnectionOperator(task_id="a", connection_id=value).connection_id == value
    assert ITwinStorageConnectionRunSensor(task_id="b", connection_id=value, run_id=value).run_id == value


def test_the_output_of_a_task_is_accepted() -> None:
    with dag():
        start = ITwinRunStorageConnectionOperator(task_id="a", connection_id="c", wait_for_completion=False)
        sensor = ITwinStorageConnectionRunSensor(task_id="b", connection_id="c", run_id=start.output)
        mapped = ITwinStorageConnectionRunSensor.partial(task_id="m", connection_id="c").expand(run_id=start.output)
    assert sensor.upstream_task_ids == {"a"}
    assert mapped.upstream_task_ids == {"a"}


def test_a_task_can_be_copied() -> None:
    task = ITwinRunStorageConnectionOperator(task_id="a", connection_id="c", strict=True)
    assert copy.copy(task).strict
    assert copy.deepcopy(task).strict


def test_partial_belongs_to_the_class() -> None:
    with dag():
        mapped = ITwinRunStorageConnectionOperator.partial(task_id="a", timeout=60).expand(connection_id=["c", "d"])
    assert mapped.task_id == "a"
    assert mapped.operator_class is ITwinRunStorageConnectionOperator
