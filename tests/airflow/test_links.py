"""Links of a task to the portal: during the wait, after success and after failure."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_itwin.hooks.itwin import ITwinHook
from airflow_provider_itwin.links import ITwinIModelLink, ITwinRunLink, write_links
from airflow_provider_itwin.operators.itwin import ITwinRunStorageConnectionOperator
from airflow_provider_itwin.version_compat import AIRFLOW_V_3_0_PLUS

if TYPE_CHECKING:
    from collections.abc import Callable

    from itwin_emulator import Emulator
    from tests.airflow.dag_runs import DagResult

    RunDag = Callable[..., DagResult]

GOOD, FAILING = "demo-storage-connection", "demo-failing-connection"
PORTAL = "https://portal.example.com/{itwin_id}/{imodel_id}/{connection_id}"
ITWIN, IMODEL = "0f2c3f7e-58a4-4d0b-9d3e-6f1a54b8c001", "7b6c1f6a-3b53-4a54-8d0f-2f6f0c5b1001"


@pytest.fixture
def portal(emulator: Emulator, connection: Callable[..., None]) -> str:
    """Set a portal in the Airflow connection; return the page of the valid connection."""
    connection(
        host=emulator.url,
        login=emulator.client_id,
        password=emulator.client_secret,
        extra={"portal_url": PORTAL},
    )
    return PORTAL.format(itwin_id=ITWIN, imodel_id=IMODEL, connection_id=GOOD)


def requests_for_connections(emulator: Emulator) -> int:
    return sum(entry.operation == "get-storage-connection" for entry in emulator.request_log)


def link_of(result: DagResult, task_id: str) -> Any:
    """Return the URL that Airflow shows: Airflow 3 stores it at the end of the task, Airflow 2 computes it on request."""
    if AIRFLOW_V_3_0_PLUS:
        return result.xcom(task_id, ITwinRunLink.key)
    key: Any = SimpleNamespace(dag_id=result.dag_id, run_id=result.run_id, task_id=task_id, map_index=-1)
    return ITwinRunLink().get_link(result.dag.task_dict[task_id], ti_key=key)


@pytest.mark.parametrize("deferrable", [False, True], ids=["worker", "deferred"])
def test_the_link_of_an_operator_leads_to_the_portal(portal: str, run_dag: RunDag, deferrable: bool) -> None:
    result = run_dag(
        f"""
        ITwinRunStorageConnectionOperator(
            task_id="a", connection_id="{GOOD}", wait_for_completion=True, deferrable={deferrable}
        )
        """
    )
    assert result.states == {"a": ["success"]}
    assert link_of(result, "a") == portal


@pytest.mark.parametrize("deferrable", [False, True], ids=["worker", "deferred"])
def test_a_failed_task_has_a_link(portal: str, emulator: Emulator, run_dag: RunDag, deferrable: bool) -> None:
    run_id = emulator.start_run(FAILING)
    result = run_dag(
        f"""
        ITwinRunStorageConnectionOperator(
            task_id="a", connection_id="{FAILING}", wait_for_completion=True, deferrable={deferrable},
            retries=1, retry_delay=pendulum.duration(seconds=0),
        )
        ITwinStorageConnectionRunSensor(
            task_id="b", connection_id="{FAILING}", run_id="{run_id}", deferrable={deferrable}
        )
        ITwinRunStorageConnectionOperator(task_id="c", connection_id="no-such-connection")
        """
    )
    assert result.states == {"a": ["failed"], "b": ["failed"], "c": ["failed"]}
    assert result.attempts["a"] == 2
    for task_id in ("a", "b"):
        assert link_of(result, task_id).endswith(f"/{FAILING}")
    # This task has no run.
    assert link_of(result, "c") == ""


def test_the_link_is_available_while_the_task_waits(portal: str, run_task: Callable[..., Any]) -> None:
    task = ITwinRunStorageConnectionOperator(task_id="a", connection_id=GOOD, wait_for_completion=True, deferrable=True)
    outcome = run_task(task, resume=False)
    assert outcome.state == "deferred"
    assert outcome.xcoms[ITwinRunLink.key] == portal


def test_links_send_no_request(
    emulator: Emulator, connection: Callable[..., None], run_task: Callable[..., Any]
) -> None:
    task = ITwinRunStorageConnectionOperator(task_id="a", connection_id=GOOD)
    run_task(task)
    without = requests_for_connections(emulator)
    connection(
        host=emulator.url, login=emulator.client_id, password=emulator.client_secret, extra={"portal_url": PORTAL}
    )
    run_task(ITwinRunStorageConnectionOperator(task_id="a", connection_id="demo-second-connection"))
    assert requests_for_connections(emulator) == 2 * without


DEFAULTS = {ITwinRunLink.key: "", ITwinIModelLink.key: ""} if AIRFLOW_V_3_0_PLUS else {}
"""The value of an unknown link: on Airflow 3 the value that Airflow itself writes at the end of a task."""


def links_of(outcome: Any) -> dict[str, Any]:
    return {key: value for key, value in outcome.xcoms.items() if key.startswith("_link")}


def test_without_a_portal_the_defaults_are_written(emulator: Emulator, run_task: Callable[..., Any]) -> None:
    outcome = run_task(ITwinRunStorageConnectionOperator(task_id="a", connection_id=GOOD))
    assert outcome.state == "success"
    assert links_of(outcome) == DEFAULTS


@pytest.mark.parametrize("portal_url", [None, PORTAL], ids=["no portal", "portal"])
@pytest.mark.parametrize(
    ("tasks", "state"),
    [
        ('Run(task_id="a", connection_id="{good}", wait_for_completion=False)', "success"),
        ('Run(task_id="a", connection_id="{good}", wait_for_completion=True)', "success"),
        ('Run(task_id="a", connection_id="{good}", wait_for_completion=True, deferrable=True)', "success"),
        ('Run(task_id="a", connection_id="{good}", timeout=1, wait_for_completion=True, deferrable=True)', "failed"),
        ('Run(task_id="a", connection_id="{failing}", wait_for_completion=True, deferrable=True)', "failed"),
        ('Run(task_id="a", connection_id="no-such-connection")', "failed"),
        ('Run(task_id="a", connection_id="{busy}", wait_for_completion=True, deferrable=True)', "success"),
        ('Run(task_id="a", connection_id="{busy}", wait_for_completion=True, deferrable=True, timeout=1)', "failed"),
        ('Run.partial(task_id="a", wait_for_completion=True).expand(connection_id=["{good}"])', "success"),
        ('Sensor(task_id="a", connection_id="{good}", started_after="2020-01-01", deferrable=True)', "success"),
        ('Sensor(task_id="a", connection_id="{good}", run_id="no-such-run")', "failed"),
        ('Sensor(task_id="a", connection_id="{good}", run_id="no-such-run", deferrable=True)', "failed"),
        (
            'Sensor(task_id="a", connection_id="{busy}", run_id="{run}", timeout=1, poll_interval=1, mode="reschedule")',
            "failed",
        ),
    ],
)
def test_no_task_reads_a_missing_link(
    emulator: Emulator,
    connection: Callable[..., None],
    run_dag: RunDag,
    tasks: str,
    state: str,
    portal_url: str | None,
) -> None:
    connection(
        host=emulator.url,
        login=emulator.client_id,
        password=emulator.client_secret,
        extra={"portal_url": portal_url} if portal_url else {},
    )
    busy = "demo-second-connection"
    emulator.start_run(GOOD) if "started_after" in tasks else None
    run = emulator.start_run(busy) if "{busy}" in tasks else ""
    result = run_dag(
        f"""
        Run, Sensor = ITwinRunStorageConnectionOperator, ITwinStorageConnectionRunSensor
        {tasks.format(good=GOOD, failing=FAILING, busy=busy, run=run)}
        """
    )
    assert result.states == {"a": [state]}
    # Airflow 3 logs a missing link as an error, even if the task succeeds.
    assert "XCom not found" not in result.log
    assert "extra link" not in result.log
    if state == "success" and AIRFLOW_V_3_0_PLUS and "partial" not in tasks:
        assert (
            link_of(result, "a").startswith("https://portal.example.com/") if portal_url else link_of(result, "a") == ""
        )


@pytest.mark.parametrize("portal_url", [7, "javascript:alert(1)", ["a"], "{", "https://[half/{imodel_id}"])
def test_an_invalid_portal_does_not_fail_the_task(
    emulator: Emulator, connection: Callable[..., None], run_task: Callable[..., Any], portal_url: Any
) -> None:
    connection(
        host=emulator.url,
        login=emulator.client_id,
        password=emulator.client_secret,
        extra={"portal_url": portal_url},
    )
    outcome = run_task(ITwinRunStorageConnectionOperator(task_id="a", connection_id=GOOD))
    assert outcome.state == "success"
    assert links_of(outcome) in ({}, DEFAULTS)


def test_an_unreadable_connection_does_not_fail_the_task(portal: str, emulator: Emulator) -> None:
    from airflow_provider_itwin.api.models.enums import ConnectionKind
    from airflow_provider_itwin.api.models.run_ref import RunRef

    emulator.fail("get-storage-connection", None, status=503)
    pushed: list[Any] = []
    context: Any = {"ti": SimpleNamespace(xcom_push=lambda **what: pushed.append(what))}
    task = SimpleNamespace(kind="storage", has_links=False)
    write_links(task, context, ITwinHook(), RunRef(ConnectionKind.STORAGE, GOOD, "r"))
    assert [one for one in pushed if one["value"] not in DEFAULTS.values()] == []
    pushed.clear()
    # The same with an XCom that cannot be written, or a missing connection.
    emulator.clear_faults()
    task.has_links = False
    write_links(task, {}, ITwinHook(), RunRef(ConnectionKind.STORAGE, GOOD, "r"))
    write_links(task, context, ITwinHook("nobody"), RunRef(ConnectionKind.STORAGE, GOOD, "r"))
    assert pushed == []
    assert not task.has_links, "Airflow does not read a link that was not written"


@pytest.mark.parametrize("attributes", [{}, {"kind": 7}, {"has_links": True}])
@pytest.mark.parametrize("ti_key", [None, SimpleNamespace()])
def test_a_link_never_raises(attributes: dict[str, Any], ti_key: Any) -> None:
    operator: Any = SimpleNamespace(**attributes)
    assert ITwinRunLink().get_link(operator, ti_key=ti_key) == ""
    assert ITwinIModelLink().get_link(operator, ti_key=ti_key) == ""


@pytest.mark.parametrize("stored", [7, "javascript:alert(1)", "", None, {"a": 1}])
def test_an_invalid_url_is_not_shown(monkeypatch: pytest.MonkeyPatch, stored: Any) -> None:
    from airflow_provider_itwin import links

    monkeypatch.setattr(links, "XCom", SimpleNamespace(get_value=lambda **_: stored))
    assert ITwinRunLink().get_link(SimpleNamespace(kind="storage", has_links=True), ti_key=7) == ""  # type: ignore[arg-type]
