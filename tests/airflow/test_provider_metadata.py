"""The metadata of the provider, as Airflow finds it, and its consistency with the code."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import airflow
import jsonschema  # type: ignore[import-untyped]
import pytest
from airflow.triggers.base import BaseTrigger

import airflow_provider_itwin
from airflow_provider_itwin.api.runs.result_policy import ResultName
from airflow_provider_itwin.get_provider_info import get_provider_info
from airflow_provider_itwin.hooks.itwin import ITwinHook
from airflow_provider_itwin.hooks.settings import outage_tolerance
from airflow_provider_itwin.operators import itwin as operators
from airflow_provider_itwin.sensors import itwin as sensors
from airflow_provider_itwin.version_compat import AIRFLOW_V_3_0_PLUS, AIRFLOW_V_3_2_PLUS
from tests.airflow.sdk import DAG, BaseHook, BaseOperator, BaseOperatorLink, BaseSensorOperator, import_string
from tests.airflow.single_task import first_found

if TYPE_CHECKING:
    from collections.abc import Callable

    from itwin_emulator import Emulator

ProvidersManager: Any = import_string("airflow.providers_manager.ProvidersManager")
DISTRIBUTION = "airflow-provider-itwin"
CHECKOUT = Path(__file__).parents[2]
AIRFLOW = Path(airflow.__file__).parent


def schema(name: str) -> Any:
    return json.loads((AIRFLOW / f"{name}.schema.json").read_text())


# The metadata itself


def test_the_metadata_matches_the_runtime_schema() -> None:
    jsonschema.validate(get_provider_info(), schema("provider_info"))


def test_the_metadata_matches_the_schema_of_airflows_providers() -> None:
    # This schema is for a file with more members, and forbids unknown ones.
    wanted = schema("provider.yaml")
    info = get_provider_info()
    for name, value in info.items():
        assert name in wanted["properties"], name
        part = {"definitions": wanted.get("definitions", {}), **wanted["properties"][name]}
        if not AIRFLOW_V_3_2_PLUS and name == "connection-types":
            # Airflow 3.1 does not support forms in the metadata.
            known = part["items"]["properties"]
            value = [{key: entry[key] for key in entry if key in known} for entry in value]
        jsonschema.validate(value, part)


def test_the_metadata_needs_no_airflow(tmp_path: Path) -> None:
    program = (
        "from airflow_provider_itwin.get_provider_info import get_provider_info; print(get_provider_info()['name'])"
    )
    environment = {"AIRFLOW_HOME": str(tmp_path), "PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True, env=environment
    )
    assert done.stdout.strip().endswith("iTwin")


def test_the_package_name_is_that_of_the_distribution() -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    assert get_provider_info()["package-name"] == project["name"] == DISTRIBUTION
    assert project["entry-points"]["apache_airflow_provider"] == {
        "provider_info": "airflow_provider_itwin.get_provider_info:get_provider_info"
    }


@pytest.mark.parametrize(
    ("part", "base"),
    [("hooks", BaseHook), ("operators", BaseOperator), ("sensors", BaseSensorOperator), ("triggers", BaseTrigger)],
)
def test_the_metadata_lists_all_modules(part: str, base: type) -> None:
    named = {module for entry in get_provider_info()[part] for module in entry["python-modules"]}
    folder = CHECKOUT / "airflow_provider_itwin" / part
    # Airflow 2 cannot import events. The other modules have bases of classes in the remaining ones.
    left_out = ["__init__", "base", "events", "imodels", "storage", "waiting_sensor"]
    left_out += ["jobs"] if part == "hooks" else []
    # Operators of job APIs are beside their definitions.
    folders = [folder, folder.with_name("jobs")] if part == "operators" else [folder]
    files = [file for one in folders for file in one.glob("*.py") if file.stem not in left_out]
    holding = set()
    for name in (f"airflow_provider_itwin.{file.parent.name}.{file.stem}" for file in files):
        module = __import__(name, fromlist=["*"])
        classes = [one for one in vars(module).values() if isinstance(one, type) and one.__module__ == name]
        holding |= {name} if any(issubclass(one, base) for one in classes) else set()
    assert named == holding


def test_every_module_belongs_to_a_described_integration() -> None:
    info = get_provider_info()
    described = {entry["integration-name"] for entry in info["integrations"]}
    for part in ("hooks", "operators", "sensors", "triggers"):
        assert {entry["integration-name"] for entry in info[part]} <= described


def test_the_connection_type_is_that_of_the_hook() -> None:
    [described] = get_provider_info()["connection-types"]
    assert import_string(described["hook-class-name"]) is ITwinHook
    assert (described["connection-type"], described["hook-name"]) == (ITwinHook.conn_type, ITwinHook.hook_name)


def test_every_link_of_an_operator_is_registered() -> None:
    registered = {import_string(path) for path in get_provider_info()["extra-links"]}
    classes = [getattr(module, name) for module in (operators, sensors) for name in module.__all__]
    assert len(classes) >= 7
    for one in classes:
        assert {type(link) for link in one.operator_extra_links} <= registered
    assert all(issubclass(link, BaseOperatorLink) for link in registered)


def test_the_form_of_older_airflow_versions_is_the_same() -> None:
    behaviour = ITwinHook.get_ui_field_behaviour()
    jsonschema.validate(behaviour, schema("customized_form_field_behaviours"))
    described = get_provider_info()["connection-types"][0]["ui-field-behaviour"]
    assert behaviour["hidden_fields"] == described["hidden-fields"]
    assert behaviour["relabeling"] == described["relabeling"]
    assert behaviour["placeholders"] == described["placeholders"]
    for field in ("host", "login", "password"):
        assert field in behaviour["relabeling"]
    json.loads(behaviour["placeholders"]["extra"])


# What Airflow finds


def test_airflow_finds_the_provider() -> None:
    found = ProvidersManager().providers[DISTRIBUTION]
    assert found.version == airflow_provider_itwin.__version__
    assert found.data["name"] == "iTwin"


def test_airflow_finds_the_hook() -> None:
    with warnings.catch_warnings():
        # In Airflow 3.3 tasks use another manager.
        warnings.simplefilter("ignore")
        info = ProvidersManager().hooks["itwin"]
    assert info is not None
    assert info.hook_class_name == "airflow_provider_itwin.hooks.itwin.ITwinHook"
    assert info.connection_testable
    assert (info.package_name, info.hook_name) == (DISTRIBUTION, "iTwin")


@pytest.mark.skipif(not AIRFLOW_V_3_2_PLUS, reason="tasks ask a manager of their own since Airflow 3.2")
def test_tasks_find_the_hook() -> None:
    manager = import_string("airflow.sdk.providers_manager_runtime.ProvidersManagerTaskRuntime")
    info = manager().hooks["itwin"]
    assert info is not None
    assert info.hook_class_name == "airflow_provider_itwin.hooks.itwin.ITwinHook"


def test_airflow_finds_the_links_and_the_form() -> None:
    manager = ProvidersManager()
    assert "airflow_provider_itwin.links.ITwinRunLink" in manager.extra_links_class_names
    if AIRFLOW_V_3_0_PLUS and not AIRFLOW_V_3_2_PLUS and find_spec("wtforms") is None:
        # These versions get the form from the hook, if the library of the old forms is installed.
        assert "itwin" not in manager.field_behaviours
        return
    behaviour = manager.field_behaviours["itwin"]
    hidden = behaviour.get("hidden_fields", behaviour.get("hidden-fields"))
    assert hidden == ["schema"]
    assert behaviour["relabeling"]["login"] == "Client id"


def test_airflow_finds_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.configuration import conf

    found = dict(ProvidersManager().provider_configs)[DISTRIBUTION]
    assert set(found["itwin"]["options"]) == {"requests_per_minute", "requests_per_hour", "outage_tolerance"}
    for name, option in found["itwin"]["options"].items():
        assert conf.getfloat("itwin", name) == float(option["default"])
    assert outage_tolerance() == float(found["itwin"]["options"]["outage_tolerance"]["default"])
    monkeypatch.setenv("AIRFLOW__ITWIN__OUTAGE_TOLERANCE", "60.5")
    assert outage_tolerance() == 60.5


def test_a_setting_reaches_the_trigger(
    emulator: Emulator, run_task: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__ITWIN__OUTAGE_TOLERANCE", "60")
    task = operators.ITwinRunStorageConnectionOperator(
        task_id="a", connection_id="demo-storage-connection", wait_for_completion=True, deferrable=True
    )
    [trigger] = run_task(task, resume=False).triggers
    assert trigger.serialize()[1]["spec"]["outage_tolerance"] == 60.0


@pytest.mark.parametrize("what", ["list", "hooks", "links"])
def test_the_command_line_shows_the_provider(airflow_home: Path, what: str) -> None:
    command = [sys.executable, "-m", "airflow", "providers", what, "--output", "json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    shown = done.stdout[done.stdout.index("[") :]
    assert {"list": DISTRIBUTION, "hooks": "ITwinHook", "links": "airflow_provider_itwin.links.ITwinRunLink"}[
        what
    ] in shown
    assert "not registered" not in done.stderr
    assert "ITwinHook" not in done.stderr


# Serialization of DAGs


def test_operators_survive_the_serialization_of_a_dag(monkeypatch: pytest.MonkeyPatch) -> None:
    # Parts of Airflow that need no links disable them for the whole process.
    monkeypatch.setattr(serialization_of_dags(), "_load_operator_extra_links", True)
    results: list[ResultName] = ["Error"]
    with DAG("a_dag", schedule=None) as dag:
        start = operators.ITwinRunStorageConnectionOperator(
            task_id="start", connection_id="{{ params.a }}", timeout=3600, fail_on=iter(results), deferrable=True
        )
        sensors.ITwinStorageConnectionRunSensor(task_id="wait", connection_id="a", run_id=start.output, deferrable=True)
        operators.ITwinRunManifestConnectionOperator(task_id="other", connection_id="a", body={"sourceFiles": []})
        operators.ITwinListSourceFilesOperator.partial(task_id="list").expand(connection_id=["a", "b"])
    serialized, restored = through_serialization(dag)
    json.dumps(serialized)
    assert set(restored.task_dict) == {"start", "wait", "other", "list"}
    for task_id in ("start", "wait", "other"):
        assert [link.name for link in restored.task_dict[task_id].operator_extra_links] == [
            "iTwin connection",
            "iModel",
        ]
    assert "connection_id" in restored.task_dict["start"].template_fields
    assert restored.task_dict["wait"].ui_color == sensors.ITwinStorageConnectionRunSensor.ui_color


def through_serialization(dag: Any) -> tuple[Any, Any]:
    serialization = serialization_of_dags()
    serialized = serialization.to_dict(dag)
    return serialized, serialization.from_dict(serialized)


def serialization_of_dags() -> Any:
    return first_found(
        "airflow.serialization.serialized_objects.DagSerialization",
        "airflow.serialization.serialized_objects.SerializedDAG",
    )


@pytest.mark.parametrize("kind", ["storage", "manifest", "export", None, 7])
def test_a_link_never_raises(kind: Any) -> None:
    from airflow_provider_itwin.links import ITwinRunLink

    class Whatever:
        pass

    whatever: Any = Whatever()
    if kind is not None:
        whatever.kind = kind
    assert ITwinRunLink().get_link(whatever, ti_key=None) == ""
