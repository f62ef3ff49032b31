"""
The tab *iTwin run* on a task instance and the page *iTwin* in the navigation, for Airflow 3.1 and newer.

Airflow finds them by the entry point ``airflow.plugins``.

Every Airflow process loads plugins, so this module imports what the API server needs only inside functions.
"""

from __future__ import annotations

import logging
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_itwin.sdk_compat import AirflowPlugin, conf
from airflow_provider_itwin.version_compat import AIRFLOW_V_3_1_PLUS

log = logging.getLogger(__name__)

PATH = "/itwin-run"
"""Path of the files of tab and page, below the base URL of the API server."""


class _Pages:
    """Tab, page and their files, created once when the API server registers them. If one of them fails, all are left out."""

    def __init__(self) -> None:
        self._parts: tuple[list[dict[str, Any]], list[dict[str, Any]]] | None = None

    def parts(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """
        Return the files, and tab and page, as Airflow registers them.

        An exception here would stop the API server, and the execution API with it. So after an error, only these are missing.
        """
        if self._parts is None:
            try:
                self._parts = _files(), _apps()
            except Exception as error:  # noqa: BLE001 (Airflow must start in any case)
                log.error("The tab iTwin run and the page iTwin are not available: %s: %s", type(error).__name__, error)  # noqa: TRY400
                self._parts = [], []
        return self._parts


class _Part:
    """
    An attribute of a plugin class: one of the parts.

    :param pages: all parts
    :param place: index of the part
    """

    def __init__(self, pages: _Pages, place: int) -> None:
        self._pages = pages
        self._place = place

    def __get__(self, instance: object, owner: type) -> list[dict[str, Any]]:
        return self._pages.parts()[self._place]


def _files() -> list[dict[str, Any]]:
    from airflow_provider_itwin.plugin.files import TabFiles

    return [{"name": "iTwin run", "app": TabFiles(), "url_prefix": PATH}]


def _apps() -> list[dict[str, Any]]:
    # Airflow up to 3.2 uses the URL unchanged, so it must contain the path of Airflow itself.
    base = urlsplit(conf.get("api", "base_url", fallback="")).path.rstrip("/") + PATH
    icons = {"icon": f"{base}/icon.svg", "icon_dark_mode": f"{base}/icon-dark.svg"}
    return [
        {
            "name": "iTwin run",
            "bundle_url": f"{base}/tab.js",
            "destination": "task_instance",
            "url_route": "itwin-run",
            **icons,
        },
        {
            "name": "iTwin",
            "bundle_url": f"{base}/overview.js",
            "destination": "nav",
            "url_route": "itwin",
            # Airflow 3.3: not inside the menu of plugins.
            "nav_top_level": True,
            **icons,
        },
    ]


_pages = _Pages()


class _Plugin(AirflowPlugin):
    """Tab, page and their files. They show only data that the user can read in Airflow's REST API."""

    name = "itwin"
    fastapi_apps = _Part(_pages, 0)
    react_apps = _Part(_pages, 1)


ITwinPlugin: type[_Plugin] | None = _Plugin if AIRFLOW_V_3_1_PLUS else None
"""None for versions of Airflow without such pages: Airflow ignores an entry point that is not a plugin."""
