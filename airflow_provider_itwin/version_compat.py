"""Which Airflow this is, for the few things that only newer ones can do."""

from __future__ import annotations

from airflow import __version__

AIRFLOW_VERSION: tuple[int, ...] = tuple(int(part) for part in __version__.split(".")[:2])

AIRFLOW_V_3_0_PLUS = AIRFLOW_VERSION >= (3, 0)
AIRFLOW_V_3_1_PLUS = AIRFLOW_VERSION >= (3, 1)
AIRFLOW_V_3_3_PLUS = AIRFLOW_VERSION >= (3, 3)
