"""Operations on the jobs of Reality Modeling, Reality Analysis and Reality Conversion, which have the same shapes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from itwin_emulator.api.job_filter import FilterError, parse
from itwin_emulator.api.job_request import Details, JobApi, can_read, check_writable, required_text, user_of
from itwin_emulator.api.reality_outputs import with_outputs
from itwin_emulator.api.request import ApiRequest
from itwin_emulator.domain import ids
from itwin_emulator.domain.job_kinds import REALITY_ANALYSIS, REALITY_CONVERSION, REALITY_MODELING, JobKind
from itwin_emulator.domain.jobs import Job
from itwin_emulator.http.errors import ApiError, invalid_value, itwin_not_found, missing_parameter, missing_property
from itwin_emulator.http.responses import Response

MODELING_TYPES = (
    "FillImageProperties",
    "ImportPointCloud",
    "Calibration",
    "Tiling",
    "Production",
    "Reconstruction",
    "Constraints",
    "TouchUpExport",
    "TouchUpImport",
    "WaterConstraints",
    "GaussianSplats",
)
ANALYSIS_TYPES = (
    "Objects2D",
    "Segmentation2D",
    "Segmentation3D",
    "SegmentationOrthophoto",
    "ChangeDetection",
    "ExtractGround",
    "EvalO2D",
    "EvalO3D",
    "EvalS2D",
    "EvalS3D",
    "EvalSOrtho",
    "TrainingO2D",
    "TrainingS3D",
    "ClearanceCalculation",
    "ClearanceFootprint",
    "ClearanceChecker",
)
MIN_NAME = 3
MIN_PAGE = 2
PROCESSING_UNITS = 0.05
_CREATE, _CANCEL = "create a job", "Cannot cancel job."


@dataclass(frozen=True, slots=True)
class RealityApi:
    """
    One of the three APIs, and its operations.

    :param types: types of jobs; empty: any, because they are not documented
    :param with_in: whether filters have the operator ``in``
    """

    jobs: JobApi
    types: tuple[str, ...]
    with_in: bool = False

    def create(self, request: ApiRequest) -> Response:
        """Create a job and submit it."""
        body = self.jobs.body(request)
        self._check_type(body.get("type"))
        itwin_id, kind, name, specifications = self._read(body)
        if itwin_id not in request.store.itwins or request.store.itwin_role(request.client, itwin_id) is None:
            raise itwin_not_found()
        check_writable(request, itwin_id)
        inputs = {"name": name, "type": kind, "specifications": specifications}
        return Response(201, {"job": _serialize(request, self.jobs.start(request, itwin_id, inputs))})

    def get(self, request: ApiRequest) -> Response:
        """Return a job."""
        return Response(200, {"job": _serialize(request, self.jobs.find(request))})

    def get_all(self, request: ApiRequest) -> Response:
        """Return the jobs that a filter selects: of any visible iTwin that it names, otherwise those of the client."""
        text = request.query.get("$filter")
        if text is None:
            raise self.jobs.rejected([missing_parameter("$filter")], "Cannot get jobs.")
        try:
            chosen = parse(text, with_in=self.with_in)
        except FilterError as error:
            raise self.jobs.rejected([invalid_value("$filter", str(error))], "Cannot get jobs.") from error
        request.store.collect_job_results()
        everybody = "iTwinId" in chosen.names
        found = [
            one
            for one in reversed(request.store.jobs.of_kind(self.jobs.kind.name))
            if can_read(request, one)
            and (everybody or one.creator == request.client.id)
            and chosen.matches(_properties(request, one))
        ]
        return self.jobs.page(
            request,
            "jobs",
            found,
            lambda one: _serialize(request, one),
            continued_by="continuationToken",
            smallest=MIN_PAGE,
            repeated=("$filter",),
        )

    def cancel(self, request: ApiRequest) -> Response:
        """Cancel a job that runs."""
        job = self.jobs.find(request)
        check_writable(request, job.itwin_id)
        now = request.store.clock.now()
        if not job.is_active(now) or job.cancelled is not None:
            detail = {"code": "InvalidChange", "message": "Only a queued or active job can be cancelled."}
            raise self.jobs.rejected([detail], _CANCEL)
        job.cancel(now)
        return Response(200, {"job": _serialize(request, job)})

    def progress(self, request: ApiRequest) -> Response:
        """Return the progress of a job."""
        job = self.jobs.find(request)
        serializer = request.serializer
        entity = {"state": serializer.state(job.state(serializer.now)), "percentage": job.percentage(serializer.now)}
        return Response(200, {"progress": serializer.apply_quirks(entity)})

    def messages(self, request: ApiRequest) -> Response:
        """Return the errors and warnings of a job; there are none before its end."""
        job = self.jobs.find(request)
        ended = not job.is_active(request.store.clock.now())
        entity: dict[str, Any] = {"errors": [], "warnings": []}
        for one in job.plan.messages if ended else ():
            if one.level != "information":
                shape = {"code": one.code, "title": one.title, "message": one.message, "params": list(one.params)}
                entity[f"{one.level}s"].append(shape)
        error = job.error if ended else None
        if error is not None and not entity["errors"]:
            entity["errors"].append({"code": error.code, "title": "", "message": error.message, "params": []})
        return Response(200, {"messages": request.serializer.apply_quirks(entity)})

    def _check_type(self, kind: Any) -> None:
        """Raise the 400 for an unknown type. Other invalid values are a 422."""
        if kind is None or (isinstance(kind, str) and (not self.types or kind in self.types)):
            return
        text = f"The type must be one of {', '.join(self.types)}." if self.types else "The type must be a string."
        detail = {"code": "InvalidProperty", "message": text, "target": "type"}
        raise ApiError(400, self.jobs.invalid, "Cannot create job.", [detail])

    def _read(self, body: dict[str, Any]) -> tuple[str, str, str | None, dict[str, Any]]:
        details: Details = []
        itwin_id = required_text(body, "iTwinId", details, _CREATE)
        kind = required_text(body, "type", details, _CREATE)
        name = body.get("name")
        if name is not None and (not isinstance(name, str) or len(name) < MIN_NAME):
            details.append(invalid_value("name", f"The name must have at least {MIN_NAME} characters."))
        specifications = body.get("specifications")
        if specifications is None:
            details.append(missing_property("specifications", _CREATE))
        elif not isinstance(specifications, dict) or not isinstance(specifications.get("inputs"), dict):
            details.append(invalid_value("specifications", "The specifications must have inputs."))
        if details:
            raise self.jobs.rejected(details, "Cannot create job.")
        return itwin_id, kind, name, dict(specifications or {})


def _serialize(request: ApiRequest, job: Job) -> dict[str, Any]:
    serializer = request.serializer
    execution = {"createdDateTime": serializer.date(job.created)}
    if not job.is_waiting(serializer.now) and job.state(serializer.now) != job.kind.states[0][0]:
        execution["startedDateTime"] = serializer.date(job.started)
    entity: dict[str, Any] = {
        "id": job.id,
        "state": serializer.state(job.state(serializer.now)),
        "userId": user_of(job),
        "executionInfo": execution,
        "specifications": with_outputs(job),
    }
    if not job.is_active(serializer.now):
        execution["endedDateTime"] = serializer.date(job.ended)
        entity["executionInfo"] = {**execution, "processingUnits": PROCESSING_UNITS}
    if job.inputs["name"] is not None:
        entity["name"] = job.inputs["name"]
    return serializer.apply_quirks({**entity, "type": job.inputs["type"], "iTwinId": job.itwin_id})


def _properties(request: ApiRequest, job: Job) -> dict[str, str]:
    serializer = request.serializer
    return {
        "id": job.id,
        "iTwinId": job.itwin_id,
        "name": job.inputs["name"] or "",
        "type": job.inputs["type"],
        "state": serializer.state(job.state(serializer.now)),
        "createdDateTime": serializer.date(job.created),
        "email": ids.client_email(job.creator),
    }


def _api(kind: JobKind, invalid: str, types: tuple[str, ...]) -> RealityApi:
    missing = ("JobNotFound", "Requested job is not available.")
    return RealityApi(JobApi(kind, invalid, missing, malformed_status=400), types, kind is REALITY_CONVERSION)


MODELING = _api(REALITY_MODELING, "InvalidRealityModelingRequest", MODELING_TYPES)
ANALYSIS = _api(REALITY_ANALYSIS, "InvalidRealityAnalysisRequest", ANALYSIS_TYPES)
CONVERSION = _api(REALITY_CONVERSION, "InvalidRealityConversionRequest", ())
