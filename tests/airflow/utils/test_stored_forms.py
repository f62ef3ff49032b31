"""Stored data survives an upgrade: this version reads the golden files of every release."""

from __future__ import annotations

import asyncio
import copy
import json
import logging
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_itwin import __version__
from airflow_provider_itwin.api.models.report import RunReport
from airflow_provider_itwin.api.models.run_ref import RunRef
from airflow_provider_itwin.api.runs.finished_feed import CURSOR_VERSION, Cursor
from airflow_provider_itwin.api.wait.models import (
    EVENT_VERSION,
    WaitEnd,
    WaitResult,
)
from airflow_provider_itwin.assets import run_of
from airflow_provider_itwin.exceptions import ITwinStoredVersionError, ITwinTransientError
from airflow_provider_itwin.triggers.itwin import ITwinRunTrigger
from airflow_provider_itwin.utils.job_state import JOB_STATE_VERSION
from airflow_provider_itwin.utils.stored_kwargs import KWARGS_VERSION
from airflow_provider_itwin.utils.task_state import TASK_STATE_VERSION, TaskState
from airflow_provider_itwin.version_compat import AIRFLOW_V_3_0_PLUS, AIRFLOW_V_3_3_PLUS
from tests.airflow.operators.run_operators import DEFERRED, operator
from tests.airflow.sdk import AirflowException, import_string
from tests.airflow.single_task import FakeStore, Outcome, event_of, resumed
from tests.golden import forms

if TYPE_CHECKING:
    from collections.abc import Callable

    from itwin_emulator import Emulator

    RunTask = Callable[..., Outcome]

RELEASES = sorted(folder.name for folder in forms.FOLDER.iterdir() if (folder / "run_ref.json").exists())
EACH_RELEASE = pytest.mark.parametrize("release", RELEASES)
LATER: dict[str, Any] = {"added_later": {"a": [1, None]}, "another": None}
NEWER = 99


def golden(release: str, name: str) -> Any:
    return json.loads((forms.FOLDER / release / f"{name}.json").read_text())


def grown(value: Any) -> Any:
    """Return a form as a later version of the same major version could write it: with more members, at every place."""
    if isinstance(value, list):
        return [grown(entry) for entry in value]
    if not isinstance(value, dict) or all(isinstance(entry, int) for entry in value.values()):
        return value
    return {name: grown(entry) for name, entry in value.items()} | LATER


def task_for(**arguments: Any) -> Any:
    return operator(connection_id=forms.CONNECTION, **DEFERRED, fail_on=[], **arguments)


# Forms of this version


def test_the_golden_files_match_this_version() -> None:
    """If a form changes before its release, run ``python -m tests.golden.forms``."""
    for name, form in forms.forms().items():
        assert json.loads(json.dumps(form, allow_nan=False)) == golden(__version__, name), name


def test_every_form_names_its_version() -> None:
    version = {
        "run_trigger": ("kwargs", KWARGS_VERSION),
        "event_trigger": ("kwargs", KWARGS_VERSION),
        "start_trigger_args": ("trigger_kwargs", KWARGS_VERSION),
        "event_finished": (None, EVENT_VERSION),
        "event_newest": (None, EVENT_VERSION),
        "event_deadline": (None, EVENT_VERSION),
        "event_outage": (None, EVENT_VERSION),
        "event_error": (None, EVENT_VERSION),
        "memo": (None, TASK_STATE_VERSION),
        "task_state_store": ("itwin_run", TASK_STATE_VERSION),
        "asset_state_store": (None, CURSOR_VERSION),
        "job_trigger": ("kwargs", KWARGS_VERSION),
        "job_event_finished": (None, EVENT_VERSION),
        "job_event_deadline": (None, EVENT_VERSION),
        "job_event_outage": (None, EVENT_VERSION),
        "job_memo": (None, JOB_STATE_VERSION),
        "job_task_state_store": ("itwin_job", JOB_STATE_VERSION),
    }
    # Code of users reads XComs, asset events and parameters of DAG files; members are only added.
    public = {"run_ref", "run_report", "asset_event", "retry_policy", "job_ref", "job_report"}
    files = {path.stem for path in (forms.FOLDER / __version__).iterdir()}
    assert files == {*version, *public}
    for name, (place, expected) in version.items():
        form = golden(__version__, name)
        assert (form[place] if place else form)["version"] == expected, name


def test_names_that_are_stored_do_not_change() -> None:
    from airflow_provider_itwin.assets import RUN_KEY
    from airflow_provider_itwin.links import ITwinIModelLink, ITwinRunLink
    from airflow_provider_itwin.utils import task_state
    from airflow_provider_itwin.utils.run_outcome import REF_KEY, REPORT_KEY

    assert (task_state._STORE_KEY, REF_KEY, REPORT_KEY, RUN_KEY) == ("itwin_run", "run_ref", "run_report", "itwin_run")
    assert (ITwinRunLink.key, ITwinIModelLink.key) == ("_link_ITwinRunLink", "_link_ITwinIModelLink")
    assert callable(operator().execute_complete)


