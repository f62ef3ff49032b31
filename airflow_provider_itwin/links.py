"""Links from a task to where a person can read on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator

_PAGES = {
    "storage": "https://developer.bentley.com/apis/synchronization/operations/get-storage-connection-run/",
    "manifest": "https://developer.bentley.com/apis/synchronization/operations/get-manifest-connection-run/",
    "export": "https://developer.bentley.com/apis/export/operations/get-export-connection-run/",
}


class ITwinRunLink(BaseOperatorLink):
    """From a task to the description of the operation whose answer it reports."""

    name = "iTwin API"

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:
        """Give the address; never raises, and asks nobody."""
        return _PAGES.get(getattr(operator, "kind", "storage"), _PAGES["storage"])
