"""Starting a run for certain: which run it is that the service has started, or that stands in the way."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from airflow_provider_itwin.api.errors import (
    ITwinError,
    ITwinInvalidRequestError,
    ITwinNotFoundError,
    ITwinPermissionError,
    ITwinProtocolError,
)
from airflow_provider_itwin.api.http.messages import Response
from airflow_provider_itwin.api.models.enums import ConnectionKind
from airflow_provider_itwin.api.models.run_ref import RunRef
from airflow_provider_itwin.api.runs import endpoints
from airflow_provider_itwin.api.runs.start import (
    Baseline,
    StartedRun,
    start_run,
)
from tests.api.responses import (
    EXPORT,
    MANIFEST,
    SILENCE,
    STORAGE,
    accepted,
    connection,
    documented,
    error,
    finished,
    response,
    run,
)
from tests.api.scripted_service import ScriptedService, first

KIND = ConnectionKind.STORAGE
NEW = RunRef(KIND, "c1", "new")
KNOWN = Baseline(RunRef(KIND, "c1", "old"))


def start(script: ScriptedService, baseline: Baseline | None = KNOWN) -> StartedRun:
    return script.play(start_run(script.account(), KIND, "c1", baseline=baseline))


@pytest.mark.parametrize(
    "location",
    [
        "https://api.bentley.com/synchronization/imodels/storageconnections/c1/runs/new",
        "/synchronization/imodels/storageconnections/c1/runs/new",
        "synchronization/imodels/storageconnections/c1/runs/new",
        "https://api.bentley.com/synchronization/imodels/storageConnections/c1/Runs/new",
        "HTTPS://API.BENTLEY.COM/SYNCHRONIZATION/IMODELS/STORAGECONNECTIONS/c1/RUNS/new",
        "https://api.bentley.com/synchronization/imodels/storageconnections/c1/runs/new/",
        "https://api.bentley.com/synchronization/imodels/storageconnections/c1/runs/new?api-version=1#top",
        "  https://api.bentley.com/synchronization/imodels/storageconnections/c1/runs/new  ",
        "https://elsewhere.example/synchronization/imodels/storageconnections/c1/runs/new",
        "https://api.bentley.com/synchronization/imodels/storageconnections/runs/c1/new",
        "https://api.bentley.com/synchronization/imodels/storageconnections/C1/runs/new",
        "HTTPS://API.BENTLEY.COM/SYNCHRONIZATION/IMODELS/STORAGECONNECTIONS/RUNS/C1/new",
    ],
)
def test_the_new_run_is_the_one_that_the_location_names(location: str) -> None:
    script = ScriptedService(accepted(location))

    assert start(script) == StartedRun(NEW, created=True)
    assert script.lines == [f"POST {STORAGE}/c1/run"]


@pytest.mark.parametrize("status", [200, 201, 202])
def test_any_good_status_with_a_location_will_do(status: int) -> None:
    assert start(ScriptedService(accepted(status=status))) == StartedRun(NEW, created=True)


@pytest.mark.parametrize("status", [200, 201])
def test_a_good_status_that_names_no_run_may_come_from_what_stands_in_between(status: int) -> None:
    script = ScriptedService(response(status, b"<html>Please sign in</html>"), connection("old"), accepted())

    assert start(script) == StartedRun(NEW, created=True, in_doubt=True)


@pytest.mark.parametrize(
    ("kind", "url", "body"),
    [
        (ConnectionKind.STORAGE, f"{STORAGE}/c1/run", None),
        (ConnectionKind.MANIFEST, f"{MANIFEST}/c1/runs", {"sourceFiles": []}),
        (ConnectionKind.EXPORT, f"{EXPORT}/c1/runs", {"exportType": "IFC"}),
    ],
)
def test_each_kind_is_started_in_its_own_way(kind: ConnectionKind, url: str, body: dict[str, object] | None) -> None:
    root = url.rsplit("/", 2)[0]
    script = ScriptedService(accepted(f"{root}/c1/runs/new"))

    started = script.play(start_run(script.account(), kind, "c1", body, baseline=Baseline()))

    assert started == StartedRun(RunRef(kind, "c1", "new"), created=True)
    (request,) = script.requests
    assert (request.method, request.url) == ("POST", url)
    assert (request.body is None) == (body is None)
    assert ("content-type" in request.headers) == (body is not None)
    assert json.loads(request.body or b"null") == body


def test_without_a_baseline_the_connection_is_looked_at_first() -> None:
    script = ScriptedService(connection("old"), accepted(None), connection("old"), connection("new"))

    assert start(script, baseline=None) == StartedRun(NEW, created=True)
    assert script.lines == [
        f"GET {STORAGE}/c1",
        f"POST {STORAGE}/c1/run",
        f"GET {STORAGE}/c1",
        f"GET {STORAGE}/c1",
    ]


@pytest.mark.parametrize(
    "location",
    [
        None,
        "",
        "nonsense",
        "http://[not a link",
        f"{STORAGE}/c1",
        f"{STORAGE}/c1/runs/",
        f"{STORAGE}/c1/runs/..",
        f"{STORAGE}/c1/runs/a%2Fb",
        f"{STORAGE}/another/runs/new",
        f"{MANIFEST}/c1/runs/new",
    ],
)
def test_without_a_location_that_helps_the_last_run_is_taken_once_it_is_another(location: str | None) -> None:
    script = ScriptedService(accepted(location), connection("old"), connection("old"), connection("new"))

    assert start(script) == StartedRun(NEW, created=True)
    assert script.seconds == [1.0, 2.0]


def test_a_connection_that_had_never_run() -> None:
    script = ScriptedService(accepted(None), connection(None), connection("new"))

    assert start(script, Baseline()) == StartedRun(NEW, created=True)


def test_a_last_run_that_stays_as_it_was_is_never_taken_for_the_new_one() -> None:
    script = ScriptedService(accepted(None), always=connection("old"))

    with pytest.raises(ITwinProtocolError, match="was accepted, but neither the answer nor the connection tells which"):
        start(script)

    assert script.seconds == [1.0, 2.0, 4.0, 8.0, 15.0]


@pytest.mark.parametrize("old", ["OLD", "Old", f"{STORAGE}/C1/runs/old"])
def test_an_old_run_in_another_case_is_never_taken_for_the_new_one(old: str) -> None:
    script = ScriptedService(accepted(None), connection(old), connection(f"{STORAGE}/C1/runs/new"))

    assert start(script) == StartedRun(NEW, created=True)


def test_an_active_run_of_ours_is_known_in_any_case_and_called_as_we_do() -> None:
    script = ScriptedService(accepted(f"{STORAGE}/C1/runs/OLD", status=303))

    started = start(script)

    assert started.ref.connection_id == "c1"
    baseline = Baseline(RunRef(KIND, "c1", "old"), datetime(2026, 1, 1, tzinfo=UTC))
    assert not baseline.precedes(started.ref, None)
    assert baseline.precedes(RunRef(KIND, "c1", "new"), None)


def test_a_last_run_of_another_connection_is_never_taken_for_ours() -> None:
    script = ScriptedService(accepted(None), connection(f"{STORAGE}/another/runs/new"), connection("new"))

    assert start(script) == StartedRun(NEW, created=True)


@pytest.mark.parametrize(
    ("location", "ref"),
    [
        (f"{STORAGE}/c1/runs/r9", RunRef(KIND, "c1", "r9")),
        (f"{STORAGE}/c2/runs/r9/", RunRef(KIND, "c2", "r9")),
        (f"{MANIFEST}/c1/runs/r9", RunRef(ConnectionKind.MANIFEST, "c1", "r9")),
        (f"{EXPORT}/c1/runs/r9?x=1", RunRef(ConnectionKind.EXPORT, "c1", "r9")),
        ("/Synchronization/IModels/ManifestConnections/c3/runs/r9", RunRef(ConnectionKind.MANIFEST, "c3", "r9")),
        ("/runs/c4/r9", RunRef(KIND, "c4", "r9")),
    ],
)
def test_a_303_names_the_active_run_and_is_not_followed(location: str, ref: RunRef) -> None:
    script = ScriptedService(accepted(location, status=303))

    assert start(script) == StartedRun(ref, created=False)
    assert len(script.requests) == 1


@pytest.mark.parametrize("location", [None, "https://api.bentley.com/nowhere"])
def test_a_303_without_a_run_leads_to_the_last_run_if_that_is_active(location: str | None) -> None:
    script = ScriptedService(accepted(location, status=303), connection("r7"), run("Queued"))

    assert start(script) == StartedRun(RunRef(KIND, "c1", "r7"), created=False)


def test_a_303_without_a_run_while_no_run_of_ours_is_active() -> None:
    script = ScriptedService(accepted(None, status=303), connection("old"), finished())

    with pytest.raises(ITwinProtocolError, match="is being synchronized by a run that the service does not name"):
        start(script)


def test_a_303_without_a_run_for_a_connection_that_never_ran() -> None:
    script = ScriptedService(accepted(None, status=303), connection(None))

    with pytest.raises(ITwinProtocolError, match="does not name"):
        start(script)


def test_conflicts_are_waited_out() -> None:
    script = ScriptedService(
        documented("run-storage-connection", 409), documented("run-storage-connection", 409), accepted()
    )

    assert start(script) == StartedRun(NEW, created=True)


@pytest.mark.parametrize("lost", [SILENCE, error(500), response(204)])
def test_after_a_lost_answer_the_active_run_may_be_ours(lost: Response) -> None:
    script = ScriptedService(lost, connection("old"), accepted(status=303))

    assert start(script) == StartedRun(NEW, created=False, in_doubt=True)


def test_after_a_lost_answer_a_new_run_is_new_all_the_same() -> None:
    assert start(ScriptedService(SILENCE, connection("old"), accepted())).created


@pytest.mark.parametrize("passed", [error(429), documented("run-storage-connection", 409), error(401)])
def test_a_request_that_was_turned_away_started_nothing(passed: Response) -> None:
    assert start(ScriptedService(passed, accepted(status=303))) == StartedRun(NEW, created=False, in_doubt=False)


@pytest.mark.parametrize(
    ("status", "meaning"),
    [(403, ITwinPermissionError), (404, ITwinNotFoundError), (422, ITwinInvalidRequestError)],
)
def test_a_refusal_starts_nothing(status: int, meaning: type[ITwinError]) -> None:
    script = ScriptedService(documented("run-storage-connection", status))

    with pytest.raises(meaning) as caught:
        start(script)

    assert (caught.value.method, caught.value.url) == ("POST", f"{STORAGE}/c1/run")


@pytest.mark.parametrize("status", [403, 404])
def test_who_may_run_a_connection_but_not_read_it_can_start_it(status: int) -> None:
    script = ScriptedService(error(status), accepted())

    assert start(script, baseline=None) == StartedRun(NEW, created=True)


@pytest.mark.parametrize("bad", ["", "a/b", "a?b", "..", "None"])
def test_an_id_that_is_none_is_found_out_before_anything_is_sent(bad: str) -> None:
    script = ScriptedService()

    with pytest.raises(ValueError, match="connection_id"):
        script.play(start_run(script.account(), KIND, bad, baseline=KNOWN))


def test_every_request_goes_to_the_host_of_the_account_whatever_the_links_say() -> None:
    evil = "https://evil.example/synchronization/imodels/storageconnections/c1/runs"
    script = ScriptedService(
        connection(f"{evil}/old"),
        accepted(f"{evil.replace('c1', 'another')}/new"),
        first(connection(f"{evil}/old"), then=connection(f"{evil}/new")),
        connection(f"{evil}/new"),
    )

    assert start(script, baseline=None).ref == NEW
    assert all(request.url.startswith("https://api.bentley.com/") for request in script.requests)


@pytest.mark.parametrize("value", [object(), {1, 2, object()}, {("a", "b"): 1}])
def test_a_body_that_is_no_json_is_refused_before_anything_is_sent(value: object) -> None:
    with pytest.raises(ValueError, match="body cannot be sent"):
        endpoints.start_run(ConnectionKind.MANIFEST, "c1", {"sourceFiles": value})
