"""Whole DAGs, run with Airflow's ``dag.test``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airflow_provider_itwin.version_compat import AIRFLOW_V_3_0_PLUS, AIRFLOW_V_3_1_PLUS, AIRFLOW_V_3_3_PLUS

if TYPE_CHECKING:
    from collections.abc import Callable

    from itwin_emulator import Emulator
    from tests.airflow.dag_runs import DagResult, DagRunner
    from tests.airflow.fake_clock import FakeClock

    RunDag = Callable[..., DagResult]

EXAMPLES = Path(__file__).parents[2] / "example_dags"
# The emulator does not have the API of the first one; test_page_dags.py runs its definition.
NOT_HERE = {EXAMPLES / "itwin_own_job.py"} | (set() if AIRFLOW_V_3_0_PLUS else {EXAMPLES / "itwin_watcher.py"})
GOOD, PARTIAL, FAILING = "demo-storage-connection", "demo-partial-connection", "demo-failing-connection"
DEFERRABLE = pytest.mark.parametrize("deferrable", [False, True], ids=["worker", "deferred"])


def run_ids(emulator: Emulator, connection_id: str) -> list[str]:
    return [run["id"] for run in emulator.runs(connection_id)]


@pytest.fixture
def designs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the example of a night uploads; it delivers to the folder `deliveries` beside it."""
    folder = tmp_path / "designs"
    (folder / "Structural").mkdir(parents=True)
    (folder / "Structural" / "ED-STR-Frame.dgn").write_text("frame")
    (folder / "ED-ARC-Walls.rvt").write_text("walls")
    monkeypatch.setenv("ITWIN_NIGHT_SOURCE", str(folder))
    monkeypatch.setenv("ITWIN_NIGHT_DELIVERY", f"{tmp_path / 'deliveries'}/")
    monkeypatch.setenv("ITWIN_RESULT_PATH", f"{tmp_path / 'results'}/")
    return folder


@DEFERRABLE
@pytest.mark.usefixtures("designs")
@pytest.mark.parametrize("file", sorted(set(EXAMPLES.glob("*.py")) - NOT_HERE), ids=lambda file: file.stem)
def test_each_example_dag_succeeds(emulator: Emulator, dags: DagRunner, file: Path, deferrable: bool) -> None:
    text = re.sub(r'(deferrable(?:=|": ))True', rf"\g<1>{deferrable}", file.read_text())
    waits = "deferrable" in text
    result = dags.run_file(file.stem, text)
    assert result.state == "success"
    assert ("running trigger in line" in result.log) == (waits and deferrable)
    assert {state for states in result.states.values() for state in states} == {"success"}


def test_a_second_night_uploads_and_synchronizes_what_has_changed_and_a_third_one_without_changes_delivers_nothing(
    emulator: Emulator, dags: DagRunner, designs: Path
) -> None:
    text = (EXAMPLES / "itwin_night.py").read_text()
    deliveries = designs.parent / "deliveries"

    first = dags.run_file("itwin_night", text)
    (designs / "ED-ARC-Walls.rvt").write_text("walls and doors")
    second = dags.run_file("itwin_night", text)
    third = dags.run_file("itwin_night", text)

    assert [file["outcome"] for file in first.xcom("night.upload")] == ["created", "created"]
    changed = [file["path"] for file in second.xcom("night.upload") if file["outcome"] == "updated"]
    assert changed == ["ED-ARC-Walls.rvt"]
    assert second.xcom("night.synchronize", "run_report")["totals"]["tasks_by_result"] == {"Skipped": 1, "Success": 1}
    versions = [night.xcom("night.version") for night in (first, second)]
    assert [version["changeset_index"] for version in versions] == [1, 2]
    delivered = [night.xcom("night.download")[0] for night in (first, second)]
    assert {Path(file["path"]) for file in delivered} == set(deliveries.iterdir())
    assert third.states == {
        "night.upload": ["success"],
        "night.synchronize": ["success"],
        **{task: ["skipped"] for task in ("night.version", "night.export", "night.download")},
    }
    assert third.state == "success"
    assert emulator.token_leaks() == []


