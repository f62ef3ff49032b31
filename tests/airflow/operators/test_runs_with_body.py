"""Runs with a body (manifest and export), and the list of source files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_itwin.exceptions import ITwinPermanentError
from airflow_provider_itwin.hooks.itwin import ITwinHook
from airflow_provider_itwin.operators.itwin import (
    ITwinListSourceFilesOperator,
    ITwinRunExportConnectionOperator,
    ITwinRunManifestConnectionOperator,
    ITwinRunStorageConnectionOperator,
)
from airflow_provider_itwin.sensors.itwin import ITwinExportConnectionRunSensor, ITwinManifestConnectionRunSensor
from tests.airflow.operators.run_operators import rendered
from tests.airflow.single_task import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from itwin_emulator import Emulator
    from tests.airflow.fake_clock import FakeClock

    RunTask = Callable[..., Outcome]
    RunDag = Callable[..., Any]

IMODEL = "tower-imodel"
MANIFEST = "manifest-connection"
EXPORT = "export-connection"
STORAGE = "storage-connection"
SIGNED = "https://files.example.com/Tower.dgn?sv=2026&sig=MARKER-OF-A-SIGNATURE"
EXPORT_BODY = {"exportType": "IFC", "ifcVersion": "IFC4.3"}

MODES: dict[str, dict[str, Any]] = {
    "worker": {"wait_for_completion": True},
    "deferred": {"wait_for_completion": True, "deferrable": True},
    "leave": {"wait_for_completion": False},
}
EACH_MODE = pytest.mark.parametrize("mode", MODES.values(), ids=MODES.keys())


@pytest.fixture
def emulator(emulator: Emulator) -> Emulator:
    """An emulator with a connection of each kind, all of one iModel."""
    files = [{"name": "Tower.dgn", "file_id": "tower"}, {"name": "Roof.rvt", "file_id": "roof"}]
    emulator.add_connection("manifest", MANIFEST, IMODEL, files=files)
    emulator.add_connection("export", EXPORT, IMODEL)
    emulator.add_connection("storage", STORAGE, IMODEL, files=files)
    return emulator


def manifest(**entry: Any) -> dict[str, Any]:
    return {"sourceFiles": [{"id": "tower", "name": "Tower.dgn", "action": "bridge", "url": SIGNED} | entry]}


def manifest_run(**arguments: Any) -> ITwinRunManifestConnectionOperator:
    given: dict[str, Any] = {"task_id": "synchronize", "connection_id": MANIFEST, "body": manifest()}
    return ITwinRunManifestConnectionOperator(**given | arguments)


def export_run(**arguments: Any) -> ITwinRunExportConnectionOperator:
    given: dict[str, Any] = {"task_id": "export", "connection_id": EXPORT, "body": EXPORT_BODY}
    return ITwinRunExportConnectionOperator(**given | arguments)


def sent_bodies(emulator: Emulator) -> list[int]:
    return [
        entry.body_size
        for entry in emulator.request_log
        if entry.method == "POST" and "connect/token" not in entry.path
    ]


def json_size(body: Any) -> int:
    return len(json.dumps(body, separators=(",", ":")).encode())


@EACH_MODE
def test_a_manifest_run_sends_its_body(emulator: Emulator, run_task: RunTask, mode: dict[str, Any]) -> None:
    outcome = run_task(manifest_run(**mode))
    [run] = emulator.runs(MANIFEST)
    assert (outcome.state, outcome.value) == ("success", run["id"])
    assert outcome.xcoms["run_ref"] == {"kind": "manifest", "connection_id": MANIFEST, "run_id": run["id"]}
    assert sent_bodies(emulator) == [json_size(manifest())]
    assert ("run_report" in outcome.xcoms) == mode["wait_for_completion"]
    if mode["wait_for_completion"]:
        assert outcome.xcoms["run_report"]["totals"]["tasks"] == 1


@EACH_MODE
def test_an_export_run_sends_its_body(emulator: Emulator, run_task: RunTask, mode: dict[str, Any]) -> None:
    outcome = run_task(export_run(**mode))
    [run] = emulator.runs(EXPORT)
    assert (outcome.state, outcome.value) == ("success", run["id"])
    assert outcome.xcoms["run_ref"] == {"kind": "export", "connection_id": EXPORT, "run_id": run["id"]}
    assert ("run_report" in outcome.xcoms) == mode["wait_for_completion"]
    if mode["wait_for_completion"]:
        assert outcome.xcoms["run_report"]["ref"]["kind"] == "export"


@pytest.mark.parametrize("mode", [MODES["worker"], MODES["deferred"]], ids=["worker", "deferred"])
def test_runs_of_all_kinds_of_one_imodel_queue(emulator: Emulator, run_task: RunTask, mode: dict[str, Any]) -> None:
    emulator.start_run(STORAGE)
    assert run_task(manifest_run(**mode)).state == "success"
    assert emulator.runs(MANIFEST)[0]["startDateTime"] >= emulator.runs(STORAGE)[0]["endDateTime"]
    emulator.start_run(MANIFEST)
    outcome = run_task(
        ITwinRunStorageConnectionOperator(task_id="synchronize", connection_id=STORAGE, if_active="attach", **mode)
    )
    assert (outcome.state, outcome.value) == ("success", emulator.runs(STORAGE)[1]["id"])


@pytest.mark.parametrize("body", [None, "body", [], 42], ids=repr)
def test_a_body_that_is_not_an_object_is_rejected_before_any_request(
    emulator: Emulator, run_task: RunTask, body: Any
) -> None:
    outcome = run_task(rendered(manifest_run(body={}), body=body))
    assert isinstance(outcome.error, ITwinPermanentError)
    assert "body must be a mapping" in outcome.text
    assert emulator.runs(MANIFEST) == []
    assert not emulator.request_log


@pytest.mark.parametrize("value", [object(), 1j, {1: 2j}, "\ud800", b"bytes"], ids=ascii)
def test_a_body_that_is_not_json_is_rejected(emulator: Emulator, run_task: RunTask, value: Any) -> None:
    outcome = run_task(manifest_run(body={"sourceFiles": value}))
    assert isinstance(outcome.error, ITwinPermanentError)
    assert "body cannot be sent: " in outcome.text
    assert not emulator.request_log


def test_the_hook_sends_the_same_plain_json(emulator: Emulator) -> None:
    from airflow_provider_itwin.api.errors import ITwinInputError

    ITwinHook().start_run(MANIFEST, "manifest", {"sourceFiles": tuple(manifest()["sourceFiles"])})
    assert sent_bodies(emulator) == [json_size(manifest())]
    with pytest.raises(ITwinInputError, match="of type object"):
        ITwinHook().start_run(MANIFEST, "manifest", {"sourceFiles": [object()]})
    assert len(sent_bodies(emulator)) == 1


@EACH_MODE
def test_a_lost_response_adopts_the_run_that_the_request_started(
    emulator: Emulator, run_task: RunTask, mode: dict[str, Any]
) -> None:
    emulator.fail("create-manifest-connection-run", kind="reset-after")
    outcome = run_task(manifest_run(**mode))
    assert (outcome.state, [outcome.value]) == ("success", [run["id"] for run in emulator.runs(MANIFEST)])


@EACH_MODE
def test_a_foreign_run_is_never_adopted_because_its_body_differs(
    emulator: Emulator, run_task: RunTask, clock: FakeClock, mode: dict[str, Any]
) -> None:
    emulator.fail("create-manifest-connection-run", 1, 409)
    clock.at(0, lambda: emulator.start_run(MANIFEST))
    outcome = run_task(manifest_run(**mode))
    strange, own = emulator.runs(MANIFEST)
    assert (outcome.state, outcome.value) == ("success", own["id"])
    assert own["startDateTime"] >= strange["endDateTime"]


@EACH_MODE
def test_a_newer_run_of_a_storage_connection_is_adopted_because_it_is_equivalent(
    emulator: Emulator, run_task: RunTask, clock: FakeClock, mode: dict[str, Any]
) -> None:
    emulator.fail("run-storage-connection", 1, 409)
    clock.at(0, lambda: emulator.start_run(STORAGE))
    outcome = run_task(ITwinRunStorageConnectionOperator(task_id="a", connection_id=STORAGE, **mode))
    assert (outcome.state, [outcome.value]) == ("success", [run["id"] for run in emulator.runs(STORAGE)])


def test_an_unprocessable_body_is_a_permanent_error_without_a_signature(emulator: Emulator, run_task: RunTask) -> None:
    outcome = run_task(manifest_run(body=manifest(id="no-such-file")))
    assert isinstance(outcome.error, ITwinPermanentError)
    assert "422" in outcome.text
    assert "MARKER" not in outcome.text


def test_the_body_is_required() -> None:
    with pytest.raises(Exception, match="body"):
        ITwinRunManifestConnectionOperator(task_id="a", connection_id="b")  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("sensor", "connection_id"),
    [(ITwinManifestConnectionRunSensor, MANIFEST), (ITwinExportConnectionRunSensor, EXPORT)],
)
@pytest.mark.parametrize("deferrable", [False, True])
def test_sensors_wait_for_runs_of_the_other_kinds(
    emulator: Emulator, run_task: RunTask, sensor: Any, connection_id: str, deferrable: bool
) -> None:
    run_id = emulator.start_run(connection_id)
    outcome = run_task(sensor(task_id="wait", connection_id=connection_id, run_id=run_id, deferrable=deferrable))
    assert (outcome.state, outcome.value["ref"]["run_id"]) == ("success", run_id)
    after = run_task(
        sensor(task_id="wait", connection_id=connection_id, started_after="2020-01-01", deferrable=deferrable)
    )
    assert after.value == outcome.value


# What Airflow shows


BODY = """{
    "sourceFiles": [
        {"id": "{{ params.file }}", "name": "Tower.dgn", "action": "bridge", "url": "{{ params.url }}"},
    ],
}"""


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_rendered_body_is_sent_unmasked_and_shown_masked(
    emulator: Emulator, run_dag: RunDag, deferrable: bool
) -> None:
    result = run_dag(
        f"""
        ITwinRunManifestConnectionOperator(
            task_id="synchronize", connection_id="{{{{ params.connection }}}}", body={BODY},
            wait_for_completion=True, deferrable={deferrable},
        )
        """,
        params={"file": "tower", "connection": MANIFEST, "url": SIGNED.replace("MARKER-OF-A", "RENDERED")},
    )
    assert result.states == {"synchronize": ["success"]}
    assert sent_bodies(emulator) == [json_size(manifest(url=SIGNED.replace("MARKER-OF-A", "RENDERED")))]
    [shown] = result.rendered_fields()
    assert "RENDERED" not in shown
    assert "https://files.example.com/Tower.dgn?***" in shown
    assert MANIFEST in shown


def test_the_bodies_of_mapped_tasks_are_sent_unmasked_and_shown_masked(emulator: Emulator, run_dag: RunDag) -> None:
    result = run_dag(
        f"""
        @task
        def bodies():
            return [{manifest()!r}, {manifest(id="roof", name="Roof.rvt")!r}]

        ITwinRunManifestConnectionOperator.partial(
            task_id="synchronize", connection_id="{MANIFEST}", wait_for_completion=True, deferrable=True
        ).expand(body=bodies())
        """
    )
    assert result.states["synchronize"] == ["success", "success"]
    assert sorted(sent_bodies(emulator)) == sorted(
        [json_size(manifest()), json_size(manifest(id="roof", name="Roof.rvt"))]
    )
    shown = [fields for fields in result.rendered_fields() if "sourceFiles" in fields]
    assert len(shown) == 2
    for fields in shown:
        assert "MARKER" not in fields
        assert "https://files.example.com/Tower.dgn?***" in fields


# Bodies as DAG authors write them, `entry` being a task that returns an entry, or a mapped one.
BODIES = {
    "output": "{'sourceFiles': [entry()]}",
    "mapped outputs": "{'sourceFiles': entry.expand(name=['Tower.dgn'])}",
    "mapped outputs, nested": "{'sourceFiles': [dict(entry_of('Tower.dgn'), children=entry.expand(name=['Roof.rvt']))]}",
    "template": "{'sourceFiles': [dict(entry_of('Tower.dgn'), url='{{ params.url }}')]}",
    "tuple": "{'sourceFiles': (entry_of('Tower.dgn'),)}",
    "dataclass": "{'sourceFiles': [Entry(**entry_of('Tower.dgn'))]}",
    "key": "{'sourceFiles': [entry_of('Tower.dgn')], 'https://x.example/?sig=MARKER-KEY': 1}",
    "encoded": "{'sourceFiles': [dict(entry_of('Tower.dgn'), url=URL.replace('?', '%3F'))]}",
    "callable": "lambda context, jinja_env: {'sourceFiles': [entry_of('Tower.dgn')]}",
}
BODY_DAG = """
    from dataclasses import dataclass

    URL = "https://files.example.com/Tower.dgn?sv=2026&sig=MARKER-OF-A-SIGNATURE"

    def entry_of(name):
        return {{"id": "tower", "name": name, "action": "bridge", "url": URL}}

    @dataclass
    class Entry:
        id: str
        name: str
        action: str
        url: str

    @task
    def entry(name="Tower.dgn"):
        return entry_of(name)

    ITwinRunManifestConnectionOperator(
        task_id="synchronize", connection_id="{connection}", body={body}, wait_for_completion=True, deferrable={deferrable}
    )
