"""The health of a running Airflow, from the health report of its API server."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

import requests

if TYPE_CHECKING:
    from collections.abc import Mapping

# Component names: of the command line, and of the health report.
REPORTED = {"scheduler": "scheduler", "triggerer": "triggerer", "dag-processor": "dag_processor"}


def health_of(url: str) -> dict[str, Any]:
    """Return Airflow's health report, or an empty one while the API server does not respond."""
    with requests.Session() as session:
        session.trust_env = False
        try:
            answer = session.get(f"{url}/api/v2/monitor/health", timeout=10)
            answer.raise_for_status()
        except requests.RequestException:
            return {}
        return cast("dict[str, Any]", answer.json())


def is_healthy(health: Mapping[str, Any], started: Mapping[str, datetime]) -> bool:
    """
    Return whether the database and the components are healthy.

    :param started: start time of each component; a killed component counts as healthy for a while, so only a heartbeat after
        this time counts
    """
    if health.get("metadatabase", {}).get("status") != "healthy":
        return False
    for component, moment in started.items():
        if name := REPORTED.get(component):
            heartbeat = health[name].get(f"latest_{name}_heartbeat")
            if heartbeat is None or datetime.fromisoformat(heartbeat) < moment:
                return False
    return True