def test_an_operator_and_a_sensor_work_in_real_time(real_time_emulator: Emulator, run_dag: RunDag) -> None:
    result = run_dag(
        f"""
        start = ITwinRunStorageConnectionOperator(
            task_id="start", connection_id="{PARTIAL}", wait_for_completion=False
        )
        wait = ITwinStorageConnectionRunSensor(
            task_id="wait", connection_id="{PARTIAL}", run_id=start.output, deferrable=True, poll_interval=0.1
        )

        @task
        def summarize(report):
            return report["summary"]

        summarize(wait.output)
        """
    )
    assert result.states == {"start": ["success"], "wait": ["success"], "summarize": ["success"]}
    [run_id] = run_ids(real_time_emulator, PARTIAL)
    assert result.xcom("start") == run_id
    assert result.xcom("start", "run_ref") == {"kind": "storage", "connection_id": PARTIAL, "run_id": run_id}
    assert result.xcom("start", "run_report") is None
    assert result.xcom("wait") == result.xcom("wait", "run_report")
    assert result.xcom("wait")["ref"]["run_id"] == run_id
    assert result.xcom("summarize").startswith("PartialSuccess: 4 files")
    # The log names the file, and how to fix it.
    assert "LW-ELE-Power.dwg" in result.log
    assert "https://kb.example.com/itwin/missing-reference" in result.log


@pytest.mark.parametrize(
    "mode",
    [
        "mode='poke'",
        pytest.param(
            "mode='reschedule'",
            marks=pytest.mark.skipif(
                AIRFLOW_V_3_0_PLUS and not AIRFLOW_V_3_1_PLUS,
                reason="dag.test of Airflow 3.0 passes the time of the first poke to sensors as a str",
            ),
        ),
        "deferrable=True",
    ],
)
def test_a_sensor_waits_in_real_time(real_time_emulator: Emulator, run_dag: RunDag, mode: str) -> None:
    real_time_emulator.plan_run(GOOD, "Success", 700)
    run_id = real_time_emulator.start_run(GOOD)
    result = run_dag(
        f"""
        ITwinStorageConnectionRunSensor(
            task_id="wait", connection_id="{GOOD}", run_id="{run_id}", poll_interval=0.3, timeout=60, {mode}
        )
        """
    )
    assert (result.states, result.attempts) == ({"wait": ["success"]}, {"wait": 1})
    assert result.xcom("wait")["ref"]["run_id"] == run_id


@DEFERRABLE
def test_an_operator_waits_for_its_run(emulator: Emulator, run_dag: RunDag, deferrable: bool) -> None:
    result = run_dag(
        f"""
        ITwinRunStorageConnectionOperator(
            task_id="synchronize", connection_id="{GOOD}", wait_for_completion=True, deferrable={deferrable}
        )
        """
    )
    assert result.states == {"synchronize": ["success"]}
    assert [result.xcom("synchronize")] == run_ids(emulator, GOOD)
    assert result.xcom("synchronize", "run_report")["result"] == "Success"
    assert ("running trigger in line" in result.log) == deferrable


@DEFERRABLE
def test_each_retry_starts_a_new_run_and_logs_the_last_failure(
    emulator: Emulator, run_dag: RunDag, deferrable: bool
) -> None:
    result = run_dag(
        f"""
        ITwinRunStorageConnectionOperator(
            task_id="synchronize", connection_id="{FAILING}", wait_for_completion=True, deferrable={deferrable},
            retries=2, retry_delay=pendulum.duration(seconds=0),
        )
        """
    )
    assert (result.states, result.attempts) == ({"synchronize": ["failed"]}, {"synchronize": 3})
    assert len(run_ids(emulator, FAILING)) == 3
    assert result.xcom("synchronize", "run_ref")["run_id"] == run_ids(emulator, FAILING)[-1]
    assert result.xcom("synchronize", "run_report")["result"] == "Error"
    assert "PD-ARC-Deck.rvt" in result.log
    assert "ITwinRunFailedError" in result.log


