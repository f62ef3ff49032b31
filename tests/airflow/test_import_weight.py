"""
The cost of importing an operator or a sensor in a DAG file.

A DAG file is parsed every few seconds, so it must not load HTTP clients, decoders or the emulator.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_itwin.version_compat import AIRFLOW_V_3_3_PLUS

if TYPE_CHECKING:
    from pathlib import Path

HEAVY = ("aiohttp", "requests", "msgspec", "yarl", "urllib3", "multidict", "itwin_emulator")
HEAVY_PARTS = (
    "airflow_provider_itwin.api.async_client",
    "airflow_provider_itwin.api.client",
    "airflow_provider_itwin.api.wait.poller",
    "airflow_provider_itwin.api.models.resources",
    "airflow_provider_itwin.hooks",
    "airflow_provider_itwin.triggers",
)

BASELINE = """
import json, sys, time
from airflow_provider_itwin.sdk_compat import (
    AirflowFailException, AirflowSensorTimeout, AirflowSkipException, BaseOperator, BaseOperatorLink, BaseSensorOperator,
    PokeReturnValue, conf,
)
"""


def run_in_subprocess(home: Path, script: str, **environment: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", BASELINE + script],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "AIRFLOW_HOME": str(home), **environment},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.strip().splitlines()[-1])


def test_an_import_is_fast_and_loads_nothing_heavy(airflow_home: Path) -> None:
    measured = run_in_subprocess(
        airflow_home,
        """
before, began, used = set(sys.modules), time.perf_counter(), time.process_time()
import airflow_provider_itwin.operators.itwin
import airflow_provider_itwin.sensors.itwin
seconds, cpu = time.perf_counter() - began, time.process_time() - used
print(json.dumps({"new": sorted(set(sys.modules) - before), "seconds": seconds, "cpu": cpu}))
""",
    )
    new = measured["new"]
    print(f"{len(new)} modules in {measured['seconds'] * 1000:.1f} ms ({measured['cpu'] * 1000:.1f} ms of CPU): {new}")
    assert [name for name in new if name.partition(".")[0] in HEAVY or name.startswith(HEAVY[-1])] == []
    assert [name for name in new if name.startswith(HEAVY_PARTS)] == []
    foreign = [name for name in new if not name.startswith(("airflow", "_"))]
    assert [name for name in foreign if name.partition(".")[0] not in sys.stdlib_module_names] == []
    assert measured["cpu"] < 0.5


def test_needs_nothing_heavy_even_if_airflow_has_loaded_it_already(airflow_home: Path) -> None:
    refused = run_in_subprocess(
        airflow_home,
        f"""
import os
heavy = {HEAVY!r}
# Load what Airflow loads for any task.
BaseOperator(task_id="any")

class Refusing:
    def find_spec(self, name, path=None, target=None):
        if name.startswith(heavy):
            raise ImportError(f"{{name}} was asked for")

for name in [name for name in sys.modules if name.startswith(heavy)]:
    del sys.modules[name]
sys.meta_path.insert(0, Refusing())
from airflow_provider_itwin.operators.itwin import *
from airflow_provider_itwin.sensors.itwin import *
ITwinRunStorageConnectionOperator(task_id="a", connection_id="b", wait_for_completion=True, deferrable=True)
ITwinRunManifestConnectionOperator(task_id="a", connection_id="b", body={{}})
ITwinListSourceFilesOperator(task_id="a", connection_id="b")
ITwinStorageConnectionRunSensor(task_id="a", connection_id="b", run_id="c", deferrable=True)
print(json.dumps([name for name in sys.modules if name.startswith(heavy)]), flush=True)
os._exit(0)
""",
    )
    assert refused == []


MODULES = (
    "operators.itwin",
    "sensors.itwin",
    "triggers.itwin",
    "hooks.itwin",
    "links",
    "get_provider_info",
    "exceptions",
)


@pytest.mark.skipif(not AIRFLOW_V_3_3_PLUS, reason="what is deprecated in Airflow 3.3 may be all that 2.11 has")
def test_uses_nothing_deprecated_of_airflow(airflow_home: Path) -> None:
    found = run_in_subprocess(
        airflow_home,
        f"""
import importlib, warnings
import airflow.triggers.base
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for name in {MODULES!r}:
        importlib.import_module("airflow_provider_itwin." + name)
print(json.dumps([[one.category.__name__, one.filename, str(one.message)] for one in caught]))
""",
    )
    # Only deprecations that this package causes matter.
    ours = [
        one
        for one in found
        if "airflow_provider_itwin" in one[1] or "Airflow" in one[0] or one[0] == "DeprecatedImportWarning"
    ]
    assert ours == []


@pytest.mark.parametrize(("setting", "deferrable"), [("True", True), ("False", False)])
def test_default_deferrable_of_airflow_applies(airflow_home: Path, setting: str, deferrable: bool) -> None:
    found = run_in_subprocess(
        airflow_home,
        """
from airflow_provider_itwin.operators.itwin import ITwinRunStorageConnectionOperator as Operator
from airflow_provider_itwin.sensors.itwin import ITwinStorageConnectionRunSensor as Sensor
tasks = [Operator(task_id="a", connection_id="b"), Sensor(task_id="a", connection_id="b", run_id="c")]
print(json.dumps([task.deferrable for task in tasks]))
""",
        AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE=setting,
    )
    assert found == [deferrable, deferrable]
