"""Which Airflow this is, for the few things that only newer ones can do."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def _airflow_version() -> str:
    # Not by importing Airflow: that has it ask for our metadata, which asks here, whoever comes first.
    try:
        return version("apache-airflow-core")
    except PackageNotFoundError:
        return version("apache-airflow")


AIRFLOW_VERSION: tuple[int, ...] = tuple(int(part) for part in _airflow_version().split(".")[:2])

AIRFLOW_V_3_0_PLUS = AIRFLOW_VERSION >= (3, 0)
AIRFLOW_V_3_1_PLUS = AIRFLOW_VERSION >= (3, 1)
AIRFLOW_V_3_2_PLUS = AIRFLOW_VERSION >= (3, 2)
AIRFLOW_V_3_3_PLUS = AIRFLOW_VERSION >= (3, 3)
