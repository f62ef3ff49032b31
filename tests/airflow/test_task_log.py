"""The log of a failed task: the error first and last, and one traceback."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_itwin.version_compat import AIRFLOW_V_3_1_PLUS

if TYPE_CHECKING:
    from collections.abc import Callable

    from itwin_emulator import Emulator
    from tests.airflow.dag_runs import DagResult

    RunDag = Callable[..., DagResult]

pytestmark = pytest.mark.skipif(
    not AIRFLOW_V_3_1_PLUS,
    reason="dag.test of Airflow 2 runs a failed task again and again, the console of 3.0 logs each traceback three times",
)

NIGHT = "night-connection"
START = "ITwinRunStorageConnectionOperator(task_id='a', connection_id='night-connection', {more})"
WAIT = "ITwinStorageConnectionRunSensor(task_id='a', connection_id='night-connection', {more})"
LIST = "ITwinListSourceFilesOperator(task_id='a', connection_id='night-connection', {more})"

FAILURES: dict[str, tuple[str, dict[str, Any] | None, str]] = {
    "refused start": (START.format(more=""), {"operation": "run-storage-connection", "status": 403}, "403"),
    "refused wait": (
        START.format(more="wait_for_completion=True"),
        {"operation": "get-storage-connection-run", "status": 403},
        "Cannot wait for",
    ),
    "refused wait, deferred": (
        START.format(more="wait_for_completion=True, deferrable=True"),
        {"operation": "get-storage-connection-run", "status": 403},
        "Cannot wait for",
    ),
    "wrong id": (START.format(more="").replace("'night-connection'", "\"{{ 'a/b' }}\""), None, "connection_id is"),
    "no Airflow connection": (START.format(more="itwin_conn_id='nobody'"), None, "nobody"),
    "run that failed": (START.format(more="wait_for_completion=True"), {"result": "Error"}, "its result is Error"),
    "sensor, unknown run": (WAIT.format(more="run_id='no-such-run'"), None, "Cannot wait for"),
    "sensor, unknown run, deferred": (
        WAIT.format(more="run_id='no-such-run', deferrable=True"),
        None,
        "Cannot wait for",
    ),
    "sensor, wrong id": (WAIT.format(more="""run_id='{{ "a/b" }}'"""), None, "run_id is"),
    "sensor, time limit": (WAIT.format(more="started_after='2020-01-01', timeout=1"), None, "time"),
    "sensor, time limit, deferred": (
        WAIT.format(more="started_after='2020-01-01', timeout=1, deferrable=True"),
        None,
        "when the timeout passed (timeout)",
    ),
    "refused list": (LIST.format(more=""), {"operation": "get-storage-connection-sourcefiles", "status": 403}, "403"),
    "wrong pattern": (LIST.format(more="name_pattern=5"), None, "name_pattern must be"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_the_log_has_one_traceback_and_the_error_first_and_last(emulator: Emulator, run_dag: RunDag, name: str) -> None:
    task, failure, words = FAILURES[name]
    emulator.add_connection(connection_id=NIGHT, files=["Tower.dgn"])
    if failure and "result" in failure:
        emulator.plan_run(NIGHT, failure["result"], 60)
    elif failure:
        emulator.fail(times=None, **failure)
    result = run_dag(task)
    assert result.states["a"] == ["failed"]
    # The console shows the log of the task once, the handler of pytest once more.
    console = re.sub(r"\x1b\[[0-9;]*m", "", result.console)
    assert console.count("Traceback (most recent call last)") == 1, console
    for chained in ("During handling of the above exception", "direct cause of the following exception"):
        assert chained not in console
    sentences = [match.start() for match in re.finditer(re.escape(words), console)]
    traceback = console.index("Traceback (most recent call last)")
    assert sentences[0] < traceback < sentences[-1], console
