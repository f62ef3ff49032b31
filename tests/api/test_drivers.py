"""Both clients against the emulator over HTTP: start, 303, wait, list, and everything odd that a service may do."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_itwin.api.errors import (
    ITwinInvalidRequestError,
    ITwinNotFoundError,
    ITwinPermissionError,
    ITwinProtocolError,
)
from airflow_provider_itwin.api.models.enums import ConnectionKind
from airflow_provider_itwin.api.models.report import RunReport
from airflow_provider_itwin.api.models.run_ref import RunRef
from airflow_provider_itwin.api.runs import endpoints, start
from airflow_provider_itwin.api.runs.active_run_policy import Active
from airflow_provider_itwin.api.runs.pagination import Pages
from airflow_provider_itwin.api.runs.start import StartedRun
from airflow_provider_itwin.api.wait.waiter import WaitEnd, WaitSpec
from tests.api.drivers import Driver, World, call

KINDS = list(ConnectionKind)
BODIES: dict[ConnectionKind, dict[str, Any] | None] = {
    ConnectionKind.STORAGE: None,
    ConnectionKind.MANIFEST: {},
    ConnectionKind.EXPORT: {"exportType": "IFC"},
}
STORAGE = ConnectionKind.STORAGE


def start_run(client: Driver, connection_id: str = "c1", kind: ConnectionKind = STORAGE) -> StartedRun:
    return client.run_flow(start.start_run(client.account, kind, connection_id, BODIES[kind]))


def waiting_for(world: World, ref: RunRef, **details: Any) -> WaitSpec:
    return WaitSpec(ref.kind, ref.connection_id, ref.run_id, began=world.clock.now(), **details)


def run_ids(world: World, connection_id: str = "c1") -> list[str]:
    return [run["id"] for run in world.emulator.runs(connection_id)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_from_start_to_end(world: World, client: Driver, kind: ConnectionKind) -> None:
    world.emulator.add_connection(kind.value, "c1", files=["a.dgn", "b.dwg"])
    world.emulator.plan_run("c1", duration=1500.0, warnings=7)

    started = start_run(client, kind=kind)
    outcome = client.wait(waiting_for(world, started.ref))

    assert started == StartedRun(RunRef(kind, "c1", run_ids(world)[0]), created=True)
    assert (outcome.end, outcome.ref, outcome.state) == (WaitEnd.FINISHED, started.ref, "Completed")
    assert 1500.0 <= outcome.elapsed <= 1500.0 * 1.06
    assert outcome.run is not None
    assert (outcome.run.result, outcome.run.connection_id) == ("Success", "c1")
    assert RunReport.of(started.ref, outcome.run).totals.tasks == (1 if kind is ConnectionKind.EXPORT else 2)


@pytest.mark.parametrize(("theirs", "kind"), [("storage", "manifest"), ("export", "storage"), ("manifest", "manifest")])
def test_the_run_of_another_connection_is_named_and_not_taken_for_ours(
    world: World, client: Driver, theirs: Any, kind: Any
) -> None:
    world.emulator.add_connection(kind, "c1", imodel_id="m")
    world.emulator.add_connection(theirs, "c2", imodel_id="m")
    run_id = world.emulator.start_run("c2")
    baseline = client.run_flow(start.take_baseline(client.account, ConnectionKind(kind), "c1"))

    started = start_run(client, kind=ConnectionKind(kind))
    active = client.run_flow(start.examine_active(client.account, started.ref, baseline, ConnectionKind(kind), "c1"))

    assert started == StartedRun(RunRef(ConnectionKind(theirs), "c2", run_id), created=False)
    assert active == Active(started.ref, ours=False, fresh=False)
    assert run_ids(world) == []


@pytest.mark.parametrize("skew", [0.0, 86400.0, -86400.0])
def test_an_older_run_of_ours_is_told_from_a_fresh_one_whatever_the_clocks_say(
    world: World, client: Driver, skew: float
) -> None:
    world.clock.skew = skew
    world.emulator.add_connection(connection_id="c1")
    older = world.emulator.start_run("c1")
    world.clock.advance(5.0)
    baseline = client.run_flow(start.take_baseline(client.account, STORAGE, "c1"))
    first = client.run_flow(start.examine_active(client.account, start_run(client).ref, baseline, STORAGE, "c1"))
    world.emulator.finish_run("c1")
    world.clock.advance(5.0)
    fresh = world.emulator.start_run("c1")
    second = client.run_flow(start.examine_active(client.account, start_run(client).ref, baseline, STORAGE, "c1"))

    assert first == Active(RunRef(STORAGE, "c1", older), ours=True, fresh=False)
    assert second == Active(RunRef(STORAGE, "c1", fresh), ours=True, fresh=True)


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
    world.emulator.oddities.location = location
    world.emulator.oddities.stale_last_run_for = stale
    world.emulator.oddities.links_host = "https://evil.example"

    started = start_run(client)

    assert started == StartedRun(RunRef(STORAGE, "c1", run_ids(world)[1]), created=True)
    assert {entry.host for entry in world.emulator.journal} == {f"127.0.0.1:{world.emulator.port}"}


@pytest.mark.parametrize("location", LOCATIONS)
def test_the_active_run_is_found_however_the_service_names_it(world: World, client: Driver, location: Any) -> None:
    world.emulator.add_connection(connection_id="c1")
    run_id = world.emulator.start_run("c1")
    world.emulator.oddities.location = location

    assert start_run(client) == StartedRun(RunRef(STORAGE, "c1", run_id), created=False)


def test_an_active_run_that_is_not_named_and_not_ours(world: World, client: Driver) -> None:
    world.emulator.add_connection(connection_id="c1", imodel_id="m")
    world.emulator.add_connection(connection_id="c2", imodel_id="m")
    world.emulator.start_run("c2")
    world.emulator.oddities.location = "missing"

    with pytest.raises(ITwinProtocolError, match="by a run that the service does not name"):
        start_run(client)


def test_conflicts_are_waited_out(world: World, client: Driver) -> None:
    world.emulator.add_connection(connection_id="c1")
    world.emulator.fail("run-storage-connection", times=3, status=409)

    assert start_run(client).created
    assert len(world.pauses) == 3


def test_a_run_that_is_invisible_at_first_is_waited_for(world: World, client: Driver) -> None:
    world.emulator.add_connection(connection_id="c1")
    world.emulator.oddities.invisible_for = 25.0

    outcome = client.wait(waiting_for(world, start_run(client).ref))

    assert outcome.end is WaitEnd.FINISHED


def test_an_invisible_run_of_ours_is_examined_once_it_appears(world: World, client: Driver) -> None:
    world.emulator.add_connection(connection_id="c1")
    baseline = client.run_flow(start.take_baseline(client.account, STORAGE, "c1"))
    world.emulator.start_run("c1")
    world.emulator.oddities.invisible_for = 10.0

    ref = start_run(client).ref
    active = client.run_flow(start.examine_active(client.account, ref, baseline, STORAGE, "c1"))

    assert active == Active(ref, ours=True, fresh=True)


@pytest.mark.parametrize(
    "oddity",
    [
        {"canceled_spelling": "Cancelled"},
        {"dates": "6-digits"},
        {"dates": "no-zone"},
        {"dates": "no-fraction"},
        {"no_end": "null"},
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
def test_oddities_of_a_run_do_no_harm(world: World, client: Driver, oddity: dict[str, Any]) -> None:
    world.emulator.add_connection(connection_id="c1")
    world.emulator.plan_run("c1", "Canceled")
    for name, value in oddity.items():
        setattr(world.emulator.oddities, name, value)

    outcome = client.wait(waiting_for(world, start_run(client).ref))

    assert outcome.end is WaitEnd.FINISHED
    assert outcome.run is not None
    assert outcome.run.result in ("Canceled", "Cancelled")
    assert RunReport.of(outcome.ref or RunRef(STORAGE, "c1", "x"), outcome.run).text("x")


@pytest.mark.parametrize("form", ["right", "wrong-path", "malformed", "loop", "endless", "empty-object"])
@pytest.mark.parametrize("count", [0, 3, 100, 250])
def test_every_source_file_is_listed_once_whatever_the_links_say(
    world: World, client: Driver, form: Any, count: int
) -> None:
    world.emulator.add_connection(connection_id="c1", files=count)
    world.emulator.oddities.next_links = form
    pages = Pages(
        lambda top, skip: endpoints.get_source_files(STORAGE, "c1", top, skip),
        lambda page: (page.source_files, page.links),
    )

    names = []
    while not pages.is_done:
        names += [file.last_known_file_name for file in client.run_flow(pages.next_page(client.account))]

    assert len(names) == len(set(names)) == count
    assert len(world.emulator.journal) <= count // 100 + 3


@pytest.mark.parametrize("spec", ["newest-first", "oldest-first", "shuffled"])
def test_runs_are_listed_whole_in_whatever_order(world: World, client: Driver, spec: Any) -> None:
    world.emulator.add_connection(connection_id="c1")
    for _ in range(5):
        world.emulator.start_run("c1")
        world.emulator.finish_run("c1")
        world.clock.advance(10.0)
    world.emulator.oddities.run_order = spec

    page = call(client, endpoints.get_runs(STORAGE, "c1", 100, 0))

    assert page.runs is not None
    assert {run.id for run in page.runs} == set(run_ids(world))
    assert all(run.start_date_time is not None and run.result == "Success" for run in page.runs)


def test_a_list_asks_for_everything(world: World, client: Driver) -> None:
    world.emulator.add_connection(connection_id="c1", imodel_id="m", display_name="Nightly", files=["a.dgn"])

    files = call(client, endpoints.get_source_files(STORAGE, "c1", 100, 0)).source_files
    connections = call(client, endpoints.get_connections(STORAGE, "m", 100, 0)).connections

    assert files is not None
    assert connections is not None
    assert (files[0].last_known_file_name, files[0].connector_type) == ("a.dgn", "MSTN")
    assert (connections[0].display_name, connections[0].imodel_id) == ("Nightly", "m")


@pytest.mark.parametrize("kind", KINDS)
def test_what_does_not_exist(world: World, client: Driver, kind: ConnectionKind) -> None:
    with pytest.raises(ITwinNotFoundError) as caught:
        start_run(client, "nothing", kind)

    assert caught.value.code is not None
    assert caught.value.code.endswith("NotFound")
    assert "service-emulator@apps.imsoidc.bentley.com may lack a role" in str(caught.value)


def test_who_is_no_member_may_not_start(world: World, client: Driver) -> None:
    world.emulator.add_connection(connection_id="c1")
    world.emulator.platform.clients[world.emulator.client_id].everywhere = False

    with pytest.raises(ITwinPermissionError) as caught:
        start_run(client)

    assert caught.value.code == "InsufficientPermissions"
    assert caught.value.correlation_id


def test_a_body_that_makes_no_sense(world: World, client: Driver) -> None:
    world.emulator.add_connection("export", "c1")

    with pytest.raises(ITwinInvalidRequestError) as caught:
        client.run_flow(start.start_run(client.account, ConnectionKind.EXPORT, "c1", {"exportType": "LandXML"}))

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
