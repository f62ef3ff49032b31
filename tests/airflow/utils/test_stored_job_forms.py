"""Stored data of tasks with jobs survives an upgrade: this version reads the golden files of every release."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_itwin import __version__
from airflow_provider_itwin.api.jobs.ref import JobRef
from airflow_provider_itwin.api.jobs.report import JobReport
from airflow_provider_itwin.api.wait.job_wait import JobWaitSpec
from airflow_provider_itwin.exceptions import ITwinStoredVersionError, ITwinTransientError
from airflow_provider_itwin.operators.jobs import ITwinJobOperator
from airflow_provider_itwin.utils.job_state import STORE_KEY, JobTaskState
from airflow_provider_itwin.utils.task_state import TaskStateStore
from tests.airflow.sdk import AirflowException, import_string
from tests.airflow.single_task import FakeStore, FakeTaskInstance, resumed
from tests.airflow.utils.test_stored_forms import LATER, NAMES_BOTH, golden, newer
from tests.golden import forms, job_forms

if TYPE_CHECKING:
    from collections.abc import Callable

RELEASES = sorted(folder.name for folder in forms.FOLDER.iterdir() if (folder / "job_ref.json").exists())
EACH_RELEASE = pytest.mark.parametrize("release", RELEASES)


NAMES_OF_USERS = ("body", "cancel_body", "same", "details", "result")


def grown(value: Any) -> Any:
    """Return a form as a later version could write it: with more members, but not where users or services choose the names."""
    if isinstance(value, list):
        return [grown(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    members = {
        name: {one: grown(entry) for one, entry in member.items()}
        if name == "inputs"
        else member
        if name in NAMES_OF_USERS
        else grown(member)
        for name, member in value.items()
    }
    return members | LATER


AS_IT_IS_OR_GROWN = pytest.mark.parametrize("change", [copy.deepcopy, grown], ids=["as it is", "with more members"])


def task() -> ITwinJobOperator:
    return ITwinJobOperator(
        task_id="a", job=job_forms.definition(), inputs={"imodel_id": job_forms.IMODEL}, deferrable=True
    )


def store_of(rows: dict[str, Any]) -> TaskStateStore[JobTaskState]:
    store = FakeStore()
    store.rows = rows
    context = {"ti": FakeTaskInstance(2), "task_state_store": store, "dag_run": type("DagRun", (), {"clear_number": 0})}
    target = f"{job_forms.definition().start} itwin_default"
    return TaskStateStore(context, True, target, JobTaskState, STORE_KEY)


def test_this_version_has_golden_files() -> None:
    assert __version__ in RELEASES


def test_names_that_are_stored_do_not_change() -> None:
    from airflow_provider_itwin.job_task import JOB_REF_KEY, JOB_REPORT_KEY

    assert (STORE_KEY, JOB_REF_KEY, JOB_REPORT_KEY) == ("itwin_job", "job_ref", "job_report")
    assert golden(__version__, "job_trigger")["classpath"] == "airflow_provider_itwin.triggers.jobs.ITwinJobTrigger"


@EACH_RELEASE
@AS_IT_IS_OR_GROWN
def test_a_stored_trigger_can_be_created(release: str, change: Callable[..., Any]) -> None:
    stored = golden(release, "job_trigger")
    kwargs = {**stored["kwargs"], "spec": change(stored["kwargs"]["spec"]), **(LATER if change is grown else {})}

    trigger = import_string(stored["classpath"])(**kwargs)

    assert trigger.serialize() == (stored["classpath"], kwargs)
    spec = JobWaitSpec.from_dict(trigger.spec)
    assert spec.definition == job_forms.definition()
    assert (spec.ref, trigger.cancel_on_kill) == (JobRef.from_dict(golden(release, "job_ref")), True)


@EACH_RELEASE
@AS_IT_IS_OR_GROWN
def test_a_stored_event_ends_the_task(release: str, change: Callable[..., Any]) -> None:
    assert resumed(task(), change(golden(release, "job_event_finished"))) == job_forms.JOB_ID
    for name, words in {"job_event_deadline": "was still Active", "job_event_outage": "Gave up waiting"}.items():
        with pytest.raises(AirflowException, match=words):
            resumed(task(), change(golden(release, name)))


@EACH_RELEASE
@AS_IT_IS_OR_GROWN
def test_other_stored_forms_can_be_read(release: str, change: Callable[..., Any]) -> None:
    ref = JobRef.from_dict(change(golden(release, "job_ref")))
    memo = JobTaskState.from_dict(change(golden(release, "job_memo")))
    assert (memo.ref, memo.start.in_doubt, memo.start.known) == (ref, True, ("an-older-job",))
    state = store_of({STORE_KEY: change(golden(release, "job_task_state_store")[STORE_KEY])}).load(5.0)
    assert state == memo.restored(5.0)
    report = JobReport.from_dict(change(golden(release, "job_report")), ref)
    assert (report.outcome, len(report.messages), report.result_path) == ("warned", 2, "/data/thing.json")


@pytest.mark.parametrize("name", ["job_event_finished", "job_event_deadline", "job_event_outage"])
def test_an_event_of_a_newer_version_never_passes_for_success(name: str) -> None:
    with pytest.raises(ITwinTransientError, match=NAMES_BOTH):
        resumed(task(), newer(golden(__version__, name)))


def test_a_row_of_a_newer_version_is_not_ignored() -> None:
    rows = copy.deepcopy(golden(__version__, "job_task_state_store"))
    rows[STORE_KEY] = newer(rows[STORE_KEY])

    with pytest.raises(ITwinStoredVersionError, match="Or clear the task"):
        store_of(rows).load(5.0)
