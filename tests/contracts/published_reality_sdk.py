"""The public Python SDK of reality jobs, ``reality-capture``, with the interface of its stand-in; for where it is installed."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, TypeVar

from .reality_sdk import Answer, JobPage, Problem, RealityJob, RealitySdk

T = TypeVar("T")
SPECIFICATIONS = {
    "Calibration": "calibration.Calibration",
    "Constraints": "constraints.Constraints",
    "Objects2D": "objects2d.Objects2D",
    "PointCloudConversion": "point_cloud_conversion.PointCloudConversion",
    "Production": "production.Production",
    "Reconstruction": "reconstruction.Reconstruction",
    "Tiling": "tiling.Tiling",
    "TouchUpImport": "touchup.TouchUpImport",
    "WaterConstraints": "water_constraints.WaterConstraints",
}
"""Modules and prefixes of the classes of specifications, by types."""


def supports(api: str) -> bool:
    """Return whether the SDK is installed, in a version that knows an API."""
    try:
        jobs = importlib.import_module("reality_capture.service.job")
    except ImportError:
        return False
    return _name(api) in jobs.Service.__members__


class PublishedSdk(RealitySdk):
    """The SDK as it is. Its base address is fixed, so the private attribute with it is set."""

    def __init__(self, base: str, api: str, itwin: str, token: Callable[[], str]) -> None:
        super().__init__(base, api, itwin, token)
        self.models = importlib.import_module("reality_capture.service.job")
        service = importlib.import_module("reality_capture.service.service")
        self.client = service.RealityCaptureService(self)
        self.client._service_url = f"{base}/"
        self.service = self.models.Service[_name(api)]

    def get_token(self) -> str:
        """Return the header; the SDK asks for it before each request."""
        return self.token()

    def submit(self, kind: str, specifications: dict[str, Any], name: str | None) -> Answer[RealityJob]:
        module, _, prefix = SPECIFICATIONS[kind].partition(".")
        models = importlib.import_module(f"reality_capture.specifications.{module}")
        made = getattr(models, f"{prefix}SpecificationsCreate")(**specifications)
        # A name that is too short gets past the SDK, as it does where another client sends it.
        job = self.models.JobCreate(type=kind, iTwinId=self.itwin, specifications=made)
        job.name = name
        return _answer(self.client.submit_job(job), _job)

    def get(self, job_id: str) -> Answer[RealityJob]:
        return _answer(self.client.get_job(job_id, self.service), _job)

    def cancel(self, job_id: str) -> Answer[RealityJob]:
        return _answer(self.client.cancel_job(job_id, self.service), _job)

    def progress(self, job_id: str) -> Answer[tuple[str, float]]:
        found = self.client.get_job_progress(job_id, self.service)
        return _answer(found, lambda one: (one.state.value, one.percentage))

    def messages(self, job_id: str) -> Answer[dict[str, list[dict[str, Any]]]]:
        return _answer(self.client.get_job_messages(job_id, self.service), lambda one: one.model_dump())

    def jobs(self, filters: str, top: int, token: str | None = None) -> Answer[JobPage]:
        found = self.client.get_jobs(self.service, filters, top, token or "")
        return _answer(found, lambda one: JobPage([_job(job) for job in one.jobs], one.get_continuation_token()))

    def reality_data(self) -> Answer[Any]:
        return _answer(self.client.list_reality_data(), lambda one: one.reality_data)


def _name(api: str) -> str:
    return api.removeprefix("reality-").upper()


def _answer(found: Any, read: Callable[[Any], T]) -> Answer[T]:
    if not found.is_error():
        return Answer(found.status_code, read(found.value))
    error = found.error.error
    details = [one.model_dump() for one in error.details or []]
    return Answer(found.status_code, error=Problem(error.code, error.message, details))


def _job(one: Any) -> RealityJob:
    execution, specifications = one.execution_info, one.specifications
    outputs = getattr(specifications, "output", None) or specifications.outputs.model_dump(
        by_alias=True, exclude_none=True
    )
    return RealityJob(
        one.id,
        one.name,
        one.state.value,
        execution.created_date_time,
        execution.started_date_time,
        execution.ended_date_time,
        execution.processing_units,
        outputs,
    )
