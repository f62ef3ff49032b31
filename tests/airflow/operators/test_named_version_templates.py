"""Names and descriptions of named versions as templates, with the report of the run at hand, in real DAG runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.airflow.operators.run_operators import IMODEL, NIGHT, RIVAL

if TYPE_CHECKING:
    from collections.abc import Callable

    from itwin_emulator import Emulator

    RunDag = Callable[..., Any]

SYNCHRONIZE = f'synchronize = ITwinRunStorageConnectionOperator(task_id="synchronize", connection_id="{NIGHT}")'
TEMPLATE = "Nightly {{ ds }} {{ run_report.result }} of {{ run_report.totals.tasks }} files"
EXPECTED = "Success of 2 files"


def dag(*lines: str) -> str:
    return "\n".join(lines)


def name_task(run_ref: str, name: str = TEMPLATE, **arguments: str) -> str:
    others = "".join(f", {key}={value}" for key, value in arguments.items())
    return f'ITwinCreateNamedVersionOperator(task_id="name", run_ref={run_ref}, name={name!r}{others})'


def named(emulator: Emulator, imodel_id: str = IMODEL) -> list[str]:
    return [one["name"] for one in emulator.named_versions(imodel_id)]


WAYS = {
    "run_ref of an operator": (SYNCHRONIZE, name_task('synchronize.output["run_ref"]')),
    "output of a sensor": (
        f'start = ITwinRunStorageConnectionOperator(task_id="start", connection_id="{NIGHT}", wait_for_completion=False)',
        f'wait = ITwinStorageConnectionRunSensor(task_id="wait", connection_id="{NIGHT}", run_id=start.output)',
        name_task("wait.output"),
    ),
    "output of a deferred sensor": (
        f'start = ITwinRunStorageConnectionOperator(task_id="start", connection_id="{NIGHT}", wait_for_completion=False)',
        f'wait = ITwinStorageConnectionRunSensor(task_id="wait", connection_id="{NIGHT}", run_id=start.output, deferrable=True)',
        name_task("wait.output"),
    ),
    "description": (
        SYNCHRONIZE,
        name_task('synchronize.output["run_ref"]', "Nightly " + EXPECTED, description=repr(TEMPLATE)),
    ),
}


@pytest.mark.parametrize("lines", WAYS.values(), ids=WAYS)
def test_a_template_knows_the_report_of_the_run(emulator: Emulator, run_dag: RunDag, lines: tuple[str, ...]) -> None:
    result = run_dag(dag(*lines))

    assert result.states["name"] == ["success"], result.log[-3000:]
    [name] = named(emulator)
    assert name.startswith("Nightly ")
    assert name.endswith(EXPECTED)
    assert result.xcom("name")["name"] == name
    assert result.xcom("name")["created"]
    shown = [fields for fields in result.rendered_fields() if "changeset_id" in fields]
    assert len(shown) == 1
    assert EXPECTED in shown[0], "Airflow shows the rendered name"
    assert "{{" not in shown[0]
    assert "timeline" not in shown[0] or "wait.output" in str(lines), "the report is no template field"


def test_mapped_groups_name_the_state_of_each_run(emulator: Emulator, run_dag: RunDag) -> None:
    emulator.add_connection(connection_id="other-connection", imodel_id="other-imodel", files=["Bridge.dgn"])
    result = run_dag(
        dag(
            "from tests.airflow.sdk import task_group",
            "@task_group",
            "def night(connection_id):",
            '    synchronize = ITwinRunStorageConnectionOperator(task_id="synchronize", connection_id=connection_id)',
            "    " + name_task('synchronize.output["run_ref"]'),
            f'night.expand(connection_id=["{NIGHT}", "other-connection"])',
        )
    )

    assert result.states["night.name"] == ["success", "success"], result.log[-3000:]
    assert named(emulator)[0].endswith("Success of 2 files")
    assert named(emulator, "other-imodel")[0].endswith("Success of 1 files")


def test_tasks_mapped_over_sensors_name_the_state_of_each_run(emulator: Emulator, run_dag: RunDag) -> None:
    emulator.add_connection(connection_id="other-connection", imodel_id="other-imodel", files=["Bridge.dgn"])
    runs = [(NIGHT, emulator.start_run(NIGHT)), ("other-connection", emulator.start_run("other-connection"))]
    values = [{"connection_id": connection_id, "run_id": run_id} for connection_id, run_id in runs]
    result = run_dag(
        dag(
            f'wait = ITwinStorageConnectionRunSensor.partial(task_id="wait").expand_kwargs({values!r})',
            f'ITwinCreateNamedVersionOperator.partial(task_id="name", name={TEMPLATE!r}).expand(run_ref=wait.output)',
        )
    )

    assert result.states["name"] == ["success", "success"], result.log[-3000:]
    assert named(emulator)[0].endswith("Success of 2 files")
    assert named(emulator, "other-imodel")[0].endswith("Success of 1 files")


@pytest.mark.parametrize(
    "source",
    [
        '{"kind": "storage", "connection_id": "c", "run_id": "r"}',
        '"storage/c/r"',
        "passed()",
    ],
    ids=["dict", "text", "task without report"],
)
def test_a_template_without_a_report_is_a_permanent_error(emulator: Emulator, run_dag: RunDag, source: str) -> None:
    result = run_dag(
        dag(
            "@task",
            "def passed():",
            '    return {"kind": "storage", "connection_id": "c", "run_id": "r"}',
            name_task(source, retries="2"),
        )
    )

    assert result.states["name"] == ["failed"]
    assert result.attempts["name"] == 1
    assert "The template of name uses run_report, but there is no report of the run" in result.log
    assert not emulator.request_log


def test_a_template_without_the_report_needs_none(emulator: Emulator, run_dag: RunDag) -> None:
    run_id = emulator.start_run(NIGHT)
    emulator.finish_run(NIGHT)
    result = run_dag(
        name_task(repr(f"storage/{NIGHT}/{run_id}"), "Nightly {{ ds }} {{ params.word }}"), params={"word": "x"}
    )

    assert result.states["name"] == ["success"], result.log[-3000:]
    assert named(emulator)[0].endswith(" x")


def test_an_empty_description_and_an_empty_choice_are_none(emulator: Emulator, run_dag: RunDag) -> None:
    fields = {"description": "'{{ params.empty }}'", "changeset_id": "'{{ params.empty }}'"}
    result = run_dag(dag(SYNCHRONIZE, name_task('synchronize.output["run_ref"]', **fields)), params={"empty": ""})

    assert result.states["name"] == ["success"], result.log[-3000:]
    [version] = emulator.named_versions(IMODEL)
    assert not version["description"]


def test_an_empty_name_is_an_error(emulator: Emulator, run_dag: RunDag) -> None:
    result = run_dag(
        dag(SYNCHRONIZE, name_task('synchronize.output["run_ref"]', "{{ params.empty }}")), params={"empty": ""}
    )

    assert result.states["name"] == ["failed"]
    assert "name must not be ''" in result.log
    assert named(emulator) == []


def test_a_run_without_changes_skips_what_depends_on_the_name(emulator: Emulator, run_dag: RunDag) -> None:
    emulator.plan_run(NIGHT, "Success", 60, changesets=0)
    emulator.start_run(RIVAL)
    emulator.finish_run(RIVAL)
    result = run_dag(
        dag(
            SYNCHRONIZE,
            "version = " + name_task('synchronize.output["run_ref"]'),
            "@task",
            "def deliver(version):",
            "    return version",
            "deliver(version.output)",
        )
    )

    assert (result.states["name"], result.states["deliver"]) == (["skipped"], ["skipped"])
    assert named(emulator) == []


def test_a_failed_run_stops_the_task_unless_its_trigger_rule_lets_it_run(emulator: Emulator, run_dag: RunDag) -> None:
    emulator.plan_run(NIGHT, "Error", 60)
    result = run_dag(
        dag(
            SYNCHRONIZE,
            name_task('synchronize.output["run_ref"]'),
            name_task('synchronize.output["run_ref"]', trigger_rule="'all_done'").replace('"name"', '"always"'),
        )
    )

    assert result.states["name"] == ["upstream_failed"]
    assert result.states["always"] == ["skipped"], "a failed run without changesets has no new state"
