from __future__ import annotations

from pathlib import Path

import pytest

from itwin_emulator import Emulator, ManualClock
from itwin_emulator.admin.scenario import SCENARIOS, names
from itwin_emulator.admin.validation import SchemaError
from platform_client import STORAGE, Api, tasks_in


def test_demo_success(demo: Emulator, clock: ManualClock) -> None:
    demo.start_run("demo-storage-connection")
    clock.advance(24.9)
    assert demo.runs("demo-storage-connection")[0]["state"] != "Completed"
    clock.advance(0.1)
    run = demo.runs("demo-storage-connection")[0]
    assert run["result"] == "Success"
    assert len(tasks_in(run)) == 12
    assert {job["connectorType"] for job in run["jobs"]} == {"MSTN", "REVIT", "IFC", "DWG", "CIVIL"}
    warnings = [task["details"]["synchronizationReport"]["totalWarningsCount"] for task in tasks_in(run)]
    assert sum(warnings) == 23


def test_demo_failure(demo: Emulator, clock: ManualClock) -> None:
    demo.start_run("demo-failing-connection")
    clock.advance(60)
    run = demo.runs("demo-failing-connection")[0]
    assert run["result"] == "Error"
    assert run["error"]["errorKey"] == "RunFailed"
    failing = [task["error"] for task in tasks_in(run) if task["result"] == "Error"]
    assert len(failing) == 3
    assert [(bool(error["kbArticleLink"]), error["canUserFix"]) for error in failing].count((True, True)) == 1
    assert any(not error["canUserFix"] for error in failing)


def test_demo_partial_and_second(demo: Emulator, clock: ManualClock) -> None:
    for connection in ("demo-partial-connection", "demo-second-connection"):
        demo.start_run(connection)
    clock.advance(60)
    assert demo.runs("demo-partial-connection")[0]["result"] == "PartialSuccess"
    assert demo.runs("demo-second-connection")[0]["result"] == "Success"


def test_demo_connections_do_not_wait_for_each_other(demo: Emulator) -> None:
    api = Api(demo.url, demo.client_id, demo.client_secret)
    kinds = {one["id"]: str(one["kind"]) for one in demo.controls.overview()["connections"]}
    # This one exports the iModel of another connection.
    del kinds["demo-night-export-connection"]
    assert {api.start(kind, one).status_code for one, kind in kinds.items()} == {202}
    assert len(kinds) == 7


@pytest.mark.parametrize("name", names())
def test_every_scenario_that_comes_along(name: str, clock: ManualClock) -> None:
    with Emulator(scenario=name, clock=clock) as emulator:
        assert emulator.connection_ids()
        for connection in emulator.connection_ids():
            emulator.start_run(connection)
            clock.advance(7200)
        emulator.quirks.reset()
        for connection in emulator.connection_ids():
            assert [run["state"] for run in emulator.runs(connection)] == ["Completed"]


def test_a_file_of_ones_own(tmp_path: Path, clock: ManualClock) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        """
        tier = "community"
        quirks = { canceled_spelling = "Cancelled", missing_fields = ["phase"] }

        [[client]]
        id = "service-a"
        secret = "a"

        [[itwin]]
        id = "t"
        members = { service-a = "reader" }

        [[imodel]]
        id = "m"
        itwin = "t"

        [[connection]]
        id = "c"
        imodel = "m"
        files = [{ name = "x.rvt" }]
        invent_files = 2
        run = { result = "Skipped", duration = 60 }
        next_runs = [{ result = "Canceled", duration = 60, states = [["Queued", 1], ["Executing", 2.5]] }]
        """
    )
    with Emulator(scenario=path, clock=clock) as emulator:
        reader = Api(emulator.url, "service-a", "a")
        assert reader.get(f"{STORAGE}/c").status_code == 200
        assert reader.start("storage", "c").status_code == 403
        for _ in range(2):
            emulator.start_run("c")
            clock.advance(1)
        runs = emulator.runs("c")
        assert [run["result"] for run in runs] == ["Cancelled", "Skipped"]
        assert len(tasks_in(runs[0])) == 3
        assert "phase" not in runs[0]
        assert emulator.controls.overview()["tier"] == "community"


CONNECTION = '[[connection]]\nid = "c"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[connection]", "mistake.toml: not a TOML file"),
        ("conection = []", "mistake.toml: unknown key 'conection'; did you mean 'connection'?"),
        ("[[connection]]\n", "mistake.toml.connection[0]: missing 'id'"),
        ("connection = 5", "mistake.toml.connection: expected a list, got the number 5"),
        (
            CONNECTION + 'kind = "storrage"',
            "mistake.toml.connection[0].kind: 'storrage' is not allowed; did you mean 'storage'?",
        ),
        (
            CONNECTION + "display_name = 5",
            "mistake.toml.connection[0].display_name: expected a string, got the number 5",
        ),
        (
            CONNECTION + "run = { duration = true }",
            "connection[0].run.duration: expected a number, got the boolean True",
        ),
        (CONNECTION + "run = { duration = -1 }", "connection[0].run: duration must not be negative"),
        (
            CONNECTION + 'run = { result = "Sucess" }',
            "connection[0].run: 'Sucess' looks like a misspelling of 'Success'",
        ),
        (CONNECTION + 'run = { states = [["executing", 1]] }', "'executing' looks like a misspelling of 'Executing'"),
        (CONNECTION + "run = { states = [] }", "connection[0].run: states must have at least one state"),
        (CONNECTION + "run = { states = [[1]] }", "connection[0].run.states[0]: expected a list of 2 values, got 1"),
        (CONNECTION + "run = { failing = [{ fiel = 1 }] }", "run.failing[0]: unknown key 'fiel'; did you mean 'file'?"),
        (CONNECTION + 'imodel = "m"', "mistake.toml: connection[0].imodel: unknown imodel 'm'"),
        (CONNECTION + CONNECTION, "mistake.toml: connection[1]: connection 'c' exists already"),
        ('[[imodel]]\nid = "m"\nitwin = "t"', "mistake.toml: imodel[0].itwin: unknown itwin 't'"),
        (
            '[[itwin]]\nid = "t"\nmembers = { a = "king" }',
            "itwin[0].members.a: 'king' is not allowed; allowed: maintainer",
        ),
        ('tier = "gold"', "mistake.toml: tier: 'gold' is not allowed; allowed: trial"),
    ],
)
def test_error_messages(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mistake.toml"
    path.write_text(text)
    with pytest.raises(SchemaError) as caught:
        Emulator(scenario=path)
    assert message in str(caught.value)


def test_no_such_scenario() -> None:
    with pytest.raises(SchemaError, match=r"no scenario file 'nope'; built-in scenarios: .*demo"):
        Emulator(scenario="nope")
    assert (SCENARIOS / "demo.toml").is_file()


def test_a_scenario_as_data(clock: ManualClock) -> None:
    with Emulator(scenario={"connection": [{"id": "c", "kind": "export"}]}, clock=clock) as emulator:
        assert emulator.connection_ids() == ["c"]
