"""Operations on transformations: create, get, list, cancel, report; and the configurations that they are created from."""

from __future__ import annotations

from typing import Any

from itwin_emulator.api.job_request import Details, JobApi, can_read, check_writable, required_text, result_url
from itwin_emulator.api.request import ApiRequest
from itwin_emulator.domain.job_kinds import TRANSFORMATION
from itwin_emulator.domain.job_registry import TransformationConfiguration
from itwin_emulator.domain.jobs import Job
from itwin_emulator.http.errors import ApiError, insufficient_permissions, invalid_value, missing_parameter
from itwin_emulator.http.responses import Response

API = JobApi(
    TRANSFORMATION,
    "InvalidTransformationsRequest",
    ("TransformationNotFound", "Requested Transformation is not available."),
)
QUEUEING = "Enable-Transformation-Queueing"
"""The request header that lets a transformation wait for another one with the same target."""
STATUSES = TRANSFORMATION.all_states
ORDERS = ("createdDateTime", "createdDateTime asc", "createdDateTime desc")
SMALLEST_TOTAL = 500


def create_transformation(request: ApiRequest) -> Response:
    """Start a transformation, or queue it if the header asks for that and another one with the same target is active."""
    body = API.body(request)
    details: Details = []
    configuration_id = required_text(body, "configurationId", details, "create a transformation")
    queueing = request.headers.get(QUEUEING, "false").strip().lower()
    if queueing not in ("true", "false"):
        details.append(invalid_value(QUEUEING))
    if details:
        raise API.rejected(details, "Cannot create Transformation.")
    configuration = _configuration(request, configuration_id)
    target = request.store.imodels[configuration.target_imodel_id]
    check_writable(request, target.itwin_id)
    now = request.store.clock.now()
    previous = request.store.jobs.last_on(TRANSFORMATION.name, target.id, now)
    if previous is not None and queueing == "false":
        raise ApiError(
            409,
            "TransformationAlreadyRunning",
            "Another Transformation is already running with the same target iModel.",
            target="configurationId",
        )
    history = request.store.history(configuration.source_imodel_id)
    newest = history.changesets[-1] if history.changesets else None
    inputs: dict[str, Any] = {
        "sourceIModelId": configuration.source_imodel_id,
        "sourceChangeset": None if newest is None else {"id": newest.id, "index": newest.index},
    }
    job = API.start(request, target.itwin_id, inputs, imodel_id=target.id, subject=configuration.id, previous=previous)
    return Response(201, {"transformation": _serialize(request, job)})


def get_transformation(request: ApiRequest) -> Response:
    """Return a transformation."""
    return Response(200, {"transformation": _serialize(request, API.find(request, "transformationId"))})


def list_transformations(request: ApiRequest) -> Response:
    """Return the transformations of a configuration or of a target iModel, newest first unless another order is asked for."""
    configuration_id, imodel_id = request.query.get("configurationid"), request.query.get("targetimodelid")
    status, order = request.query.get("status"), request.query.get("orderby", "createdDateTime desc")
    details: Details = []
    if configuration_id is None and imodel_id is None:
        details.append(missing_parameter("configurationId"))
    if status is not None and status not in STATUSES:
        details.append(invalid_value("Status"))
    if order not in ORDERS:
        details.append(invalid_value("OrderBy"))
    if details:
        raise API.rejected(details, "Cannot get Transformations.")
    request.store.collect_job_results()
    now = request.store.clock.now()
    found = [
        one
        for one in request.store.jobs.of_kind(TRANSFORMATION.name)
        if configuration_id in (None, one.subject)
        and imodel_id in (None, one.imodel_id)
        and status in (None, one.state(now))
        and can_read(request, one)
    ]
    if order == "createdDateTime desc":
        found.reverse()
    full = request.representation
    return request.page(
        "transformations",
        found,
        lambda one: _serialize(request, one) if full else _summary(request, one),
        API.invalid,
        extra_query=request.repeated(("configurationId", "targetIModelId", "Status", "OrderBy")),
    )


