"""
The tab *iTwin run* on a task instance, for Airflow 3.1 and newer (entry point ``airflow.plugins``).

Every Airflow process loads its plugins, so this module imports nothing that only the API server needs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

from airflow.providers.common.compat.sdk import AirflowPlugin, conf

from airflow_provider_itwin.version_compat import AIRFLOW_V_3_1_PLUS

PATH = "/itwin-run"
"""Where the API server offers the tab's files, below its own address."""

_T = TypeVar("_T")


class _WhenAsked(Generic[_T]):
    """An attribute of a class that is made when somebody asks for it, and once."""

    def __init__(self, make: Callable[[], _T]) -> None:
        self._make = make
        self._made: list[_T] = []

    def __get__(self, instance: object, owner: type) -> _T:
        if not self._made:
            self._made.append(self._make())
        return self._made[0]


def _files() -> list[dict[str, Any]]:
    from airflow_provider_itwin.plugin.files import TabFiles

    return [{"name": "iTwin run", "app": TabFiles(), "url_prefix": PATH}]


def _tabs() -> list[dict[str, Any]]:
    # Airflow up to 3.2 takes the address as it stands, so it has to hold the path below which Airflow itself is.
    base = urlsplit(conf.get("api", "base_url", fallback="")).path.rstrip("/") + PATH
    return [
        {
            "name": "iTwin run",
            "bundle_url": f"{base}/tab.js",
            "destination": "task_instance",
            "url_route": "itwin-run",
            "icon": f"{base}/icon.svg",
            "icon_dark_mode": f"{base}/icon-dark.svg",
        }
    ]


class _Plugin(AirflowPlugin):
    """The tab, and the files that make it; it shows what Airflow's REST API tells the person who looks, and nothing else."""

    name = "itwin"
    fastapi_apps = _WhenAsked(_files)
    react_apps = _WhenAsked(_tabs)


ITwinPlugin: type[_Plugin] | None = _Plugin if AIRFLOW_V_3_1_PLUS else None
"""None where Airflow knows no such tabs: it passes over an entry point that is no plugin, without a word."""
