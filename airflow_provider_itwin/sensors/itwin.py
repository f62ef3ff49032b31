"""Sensors: one for the runs of each kind of connection."""

from __future__ import annotations

from airflow_provider_itwin.sensors.base import ITwinRunSensor

__all__ = [
    "ITwinExportConnectionRunSensor",
    "ITwinManifestConnectionRunSensor",
    "ITwinStorageConnectionRunSensor",
]


class ITwinStorageConnectionRunSensor(ITwinRunSensor):
    """Waits for a run of a storage connection; parameters as of :class:`~airflow_provider_itwin.sensors.base.ITwinRunSensor`."""

    kind = "storage"


class ITwinManifestConnectionRunSensor(ITwinRunSensor):
    """Waits for a run of a manifest connection; parameters as of :class:`~airflow_provider_itwin.sensors.base.ITwinRunSensor`."""

    kind = "manifest"


class ITwinExportConnectionRunSensor(ITwinRunSensor):
    """Waits for a run of an export connection; parameters as of :class:`~airflow_provider_itwin.sensors.base.ITwinRunSensor`."""

    kind = "export"
