"""Results of the hook as JSON, and a changed secret in all its methods."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_itwin.api.models.run_ref import RunRef
from airflow_provider_itwin.api.wait.waiter import WaitEnd, WaitSpec
from airflow_provider_itwin.hooks.base import ITwinBaseHook
from airflow_provider_itwin.hooks.imodels import ITwinIModelMethods
from airflow_provider_itwin.hooks.itwin import ITwinHook
from airflow_provider_itwin.version_compat import AIRFLOW_V_3_1_PLUS
from tests.airflow.single_task import first_found

if TYPE_CHECKING:
    from collections.abc import Callable

    from itwin_emulator import Emulator
    from tests.airflow.dag_runs import DagResult
    from tests.airflow.fake_clock import FakeClock

NIGHT = "night-connection"
IMODEL = "tower-imodel"


@pytest.fixture
def emulator(emulator: Emulator) -> Emulator:
    """An emulator with a connection of many files."""
    emulator.add_connection(connection_id=NIGHT, imodel_id=IMODEL, files=[f"{number}.dgn" for number in range(250)])
    return emulator


# A changed secret


def waited(hook: ITwinHook, run_id: str) -> Any:
    return hook.wait(WaitSpec("storage", NIGHT, run_id))  # type: ignore[arg-type]


def changeset_id(hook: ITwinHook) -> str:
    return next(hook.list_changesets(IMODEL)).id or ""


def names(hook: ITwinHook, run_id: str) -> Any:
    return hook.file_names(NIGHT, "storage", [next(hook.list_source_files(NIGHT)).storage_file_id or ""])


METHODS: dict[str, Callable[[ITwinHook, str], Any]] = {
    "start_run": lambda hook, run_id: hook.start_run(NIGHT),
    "get_run": lambda hook, run_id: hook.get_run(NIGHT, run_id).id == run_id,
    "list_runs": lambda hook, run_id: list(hook.list_runs(NIGHT)),
    "list_source_files": lambda hook, run_id: len(list(hook.list_source_files(NIGHT))) == 250,
    "describe_connection": lambda hook, run_id: hook.describe_connection(NIGHT).id,
    "list_connections": lambda hook, run_id: list(hook.list_connections(IMODEL)),
    "wait_for_run": lambda hook, run_id: hook.wait_for_run(NIGHT, run_id),
    "wait": lambda hook, run_id: waited(hook, run_id).end is WaitEnd.FINISHED,
    "wait_async": lambda hook, run_id: asyncio.run(hook.wait_async(WaitSpec("storage", NIGHT, run_id))).run,  # type: ignore[arg-type]
    "poll_once": lambda hook, run_id: hook.poll_once(WaitSpec("storage", NIGHT, run_id)).end is WaitEnd.FINISHED,  # type: ignore[arg-type]
    "file_names": names,
    "list_changesets": lambda hook, run_id: len(list(hook.list_changesets(IMODEL))) == 1,
    "get_changeset": lambda hook, run_id: hook.get_changeset(IMODEL, "1").index == 1,
    "find_changes": lambda hook, run_id: hook.find_changes(hook.get_run(NIGHT, run_id), IMODEL),
    "list_named_versions": lambda hook, run_id: list(hook.list_named_versions(IMODEL)) == [],
    "create_named_version": lambda hook, run_id: (
        hook.create_named_version(IMODEL, "Nightly", changeset_id(hook)).created
    ),
    "known_connection": lambda hook, run_id: hook.known_connection(NIGHT, "storage") is not None,
    "addresses": lambda hook, run_id: hook.addresses(RunRef("storage", NIGHT, run_id)).connection,  # type: ignore[arg-type]
    "test_connection": lambda hook, run_id: hook.test_connection()[0],
    "with_client": lambda hook, run_id: hook.with_client(lambda client: client.describe_connection(NIGHT)),
}
SEND_NOTHING_OF_THEIR_OWN = {"get_conn", "async_client", "addresses_async", "is_service"}


class Account:
    """A service application whose secret can change."""

    def __init__(self, emulator: Emulator, connection: Callable[..., None]) -> None:
        self._emulator, self._connection = emulator, connection
        self._set("first")

    def _set(self, secret: str) -> None:
        self._emulator.add_client("service-rotated", secret, everywhere=True)
        self._connection(
            host=self._emulator.url,
            login="service-rotated",
            password=secret,
            extra={"portal_url": "https://portal.example/{imodel_id}"},
        )

    def rotate(self) -> None:
        """Change the secret, and revoke the tokens of the old one."""
        self._set("second")
        self._emulator.revoke_tokens()


@pytest.fixture
def account(emulator: Emulator, connection: Callable[..., None]) -> Account:
    """The account of the Airflow connection."""
    return Account(emulator, connection)


@pytest.mark.parametrize("method", METHODS)
def test_each_method_uses_a_changed_secret(emulator: Emulator, account: Account, method: str) -> None:
    run_id = emulator.start_run(NIGHT)
    emulator.finish_run(NIGHT)
    hook = ITwinHook()
    assert hook.describe_connection(NIGHT).id == NIGHT
    account.rotate()
    assert METHODS[method](hook, run_id)


def test_the_table_names_each_public_method() -> None:
    own = {
        name for cls in (ITwinHook, ITwinBaseHook, ITwinIModelMethods) for name in vars(cls) if not name.startswith("_")
    }
    forms = {"get_ui_field_behaviour", "get_connection_form_widgets"}
    settings = {"conn_name_attr", "default_conn_name", "conn_type", "hook_name"}
    assert own - forms - settings == {*METHODS, *SEND_NOTHING_OF_THEIR_OWN}


def test_a_list_that_is_being_read_resumes_on_the_same_page(emulator: Emulator, account: Account) -> None:
    files = ITwinHook().list_source_files(NIGHT)
    ids = [next(files).id]
    account.rotate()
    ids += [file.id for file in files]
    assert len(ids) == len(set(ids)) == 250


# As JSON


RESULTS: dict[str, Callable[[ITwinHook, str], Any]] = {
    "run": lambda hook, run_id: hook.get_run(NIGHT, run_id),
    "run of a list": lambda hook, run_id: next(hook.list_runs(NIGHT)),
    "run waited for": lambda hook, run_id: hook.wait_for_run(NIGHT, run_id),
    "connection": lambda hook, run_id: hook.describe_connection(NIGHT),
    "connection of a list": lambda hook, run_id: next(hook.list_connections(IMODEL)),
    "changeset": lambda hook, run_id: next(hook.list_changesets(IMODEL)),
    "named version": lambda hook, run_id: hook.create_named_version(IMODEL, "Nightly", changeset_id(hook)),
    "source file": lambda hook, run_id: next(hook.list_source_files(NIGHT)),
    "started run": lambda hook, run_id: hook.start_run(NIGHT),
    "ref": lambda hook, run_id: hook.start_run(NIGHT).ref,
    "job": lambda hook, run_id: (hook.get_run(NIGHT, run_id).jobs or [])[0],
    "task": lambda hook, run_id: ((hook.get_run(NIGHT, run_id).jobs or [])[0].tasks or [])[0],
}


@pytest.fixture
def result(emulator: Emulator, request: pytest.FixtureRequest) -> Any:
    """One of the results of the hook."""
    emulator.plan_run(NIGHT, "PartialSuccess", 60, failing=["1.dgn"])
    run_id = emulator.start_run(NIGHT)
    emulator.finish_run(NIGHT)
    return RESULTS[request.param](ITwinHook(), run_id)


@pytest.mark.parametrize("result", RESULTS, indirect=True)
def test_as_dict_returns_json_values(result: Any) -> None:
    serialize = first_found("airflow.sdk.serde.serialize", "airflow.serialization.serde.serialize")
    values = result.as_dict()
    assert json.loads(json.dumps(values, allow_nan=False)) == values
    assert serialize(values) == values
    for name in values:
        assert name == name.lower(), "fields are in snake case"


@pytest.mark.parametrize("result", RESULTS, indirect=True)
def test_a_result_object_is_rejected_as_an_xcom(result: Any) -> None:
    serialize = first_found("airflow.sdk.serde.serialize", "airflow.serialization.serde.serialize")
    for value in (result, [result], {"a": result}):
        with pytest.raises(TypeError, match=rf"A {type(result).__name__} cannot be an XCom.*as_dict\(\)"):
            serialize(value)


def test_a_run_has_the_documented_fields(emulator: Emulator, clock: FakeClock) -> None:
    emulator.plan_run(NIGHT, "PartialSuccess", 60, failing=["1.dgn"])
    run_id = emulator.start_run(NIGHT)
    clock.sleep(90)
    run = ITwinHook().get_run(NIGHT, run_id)
    values: dict[str, Any] = {**run.as_dict()}
    assert (values["id"], values["result"]) == (run_id, "PartialSuccess")
    assert run.end_date_time is not None
    assert values["end_date_time"] == run.end_date_time.isoformat()
    failing = [task for job in values["jobs"] for task in job["tasks"] if task["error"]]
    assert failing
    assert failing[0]["error"]["error_code"]


@pytest.mark.skipif(
    not AIRFLOW_V_3_1_PLUS,
    reason="dag.test of Airflow 2 runs a failed task again and again, the console of 3.0 breaks lines in boxes",
)
def test_a_task_that_returns_a_result_itself_fails_and_says_what_to_return(
    emulator: Emulator, run_dag: Callable[..., DagResult]
) -> None:
    result = run_dag(
        f"""
        @task
        def start():
            from airflow_provider_itwin.hooks.itwin import ITwinHook
            return ITwinHook().start_run("{NIGHT}")

        start()
        """
    )
    assert result.states == {"start": ["failed"]}
    assert "A StartResult cannot be an XCom or an argument of a task; return its as_dict() instead" in result.log
