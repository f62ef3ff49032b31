"""Both clients against the emulator over HTTP: start, 303, wait, list, and its quirks."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_itwin.api.errors import (
    ITwinInvalidRequestError,
    ITwinNotFoundError,
    ITwinPermissionError,
    ITwinProtocolError,
)
from airflow_provider_itwin.api.http.pagination import Pages
from airflow_provider_itwin.api.models.enums import ConnectionKind
from airflow_provider_itwin.api.models.report import RunReport
from airflow_provider_itwin.api.models.run_ref import RunRef
from airflow_provider_itwin.api.runs import endpoints
from airflow_provider_itwin.api.runs.active_run_policy import ActiveRun
from airflow_provider_itwin.api.runs.start import Baseline, StartAttempt, StartOutcome, StartResult, ensure_run
from airflow_provider_itwin.api.wait.waiter import WaitEnd, WaitSpec
from tests.api.drivers import Driver, World, call

KINDS = list(ConnectionKind)
BODIES: dict[ConnectionKind, dict[str, Any] | None] = {
    ConnectionKind.STORAGE: None,
    ConnectionKind.MANIFEST: {},
    ConnectionKind.EXPORT: {"exportType": "IFC"},
}
STORAGE = ConnectionKind.STORAGE


def start_run(
    client: Driver, connection_id: str = "c1", kind: ConnectionKind = STORAGE, attempt: StartAttempt | None = None
) -> StartResult:
    return client.run_flow(ensure_run(client.account, kind, connection_id, BODIES[kind], attempt))


def wait_spec(world: World, ref: RunRef) -> WaitSpec:
    return WaitSpec.for_run(ref, began=world.clock.now())


def run_ids(world: World, connection_id: str = "c1") -> list[str]:
    return [run["id"] for run in world.emulator.runs(connection_id)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_from_start_to_end(world: World, client: Driver, kind: ConnectionKind) -> None:
    world.emulator.add_connection(kind.value, "c1", files=["a.dgn", "b.dwg"])
    world.emulator.plan_run("c1", duration=1500.0, warnings=7)

    started = start_run(client, kind=kind)
    result = client.wait(wait_spec(world, started.ref))

    assert (started.ref, started.outcome) == (RunRef(kind, "c1", run_ids(world)[0]), StartOutcome.CREATED)
    assert (result.end, result.ref, result.state) == (WaitEnd.FINISHED, started.ref, "Completed")
    assert 1500.0 <= result.elapsed <= 1500.0 * 1.06
    assert result.run is not None
    assert (result.run.result, result.run.connection_id) == ("Success", "c1")
    assert RunReport.of(started.ref, result.run).totals.tasks == (1 if kind is ConnectionKind.EXPORT else 2)


@pytest.mark.parametrize(("theirs", "kind"), [("storage", "manifest"), ("export", "storage"), ("manifest", "manifest")])
def test_an_active_run_of_another_connection_is_named_and_not_its_own(
    world: World, client: Driver, theirs: Any, kind: Any
) -> None:
    world.emulator.add_connection(kind, "c1", imodel_id="m")
    world.emulator.add_connection(theirs, "c2", imodel_id="m")
    run_id = world.emulator.start_run("c2")

    started = start_run(client, kind=ConnectionKind(kind))

    assert (started.ref, started.outcome) == (RunRef(ConnectionKind(theirs), "c2", run_id), StartOutcome.ACTIVE)
    assert started.active == ActiveRun(started.ref, is_own=False, is_fresh=False)
    assert run_ids(world) == []


@pytest.mark.parametrize("skew", [0.0, 86400.0, -86400.0])
def test_a_run_is_fresh_if_it_began_since_whatever_the_clocks_say(world: World, client: Driver, skew: float) -> None:
    world.clock.skew = skew
    world.emulator.add_connection(connection_id="c1")
    older = world.emulator.start_run("c1")
    world.clock.advance(5.0)
    first = start_run(client)
    world.emulator.finish_run("c1")
    world.clock.advance(5.0)
    fresh = world.emulator.start_run("c1")
    second = start_run(client, attempt=first.attempt)

    assert first.active == ActiveRun(RunRef(STORAGE, "c1", older), is_own=True, is_fresh=False)
    assert second.active == ActiveRun(RunRef(STORAGE, "c1", fresh), is_own=True, is_fresh=True)


LOCATIONS = ["absolute", "relative", "other-case", "trailing-slash", "query", "missing", "foreign-host", "nonsense"]


@pytest.mark.parametrize("location", LOCATIONS)
@pytest.mark.parametrize("stale", [0.0, 6.0])
def test_the_new_run_is_found_however_the_service_names_it(
    world: World, client: Driver, location: Any, stale: float
) -> None:
    world.emulator.add_connection(connection_id="c1")
    world.emulator.start_run("c1")
    world.emulator.finish_run("c1")
    world.clock.advance(100.0)
    world.emulator.quirks.location = location
    world.emulator.quirks.stale_last_run_for = stale
    world.emulator.quirks.links_host = "https://evil.example"

    started = start_run(client)

    assert (started.ref, started.outcome) == (RunRef(STORAGE, "c1", run_ids(world)[1]), StartOutcome.CREATED)
    assert {entry.host for entry in world.emulator.request_log} == {f"127.0.0.1:{world.emulator.port}"}


@pytest.mark.parametrize("location", LOCATIONS)
def test_the_active_run_is_found_however_the_service_names_it(world: World, client: Driver, location: Any) -> None:
    world.emulator.add_connection(connection_id="c1")
    run_id = world.emulator.start_run("c1")
    world.emulator.quirks.location = location

    ref = RunRef(STORAGE, "c1", run_id)
    assert start_run(client).active == ActiveRun(ref, is_own=True, is_fresh=False)


def test_an_unnamed_active_run_of_another_connection_is_an_error(world: World, client: Driver) -> None:
    world.emulator.add_connection(connection_id="c1", imodel_id="m")
    world.emulator.add_connection(connection_id="c2", imodel_id="m")
    world.emulator.start_run("c2")
    world.emulator.quirks.location = "missing"

    with pytest.raises(ITwinProtocolError, match="by a run that the service does not name"):
        start_run(client)


def test_conflicts_are_retried(world: World, client: Driver) -> None:
    world.emulator.add_connection(connection_id="c1")
    world.emulator.fail("run-storage-connection", times=3, status=409)

    assert start_run(client).created
    assert len(world.pauses) == 3


def test_a_run_that_is_invisible_at_first_is_waited_for(world: World, client: Driver) -> None:
    world.emulator.add_connection(connection_id="c1")
    world.emulator.quirks.invisible_for = 25.0

    result = client.wait(wait_spec(world, start_run(client).ref))

    assert result.end is WaitEnd.FINISHED


def test_an_active_run_that_is_invisible_at_first_is_polled_until_it_appears(world: World, client: Driver) -> None:
    world.emulator.add_connection(connection_id="c1")
    run_id = world.emulator.start_run("c1")
    world.emulator.quirks.invisible_for = 10.0

    started = start_run(client, attempt=StartAttempt(Baseline(names_last_run=True)))

    assert started.active == ActiveRun(RunRef(STORAGE, "c1", run_id), is_own=True, is_fresh=True)
    assert world.pauses


@pytest.mark.parametrize(
    "quirk",
    [
        {"canceled_spelling": "Cancelled"},
        {"dates": "6-digits"},
        {"dates": "no-zone"},
        {"dates": "no-fraction"},
        {"no_end": "null"},
        {"no_jobs": "null"},
        {"no_jobs": "absent"},
        {"no_end": "year-1"},
        {"state_names": {"Executing": "Pondering", "Queued": "Brooding"}},
        {"extra_fields": True},
        {"missing_fields": ("endDateTime", "startDateTime", "phase", "error", "connectorType", "details")},
        {"null_fields": ("endDateTime", "startDateTime", "phase", "error", "connectorType", "details", "tasks")},
        {"success_with_error": True},
        {"links_host": "https://evil.example"},
    ],
    ids=str,
)
def test_a_wait_ends_whatever_the_quirks_of_the_run(world: World, client: Driver, quirk: dict[str, Any]) -> None:
    world.emulator.add_connection(connection_id="c1")
    world.emulator.plan_run("c1", "Canceled")
    for name, value in quirk.items():
        setattr(world.emulator.quirks, name, value)

    result = client.wait(wait_spec(world, start_run(client).ref))

    assert result.end is WaitEnd.FINISHED
    assert result.run is not None
    assert result.run.result in ("Canceled", "Cancelled")
    assert RunReport.of(result.ref or RunRef(STORAGE, "c1", "x"), result.run).text("x")


@pytest.mark.parametrize("form", ["right", "wrong-path", "malformed", "loop", "endless", "empty-object"])
@pytest.mark.parametrize("count", [0, 3, 100, 250])
def test_every_source_file_is_listed_once_whatever_the_next_link(
    world: World, client: Driver, form: Any, count: int
) -> None:
    world.emulator.add_connection(connection_id="c1", files=count)
    world.emulator.quirks.next_links = form
    pages = Pages(
        lambda top, skip: endpoints.get_source_files(STORAGE, "c1", top, skip),
        lambda page: (page.source_files, page.links),
    )

    names = []
    while not pages.is_done:
        names += [file.last_known_file_name for file in client.run_flow(pages.next_page(client.account))]

    assert len(names) == len(set(names)) == count
    assert len(world.emulator.request_log) <= count // 100 + 3


@pytest.mark.parametrize("order", ["newest-first", "oldest-first", "shuffled"])
def test_every_run_is_listed_in_any_order(world: World, client: Driver, order: Any) -> None:
    world.emulator.add_connection(connection_id="c1")
    for _ in range(5):
        world.emulator.start_run("c1")
        world.emulator.finish_run("c1")
        world.clock.advance(10.0)
    world.emulator.quirks.run_order = order

    page = call(client, endpoints.get_runs(STORAGE, "c1", 100, 0))

    assert page.runs is not None
    assert {run.id for run in page.runs} == set(run_ids(world))
    assert all(run.start_date_time is not None and run.result == "Success" for run in page.runs)


def test_entries_of_a_list_have_their_details(world: World, client: Driver) -> None:
    world.emulator.add_connection(connection_id="c1", imodel_id="m", display_name="Nightly", files=["a.dgn"])

    files = call(client, endpoints.get_source_files(STORAGE, "c1", 100, 0)).source_files
    connections = call(client, endpoints.get_connections(STORAGE, "m", 100, 0)).connections

    assert files is not None
    assert connections is not None
    assert (files[0].last_known_file_name, files[0].connector_type) == ("a.dgn", "MSTN")
    assert (connections[0].display_name, connections[0].imodel_id) == ("Nightly", "m")


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_connection_is_not_found(world: World, client: Driver, kind: ConnectionKind) -> None:
    with pytest.raises(ITwinNotFoundError) as caught:
        start_run(client, "nothing", kind)

    assert caught.value.code is not None
    assert caught.value.code.endswith("NotFound")
    assert "service-emulator@apps.imsoidc.bentley.com may have no role" in str(caught.value)


def test_a_client_that_is_no_member_has_no_permission_to_start(world: World, client: Driver) -> None:
    world.emulator.add_connection(connection_id="c1")
    world.emulator.store.clients[world.emulator.client_id].everywhere = False

    with pytest.raises(ITwinPermissionError) as caught:
        start_run(client)

    assert caught.value.code == "InsufficientPermissions"
    assert caught.value.correlation_id


def test_an_invalid_body_is_refused_with_its_wrong_member(world: World, client: Driver) -> None:
    world.emulator.add_connection("export", "c1")

    with pytest.raises(ITwinInvalidRequestError) as caught:
        client.run_flow(ensure_run(client.account, ConnectionKind.EXPORT, "c1", {"exportType": "LandXML"}))

    assert [detail.target for detail in caught.value.details] == ["exportType"]


def test_the_newest_run_is_waited_for_before_it_exists(world: World, client: Driver) -> None:
    world.emulator.add_connection(connection_id="c1")
    old = world.emulator.start_run("c1")
    world.emulator.finish_run("c1")
    world.clock.advance(60.0)
    since = world.emulator.clock.now()
    spec = WaitSpec(
        STORAGE,
        "c1",
        started_after="2026-05-28T20:27:40Z",
        began=since,
        deadline=since + 100.0,
    )

    nothing_yet = client.wait(spec)
    world.emulator.start_run("c1")
    seen = client.wait(WaitSpec(STORAGE, "c1", started_after="2026-05-28T20:27:40Z", began=world.clock.now()))

    assert nothing_yet.end is WaitEnd.DEADLINE
    assert seen.end is WaitEnd.FINISHED
    assert seen.ref is not None
    assert seen.ref.run_id != old