@pytest.mark.parametrize(
    "task",
    [
        'ITwinRunStorageConnectionOperator(task_id="a", connection_id="no-such-connection", retries=3)',
        'ITwinRunStorageConnectionOperator(task_id="a", connection_id="{{ none }}", retries=3)',
        "ITwinRunStorageConnectionOperator(task_id=\"a\", connection_id=\"{{ params.get('nothing', '') }}\", retries=3)",
        'ITwinStorageConnectionRunSensor(task_id="a", connection_id="a", run_id="{{ none }}", retries=3)',
        'ITwinStorageConnectionRunSensor(task_id="a", connection_id="a", run_id="{{ none }}", retries=3, deferrable=True)',
        f'ITwinStorageConnectionRunSensor(task_id="a", connection_id="{FAILING}", started_after="2020-01-01", retries=3)',
        f"""ITwinStorageConnectionRunSensor(
            task_id="a", connection_id="{FAILING}", started_after="2020-01-01", retries=3, deferrable=True
        )""",
    ],
)
def test_a_permanent_error_is_not_retried(emulator: Emulator, run_dag: RunDag, task: str) -> None:
    emulator.start_run(FAILING)
    result = run_dag(task)
    assert (result.states, result.attempts) == ({"a": ["failed"]}, {"a": 1})


@DEFERRABLE
@pytest.mark.parametrize("flag", ["soft_fail", "never_fail"])
def test_a_failed_run_can_skip_downstream_tasks(
    emulator: Emulator, run_dag: RunDag, deferrable: bool, flag: str
) -> None:
    run_id = emulator.start_run(FAILING)
    result = run_dag(
        f"""
        wait = ITwinStorageConnectionRunSensor(
            task_id="wait", connection_id="{FAILING}", run_id="{run_id}", deferrable={deferrable}, {flag}=True
        )

        @task
        def follow(report):
            return "never"

        follow(wait.output)
        """
    )
    assert result.states == {"wait": ["skipped"], "follow": ["skipped"]}
    assert "PD-ARC-Deck.rvt" in result.log


@DEFERRABLE
def test_all_template_fields_are_rendered(
    emulator: Emulator, run_dag: RunDag, connection: Callable[..., None], deferrable: bool
) -> None:
    connection("hospital", host=emulator.url, login=emulator.client_id, password=emulator.client_secret)
    # A task that uses this connection has not rendered its argument.
    connection(host="http://127.0.0.1:9", login="nobody", password="nothing")
    result = run_dag(
        f"""
        start = ITwinRunStorageConnectionOperator(
            task_id="start", connection_id="{{{{ params.connection }}}}", itwin_conn_id="{{{{ params.conn }}}}",
            wait_for_completion=True, deferrable={deferrable},
        )
        by_id = ITwinStorageConnectionRunSensor(
            task_id="by_id", connection_id="{{{{ params.connection }}}}", itwin_conn_id="{{{{ params.conn }}}}",
            run_id="{{{{ ti.xcom_pull(task_ids='start') }}}}", deferrable={deferrable},
        )
        by_time = ITwinStorageConnectionRunSensor(
            task_id="by_time", connection_id="{{{{ params.connection }}}}", itwin_conn_id="{{{{ params.conn }}}}",
            started_after="{{{{ dag_run.start_date }}}}", deferrable={deferrable},
        )
        files = ITwinListSourceFilesOperator(
            task_id="files", connection_id="{{{{ params.connection }}}}", itwin_conn_id="{{{{ params.conn }}}}",
            name_pattern="{{{{ params.pattern }}}}",
        )
        start >> by_id >> by_time >> files
        """,
        params={"connection": GOOD, "conn": "hospital", "pattern": "*.rvt"},
    )
    assert set(result.states) == {"start", "by_id", "by_time", "files"}
    assert {state for [state] in result.states.values()} == {"success"}
    [run_id] = run_ids(emulator, GOOD)
    assert [result.xcom(task_id)["ref"]["run_id"] for task_id in ("by_id", "by_time")] == [run_id, run_id]
    assert {file["connector_type"] for file in result.xcom("files")} == {"REVIT"}


