"""Rendering of tasks that start in the triggerer, by the code of Airflow's triggerer: once, and with the right map index."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from airflow_provider_itwin.triggers.itwin import ITwinRunTrigger
from tests.airflow.sdk import DAG, TaskDeferred, task, task_group
from tests.airflow.sensors.run_sensors import NIGHT, only_3_3, sensor
from tests.airflow.single_task import FakeTaskInstance, event_of, rebuilt, through_json

if TYPE_CHECKING:
    from pathlib import Path

    from itwin_emulator import Emulator

pytestmark = only_3_3

BAIT = "the-value-of-a-variable"
TEMPLATE = "{{ var.value.secret_of_ours }}"


def in_triggerer(dag: Any, task_id: str, trigger: Any, conf: dict[str, Any], map_index: int = -1) -> Any:
    """Render a trigger as Airflow's triggerer does for a task with start_from_trigger."""
    from airflow.executors.workloads import TaskInstanceDTO
    from airflow.jobs.triggerer_job_runner import TriggerRunner
    from airflow.serialization.serialized_objects import DagSerialization

    now = datetime.now(UTC)
    values = {
        "id": uuid4(),
        "dag_version_id": uuid4(),
        "task_id": task_id,
        "dag_id": dag.dag_id,
        "run_id": "a_run",
        "try_number": 1,
        "map_index": map_index,
        "pool_slots": 1,
        "queue": "default",
        "priority_weight": 1,
    }
    instance = TaskInstanceDTO.model_construct(**values)
    run = {
        "dag_id": dag.dag_id,
        "run_id": "a_run",
        "logical_date": now,
        "data_interval_start": now,
        "data_interval_end": now,
        "run_after": now,
        "start_date": now,
        "end_date": None,
        "run_type": "manual",
        "state": "running",
        "conf": conf,
        "consumed_asset_events": [],
        "partition_key": None,
    }
    runtime = TriggerRunner.create_runtime_ti(instance, DagSerialization.to_dict(dag), run)
    runtime._ti_context_from_server.variables = []  # type: ignore[union-attr]
    context = runtime.get_template_context()
    trigger.task_instance = runtime
    trigger.render_template_fields(context=context)
    return trigger


