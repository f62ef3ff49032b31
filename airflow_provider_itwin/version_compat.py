"""Which Airflow this is, for the few things that only newer ones can do."""

from __future__ import annotations

import re
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version


def _airflow_version() -> tuple[int, ...]:
    # Not by importing Airflow: that has it ask for our metadata, which asks here, whoever comes first.
    for distribution in ("apache-airflow-core", "apache-airflow"):
        try:
            found = re.match(r"(\d+)\.(\d+)", version(distribution))
        except (PackageNotFoundError, TypeError):
            continue
        if found:
            return int(found[1]), int(found[2])
    # Every command of Airflow reads our metadata, so this must not fail: then only what all versions have is used.
    return 2, 11


AIRFLOW_VERSION: tuple[int, ...] = _airflow_version()

AIRFLOW_V_3_0_PLUS = AIRFLOW_VERSION >= (3, 0)
AIRFLOW_V_3_1_PLUS = AIRFLOW_VERSION >= (3, 1)
AIRFLOW_V_3_2_PLUS = AIRFLOW_VERSION >= (3, 2)
AIRFLOW_V_3_3_PLUS = AIRFLOW_VERSION >= (3, 3)


def mask_secret(secret: str) -> None:
    """Have Airflow hide a text in all logs of the task."""
    masker = import_module("airflow.sdk.log" if AIRFLOW_V_3_0_PLUS else "airflow.utils.log.secrets_masker")
    masker.mask_secret(secret)