def delete_transformation(request: ApiRequest) -> Response:
    """Cancel a transformation that has not ended."""
    job = API.find(request, "transformationId")
    check_writable(request, job.itwin_id)
    now = request.store.clock.now()
    if not job.is_active(now):
        detail = {"code": "InvalidChange", "message": "Only an ongoing Transformation can be deleted."}
        raise API.rejected([detail], "Cannot delete Transformation.")
    job.cancel(now)
    return Response(200, {"transformation": _serialize(request, job)})


def get_report(request: ApiRequest) -> Response:
    """Return the pre-signed URL of the report of a transformation that has ended."""
    job = API.find(request, "transformationId")
    url = result_url(request, job)
    if url is None:
        raise ApiError(404, "ReportNotFound", "Requested Report is not available.")
    return Response(200, {"report": {"_links": {"download": {"href": url}}}})


def get_configuration(request: ApiRequest) -> Response:
    """Return a configuration."""
    API.check_ids(request)
    one = _configuration(request, request.params["configurationId"])
    serializer = request.serializer
    entity = {
        "id": one.id,
        "name": one.name,
        "changesetDescription": one.changeset_description,
        "createdDateTime": serializer.date(one.created),
        "modifiedDateTime": serializer.date(one.created),
        "transformType": one.transform_type,
        "_links": {
            "sourceIModel": {"href": serializer.link(f"/imodels/{one.source_imodel_id}")},
            "targetIModel": {"href": serializer.link(f"/imodels/{one.target_imodel_id}")},
        },
    }
    return Response(200, {"configuration": serializer.apply_quirks(entity)})


def _configuration(request: ApiRequest, configuration_id: str) -> TransformationConfiguration:
    found = request.store.jobs.configurations.get(configuration_id)
    imodels = () if found is None else (found.source_imodel_id, found.target_imodel_id)
    if found is None or not all(one in request.store.imodels for one in imodels):
        raise ApiError(404, "ConfigurationNotFound", "Requested Configuration is not available.")
    roles = [request.store.role(request.client, one) for one in imodels]
    if roles == [None, None]:
        raise ApiError(404, "ConfigurationNotFound", "Requested Configuration is not available.")
    if None in roles:
        raise insufficient_permissions()
    return found


def _status(request: ApiRequest, job: Job) -> str:
    serializer = request.serializer
    if job.is_waiting(serializer.now):
        return serializer.state(request.store.quirks.queued_transformation)
    return serializer.state(job.state(serializer.now))


def _summary(request: ApiRequest, job: Job) -> dict[str, Any]:
    return request.serializer.apply_quirks({"id": job.id, "status": _status(request, job)})


def _serialize(request: ApiRequest, job: Job) -> dict[str, Any]:
    serializer = request.serializer
    ended = not job.is_active(serializer.now)
    error = job.error if ended else None
    total = SMALLEST_TOTAL + int(job.id[:3], 16)
    pushed = {"id": job.result["id"], "index": job.result["index"]} if "index" in job.result else None
    entity = {
        "id": job.id,
        "status": _status(request, job),
        "errorMessage": "" if error is None else error.message,
        "errorCode": int(error.code) if error is not None and error.code.isascii() and error.code.isdigit() else 0,
        "processedEntityCount": int(total * job.percentage(serializer.now) / 100),
        "totalEntityCount": total,
        "createdDateTime": serializer.date(job.created),
        "finishedDateTime": serializer.date(job.ended) if ended else None,
        "sourceChangeset": job.inputs["sourceChangeset"],
        "lastTargetChangesetPushed": pushed,
        "_links": {
            "configuration": {"href": serializer.link(f"/transformations/configurations/{job.subject}")},
            "targetIModel": {"href": serializer.link(f"/imodels/{job.imodel_id}")},
        },
    }
    return serializer.apply_quirks(entity)