# Reading, as it is and as a later version could have written it


AS_IT_IS_OR_GROWN = pytest.mark.parametrize("change", [copy.deepcopy, grown], ids=["as it is", "with more members"])


@EACH_RELEASE
@AS_IT_IS_OR_GROWN
@pytest.mark.parametrize("name", ["run_trigger", "event_trigger", "start_trigger_args"])
def test_a_stored_trigger_can_be_created(release: str, name: str, change: Callable[..., Any]) -> None:
    if name == "event_trigger" and not AIRFLOW_V_3_0_PLUS:
        pytest.skip("Airflow 2 has no event triggers")
    stored = golden(release, name)
    kwargs = stored.get("kwargs") or stored["trigger_kwargs"]
    trigger = import_string(stored.get("classpath") or stored["trigger_cls"])(**{**kwargs, **_more(kwargs, change)})
    assert {**vars(trigger), **kwargs.get("spec", {})}["connection_id"] == forms.CONNECTION
    path, again = trigger.serialize()
    assert (path, again) == (stored.get("classpath", path), {**again, **kwargs})
    if name == "event_trigger":
        assert trigger._store_key == stored["store_key"]
        trigger._stored.check()
    else:
        assert trigger._checked_spec().run_id == forms.RUN


def _more(kwargs: dict[str, Any], change: Callable[..., Any]) -> dict[str, Any]:
    return LATER if change is grown else {}


