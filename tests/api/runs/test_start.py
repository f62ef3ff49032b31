"""Starting a run: the request, and which run the result names."""

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
from airflow_provider_itwin.api.runs.active_run_policy import ActiveRun
from airflow_provider_itwin.api.runs.start import (
    Baseline,
    StartAttempt,
    StartOutcome,
    StartResult,
    ensure_run,
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
from tests.api.scripted_service import Answer, ScriptedService, first

KIND = ConnectionKind.STORAGE
NEW = RunRef(KIND, "c1", "new")
BASELINE = Baseline(RunRef(KIND, "c1", "old"))
CREATED = StartResult(NEW, StartOutcome.CREATED, StartAttempt(BASELINE, in_doubt=True))


def active(ref: RunRef, *, is_own: bool = True, is_fresh: bool = True) -> StartResult:
    """Return the result of a request that was answered with the active run `ref`."""
    return StartResult(ref, StartOutcome.ACTIVE, StartAttempt(BASELINE), ActiveRun(ref, is_own, is_fresh))


def start(script: ScriptedService, baseline: Baseline | None = BASELINE) -> StartResult:
    """Start a run of storage connection c1; with a baseline, the first request is the one for a run."""
    return script.play(ensure_run(script.account(), KIND, "c1", attempt=StartAttempt(baseline)))


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
def test_the_location_names_the_new_run(location: str) -> None:
    script = ScriptedService(accepted(location))

    assert start(script) == CREATED
    assert script.lines == [f"POST {STORAGE}/c1/run"]


@pytest.mark.parametrize("status", [200, 201, 202])
def test_any_good_status_with_a_location_starts_a_run(status: int) -> None:
    assert start(ScriptedService(accepted(status=status))) == CREATED


@pytest.mark.parametrize("status", [200, 201])
def test_a_good_status_without_a_location_may_come_from_a_gateway_and_is_a_lost_response(status: int) -> None:
    script = ScriptedService(response(status, b"<html>Please sign in</html>"), connection("old"), accepted())

    assert start(script) == CREATED
    assert script.lines == [f"POST {STORAGE}/c1/run", f"GET {STORAGE}/c1", f"POST {STORAGE}/c1/run"]


@pytest.mark.parametrize(
    ("kind", "url", "body"),
    [
        (ConnectionKind.STORAGE, f"{STORAGE}/c1/run", None),
        (ConnectionKind.MANIFEST, f"{MANIFEST}/c1/runs", {"sourceFiles": []}),
        (ConnectionKind.EXPORT, f"{EXPORT}/c1/runs", {"exportType": "IFC"}),
    ],
)
def test_each_kind_has_its_own_path_and_body(kind: ConnectionKind, url: str, body: dict[str, object] | None) -> None:
    root = url.rsplit("/", 2)[0]
    script = ScriptedService(connection("old", root=root), accepted(f"{root}/c1/runs/new"))

    result = script.play(ensure_run(script.account(), kind, "c1", body))

    assert (result.ref, result.outcome) == (RunRef(kind, "c1", "new"), StartOutcome.CREATED)
    _, request = script.requests
    assert (request.method, request.url) == ("POST", url)
    assert (request.body is None) == (body is None)
    assert ("content-type" in request.headers) == (body is not None)
    assert json.loads(request.body or b"null") == body


def test_without_a_baseline_the_connection_is_read_first() -> None:
    script = ScriptedService(connection("old"), accepted(None), connection("old"), connection("new"))

    result = start(script, baseline=None)

    assert (result.ref, result.outcome) == (NEW, StartOutcome.CREATED)
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
def test_without_a_valid_location_the_run_is_the_last_run_once_it_changes(location: str | None) -> None:
    script = ScriptedService(accepted(location), connection("old"), connection("old"), connection("new"))

    assert start(script) == CREATED
    assert script.seconds == [1.0, 2.0]


def test_the_first_run_of_a_connection_is_found_without_a_location() -> None:
    script = ScriptedService(accepted(None), connection(None), connection("new"))

    assert start(script, Baseline()).ref == NEW


def test_an_unchanged_last_run_is_never_the_new_run() -> None:
    script = ScriptedService(accepted(None), always=connection("old"))

    with pytest.raises(ITwinProtocolError, match="was accepted, but neither the response nor the connection names it"):
        start(script)

    assert script.seconds == [1.0, 2.0, 4.0, 8.0, 15.0]


@pytest.mark.parametrize("old", ["OLD", "Old", f"{STORAGE}/C1/runs/old"])
def test_an_old_run_in_another_case_is_never_the_new_run(old: str) -> None:
    script = ScriptedService(accepted(None), connection(old), connection(f"{STORAGE}/C1/runs/new"))

    assert start(script) == CREATED


def test_an_active_run_in_another_case_is_the_old_run_and_keeps_the_id_of_the_connection() -> None:
    script = ScriptedService(accepted(f"{STORAGE}/C1/runs/OLD", status=303), run())

    result = start(script, Baseline(RunRef(KIND, "c1", "old"), datetime(2026, 1, 1, tzinfo=UTC)))

    assert result.ref.connection_id == "c1"
    assert result.active == ActiveRun(result.ref, is_own=True, is_fresh=False)


def test_a_last_run_of_another_connection_is_never_the_new_run() -> None:
    script = ScriptedService(accepted(None), connection(f"{STORAGE}/another/runs/new"), connection("new"))

    assert start(script) == CREATED


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
    is_own = (ref.kind, ref.connection_id) == (KIND, "c1")
    script = ScriptedService(accepted(location, status=303), *([run()] if is_own else []))

    assert start(script) == active(ref, is_own=is_own, is_fresh=is_own)
    assert script.lines == [f"POST {STORAGE}/c1/run", *([f"GET {STORAGE}/c1/runs/r9"] if is_own else [])]


@pytest.mark.parametrize("location", [None, "https://api.bentley.com/nowhere"])
def test_a_303_without_a_run_names_the_last_run_if_it_is_active(location: str | None) -> None:
    script = ScriptedService(accepted(location, status=303), connection("r7"), run("Queued"), run("Queued"))

    assert start(script) == active(RunRef(KIND, "c1", "r7"))


@pytest.mark.parametrize("answers", [[connection("old"), finished()], [connection(None)]])
def test_a_303_without_a_run_is_an_error_if_no_run_of_the_connection_is_active(answers: list[Response]) -> None:
    script = ScriptedService(accepted(None, status=303), *answers)

    with pytest.raises(ITwinProtocolError, match="is being synchronized by a run that the service does not name"):
        start(script)


def test_conflicts_are_retried() -> None:
    script = ScriptedService(
        documented("run-storage-connection", 409), documented("run-storage-connection", 409), accepted()
    )

    assert start(script) == CREATED


LOST = [SILENCE, error(500), response(204)]
REJECTED = [error(429), documented("run-storage-connection", 409), error(401)]


def start_with_body(*answers: Answer) -> StartResult:
    """Start a manifest run; the service answers the request for it with `answers`, and then with an active run."""
    script = ScriptedService(
        connection("old", root=MANIFEST), *answers, accepted(f"{MANIFEST}/c1/runs/new", status=303), run()
    )
    return script.play(ensure_run(script.account(), ConnectionKind.MANIFEST, "c1", {"sourceFiles": []}))


@pytest.mark.parametrize("lost", LOST)
def test_after_a_lost_response_the_active_run_can_be_ours(lost: Response) -> None:
    storage = start(ScriptedService(lost, connection("old"), accepted(status=303), run()))
    manifest = start_with_body(lost, connection("old", root=MANIFEST))

    assert storage == active(NEW)
    assert manifest.active is not None
    assert manifest.active.is_fresh


@pytest.mark.parametrize("rejected", REJECTED)
def test_a_rejected_request_started_nothing(rejected: Response) -> None:
    storage = start(ScriptedService(rejected, accepted(status=303), run()))
    manifest = start_with_body(rejected)

    assert storage == active(NEW)
    assert manifest.active is not None
    assert not manifest.active.is_fresh


@pytest.mark.parametrize("lost", LOST)
def test_the_run_of_a_lost_response_is_found_before_another_is_requested(lost: Response) -> None:
    script = ScriptedService(lost, connection("new"), run())

    assert start(script) == StartResult(NEW, StartOutcome.FOUND, StartAttempt(BASELINE, in_doubt=True))
    assert script.lines == [f"POST {STORAGE}/c1/run", f"GET {STORAGE}/c1", f"GET {STORAGE}/c1/runs/new"]


@pytest.mark.parametrize("lost", LOST)
def test_after_a_lost_response_that_started_nothing_the_next_request_starts_the_run(lost: Response) -> None:
    assert start(ScriptedService(lost, connection("old"), accepted())) == CREATED


@pytest.mark.parametrize(
    ("status", "meaning"),
    [(403, ITwinPermissionError), (404, ITwinNotFoundError), (422, ITwinInvalidRequestError)],
)
def test_a_refusal_is_raised(status: int, meaning: type[ITwinError]) -> None:
    script = ScriptedService(documented("run-storage-connection", status))

    with pytest.raises(meaning) as caught:
        start(script)

    assert (caught.value.method, caught.value.url) == ("POST", f"{STORAGE}/c1/run")


@pytest.mark.parametrize("bad", ["", "a/b", "a?b", "..", "None"])
def test_an_invalid_id_is_refused_before_anything_is_sent(bad: str) -> None:
    script = ScriptedService()

    with pytest.raises(ValueError, match="connection_id"):
        script.play(ensure_run(script.account(), KIND, bad))


def test_every_request_goes_to_the_host_of_the_account_whatever_the_links_say() -> None:
    elsewhere = "https://evil.example/synchronization/imodels/storageconnections/c1/runs"
    script = ScriptedService(
        connection(f"{elsewhere}/old"),
        accepted(f"{elsewhere.replace('c1', 'another')}/new"),
        first(connection(f"{elsewhere}/old"), then=connection(f"{elsewhere}/new")),
        connection(f"{elsewhere}/new"),
    )

    assert start(script, baseline=None).ref == NEW
    assert all(request.url.startswith("https://api.bentley.com/") for request in script.requests)


@pytest.mark.parametrize("value", [object(), {1, 2, object()}, {("a", "b"): 1}])
def test_a_body_that_is_not_json_is_refused_before_anything_is_sent(value: object) -> None:
    with pytest.raises(ValueError, match="body cannot be sent"):
        endpoints.start_run(ConnectionKind.MANIFEST, "c1", {"sourceFiles": value})
