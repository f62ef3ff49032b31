"""The hook: from an Airflow connection to a client, and what it offers."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowException

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

from .single_task import first_found

if TYPE_CHECKING:
    from collections.abc import Callable

    from itwin_emulator import Emulator

    from .fake_clock import FakeClock

NIGHT = "night-connection"
IMODEL = "tower-imodel"
SECRET = "MARKER/of+a=secret"
CREDENTIALS = {"login": "service-a", "password": SECRET}


@pytest.fixture
def emulator(emulator: Emulator) -> Emulator:
    """A connection of two files."""
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
def test_every_form_of_a_connection(
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
    assert not emulator.journal


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


def test_a_good_connection(emulator: Emulator) -> None:
    ok, message = ITwinHook().test_connection()
    assert ok
    assert message == f"It works: {emulator.url} accepts {emulator.client_id}, and shows it storage connections."


def test_a_good_connection_with_a_token(emulator: Emulator, connection: Callable[..., None]) -> None:
    token = token_of(emulator)
    connection(host=emulator.url, extra={"token": token})
    ok, message = ITwinHook().test_connection()
    assert ok
    assert "accepts the access token" in message
    assert token not in message


def token_of(emulator: Emulator) -> str:
    made: str = emulator.make_token(emulator.client_id)
    return made


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"password": "wrong-MARKER"}, "look at Client id and Client secret"),
        ({"login": "nobody"}, "look at Client id"),
        ({"extra": {"scope": "imodels:read"}}, "scope"),
        ({"host": "http://127.0.0.1:9"}, "127.0.0.1:9"),
        ({"host": "http://api.bentley.com"}, "plain http"),
        ({"login": None}, "no credentials"),
        ({"extra": {"token": "stale-MARKER"}}, "refuses the access token"),
        ({"extra": {"timeout": "soon"}}, "timeout in the extra"),
    ],
    ids=str,
)
def test_a_bad_connection(
    emulator: Emulator, connection: Callable[..., None], clock: FakeClock, fields: dict[str, Any], words: str
) -> None:
    good = {"host": emulator.url, "login": emulator.client_id, "password": emulator.client_secret}
    connection(**good | fields)
    ok, message = ITwinHook().test_connection()
    assert not ok
    assert words in message
    assert "MARKER" not in message
    assert emulator.client_secret not in message
    # A person is waiting for the answer.
    assert clock.slept == 0


@pytest.mark.parametrize(
    ("fault", "ok", "words"),
    [
        ({"status": 503}, False, "503"),
        ({"status": 403}, False, "lacks a role (InsufficientPermissions)"),
        ({"status": 429}, False, "RateLimitExceeded"),
        ({"status": 401}, False, "refuses the token"),
        ({"kind": "html"}, False, "502"),
        ({"kind": "invalid-json"}, False, "JSON"),
        ({"status": 422}, True, "accepts"),
    ],
    ids=str,
)
def test_what_the_service_says_to_the_test(
    emulator: Emulator, clock: FakeClock, fault: dict[str, Any], ok: bool, words: str
) -> None:
    emulator.fail("get-storage-connections", None, **fault)
    said, message = ITwinHook().test_connection()
    assert said is ok
    assert words in message
    assert clock.slept == 0


def test_a_connection_that_is_not_there_is_no_breakdown(emulator: Emulator) -> None:
    ok, message = ITwinHook("nobody").test_connection()
    assert not ok
    assert "nobody" in message


# What it offers


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


def test_gets_a_run_with_its_tasks(emulator: Emulator) -> None:
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


@pytest.mark.parametrize("spec", ["newest-first", "oldest-first", "shuffled"])
@pytest.mark.parametrize("limit", [None, 0, 1, 7, 500])
def test_lists_runs_newest_first(emulator: Emulator, clock: FakeClock, spec: Any, limit: int | None) -> None:
    emulator.oddities.run_order = spec
    started = []
    for _ in range(150):
        started.append(emulator.start_run(NIGHT))
        emulator.finish_run(NIGHT)
        clock.sleep(60)
    listed = [run.id for run in ITwinHook().list_runs(NIGHT, limit=limit)]
    assert listed == started[::-1][:limit]


def test_lists_source_files_as_they_are_asked_for(emulator: Emulator) -> None:
    emulator.add_connection(connection_id="large", files=250)
    files = ITwinHook().list_source_files("large")
    assert not emulator.journal
    assert next(files).last_known_file_name
    pages = [entry for entry in emulator.journal if entry.operation == "get-storage-connection-sourcefiles"]
    assert len(pages) == 1
    assert len({file.storage_file_id for file in files}) == 249


def test_an_export_connection_has_no_source_files(emulator: Emulator) -> None:
    with pytest.raises(ValueError, match="An export connection has no source files"):
        list(ITwinHook().list_source_files(NIGHT, "export"))
    assert not emulator.journal


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
def test_waits_no_longer_than_it_is_told(emulator: Emulator, clock: FakeClock, timeout: Any) -> None:
    run_id = emulator.start_run(NIGHT)
    with pytest.raises(ITwinWaitTimeoutError, match=f"Run storage/{NIGHT}/{run_id} was still Executing after 5 min"):
        ITwinHook().wait_for_run(NIGHT, run_id, timeout=timeout)
    assert 300 <= clock.elapsed < 310


def test_a_wait_that_the_service_refuses_or_cannot_answer(emulator: Emulator) -> None:
    with pytest.raises(ITwinNotFoundError):
        ITwinHook().wait_for_run(NIGHT, "no-such-run")
    emulator.fail("get-storage-connection-run", None, 503)
    with pytest.raises(ITwinServerError):
        ITwinHook().wait_for_run(NIGHT, emulator.start_run(NIGHT))


@pytest.mark.parametrize("bad", ["", "None", "a/b", None, 7, "..", "a b"])
def test_ids_that_make_no_sense_are_refused_before_anything_is_sent(emulator: Emulator, bad: Any) -> None:
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
        # With no iModel, the service lists all that there are.
        calls.append(lambda: list(hook.list_connections(bad)))
    for call in calls:
        with pytest.raises(ValueError, match="_id"):
            call()
    assert not emulator.journal


@pytest.mark.parametrize("kind", ["Storage", "", None, "storages"])
def test_kinds_that_make_no_sense_are_refused_before_anything_is_sent(emulator: Emulator, kind: Any) -> None:
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
    assert not emulator.journal


def test_waits_with_intervals_that_make_no_sense_are_refused(emulator: Emulator) -> None:
    with pytest.raises(ValueError, match="poll_interval"):
        ITwinHook().wait_for_run(NIGHT, "a", poll_interval=0)
    assert not emulator.journal


def test_what_goes_wrong_is_an_error_of_its_own_kind(emulator: Emulator, connection: Callable[..., None]) -> None:
    with pytest.raises(ITwinNotFoundError) as caught:
        ITwinHook().get_run(NIGHT, "no-such-run")
    assert caught.value.status == 404
    assert caught.value.correlation_id
    connection(host=emulator.url, login="nobody", password="nothing")
    with pytest.raises(ITwinAuthenticationError):
        ITwinHook().get_run(NIGHT, "no-such-run")


# The asynchronous client


async def test_reads_the_connection_off_the_event_loop_unless_airflow_can_without_blocking(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.providers.common.compat.sdk import Connection

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


async def test_all_in_a_loop_share_one_client(emulator: Emulator, connection: Callable[..., None]) -> None:
    connection("another", host=emulator.url, login=emulator.client_id, password=emulator.client_secret)
    client_id, secret = emulator.add_client("service-other", everywhere=True)
    connection("other", host=emulator.url, login=client_id, password=secret)
    async with ITwinHook().async_client() as first:
        async with ITwinHook().async_client() as same, ITwinHook("another").async_client() as by_another_name:
            assert first is same is by_another_name
            async with ITwinHook("other").async_client() as other:
                assert other is not first
        await asyncio.gather(*(first.call(an_operation()) for _ in range(5)))
    assert sum(entry.operation == "token" for entry in emulator.journal) == 1
    assert not client_pool._leases.get(asyncio.get_running_loop())


async def test_the_shared_client_is_closed_when_nobody_needs_it(emulator: Emulator) -> None:
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