def test_stored_kwargs_that_are_not_known_are_logged_and_passed_on(
    emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    kwargs: dict[str, Any] = {
        "itwin_conn_id": "itwin_default",
        "spec": {**forms.PARTS, "run_id": "no-such-run", "added_later": 7},
        "version": 1,
        "new_parameter": 5,
    }
    trigger: Any = ITwinRunTrigger(**kwargs)
    assert trigger.serialize()[1]["new_parameter"] == 5
    caplog.set_level(logging.WARNING)
    assert WaitResult.from_event(event_of(trigger)).end is WaitEnd.REFUSED
    assert "ignores the stored parameters 'added_later', 'new_parameter'" in caplog.text


def test_a_misspelled_parameter_in_a_dag_file_is_an_error() -> None:
    with pytest.raises(TypeError, match="ITwinRunTrigger got an unexpected keyword argument 'timeot'"):
        ITwinRunTrigger("itwin_default", forms.PARTS, timeot=5)
    if AIRFLOW_V_3_0_PLUS:
        from airflow_provider_itwin.triggers.itwin import ITwinRunEventTrigger

        with pytest.raises(TypeError, match="ITwinRunEventTrigger got an unexpected keyword argument 'fireon'"):
            ITwinRunEventTrigger("itwin_default", **forms.PARTS, fireon=["Success"])


@EACH_RELEASE
@AS_IT_IS_OR_GROWN
def test_a_stored_event_ends_the_task(emulator: Emulator, release: str, change: Callable[..., Any]) -> None:
    finished = change(golden(release, "event_finished"))
    assert resumed(task_for(), finished) == forms.RUN
    for name, words in {
        "event_deadline": "was still Executing",
        "event_outage": "Gave up waiting",
        "event_error": "could not begin",
    }.items():
        with pytest.raises(AirflowException, match=words):
            resumed(task_for(), change(golden(release, name)))
    assert WaitResult.from_event(change(golden(release, "event_newest"))).ref == RunRef.from_dict(
        golden(release, "run_ref")
    )


@EACH_RELEASE
@AS_IT_IS_OR_GROWN
def test_a_retry_resumes_the_run_in_a_stored_row(
    emulator: Emulator, run_task: RunTask, release: str, change: Callable[..., Any]
) -> None:
    emulator.add_connection(connection_id=forms.CONNECTION, files=["Tower.dgn"])
    emulator.plan_run(forms.CONNECTION, "Success", 600)
    run_id = emulator.start_run(forms.CONNECTION)
    store = FakeStore()
    store.rows = change(golden(release, "task_state_store"))
    store.rows["itwin_run"]["own"]["run_id"] = run_id
    outcome = run_task(task_for(), store=store, max_tries=2)
    assert (outcome.state, outcome.value, len(emulator.runs(forms.CONNECTION))) == ("success", run_id, 1)


@EACH_RELEASE
@AS_IT_IS_OR_GROWN
def test_other_stored_forms_can_be_read(release: str, change: Callable[..., Any]) -> None:
    assert TaskState.from_dict(change(golden(release, "memo"))).own == RunRef.from_dict(
        change(golden(release, "run_ref"))
    )
    cursor = Cursor.from_dict(change(golden(release, "asset_state_store")))
    assert (cursor.last, cursor.known, cursor.unfinished) == (forms.RUN, (forms.OLDER,), (forms.RUN,))
    report = RunReport.from_dict(change(golden(release, "run_report")))
    assert (report.result, len(report.failing_tasks)) == ("PartialSuccess", 1)
    run = run_of(SimpleNamespace(extra=change(golden(release, "asset_event"))))
    assert run is not None
    assert run["ref"]["run_id"] == forms.RUN


@EACH_RELEASE
@AS_IT_IS_OR_GROWN
@pytest.mark.skipif(not AIRFLOW_V_3_3_PLUS, reason="Airflow 3.3 is the first with retry policies")
def test_a_stored_retry_policy_can_be_read(release: str, change: Callable[..., Any]) -> None:
    from airflow_provider_itwin.retry_policy import ITwinRetryPolicy

    stored = {**golden(release, "retry_policy"), **_more({}, change)}
    assert ITwinRetryPolicy.deserialize(stored).serialize() == golden(release, "retry_policy")


# Newer versions


def newer(form: dict[str, Any]) -> dict[str, Any]:
    return form | {"version": NEWER}


NAMES_BOTH = rf"version {NEWER}, but airflow-provider-itwin .* reads versions up to 1 only\. Install the same version"


def test_a_trigger_of_a_newer_version_reports_it_and_the_task_can_be_retried(emulator: Emulator) -> None:
    trigger = ITwinRunTrigger(**newer(golden(__version__, "run_trigger")["kwargs"]))
    event = event_of(trigger)
    with pytest.raises(ITwinTransientError, match=NAMES_BOTH):
        resumed(task_for(), event)
    assert not emulator.request_log


@pytest.mark.parametrize("name", ["event_finished", "event_deadline", "event_outage"])
def test_an_event_of_a_newer_version_never_passes_for_success(emulator: Emulator, name: str) -> None:
    with pytest.raises(ITwinTransientError, match=NAMES_BOTH):
        resumed(task_for(), newer(golden(__version__, name)))


@pytest.mark.parametrize("own", ["known", "unreadable", "missing"])
def test_a_row_of_a_newer_version_is_not_ignored(emulator: Emulator, run_task: RunTask, own: str) -> None:
    emulator.add_connection(connection_id=forms.CONNECTION, files=["Tower.dgn"])
    store = FakeStore()
    store.rows = golden(__version__, "task_state_store")
    row = store.rows["itwin_run"] = newer(store.rows["itwin_run"])
    if own == "unreadable":
        row["own"] = "in a form of its own"
    if own == "missing":
        del row["own"]
    stored = copy.deepcopy(store.rows)
    outcome = run_task(task_for(), store=store, max_tries=2)
    assert isinstance(outcome.error, ITwinStoredVersionError)
    assert outcome.state == "up_for_retry"
    assert "Or clear the task" in outcome.text
    assert (emulator.runs(forms.CONNECTION), store.rows) == ([], stored)
    # Clearing the task works.
    cleared = run_task(task_for(), store=store, max_tries=3, dag_clears=1)
    assert (cleared.state, len(emulator.runs(forms.CONNECTION))) == ("success", 1)


def test_a_cursor_of_a_newer_version_is_read_as_far_as_possible() -> None:
    stored = newer(golden(__version__, "asset_state_store"))
    with pytest.raises(ValueError, match=NAMES_BOTH):
        Cursor.from_dict(stored)
    cursor = Cursor.from_newer(stored)
    assert cursor is not None
    assert cursor.since == Cursor.from_dict(golden(__version__, "asset_state_store")).since
    everything: tuple[Any, ...] = ({"since": 5}, {}, None, [], {"since": "2026-01-01T00:00:00"})
    for strange in everything:
        assert Cursor.from_newer(strange) is None


@pytest.mark.skipif(not AIRFLOW_V_3_0_PLUS, reason="Airflow 2 has no event triggers")
def test_a_watcher_resumes_from_a_cursor_of_a_newer_version(caplog: pytest.LogCaptureFixture) -> None:
    from airflow_provider_itwin.triggers.cursor_store import CursorStore

    class Store:
        async def aget(self, key: str) -> Any:
            return newer(golden(__version__, "asset_state_store"))

    caplog.set_level(logging.WARNING)
    cursor = asyncio.run(CursorStore([Store()], "storage connection a", "a key").read())
    assert cursor == Cursor.from_newer(golden(__version__, "asset_state_store"))
    assert "resumes by time alone" in caplog.text


def test_this_version_has_golden_files() -> None:
    assert __version__ in RELEASES