"""


@pytest.mark.parametrize("deferrable", [False, True], ids=["worker", "deferred"])
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_any_body_is_sent_unmasked_and_shown_masked(
    emulator: Emulator, run_dag: RunDag, body: str, deferrable: bool
) -> None:
    result = run_dag(BODY_DAG.format(connection=MANIFEST, body=body, deferrable=deferrable), params={"url": SIGNED})
    assert result.states["synchronize"] == ["success"]
    [size] = sent_bodies(emulator)
    assert size >= json_size(manifest())
    [shown] = [fields for fields in result.rendered_fields() if "connection_id" in fields]
    assert "MARKER" not in shown
    assert "https://files.example.com/Tower.dgn?***" in shown
    assert [line for line in result.log.splitlines() if "MARKER" in line and not returned(line)] == []


def test_a_body_that_cannot_be_rendered_is_not_shown(emulator: Emulator, run_dag: RunDag) -> None:
    body = "{'sourceFiles': [dict(entry_of('Tower.dgn'), name='{{ 1 / 0 }}')]}"
    result = run_dag(BODY_DAG.format(connection=MANIFEST, body=body, deferrable=False))
    assert result.states["synchronize"] == ["failed"]
    assert "MARKER" not in result.log
    assert not any("MARKER" in fields for fields in result.rendered_fields())
    assert not emulator.request_log


@pytest.mark.parametrize("value", ["object()", "b'MARKER'", "URL.split"])
def test_an_object_in_a_body_is_a_permanent_error_and_is_not_shown(
    emulator: Emulator, run_dag: RunDag, value: str
) -> None:
    body = f"{{'sourceFiles': [dict(entry_of('Tower.dgn'), name={value})]}}"
    dag = BODY_DAG.format(connection=MANIFEST, body=body, deferrable=False).replace(
        'task_id="synchronize"', 'task_id="synchronize", retries=3'
    )
    result = run_dag(dag)
    assert result.states["synchronize"] == ["failed"]
    assert result.attempts["synchronize"] == 1
    assert not any("MARKER" in fields for fields in result.rendered_fields())
    assert not emulator.request_log


def returned(line: str) -> bool:
    """Return whether a log line is about the return value of a task, which Airflow 2 logs and cannot always format."""
    return "Returned value was" in line or line.startswith("Arguments: ") or "msg=SetXCom(key='return_value'" in line


# Source files


def list_files(**arguments: Any) -> ITwinListSourceFilesOperator:
    given: dict[str, Any] = {"task_id": "list", "connection_id": STORAGE}
    return ITwinListSourceFilesOperator(**given | arguments)


def test_lists_source_files(emulator: Emulator, run_task: RunTask) -> None:
    outcome = run_task(list_files())
    assert [(file["file_id"], file["name"], file["connector_type"]) for file in outcome.value] == [
        ("tower", "Tower.dgn", "MSTN"),
        ("roof", "Roof.rvt", "REVIT"),
    ]
    assert all(set(file) == {"id", "file_id", "name", "connector_type"} for file in outcome.value)
    json.dumps(outcome.value)


def test_a_manifest_connection_lists_only_the_ids_of_its_files(emulator: Emulator, run_task: RunTask) -> None:
    outcome = run_task(list_files(kind="manifest", connection_id=MANIFEST))
    assert [(file["file_id"], file["name"]) for file in outcome.value] == [("tower", None), ("roof", None)]


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ({"name_pattern": "*.DGN"}, ["Tower.dgn"]),
        ({"name_pattern": ""}, ["Tower.dgn", "Roof.rvt"]),
        ({"connector_types": ["REVIT"]}, ["Roof.rvt"]),
        ({"connector_types": "REVIT"}, ["Roof.rvt"]),
        ({"connector_types": iter(["REVIT", "MSTN"])}, ["Tower.dgn", "Roof.rvt"]),
        ({"connector_types": []}, []),
        ({"limit": 1}, ["Tower.dgn"]),
        ({"limit": 1, "name_pattern": "roof*"}, ["Roof.rvt"]),
        ({"limit": None}, ["Tower.dgn", "Roof.rvt"]),
        ({"name_pattern": "*.ifc"}, []),
    ],
    ids=str,
)
def test_lists_only_matching_files(
    emulator: Emulator, run_task: RunTask, arguments: dict[str, Any], names: list[str]
) -> None:
    assert [file["name"] for file in run_task(list_files(**arguments)).value] == names


@pytest.mark.parametrize(("limit", "pages"), [(None, 4), (1000, 4), (150, 2), (100, 1)])
def test_reads_no_more_pages_than_it_needs(
    emulator: Emulator, run_task: RunTask, limit: int | None, pages: int
) -> None:
    emulator.add_connection(connection_id="large", files=350)
    outcome = run_task(list_files(connection_id="large", limit=limit))
    assert len(outcome.value) == min(limit or 350, 350)
    assert len({file["file_id"] for file in outcome.value}) == len(outcome.value)
    operations = [entry.operation for entry in emulator.request_log]
    assert operations.count("get-storage-connection-sourcefiles") == pages


@pytest.mark.parametrize("connection_id", ["", "None", None, "a/b"])
def test_lists_nothing_for_an_invalid_id(emulator: Emulator, run_task: RunTask, connection_id: Any) -> None:
    outcome = run_task(rendered(list_files(), connection_id=connection_id))
    assert isinstance(outcome.error, ITwinPermanentError)
    assert not emulator.request_log


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"kind": "export"}, "invalid kind 'export'; expected storage or manifest"),
        ({"kind": "Storage"}, "invalid kind 'Storage'; expected storage or manifest"),
        ({"limit": 0}, "limit must be a positive number of files or None, not 0"),
        ({"limit": -1}, "limit must be a positive number"),
        ({"limit": "10"}, "limit must be a positive number"),
        ({"limit": 1.5}, "limit must be a positive number"),
    ],
    ids=str,
)
def test_invalid_parameters_are_rejected_in_the_dag_file(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        list_files(**arguments)
    assert words in str(caught.value)
