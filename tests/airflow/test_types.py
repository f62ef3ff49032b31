"""The TypedDicts describe what tasks push: each key, and the type of each value."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_type_hints, is_typeddict

import msgspec
import pytest

from airflow_provider_itwin import types
from airflow_provider_itwin.api.models.report import RunReport
from airflow_provider_itwin.api.models.resources import Job, Run, RunEnvelope, Task, decoded
from airflow_provider_itwin.api.models.run_ref import RunRef
from airflow_provider_itwin.assets import short_report
from airflow_provider_itwin.operators.itwin import ITwinListSourceFilesOperator, ITwinRunStorageConnectionOperator

if TYPE_CHECKING:
    from itwin_emulator import Emulator
    from tests.airflow.single_task import Outcome

    RunTask = Callable[..., Outcome]

FAILING = "demo-failing-connection"
GOLDEN = Path(__file__).parents[1] / "golden" / "run.json"
REF = RunRef.parse("storage/a-connection/a-run")


def report_of(run: Run) -> types.RunReportDict:
    return RunReport.of(REF, run).as_dict()


def a_run() -> Run:
    """A run with a value in every field."""
    return decoded(GOLDEN.read_bytes(), RunEnvelope).run


def a_large_run() -> Run:
    start, end = "2026-01-01T01:00:00Z", "2026-01-01T02:00:00Z"
    tasks = [Task(result="Success", start_text=start, end_text=end, export_output_file_id="f") for _ in range(100)]
    return Run(start_text=start, end_text=end, jobs=[Job(connector_type="MSTN", tasks=tasks)])


VALUES: dict[str, tuple[object, Callable[[], object]]] = {
    "a reference": (types.RunRefDict, REF.as_dict),
    "a report": (types.RunReportDict, lambda: report_of(a_run())),
    "the report of a large run": (types.RunReportDict, lambda: report_of(a_large_run())),
    "the report of a run without details": (types.RunReportDict, lambda: report_of(Run())),
    "the run in an event": (types.EventRunDict, lambda: short_report(report_of(a_run()))),
    "the known part of a run in an event": (types.EventRunDict, lambda: short_report({"ref": REF.as_dict()})),
}


def typed_dicts(hint: Any) -> Iterator[Any]:
    """Return the TypedDicts in a type, such as that of a list."""
    if is_typeddict(hint):
        yield hint
    for part in get_args(hint):
        yield from typed_dicts(part)


def assert_described(value: Any, hint: Any) -> None:
    """Check the keys of a value and of all objects in it; :mod:`msgspec` checks the types, and ignores additional keys."""
    assert msgspec.convert(value, hint, strict=True) == value
    if isinstance(value, list):
        for entry in value:
            assert_described(entry, get_args(hint)[0])
        return
    for expected in typed_dicts(hint):
        if isinstance(value, dict):
            hints = get_type_hints(expected)
            assert list(value) == list(hints)
            for name, member in value.items():
                assert_described(member, hints[name])


@pytest.mark.parametrize("case", VALUES)
def test_a_typed_dict_has_the_keys_and_types_of_the_value(case: str) -> None:
    hint, value = VALUES[case]
    stored = value()
    assert_described(stored, hint)
    assert json.loads(json.dumps(stored)) == stored


def test_the_cases_have_a_value_in_every_field() -> None:
    report, large = report_of(a_run()), report_of(a_large_run())
    empty = {name for name, value in report.items() if value in (None, [])}
    assert empty == {"connection_name", "imodel_id", "output_files"}
    assert large["output_files"]
    assert large["timeline"]
    assert large["timeline"]["finished"]


def test_the_xcoms_of_tasks_are_as_described(emulator: Emulator, run_task: RunTask) -> None:
    outcome = run_task(ITwinRunStorageConnectionOperator(task_id="run", connection_id=FAILING))
    assert_described(outcome.xcoms["run_ref"], types.RunRefDict)
    assert_described(outcome.xcoms["run_report"], types.RunReportDict)


def test_the_listed_source_files_are_as_described(emulator: Emulator, run_task: RunTask) -> None:
    outcome = run_task(ITwinListSourceFilesOperator(task_id="list", connection_id=FAILING))
    assert outcome.value
    assert_described(outcome.value, list[types.SourceFileDict])
