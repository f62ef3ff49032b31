"""iModels, named versions and storage folders as assets: normalized URIs, and what their events contain."""

from __future__ import annotations

import importlib
import json
import string
import warnings
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_itwin.assets import (
    add_run_to_events,
    imodel_asset,
    named_version_asset,
    named_version_of,
    run_of,
    sanitize_uri,
    storage_folder_asset,
    triggering_runs,
    upload_of,
)
from airflow_provider_itwin.version_compat import AIRFLOW_V_3_0_PLUS
from tests.airflow.sdk import Asset

if TYPE_CHECKING:
    from collections.abc import Callable

    from itwin_emulator import Emulator
    from tests.airflow.dag_runs import DagResult, DagRunner

    RunDag = Callable[..., DagResult]

GUID = "7dbd531d-6967-47b2-8945-a722a437ad7a"
URI = f"itwin://api.bentley.com/imodels/{GUID}"
GOOD, PARTIAL, FAILING = "demo-storage-connection", "demo-partial-connection", "demo-failing-connection"
MODEL_OF_GOOD = "7b6c1f6a-3b53-4a54-8d0f-2f6f0c5b1001"
EXAMPLES = Path(__file__).parents[2] / "example_dags"
EVENTS = "SELECT uri, e.extra FROM {0}_event e JOIN {0} a ON a.id = e.{0}_id WHERE source_dag_id = ?".format(
    "asset" if AIRFLOW_V_3_0_PLUS else "dataset"
)


def events_of(result: DagResult) -> list[tuple[str, Any]]:
    return [(uri, json.loads(extra)) for uri, extra in result.rows(EVENTS, result.dag_id)]


# URIs


