"""Types rendered with ``render_template_as_native_obj``: a wrong type is a permanent error that names it."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_itwin.operators import itwin as operators
from airflow_provider_itwin.sensors import itwin as sensors
from airflow_provider_itwin.triggers.itwin import ITwinRunTrigger
from airflow_provider_itwin.version_compat import AIRFLOW_V_3_0_PLUS
from tests.airflow.sdk import AirflowFailException
from tests.airflow.single_task import Outcome, event_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from itwin_emulator import Emulator
    from tests.airflow.dag_runs import DagResult

    RunTask = Callable[..., Outcome]

NIGHT = "night-connection"
_BODY: dict[str, Any] = {"body": {"sourceFiles": []}}
CLASSES: dict[type[Any], dict[str, Any]] = {
    operators.ITwinRunStorageConnectionOperator: {},
    operators.ITwinRunManifestConnectionOperator: _BODY,
    operators.ITwinRunExportConnectionOperator: _BODY,
    operators.ITwinListSourceFilesOperator: {},
    sensors.ITwinStorageConnectionRunSensor: {"run_id": "a-run"},
    sensors.ITwinManifestConnectionRunSensor: {"run_id": "a-run"},
    sensors.ITwinExportConnectionRunSensor: {"run_id": "a-run"},
}
WRONG: dict[str, list[Any]] = {
    "connection_id": [20260101, 1.5, True, None, [NIGHT], {"id": NIGHT}, b"night", date(2026, 1, 1), "{{ x }}"],
    "itwin_conn_id": [5, False, None, ["itwin_default"], {}, b"itwin_default", "None", " "],
    "run_id": [20260101, True, [], ["a-run"], {"run_id": "a-run"}, b"a-run", datetime(2026, 1, 1, tzinfo=UTC)],
    "started_after": [
        20260101,
        1_767_225_600.0,
        True,
        [],
        ["2026-01-01"],
        {},
        b"2026-01-01",
        timedelta(days=1),
        object(),
        "soon",
    ],
    "name_pattern": [5, 1.5, True, ["*.dgn"], b"*.dgn", {"a": 1}, date(2026, 1, 1)],
    "body": [5, "text", None, [1], [{"sourceFiles": []}], True, date(2026, 1, 1)],
}
FIELDS = [
    pytest.param(cls, field, value, id=f"{cls.__name__}-{field}-{type(value).__name__}")
    for cls in CLASSES
    for field in cls.template_fields
    for value in WRONG[field]
]


def task_with(cls: type[Any], field: str, value: Any, **more: Any) -> Any:
    given = {"connection_id": NIGHT} | CLASSES[cls] | more
    if field == "started_after":
        given.pop("run_id", None)
    task = cls(task_id="a_task", **given | ({"started_after": "2026-01-01"} if field == "started_after" else {}))
    # As Airflow does when it renders.
    setattr(task, field, value)
    return task


@pytest.mark.parametrize(("cls", "field", "value"), FIELDS)
def test_a_value_of_a_wrong_type_is_a_permanent_error_and_is_named(
    emulator: Emulator, run_task: RunTask, cls: type[Any], field: str, value: Any
) -> None:
    for more in [{"deferrable": False}, {"deferrable": True}] if hasattr(cls, "kind") else [{}]:
        outcome = run_task(task_with(cls, field, value, **more))
        assert outcome.state == "failed", outcome.error
        assert isinstance(outcome.error, AirflowFailException)
        assert field in outcome.text
        assert isinstance(value, str) or type(value).__name__ in outcome.text
        assert len(outcome.text) < 500
    assert not emulator.request_log


@pytest.mark.parametrize("cls", CLASSES)
def test_the_table_names_every_templated_field(cls: type[Any]) -> None:
    assert set(cls.template_fields) <= set(WRONG)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (field, value)
        for field in ("connection_id", "itwin_conn_id", "run_id", "started_after")
        for value in WRONG[field]
    ],
    ids=str,
)
def test_a_trigger_names_the_value_and_ends_only_its_own_wait(emulator: Emulator, field: str, value: Any) -> None:
    spec: dict[str, Any] = {"kind": "storage", "connection_id": NIGHT}
    spec |= {} if field == "started_after" else {"run_id": "a-run"}
    trigger = ITwinRunTrigger("itwin_default", spec)
    # As the triggerer does when it renders.
    if field == "itwin_conn_id":
        trigger.itwin_conn_id = value
    else:
        spec[field] = value

    async def payloads() -> list[Any]:
        return [event.payload async for event in trigger.run()]

    (payload,) = asyncio.run(payloads())
    assert field in payload["error"]
    assert not emulator.request_log


DAYS: list[Any] = [
    date(2026, 1, 1),
    datetime(2026, 1, 1),
    datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))),
    "2026-01-01",
    "2026-01-01 00:00:00+00:00",
    "20260101",
    "2026-01-01T00:00:00Z",
]


@pytest.mark.parametrize("value", DAYS, ids=repr)
@pytest.mark.parametrize("deferrable", [False, True])
def test_a_date_means_the_start_of_the_day(emulator: Emulator, run_task: RunTask, value: Any, deferrable: bool) -> None:
    from airflow_provider_itwin.api.models.moments import read_moment

    task = task_with(sensors.ITwinStorageConnectionRunSensor, "started_after", value, deferrable=deferrable)
    assert read_moment(task._spec(0.0).started_after) == datetime(2026, 1, 1, tzinfo=UTC)
    assert event_of(ITwinRunTrigger("itwin_default", task._spec(0.0).as_dict() | {"connection_id": "a b"}))["error"]


@pytest.mark.skipif(not AIRFLOW_V_3_0_PLUS, reason="dag.test of Airflow 2 runs a failed task again and again")
def test_a_dag_with_native_objects_reports_wrong_types(emulator: Emulator, run_dag: Callable[..., DagResult]) -> None:
    emulator.add_connection(connection_id=NIGHT, files=["Tower.dgn"])
    result = run_dag(
        f"""
        dag.render_template_as_native_obj = True
        ITwinStorageConnectionRunSensor(
            task_id="number", connection_id="{NIGHT}", started_after="{{{{ 20260101 }}}}", timeout=5, retries=2
        )
        ITwinStorageConnectionRunSensor(task_id="run", connection_id="{NIGHT}", run_id="{{{{ 12345 }}}}", retries=2)
        ITwinListSourceFilesOperator(task_id="pattern", connection_id="{NIGHT}", name_pattern="{{{{ 5 }}}}", retries=2)
        ITwinListSourceFilesOperator(task_id="text", connection_id="{NIGHT}", name_pattern="{{{{ '*.dgn' }}}}")
        """
    )
    assert result.states == {"number": ["failed"], "run": ["failed"], "pattern": ["failed"], "text": ["success"]}
    assert result.attempts["number"] == result.attempts["run"] == result.attempts["pattern"] == 1
    for words in (
        "started_after must be",
        "20260101 (int)",
        "run_id must be a str, not 12345 (int)",
        "name_pattern must be",
    ):
        assert words in result.log
