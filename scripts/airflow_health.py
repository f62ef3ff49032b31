"""Whether a running Airflow is well, by what its API server says of all its components."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

import requests

if TYPE_CHECKING:
    from collections.abc import Mapping

# Component as the command line calls it, and as the health report does.
REPORTED = {"scheduler": "scheduler", "triggerer": "triggerer", "dag-processor": "dag_processor"}


def health_of(url: str) -> dict[str, Any]:
    """Give Airflow's health report; empty while the API server does not answer."""
    with requests.Session() as session:
        session.trust_env = False
        try:
            answer = session.get(f"{url}/api/v2/monitor/health", timeout=10)
            answer.raise_for_status()
        except requests.RequestException:
            return {}
        return cast("dict[str, Any]", answer.json())


def all_well(health: Mapping[str, Any], started: Mapping[str, datetime]) -> bool:
    """
    Tell whether the database and the components are well.

    :param started: when each component was started; one that was killed counts as healthy for a while, so that only a
        heartbeat of the new process tells anything
    """
    if health.get("metadatabase", {}).get("status") != "healthy":
        return False
    for component, moment in started.items():
        if name := REPORTED.get(component):
            heartbeat = health[name].get(f"latest_{name}_heartbeat")
            if heartbeat is None or datetime.fromisoformat(heartbeat) < moment:
                return False
    return True
