"""The cost of importing operators and sensors in a DAG file, in addition to that of Airflow itself."""

from __future__ import annotations

import statistics
import subprocess
import sys
from pathlib import Path

import msgspec

from benchmarks.processes import ROOT, environment

_OWN = ("airflow.sdk", "airflow.sdk.bases.sensor", "airflow.sdk.bases.operatorlink", "airflow.configuration")
PACKAGES: dict[str, tuple[str, ...]] = {
    "ours": ("airflow_provider_itwin.operators.itwin", "airflow_provider_itwin.sensors.itwin"),
    "databricks": (
        "airflow.providers.databricks.operators.databricks",
        "airflow.providers.databricks.sensors.databricks",
    ),
    "dbt-cloud": ("airflow.providers.dbt.cloud.operators.dbt", "airflow.providers.dbt.cloud.sensors.dbt"),
}
_LIMIT = 120.0

_PROGRAM = """
import sys, time
from importlib import import_module
own, modules = (text.split(",") for text in sys.argv[1:])
for name in own:
    import_module(name)
from airflow.sdk import DAG, BaseOperator, conf
before, began = len(sys.modules), time.process_time()
for name in modules:
    import_module(name)
print(time.process_time() - began, len(sys.modules) - before)
"""


class Imports(msgspec.Struct):
    """
    One package.

    :param seconds: median CPU seconds for its operators and sensors, after Airflow's base classes are imported
    :param modules: number of additional modules
    """

    package: str
    seconds: float
    modules: int


def measure(directory: Path, repeats: int) -> list[Imports]:
    """Measure all packages, each time in a new interpreter. The first time only warms the file cache."""
    found = []
    for package, modules in PACKAGES.items():
        times = [_import(modules, directory) for _ in range(repeats + 1)][1:]
        found.append(Imports(package, statistics.median(seconds for seconds, _ in times), times[0][1]))
    return found


def _import(modules: tuple[str, ...], directory: Path) -> tuple[float, int]:
    done = subprocess.run(  # noqa: S603 (the command is our own)
        [sys.executable, "-c", _PROGRAM, ",".join(_OWN), ",".join(modules)],
        cwd=ROOT,
        env=environment(directory, 1, directory / "certificate.pem"),
        capture_output=True,
        text=True,
        check=True,
        timeout=_LIMIT,
    )
    seconds, count = done.stdout.split()[-2:]
    return float(seconds), int(count)
