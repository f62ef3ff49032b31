"""
The part of a task that reports lineage to OpenLineage.

DAG files import this module, so whatever needs more than Airflow is imported where it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from airflow_provider_itwin.utils.openlineage import Lineage


class TransferredFile(NamedTuple):
    """
    A file that a task has moved between iTwin Storage and another place.

    :param file_id: id of the file in iTwin Storage
    :param name: its name there; None if it is unknown
    :param address: its path or URL in the other place; None if it is unknown
    :param change: what has happened to its content; None if it had not changed
    """

    file_id: str
    name: str | None = None
    address: str | None = None
    change: Literal["created", "updated"] | None = None


class LineageTask:
    """The part of a task that reports lineage; a subclass is an Airflow task, too."""

    def get_openlineage_facets_on_complete(self, task_instance: object) -> Lineage:
        """Return what the task did, for OpenLineage, which alone calls this."""
        return self._openlineage(failed=False)

    def get_openlineage_facets_on_failure(self, task_instance: object) -> Lineage:
        """Return what the task did and why it failed, for OpenLineage, which alone calls this."""
        return self._openlineage(failed=True)

    def _openlineage(self, *, failed: bool) -> Lineage:
        raise NotImplementedError
