"""The hook: from an Airflow connection to a client, and its methods."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pendulum
import pytest

from airflow_provider_itwin.api import client_pool
from airflow_provider_itwin.api.errors import (
    ITwinAuthenticationError,
    ITwinError,
    ITwinNotFoundError,
    ITwinServerError,
    ITwinWaitTimeoutError,
)
from airflow_provider_itwin.api.models.enums import ConnectionKind
from airflow_provider_itwin.api.models.run_ref import RunRef
from airflow_provider_itwin.hooks.itwin import ITwinHook
from tests.airflow.sdk import AirflowException
from tests.airflow.single_task import first_found

if TYPE_CHECKING:
    from collections.abc import Callable

    from itwin_emulator import Emulator
    from tests.airflow.fake_clock import FakeClock

NIGHT = "night-connection"
IMODEL = "tower-imodel"
SECRET = "MARKER/of+a=secret"
CREDENTIALS = {"login": "service-a", "password": SECRET}


@pytest.fixture
def emulator(emulator: Emulator) -> Emulator:
    """An emulator with a connection of two files."""
    emulator.add_connection(connection_id=NIGHT, imodel_id=IMODEL, files=["Tower.dgn", "Roof.rvt"])
    return emulator


# Every form of an Airflow connection


FORMS = {
    "JSON": '{{"conn_type": "itwin", "host": "http://127.0.0.1:{port}", "login": "{login}", "password": "{secret}"}}',
    "JSON with port": '{{"conn_type": "itwin", "host": "127.0.0.1", "port": {port}, "login": "{login}", "password": "{secret}"}}',
    "JSON with extra": (
        '{{"conn_type": "itwin", "host": "127.0.0.1", "port": {port}, "login": "{login}", "password": "{secret}", '
        '"extra": {{"timeout": 30, "verify": true}}}}'
    ),
    "JSON with extra as text": (
        '{{"conn_type": "itwin", "host": "127.0.0.1", "port": {port}, "login": "{login}", "password": "{secret}", '
        '"extra": "{{\\"timeout\\": 30}}"}}'
    ),
    "URI": "itwin://{login}:{quoted}@127.0.0.1:{port}",
    "URI with schema": "itwin://{login}:{quoted}@127.0.0.1:{port}/http",
    "URI with host as URI": "itwin://{login}:{quoted}@http%3A%2F%2F127.0.0.1%3A{port}",
    "URI with query": "itwin://{login}:{quoted}@127.0.0.1:{port}/?timeout=30&verify=false&scope=itwin-platform",
    "URI with extra": "itwin://{login}:{quoted}@127.0.0.1:{port}/?__extra__=%7B%22timeout%22%3A+30%7D",
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("asynchronous", [False, True])
def test_every_form_of_an_airflow_connection_works(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, form: str, asynchronous: bool
) -> None:
    from urllib.parse import quote

    text = FORMS[form].format(
        port=emulator.port,
        login=emulator.client_id,
        secret=emulator.client_secret,
        quoted=quote(emulator.client_secret, safe=""),
    )
    monkeypatch.setenv("AIRFLOW_CONN_ITWIN_DEFAULT", text)
    if not asynchronous:
        assert ITwinHook().describe_connection(NIGHT).id == NIGHT
        return

    async def describe() -> Any:
        from airflow_provider_itwin.api.runs import endpoints

        async with ITwinHook().async_client() as client:
            return await client.call(endpoints.get_connection(ConnectionKind.STORAGE, NIGHT))

    assert asyncio.run(describe()).id == NIGHT


def test_nothing_is_read_or_sent_before_it_is_needed(emulator: Emulator) -> None:
    hook = ITwinHook("no_such_connection")
    with pytest.raises(AirflowException, match="no_such_connection"):
        hook.get_conn()
    ITwinHook().get_conn()
    assert not emulator.request_log


def test_the_hook_of_the_connection_type() -> None:
    connection = first_found("airflow.sdk.Connection", "airflow.models.Connection")(
        conn_id="my_itwin", conn_type="itwin", **CREDENTIALS
    )
    hook = connection.get_hook()
    assert isinstance(hook, ITwinHook)
    assert hook.itwin_conn_id == "my_itwin"
    assert (ITwinHook.conn_type, ITwinHook.conn_name_attr, ITwinHook.hook_name) == ("itwin", "itwin_conn_id", "iTwin")
    assert ITwinHook().itwin_conn_id == ITwinHook.default_conn_name == "itwin_default"


# The connection test


def test_a_valid_connection_passes_the_test(emulator: Emulator) -> None:
    ok, message = ITwinHook().test_connection()
    assert ok
    assert message == f"Connected to {emulator.url} as {emulator.client_id}; storage connections are visible."


def test_a_valid_connection_with_a_token_passes_the_test(emulator: Emulator, connection: Callable[..., None]) -> None:
    token = token_of(emulator)
    connection(host=emulator.url, extra={"token": token})
    ok, message = ITwinHook().test_connection()
    assert ok
    assert "with the access token" in message
    assert token not in message


def token_of(emulator: Emulator) -> str:
    made: str = emulator.make_token(emulator.client_id)
    return made


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"password": "wrong-MARKER"}, "check Client id and Client secret"),
        ({"login": "nobody"}, "check Client id"),
        ({"extra": {"scope": "nothing:read"}}, "scope"),
        ({"host": "http://127.0.0.1:9"}, "127.0.0.1:9"),
        ({"host": "http://api.bentley.com"}, "plain http"),
        ({"login": None}, "no credentials"),
        ({"extra": {"token": "stale-MARKER"}}, "refused the access token"),
        ({"extra": {"timeout": "soon"}}, "timeout in the extra"),
    ],
    ids=str,
)
def test_an_invalid_connection_fails_the_test(
    emulator: Emulator, connection: Callable[..., None], clock: FakeClock, fields: dict[str, Any], words: str
) -> None:
    good = {"host": emulator.url, "login": emulator.client_id, "password": emulator.client_secret}
    connection(**good | fields)
    ok, message = ITwinHook().test_connection()
    assert not ok
    assert words in message
    assert "MARKER" not in message
    assert emulator.client_secret not in message
    # A user waits for the result.
    assert clock.slept == 0


@pytest.mark.parametrize(
    ("fault", "ok", "words"),
    [
        ({"status": 503}, False, "503"),
        ({"status": 403}, False, "has no role (InsufficientPermissions)"),
        ({"status": 429}, False, "RateLimitExceeded"),
        ({"status": 401}, False, "refused the token"),
        ({"kind": "html"}, False, "502"),
        ({"kind": "invalid-json"}, False, "JSON"),
        ({"status": 422}, True, "Connected"),
    ],
    ids=str,
)
def test_the_response_of_the_service_decides_the_test(
    emulator: Emulator, clock: FakeClock, fault: dict[str, Any], ok: bool, words: str
) -> None:
    emulator.fail("get-storage-connections", None, **fault)
    said, message = ITwinHook().test_connection()
    assert said is ok
    assert words in message
    assert clock.slept == 0


def test_a_missing_connection_fails_the_test_without_an_exception(emulator: Emulator) -> None:
    ok, message = ITwinHook("nobody").test_connection()
    assert not ok
    assert "nobody" in message


# Methods


def test_starts_a_run(emulator: Emulator) -> None:
    started = ITwinHook().start_run(NIGHT)
    [run] = emulator.runs(NIGHT)
    assert started.created
    assert started.ref == RunRef(ConnectionKind.STORAGE, NIGHT, run["id"])
    again = ITwinHook().start_run(NIGHT)
    assert (again.created, again.ref) == (False, started.ref)


def test_starts_runs_of_the_other_kinds(emulator: Emulator) -> None:
    emulator.add_connection("manifest", "a-manifest", files=[{"name": "T.dgn", "file_id": "t"}])
    emulator.add_connection("export", "an-export")
    body = {"sourceFiles": [{"id": "t", "name": "T.dgn", "action": "bridge"}]}
    assert str(ITwinHook().start_run("a-manifest", "manifest", body).ref).startswith("manifest/a-manifest/")
    assert str(ITwinHook().start_run("an-export", "export", {"exportType": "IFC"}).ref).startswith("export/an-export/")


def test_returns_a_run_with_its_tasks(emulator: Emulator) -> None:
    emulator.plan_run(NIGHT, "Error", 60, failing=[{"file": "Roof.rvt", "bridge_exit_code": 21}])
    run_id = emulator.start_run(NIGHT)
    hook = ITwinHook()
    assert hook.get_run(NIGHT, run_id).result == "Undetermined"
    emulator.finish_run(NIGHT, result=None)
    run = hook.get_run(NIGHT, run_id)
    assert (run.id, run.connection_id, run.state, run.result) == (run_id, NIGHT, "Completed", "Error")
    assert run.start_date_time is not None
    assert run.end_date_time is not None
    assert run.end_date_time >= run.start_date_time
    [failed] = [task for job in run.jobs or [] for task in job.tasks or [] if task.result == "Error"]
    assert failed.error is not None
    assert failed.error.bridge_exit_code == 21


@pytest.mark.parametrize("order", ["newest-first", "oldest-first", "shuffled"])
@pytest.mark.parametrize("limit", [None, 0, 1, 7, 500])
def test_lists_runs_newest_first(emulator: Emulator, clock: FakeClock, order: Any, limit: int | None) -> None:
    emulator.quirks.run_order = order
    started = []
    for _ in range(150):
        started.append(emulator.start_run(NIGHT))
        emulator.finish_run(NIGHT)
        clock.sleep(60)
    listed = [run.id for run in ITwinHook().list_runs(NIGHT, limit=limit)]
    assert listed == started[::-1][:limit]


def test_lists_source_files_lazily(emulator: Emulator) -> None:
    emulator.add_connection(connection_id="large", files=250)
    files = ITwinHook().list_source_files("large")
    assert not emulator.request_log
    assert next(files).last_known_file_name
    pages = [entry for entry in emulator.request_log if entry.operation == "get-storage-connection-sourcefiles"]
    assert len(pages) == 1
    assert len({file.storage_file_id for file in files}) == 249


def test_an_export_connection_has_no_source_files(emulator: Emulator) -> None:
    with pytest.raises(ValueError, match="An export connection has no source files"):
        list(ITwinHook().list_source_files(NIGHT, "export"))  # type: ignore[arg-type]
    assert not emulator.request_log


def test_describes_and_lists_connections(emulator: Emulator) -> None:
    described = ITwinHook().describe_connection(NIGHT)
    assert (described.id, described.authentication_type) == (NIGHT, "Service")
    [listed] = ITwinHook().list_connections(IMODEL)
    assert (listed.id, listed.imodel_id) == (NIGHT, IMODEL)
    assert list(ITwinHook().list_connections(IMODEL, "manifest")) == []


@pytest.mark.parametrize("result", ["Success", "Error", "Exploded"])
def test_waits_for_a_run_whatever_its_result(emulator: Emulator, clock: FakeClock, result: str) -> None:
    emulator.plan_run(NIGHT, result, 600)
    run = ITwinHook().wait_for_run(NIGHT, emulator.start_run(NIGHT))
    assert (run.state, run.result) == ("Completed", result)
    assert 600 <= clock.elapsed < 700


@pytest.mark.parametrize("timeout", [300, 300.0, timedelta(minutes=5)])
def test_a_wait_ends_at_its_timeout(emulator: Emulator, clock: FakeClock, timeout: Any) -> None:
    run_id = emulator.start_run(NIGHT)
    with pytest.raises(ITwinWaitTimeoutError, match=f"Run storage/{NIGHT}/{run_id} was still Executing after 5 min"):
        ITwinHook().wait_for_run(NIGHT, run_id, timeout=timeout)
    assert 300 <= clock.elapsed < 310


def test_a_refused_wait_and_an_outage_raise_their_errors(emulator: Emulator) -> None:
    with pytest.raises(ITwinNotFoundError):
        ITwinHook().wait_for_run(NIGHT, "no-such-run")
    emulator.fail("get-storage-connection-run", None, 503)
    with pytest.raises(ITwinServerError):
        ITwinHook().wait_for_run(NIGHT, emulator.start_run(NIGHT))


@pytest.mark.parametrize("bad", ["", "None", "a/b", None, 7, "..", "a b"])
def test_invalid_ids_are_rejected_before_any_request(emulator: Emulator, bad: Any) -> None:
    hook = ITwinHook()
    calls: list[Callable[[], object]] = [
        lambda: hook.start_run(bad),
        lambda: hook.get_run(bad, "a"),
        lambda: hook.get_run("a", bad),
        lambda: list(hook.list_runs(bad)),
        lambda: list(hook.list_source_files(bad)),
        lambda: hook.describe_connection(bad),
        lambda: hook.wait_for_run(bad, "a"),
        lambda: hook.wait_for_run("a", bad),
    ]
    if bad is not None:
        # Without an iModel, the service lists all connections.
        calls.append(lambda: list(hook.list_connections(bad)))
    for call in calls:
        with pytest.raises(ValueError, match="_id"):
            call()
    assert not emulator.request_log


@pytest.mark.parametrize("kind", ["Storage", "", None, "storages"])
def test_invalid_kinds_are_rejected_before_any_request(emulator: Emulator, kind: Any) -> None:
    hook = ITwinHook()
    calls: list[Callable[[], object]] = [
        lambda: hook.start_run(NIGHT, kind),
        lambda: hook.get_run(NIGHT, "a", kind),
        lambda: list(hook.list_runs(NIGHT, kind)),
        lambda: hook.describe_connection(NIGHT, kind),
        lambda: hook.wait_for_run(NIGHT, "a", kind),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="invalid kind"):
            call()
    assert not emulator.request_log


@pytest.mark.parametrize("interval", [60, timedelta(minutes=1), pendulum.duration(minutes=1)])
def test_the_poll_interval_of_a_wait_can_be_a_timedelta(emulator: Emulator, clock: FakeClock, interval: Any) -> None:
    run_id = emulator.start_run(NIGHT)
    with pytest.raises(ITwinWaitTimeoutError):
        ITwinHook().wait_for_run(NIGHT, run_id, poll_interval=interval, timeout=299)
    assert [entry.operation for entry in emulator.request_log].count("get-storage-connection-run") == 6


@pytest.mark.parametrize("parameter", ["poll_interval", "timeout"])
@pytest.mark.parametrize("duration", [0, -1, timedelta(0), float("nan"), "60", True])
def test_invalid_durations_are_rejected(emulator: Emulator, parameter: str, duration: Any) -> None:
    with pytest.raises(ValueError, match=f"{parameter} must be a positive number of seconds, a timedelta, or None"):
        ITwinHook().wait_for_run(NIGHT, "a", **{parameter: duration})
    assert not emulator.request_log


def test_each_error_has_its_own_class(emulator: Emulator, connection: Callable[..., None]) -> None:
    with pytest.raises(ITwinNotFoundError) as caught:
        ITwinHook().get_run(NIGHT, "no-such-run")
    assert caught.value.status == 404
    assert caught.value.correlation_id
    connection(host=emulator.url, login="nobody", password="nothing")
    with pytest.raises(ITwinAuthenticationError):
        ITwinHook().get_run(NIGHT, "no-such-run")


# The asynchronous client


async def test_the_connection_is_read_without_blocking_the_event_loop(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.airflow.sdk import Connection

    threads: list[int] = []
    read = ITwinHook.get_connection

    def noted(conn_id: str) -> Any:
        threads.append(threading.get_ident())
        return read(conn_id)

    monkeypatch.setattr(ITwinHook, "get_connection", staticmethod(noted))
    async with ITwinHook().async_client() as client:
        assert client.account.environment.api == emulator.url
    assert bool(threads) != hasattr(Connection, "aextra_dejson")
    assert threading.get_ident() not in threads


async def test_one_event_loop_has_one_client(emulator: Emulator, connection: Callable[..., None]) -> None:
    connection("another", host=emulator.url, login=emulator.client_id, password=emulator.client_secret)
    client_id, secret = emulator.add_client("service-other", everywhere=True)
    connection("other", host=emulator.url, login=client_id, password=secret)
    async with ITwinHook().async_client() as first:
        async with ITwinHook().async_client() as same, ITwinHook("another").async_client() as by_another_name:
            assert first is same is by_another_name
            async with ITwinHook("other").async_client() as other:
                assert other is not first
        await asyncio.gather(*(first.call(an_operation()) for _ in range(5)))
    assert sum(entry.operation == "token" for entry in emulator.request_log) == 1
    assert not client_pool._leases.get(asyncio.get_running_loop())


async def test_the_shared_client_is_closed_after_its_last_use(emulator: Emulator) -> None:
    lent = []

    async def borrow() -> None:
        async with ITwinHook().async_client() as client:
            lent.append(client)
            await client.call(an_operation())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await borrow()
    assert not client_pool._leases.get(asyncio.get_running_loop())
    with pytest.raises((RuntimeError, ITwinError)):
        await lent[0].call(an_operation())


def test_each_loop_has_a_client_of_its_own(emulator: Emulator) -> None:
    async def lent() -> Any:
        async with ITwinHook().async_client() as client:
            await client.call(an_operation())
            return client

    assert asyncio.run(lent()) is not asyncio.run(lent())


def an_operation() -> Any:
    from airflow_provider_itwin.api.runs import endpoints

    return endpoints.get_connection(ConnectionKind.STORAGE, NIGHT)