@DEFERRABLE
def test_an_operator_can_be_mapped_over_connections(emulator: Emulator, run_dag: RunDag, deferrable: bool) -> None:
    result = run_dag(
        f"""
        @task
        def connections():
            return ["{GOOD}", "{PARTIAL}", "{FAILING}"]

        @task(trigger_rule="all_done")
        def count(run_ids):
            return len(list(run_ids))

        synchronize = ITwinRunStorageConnectionOperator.partial(
            task_id="synchronize", wait_for_completion=True, deferrable={deferrable}
        ).expand(connection_id=connections())
        count(synchronize.output)
        """
    )
    assert result.states["synchronize"] == ["success", "success", "failed"]
    assert result.xcom("synchronize") == [*run_ids(emulator, GOOD), *run_ids(emulator, PARTIAL)]
    refs = result.xcom("synchronize", "run_ref")
    assert [ref["connection_id"] for ref in refs] == [GOOD, PARTIAL, FAILING]
    assert [report["result"] for report in result.xcom("synchronize", "run_report")] == [
        "Success",
        "PartialSuccess",
        "Error",
    ]


def test_a_sensor_can_be_mapped_over_runs(emulator: Emulator, run_dag: RunDag) -> None:
    result = run_dag(
        f"""
        starts = ITwinRunStorageConnectionOperator.partial(task_id="starts").expand(
            connection_id=["{GOOD}", "{PARTIAL}"]
        )

        @task
        def what(run_ids):
            return [
                {{"connection_id": connection_id, "run_id": run_id}}
                for connection_id, run_id in zip(["{GOOD}", "{PARTIAL}"], run_ids)
            ]

        ITwinStorageConnectionRunSensor.partial(task_id="waits", deferrable=True).expand_kwargs(what(starts.output))
        """
    )
    assert result.states["waits"] == ["success", "success"]
    assert [report["result"] for report in result.xcom("waits")] == ["Success", "PartialSuccess"]


def test_an_invalid_parameter_of_a_mapped_task_fails_that_task_only(emulator: Emulator, run_dag: RunDag) -> None:
    result = run_dag(
        f"""
        ITwinRunStorageConnectionOperator.partial(task_id="starts", connection_id="{GOOD}").expand(
            if_active=["qeue", "queue"]
        )
        """
    )
    assert result.states == {"starts": ["failed", "success"]}
    assert "expected one of queue, attach, fail, skip" in result.log


def test_the_execution_timeout_applies_while_deferred(emulator: Emulator, run_dag: RunDag, clock: FakeClock) -> None:
    emulator.plan_run(GOOD, "Success", 36_000)
    result = run_dag(
        f"""
        ITwinRunStorageConnectionOperator(
            task_id="synchronize", connection_id="{GOOD}", wait_for_completion=True, deferrable=True,
            execution_timeout=pendulum.duration(minutes=30),
        )
        """
    )
    assert result.states == {"synchronize": ["failed"]}
    assert 1800 <= clock.elapsed < 1900
    assert "ITwinWaitTimeLimitError" in result.log


def test_if_active_can_skip_or_fail_the_task(emulator: Emulator, run_dag: RunDag) -> None:
    active = emulator.start_run(GOOD)
    result = run_dag(
        f"""
        ITwinRunStorageConnectionOperator(task_id="skips", connection_id="{GOOD}", if_active="skip")
        ITwinRunStorageConnectionOperator(task_id="fails", connection_id="{GOOD}", if_active="fail")
        """
    )
    assert result.states == {"skips": ["skipped"], "fails": ["failed"]}
    assert active in result.log
    assert run_ids(emulator, GOOD) == [active]


@pytest.mark.skipif(not AIRFLOW_V_3_3_PLUS, reason="only the triggerer of Airflow 3.3 ends tasks")
def test_a_task_that_ends_in_the_triggerer_succeeds_with_dag_test(emulator: Emulator, run_dag: RunDag) -> None:
    run_id = emulator.start_run(GOOD)
    result = run_dag(
        f"""
        ITwinStorageConnectionRunSensor(
            task_id="wait", connection_id="{GOOD}", run_id="{run_id}", deferrable=True, end_from_trigger=True
        )
        """
    )
    assert result.states == {"wait": ["success"]}
    assert result.xcom("wait")["ref"]["run_id"] == run_id
    assert result.xcom("wait", "run_report") == result.xcom("wait")


def test_there_is_no_link_without_a_portal(emulator: Emulator, run_dag: RunDag) -> None:
    result = run_dag(f'ITwinRunStorageConnectionOperator(task_id="start", connection_id="{GOOD}")')
    link, _ = result.dag.task_dict["start"].operator_extra_links
    assert link.get_link(result.dag.task_dict["start"], ti_key=None) == ""
