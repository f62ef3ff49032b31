"""
The stored forms of this version of the package.

``python -m tests.golden.forms`` writes them to the folder of the version before a release. The files of released versions never
change.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from airflow_provider_itwin import __version__
from tests.golden.job_forms import job_forms

FOLDER = Path(__file__).parent
CONNECTION, RUN, OLDER = "a-connection", "a-run", "an-older-run"
BEGAN = 1_790_000_000.0
PARTS: dict[str, Any] = {"kind": "storage", "connection_id": CONNECTION}


def forms() -> dict[str, Any]:
    """Return each stored form by name, with every member that it can have."""
    from airflow_provider_itwin.api.errors import ITwinServerError
    from airflow_provider_itwin.api.models.enums import ConnectionKind
    from airflow_provider_itwin.api.models.report import RunReport
    from airflow_provider_itwin.api.models.resources import RunEnvelope, decoded
    from airflow_provider_itwin.api.models.run_ref import RunRef
    from airflow_provider_itwin.api.runs.finished_feed import Cursor
    from airflow_provider_itwin.api.runs.start import Baseline, StartAttempt
    from airflow_provider_itwin.api.wait.any_wait import error_event
    from airflow_provider_itwin.api.wait.models import (
        WaitEnd,
        WaitResult,
        WaitSpec,
    )
    from airflow_provider_itwin.assets import RUN_KEY, short_report
    from airflow_provider_itwin.triggers.itwin import ITwinRunTrigger
    from airflow_provider_itwin.utils.task_state import TaskState, TaskStateStore

    ref = RunRef(ConnectionKind.STORAGE, CONNECTION, RUN)
    run = decoded((FOLDER / "run.json").read_bytes(), RunEnvelope).run
    spec = WaitSpec(ConnectionKind.STORAGE, CONNECTION, RUN, began=BEGAN, deadline=BEGAN + 3600)
    newest = WaitSpec(ConnectionKind.STORAGE, CONNECTION, started_after="2026-01-01T00:00:00+00:00", began=BEGAN)
    baseline = Baseline(RunRef(ConnectionKind.STORAGE, CONNECTION, OLDER), datetime(2026, 1, 1, tzinfo=UTC))
    state = TaskState(BEGAN, StartAttempt(baseline), own=ref)
    memo = {**state.as_dict(), "try_number": 1}
    report = RunReport.of(ref, run).as_dict()
    path, kwargs = ITwinRunTrigger("itwin_default", spec, memo=memo).serialize()
    rows: dict[str, Any] = {}
    store = SimpleNamespace(set=rows.__setitem__)
    context = {
        "task_state_store": store,
        "ti": SimpleNamespace(max_tries=2),
        "dag_run": SimpleNamespace(clear_number=0),
    }
    TaskStateStore(context, durable=True, target=f"storage/{CONNECTION} itwin_default", shape=TaskState).save(state)
    cursor = Cursor(datetime(2026, 1, 1, tzinfo=UTC), RUN, (OLDER,), (RUN,))
    return {
        "run_trigger": {"classpath": path, "kwargs": kwargs},
        "event_finished": WaitResult(spec, WaitEnd.FINISHED, ref, "Completed", run, elapsed=60.0, polls=3).as_event(
            memo
        ),
        "event_newest": WaitResult(newest, WaitEnd.FINISHED, ref, "Completed", run, elapsed=60.0, polls=3).as_event(),
        "event_deadline": WaitResult(spec, WaitEnd.DEADLINE, ref, "Executing", elapsed=3600.0, polls=9).as_event(memo),
        "event_outage": WaitResult(
            spec, WaitEnd.OUTAGE, ref, "Executing", error=ITwinServerError("It failed", status=503), elapsed=900.0
        ).as_event(memo),
        "event_error": error_event(ValueError("run_id is 'None', which names nothing.")),
        "memo": memo,
        "task_state_store": rows,
        "asset_state_store": cursor.as_dict(),
        "run_ref": ref.as_dict(),
        "run_report": report,
        "asset_event": {RUN_KEY: short_report(report)},
        **job_forms(),
        **_of_newer_airflows(),
    }


def _of_newer_airflows() -> dict[str, Any]:
    from airflow_provider_itwin.version_compat import AIRFLOW_V_3_0_PLUS, AIRFLOW_V_3_3_PLUS

    found: dict[str, Any] = {}
    if AIRFLOW_V_3_0_PLUS:
        from airflow_provider_itwin.triggers.itwin import ITwinRunEventTrigger

        watcher = ITwinRunEventTrigger("itwin_default", **PARTS, fire_on=["Success"])
        path, kwargs = watcher.serialize()
        found["event_trigger"] = {"classpath": path, "kwargs": kwargs, "store_key": watcher._store_key}
    if AIRFLOW_V_3_3_PLUS:
        from datetime import timedelta

        from airflow_provider_itwin.retry_policy import ITwinRetryPolicy
        from airflow_provider_itwin.sensors.itwin import ITwinStorageConnectionRunSensor

        sensor: Any = ITwinStorageConnectionRunSensor(
            task_id="wait", connection_id=CONNECTION, run_id=RUN, deferrable=True, start_from_trigger=True
        )
        found["retry_policy"] = ITwinRetryPolicy(after_run=timedelta(minutes=5)).serialize()
        found["start_trigger_args"] = {
            "trigger_cls": sensor.start_trigger_args.trigger_cls,
            "trigger_kwargs": sensor.start_trigger_args.trigger_kwargs,
            "next_method": sensor.start_trigger_args.next_method,
        }
    return found


def write() -> None:
    """Write the forms to the folder of this version; needs the newest Airflow, which has all of them."""
    folder = FOLDER / __version__
    folder.mkdir(exist_ok=True)
    for name, form in forms().items():
        text = json.dumps(form, indent=2, allow_nan=False)
        (folder / f"{name}.json").write_text(f"{text}\n")


if __name__ == "__main__":
    write()