@pytest.mark.parametrize(
    "spelling",
    [
        URI,
        f"itwin://api.bentley.com/imodels/{GUID.upper()}",
        f"itwin://API.Bentley.com/iModels/{GUID}/",
        f"ITWIN://api.bentley.com:443/imodels/{GUID}",
        f"itwin:///imodels/{GUID}",
        f"itwin://api.bentley.com//imodels//{GUID}",
        f"itwin://somebody@api.bentley.com/imodels/{GUID}",
        f"itwin://api.bentley.com/imodels/{GUID}#top",
    ],
)
def test_every_spelling_of_a_uri_is_the_same_asset(airflow_home: Path, spelling: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        assert Asset(spelling).uri == URI


@pytest.mark.parametrize(
    ("asset", "uri"),
    [
        (lambda: named_version_asset(GUID.upper()), f"{URI}/namedversions"),
        (lambda: storage_folder_asset(GUID.upper()), f"itwin://api.bentley.com/storage/folders/{GUID}"),
        (
            lambda: storage_folder_asset("F-1", host="http://127.0.0.1:8899"),
            "itwin://127.0.0.1:8899/storage/folders/F-1",
        ),
        (lambda: Asset(f"itwin:///iModels/{GUID.upper()}/NamedVersions/"), f"{URI}/namedversions"),
        (
            lambda: Asset("itwin://me@API.bentley.com:443/Storage/Folders/F-1"),
            "itwin://api.bentley.com/storage/folders/F-1",
        ),
    ],
    ids=str,
)
def test_named_versions_and_folders_are_assets(airflow_home: Path, asset: Callable[[], Any], uri: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        assert asset().uri == uri


@pytest.mark.parametrize(
    "host", [None, "", "api.bentley.com", "https://api.bentley.com", "https://API.bentley.com:443/"]
)
def test_the_helper_accepts_a_host_like_the_connection(airflow_home: Path, host: str | None) -> None:
    assert imodel_asset(GUID.upper(), host=host).uri == URI


def test_imodels_of_other_environments_are_other_assets(airflow_home: Path) -> None:
    assert imodel_asset(GUID, host="qa-api.bentley.com").uri == f"itwin://qa-api.bentley.com/imodels/{GUID}"
    assert imodel_asset(GUID, host="http://127.0.0.1:8899").uri == f"itwin://127.0.0.1:8899/imodels/{GUID}"


def test_the_helper_accepts_the_arguments_of_an_asset(airflow_home: Path) -> None:
    asset = imodel_asset(GUID, name="bridge", extra={"owner": "structures"})
    assert asset.extra == {"owner": "structures"}
    if AIRFLOW_V_3_0_PLUS:
        assert asset.name == "bridge"


@pytest.mark.parametrize(
    "uri",
    [
        "itwin://api.bentley.com/",
        "itwin://api.bentley.com/imodels",
        f"itwin://api.bentley.com/itwins/{GUID}",
        f"itwin://imodels/{GUID}",
        f"itwin://api.bentley.com/imodels/{GUID}/changesets",
        f"itwin://api.bentley.com/imodels/{GUID}/namedversions/{GUID}",
        f"itwin://api.bentley.com/storage/{GUID}",
        f"itwin://api.bentley.com/storage/files/{GUID}",
        f"itwin://api.bentley.com/imodels/{GUID}?sig=s3cret",
        "itwin://api.bentley.com/imodels/a%2Fb",
        "itwin://api.bentley.com/imodels/None",
    ],
)
def test_an_invalid_uri_is_rejected_without_repeating_a_secret(uri: str) -> None:
    with pytest.raises(ValueError, match="iModel") as caught:
        sanitize_uri(urlsplit(uri))
    assert "s3cret" not in str(caught.value)


@pytest.mark.skipif(not AIRFLOW_V_3_0_PLUS, reason="Airflow 2 only warns")
def test_airflow_rejects_an_invalid_uri(airflow_home: Path) -> None:
    with pytest.raises(ValueError, match="imodels"):
        Asset("itwin://api.bentley.com/bridge")


@pytest.mark.parametrize(
    "arguments", [{"imodel_id": ""}, {"imodel_id": None}, {"imodel_id": GUID, "host": "a/b"}], ids=str
)
def test_the_helper_rejects_invalid_arguments(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"imodel_id|host"):
        imodel_asset(**arguments)
    with pytest.raises(ValueError, match=r"imodel_id|host"):
        named_version_asset(**arguments)
    arguments["folder_id"] = arguments.pop("imodel_id")
    with pytest.raises(ValueError, match=r"folder_id|host"):
        storage_folder_asset(**arguments)


@given(
    path=st.sampled_from(["imodels/{}", "imodels/{}/namedversions", "storage/folders/{}"]),
    host=st.text(string.ascii_letters + string.digits + ".-", max_size=30),
    imodel_id=st.text(string.ascii_letters + string.digits + "-_.~%", max_size=40),
)
def test_normalizing_is_idempotent(path: str, host: str, imodel_id: str) -> None:
    try:
        once = sanitize_uri(urlsplit(f"itwin://{host}/{path.format(imodel_id)}"))
    except ValueError:
        return
    assert sanitize_uri(once) == once
    assert sanitize_uri(urlsplit(once.geturl())) == once
    assert once.netloc == once.netloc.lower()


def test_openlineage_has_the_same_name_for_an_imodel(airflow_home: Path) -> None:
    manager: Any = importlib.import_module("airflow.providers_manager").ProvidersManager()
    kind = "asset" if AIRFLOW_V_3_0_PLUS else "dataset"
    converter = getattr(manager, f"{kind}_to_openlineage_converters")["itwin"]
    named = converter(imodel_asset(GUID), None)
    assert (named.namespace, named.name) == ("itwin://api.bentley.com", f"imodels/{GUID}")
    folder = converter(storage_folder_asset("F-1", host="127.0.0.1:8899"), None)
    assert (folder.namespace, folder.name) == ("itwin://127.0.0.1:8899", "storage/folders/F-1")
    assert getattr(manager, f"{kind}_factories")["itwin"](imodel_id=GUID).uri == URI


# Asset events of tasks


@pytest.mark.parametrize("deferrable", [False, True], ids=["worker", "deferred"])
def test_the_asset_event_of_an_operator_has_its_run(emulator: Emulator, run_dag: RunDag, deferrable: bool) -> None:
    result = run_dag(
        f"""
        from airflow_provider_itwin.assets import imodel_asset
        ITwinRunStorageConnectionOperator(
            task_id="synchronize", connection_id="{PARTIAL}", wait_for_completion=True, deferrable={deferrable},
            outlets=[imodel_asset("{GUID}")],
        )
        """
    )
    assert result.state == "success"
    [(uri, extra)] = events_of(result)
    report = result.xcom("synchronize", "run_report")
    assert uri == URI
    run = extra["itwin_run"]
    assert run["ref"] == result.xcom("synchronize", "run_ref")
    assert run == {name: report[name] for name in run}
    assert {"connection_name", "imodel_id", "result", "totals", "error", "summary"} < set(run)
    assert run["result"] == "PartialSuccess"
    assert len(json.dumps(extra)) < 4096


def test_the_asset_event_of_an_operator_that_does_not_wait_has_the_run_ref(emulator: Emulator, run_dag: RunDag) -> None:
    result = run_dag(
        f"""
        from airflow_provider_itwin.assets import imodel_asset
        ITwinRunStorageConnectionOperator(
            task_id="start", connection_id="{GOOD}", wait_for_completion=False, outlets=[imodel_asset("{GUID}")]
        )
        """
    )
    [(_, extra)] = events_of(result)
    assert extra["itwin_run"]["ref"] == result.xcom("start", "run_ref")
    assert extra["itwin_run"]["result"] is None


@pytest.mark.parametrize("deferrable", [False, True], ids=["worker", "deferred"])
def test_the_asset_event_of_a_sensor_has_its_run(emulator: Emulator, run_dag: RunDag, deferrable: bool) -> None:
    run_id = emulator.start_run(GOOD)
    result = run_dag(
        f"""
        from airflow_provider_itwin.assets import imodel_asset
        ITwinStorageConnectionRunSensor(
            task_id="wait", connection_id="{GOOD}", run_id="{run_id}", deferrable={deferrable},
            outlets=[imodel_asset("{GUID}")],
        )
        """
    )
    [(_, extra)] = events_of(result)
    assert extra["itwin_run"]["ref"]["run_id"] == run_id
    assert extra["itwin_run"]["totals"]["tasks"] == 12


def test_a_failed_or_skipped_task_has_no_asset_event(emulator: Emulator, run_dag: RunDag) -> None:
    result = run_dag(
        f"""
        from airflow_provider_itwin.assets import imodel_asset
        for name, arguments in {{"fail": {{}}, "skip": {{"skip_on": ["Error"], "fail_on": []}}}}.items():
            ITwinRunStorageConnectionOperator(
                task_id=name, connection_id="{FAILING}", wait_for_completion=True, outlets=[imodel_asset("{GUID}")],
                **arguments,
            )
        """
    )
    assert result.states == {"fail": ["failed"], "skip": ["skipped"]}
    assert events_of(result) == []


def test_other_assets_and_extras_of_the_user_are_not_changed(emulator: Emulator, run_dag: RunDag) -> None:
    result = run_dag(
        f"""
        from tests.airflow.sdk import Asset
        def add(context, result=None):
            context["outlet_events"][files].extra["mine"] = 7
        files = Asset("s3://bucket/model.ifc")
        ITwinRunStorageConnectionOperator(
            task_id="synchronize", connection_id="{GOOD}", wait_for_completion=True, outlets=[files], pre_execute=add,
        )
        """
    )
    [(uri, extra)] = events_of(result)
    assert uri == "s3://bucket/model.ifc"
    assert (extra["mine"], extra["itwin_run"]["result"]) == (7, "Success")


def test_an_alias_resolves_to_the_imodel_of_the_connection(emulator: Emulator, run_dag: RunDag) -> None:
    result = run_dag(
        f"""
        from tests.airflow.sdk import AssetAlias
        ITwinRunStorageConnectionOperator(
            task_id="synchronize", connection_id="{GOOD}", wait_for_completion=True, outlets=[AssetAlias("tonight")],
        )
        """
    )
    assert result.state == "success"
    [(uri, extra)] = events_of(result)
    assert uri == imodel_asset(MODEL_OF_GOOD, host=emulator.url).uri
    run = run_of(SimpleNamespace(extra=extra))
    assert run is not None
    assert run["ref"] == result.xcom("synchronize", "run_ref")


def test_an_unknown_imodel_does_not_fail_the_task(emulator: Emulator, run_dag: RunDag) -> None:
    emulator.quirks.missing_fields = ("iModelId",)
    result = run_dag(
        f"""
        from tests.airflow.sdk import AssetAlias
        ITwinRunStorageConnectionOperator(
            task_id="synchronize", connection_id="{GOOD}", wait_for_completion=True, outlets=[AssetAlias("tonight")],
        )
        """
    )
    assert result.state == "success"
    assert events_of(result) == []
    assert "Cannot determine the iModel of the connection" in result.log


@pytest.mark.skipif(not AIRFLOW_V_3_0_PLUS, reason="Airflow 2 has no such references")
def test_an_asset_reference_gets_the_run_too() -> None:
    from airflow.sdk import Asset as NewAsset

    accessor = SimpleNamespace(extra={})
    reference = NewAsset.ref(name="bridge")
    events = {reference: accessor}
    add_run_to_events({"outlet_events": events}, [reference, "no asset"], {"ref": {"run_id": "r1"}}, lambda: None)
    assert accessor.extra["itwin_run"]["ref"] == {"run_id": "r1"}


UPLOAD = """
        from airflow_provider_itwin.assets import named_version_asset, storage_folder_asset
        from airflow_provider_itwin.operators.upload import ITwinUploadFilesOperator
        from tests.airflow.sdk import AssetAlias
        upload = ITwinUploadFilesOperator(
            task_id="upload", source="{source}", connection_id="{connection}", **{arguments}, outlets=[{outlets}]
        )
"""


def upload(source: Path, outlets: str, **arguments: Any) -> str:
    return UPLOAD.format(source=source, connection=GOOD, arguments=arguments, outlets=outlets)


@pytest.fixture
def designs(tmp_path: Path) -> Path:
    """A folder with a design file."""
    (tmp_path / "Tower.dgn").write_text("tower")
    return tmp_path


def test_the_asset_event_of_an_upload_has_its_totals(emulator: Emulator, run_dag: RunDag, designs: Path) -> None:
    result = run_dag(upload(designs, 'storage_folder_asset("F-1")'))
    assert result.state == "success", result.log
    [(uri, extra)] = events_of(result)
    report = result.xcom("upload", "upload_report")
    assert uri == "itwin://api.bentley.com/storage/folders/F-1"
    assert extra["itwin_upload"] == {
        "folder_id": report["folder_id"],
        "connection_id": GOOD,
        "totals": report["totals"],
    }
    assert (report["totals"]["created"], report["totals"]["connected"]) == (1, 1)
    assert len(json.dumps(extra)) < 1024


def test_an_alias_of_an_upload_resolves_to_the_folder(emulator: Emulator, run_dag: RunDag, designs: Path) -> None:
    result = run_dag(upload(designs, 'AssetAlias("drawings")'))
    [(uri, extra)] = events_of(result)
    found = upload_of(SimpleNamespace(extra=extra))
    assert found is not None
    assert uri == storage_folder_asset(found["folder_id"], host=emulator.url).uri
    assert found["folder_id"] == result.xcom("upload", "upload_report")["folder_id"]


@pytest.mark.parametrize("outlets", ['storage_folder_asset("F-1")', 'AssetAlias("drawings")'])
@pytest.mark.parametrize("skips", [False, True])
def test_an_upload_without_changes_has_an_event_unless_it_is_skipped(
    emulator: Emulator, run_dag: RunDag, designs: Path, outlets: str, skips: bool
) -> None:
    run_dag(upload(designs, outlets))
    result = run_dag(upload(designs, outlets, skip_if_unchanged=skips))
    assert result.states == {"upload": ["skipped" if skips else "success"]}
    found = [upload_of(SimpleNamespace(extra=extra)) for _, extra in events_of(result)]
    totals = [one["totals"] for one in found if one is not None]
    assert [(one["created"], one["updated"], one["unchanged"]) for one in totals] == ([] if skips else [(0, 0, 1)])


VERSION = """
        from airflow_provider_itwin.assets import imodel_asset, named_version_asset
        from tests.airflow.sdk import AssetAlias
        synchronize = ITwinRunStorageConnectionOperator(task_id="synchronize", connection_id="{connection}")
        version = ITwinCreateNamedVersionOperator(
            task_id="version", run_ref=synchronize.output["run_ref"], name="Tonight", outlets=[{outlets}]
        )
"""


@pytest.mark.parametrize(
    ("outlets", "asset"),
    [
        ("imodel_asset(MODEL)", imodel_asset),
        ("named_version_asset(MODEL)", named_version_asset),
        ('AssetAlias("tonight")', named_version_asset),
    ],
)
def test_the_asset_event_of_a_named_version_has_the_version(
    emulator: Emulator, run_dag: RunDag, outlets: str, asset: Any
) -> None:
    outlets = outlets.replace("MODEL", f'"{MODEL_OF_GOOD}", host="{emulator.url}"')
    result = run_dag(VERSION.format(connection=GOOD, outlets=outlets))
    assert result.state == "success", result.log
    [(uri, extra)] = events_of(result)
    assert uri == asset(MODEL_OF_GOOD, host=emulator.url).uri
    version = named_version_of(SimpleNamespace(extra=extra))
    assert version == result.xcom("version")
    assert version is not None
    assert version["name"] == "Tonight"
    assert len(json.dumps(extra)) < 1024


# Reading asset events


def event(second: int, run_id: str | None = "r1", payload: bool = False, **more: Any) -> Any:
    run = {} if run_id is None else {"itwin_run": {"ref": {"run_id": run_id}} | more}
    extra = {"from_trigger": True, "payload": run} if payload else run
    return SimpleNamespace(extra=extra, timestamp=datetime(2026, 1, 1, 0, 0, second, tzinfo=UTC))


def test_events_of_tasks_and_of_watchers_have_the_same_form() -> None:
    expected: Any = {"ref": {"run_id": "r1"}}
    assert run_of(event(0)) == run_of(event(0, payload=True)) == expected


@pytest.mark.parametrize(
    "extra",
    [None, {}, {"payload": None}, {"payload": "text"}, {"itwin_run": 5}, {"itwin_run": "no JSON"}, "text"],
    ids=str,
)
def test_a_foreign_event_has_no_run(extra: Any) -> None:
    assert run_of(SimpleNamespace(extra=extra)) is None
    assert upload_of(SimpleNamespace(extra=extra)) is None
    assert named_version_of(SimpleNamespace(extra=extra)) is None


def test_the_runs_that_started_a_dag_are_listed_once_and_in_order() -> None:
    key = "triggering_asset_events" if AIRFLOW_V_3_0_PLUS else "triggering_dataset_events"
    events = {
        "one": [event(3, "c"), event(1, "a", payload=True)],
        "two": [event(2, "b"), event(4, "a", result="Success"), event(5, None)],
    }
    runs = triggering_runs({key: events})
    assert [run["ref"]["run_id"] for run in runs] == ["a", "b", "c"]
    assert runs[0]["result"] == "Success"
    assert triggering_runs({}) == triggering_runs({key: {}}) == []


# Examples


def test_the_asset_of_the_example_has_an_event(emulator: Emulator, dags: DagRunner) -> None:
    result = dags.run_file("itwin_asset_sync", (EXAMPLES / "itwin_asset_sync.py").read_text())
    # Other tests run the same example.
    *_, (uri, extra) = events_of(result)
    assert uri == imodel_asset(MODEL_OF_GOOD).uri
    assert extra["itwin_run"]["summary"].startswith("Success: 12 files")


@pytest.mark.skipif(AIRFLOW_V_3_0_PLUS, reason="Airflow 3 has watchers")
def test_the_watcher_example_can_be_imported_without_watchers(airflow_home: Path) -> None:
    from airflow.models.dagbag import DagBag

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        bag = DagBag(str(EXAMPLES / "itwin_watcher.py"), include_examples=False)
    assert (bag.import_errors, bag.dags) == ({}, {})
    assert not hasattr(importlib.import_module("airflow_provider_itwin.triggers.itwin"), "ITwinRunEventTrigger")