@pytest.fixture
def dag(monkeypatch: pytest.MonkeyPatch, airflow_home: Path) -> Any:
    """A DAG whose conf contains the connection id."""
    monkeypatch.setenv("AIRFLOW_VAR_SECRET_OF_OURS", BAIT)
    with DAG("a_dag", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        sensor(
            connection_id="{{ dag_run.conf['conn'] }}",
            run_id="{{ dag_run.conf['run'] }}",
            itwin_conn_id="{{ dag_run.conf.get('account', 'itwin_default') }}",
            deferrable=True,
            start_from_trigger=True,
        )
    return dag


def first_trigger(dag: Any) -> ITwinRunTrigger:
    return ITwinRunTrigger(**through_json(dag.get_task("wait").start_trigger_args.trigger_kwargs))


def test_the_first_trigger_is_rendered(dag: Any) -> None:
    trigger = in_triggerer(dag, "wait", first_trigger(dag), {"conn": NIGHT, "run": "a-run"})
    assert (trigger.spec["connection_id"], trigger.spec["run_id"]) == (NIGHT, "a-run")


@pytest.mark.parametrize("field", ["conn", "run"])
@pytest.mark.parametrize("value", [TEMPLATE, "{% raw %}a{% endraw %}", "{# a #}", "a{{ 7 * 7 }}b"])
def test_a_rendered_value_with_a_template_is_rejected_and_not_evaluated(
    emulator: Emulator, dag: Any, field: str, value: str
) -> None:
    conf = {"conn": NIGHT, "run": "a-run"} | {field: value}
    trigger = in_triggerer(dag, "wait", first_trigger(dag), conf)
    event = event_of(trigger)
    assert "it contains a template" in event["error"]
    assert BAIT not in str(event)
    assert not emulator.request_log


@pytest.mark.parametrize("field", ["connection_id", "run_id", "itwin_conn_id", "started_after"])
def test_a_value_rendered_on_a_worker_is_not_rendered_again(dag: Any, field: str) -> None:
    """Airflow renders all triggers of such a task, including those of a worker."""
    spec = {"kind": "storage", "connection_id": NIGHT, "run_id": "a-run"} | {field: TEMPLATE}
    trigger = rebuilt(ITwinRunTrigger(str(spec.pop("itwin_conn_id", "itwin_default")), spec))
    rendered = in_triggerer(dag, "wait", trigger, {})
    assert {"itwin_conn_id": rendered.itwin_conn_id, **rendered.spec}[field] == TEMPLATE


def test_the_second_deferral_on_a_worker_creates_such_a_trigger(emulator: Emulator, dag: Any) -> None:
    emulator.plan_run(NIGHT, "Success", 36_000)
    run_id = emulator.start_run(NIGHT)
    task: Any = sensor(run_id=run_id, deferrable=True, start_from_trigger=True, silent_fail=True)
    instance = FakeTaskInstance()
    with pytest.raises(TaskDeferred) as deferred:
        task._begin({"ti": instance, "task_instance": instance})
    trigger = rebuilt(deferred.value.trigger)
    before = dict(trigger.serialize()[1])
    assert before["timeout"] is None
    trigger.spec["connection_id"] = TEMPLATE
    assert in_triggerer(dag, "wait", trigger, {}).spec["connection_id"] == TEMPLATE


# Mapped task groups


@task
def start(item: Any) -> str:
    return str(item)


def grouped(dag_id: str = "a_dag") -> Any:
    with DAG(dag_id, schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        before = start.override(task_id="before")("x")

        @task_group
        def night(item: Any) -> None:
            started = start(item)
            sensor(task_id="own", run_id=started, deferrable=True, start_from_trigger=True)
            sensor(task_id="shared", run_id=before, deferrable=True, start_from_trigger=True)

        night.expand(item=["a", "b"])
    return dag


@pytest.mark.parametrize(("task_id", "source", "map_index"), [("own", "night.start", 1), ("shared", "before", -1)])
def test_in_a_mapped_task_group_the_output_of_the_same_map_index_is_used(
    monkeypatch: pytest.MonkeyPatch, airflow_home: Path, task_id: str, source: str, map_index: int
) -> None:
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    asked: list[dict[str, Any]] = []

    def pull(self: Any, **wanted: Any) -> str:
        asked.append(wanted)
        return "a-run"

    monkeypatch.setattr(RuntimeTaskInstance, "xcom_pull", pull)
    dag = grouped()
    name = f"night.{task_id}"
    trigger = ITwinRunTrigger(**through_json(dag.get_task(name).start_trigger_args.trigger_kwargs))
    rendered = in_triggerer(dag, name, trigger, {}, map_index=1)
    assert rendered.spec["run_id"] == "a-run"
    assert asked == [{"task_ids": source, "key": "return_value", "map_indexes": map_index}]


def test_the_outputs_of_a_mapped_task_group_are_rejected_as_a_single_value() -> None:
    with DAG("a_dag", schedule=None):

        @task_group
        def night(item: Any) -> Any:
            return start(item)

        outputs = night.expand(item=["a", "b"])
        with pytest.raises(ValueError, match=r"run_id cannot be the output of task 'night.start'.*for each map index"):
            sensor(run_id=outputs, deferrable=True, start_from_trigger=True)


def test_a_parameter_of_a_mapped_task_group_is_rejected_when_the_dag_is_parsed() -> None:
    with DAG("a_dag", schedule=None):

        @task_group
        def night(item: Any) -> None:
            sensor(run_id="a-run", connection_id=item, deferrable=True, start_from_trigger=True)

        with pytest.raises(ValueError, match="connection_id must be a str, a template, or the output of a task"):
            night.expand(item=["a", "b"])
