"""Operations on extractions of the Grouping and Mapping API: run, status, logs, lists, and the extracted data."""

from __future__ import annotations

from typing import Any

from itwin_emulator.api.job_request import (
    Details,
    JobApi,
    can_read,
    check_writable,
    required_query,
    required_text,
    visible_imodel,
)
from itwin_emulator.api.request import ApiRequest
from itwin_emulator.domain import ids
from itwin_emulator.domain.clock import timestamp
from itwin_emulator.domain.job_kinds import EXTRACTION
from itwin_emulator.domain.jobs import Job
from itwin_emulator.http.errors import ApiError, invalid_value, missing_parameter, missing_property
from itwin_emulator.http.responses import Response

API = JobApi(
    EXTRACTION,
    "InvalidGroupingAndMappingRequest",
    ("ExtractionNotFound", "Requested Extraction is not available."),
)
ROOT = "/grouping-and-mapping/datasources/imodel-mappings"
ROWS = 3
"""Rows of the extracted data of a mapping."""
_RUN = "run an extraction"
_CONTINUED_BY = "$continuationToken"
_COLUMNS = (("ECInstanceId", "string"), ("ECClassId", "string"), ("UserLabel", "string"), ("Length", "double"))
_NO_DATA = ("ExtractedDataNotFound", "Requested data is not available.")


def run_extraction(request: ApiRequest) -> Response:
    """Start an extraction."""
    body = API.body(request)
    details: Details = []
    imodel_id = required_text(body, "iModelId", details, _RUN)
    mappings, instances, changeset_id = body.get("mappings"), body.get("ecInstanceIds"), body.get("changesetId")
    if mappings is None:
        details.append(missing_property("mappings", _RUN))
    elif not _are_mappings(mappings):
        details.append(invalid_value("mappings", "It must be a list of objects with an id each."))
    if instances is not None and not (isinstance(instances, list) and all(isinstance(one, str) for one in instances)):
        details.append(invalid_value("ecInstanceIds"))
    if changeset_id is not None and not isinstance(changeset_id, str):
        details.append(invalid_value("changesetId"))
    if details:
        raise API.rejected(details, "Cannot run Extraction.")
    imodel = visible_imodel(request, imodel_id)
    check_writable(request, imodel.itwin_id)
    history = request.store.history(imodel_id)
    newest = history.changesets[-1] if history.changesets else None
    changeset = newest if not changeset_id else history.changeset(changeset_id)
    if changeset_id and (changeset is None or changeset.id != changeset_id.lower()):
        raise ApiError(404, "ChangesetNotFound", "Requested Changeset is not available.")
    inputs = {
        "mappings": [one["id"] for one in mappings or ()],
        "changesetIndex": 0 if changeset is None else changeset.index,
        "ecInstanceIds": instances,
    }
    job = API.start(request, imodel.itwin_id, inputs, imodel_id=imodel_id)
    return Response(201, {"extraction": _serialize(request, job)})


def get_extraction(request: ApiRequest) -> Response:
    """Return the status of an extraction."""
    return Response(200, {"extraction": _serialize(request, API.find(request, "extractionId"))})


def get_logs(request: ApiRequest) -> Response:
    """Return the log entries of an extraction up to now, oldest first."""
    job = API.find(request, "extractionId")
    return API.page(
        request,
        "logs",
        _logs(request, job),
        request.serializer.apply_quirks,
        continued_by=_CONTINUED_BY,
        always_links=True,
    )


def list_extractions(request: ApiRequest) -> Response:
    """Return the extractions of an iModel, newest first."""
    details: Details = []
    imodel_id = required_query(request, "iModelId", details)
    if details:
        raise API.rejected(details, "Cannot get Extractions.")
    visible_imodel(request, imodel_id)
    found = [one for one in reversed(_extractions(request)) if one.imodel_id == imodel_id]
    return API.page(
        request,
        "extractions",
        found,
        lambda one: _serialize(request, one),
        continued_by=_CONTINUED_BY,
        repeated=("iModelId",),
        always_links=True,
    )


def list_mapping_extractions(request: ApiRequest) -> Response:
    """Return the extractions of a mapping that have succeeded, newest first. Any mapping id is known."""
    API.check_ids(request)
    now = request.store.clock.now()
    mapping_id = request.params["mappingId"]
    found = [
        one
        for one in reversed(_extractions(request))
        if mapping_id in one.inputs["mappings"] and one.is_successful(now) and can_read(request, one)
    ]
    return API.page(
        request,
        "extractions",
        found,
        lambda one: _serialize_of_mapping(request, one, mapping_id),
        continued_by=_CONTINUED_BY,
        always_links=True,
    )


def get_cdm(request: ApiRequest) -> Response:
    """Return the data model of what was extracted for a mapping."""
    job, mapping_id = _extracted(request)
    entity = {
        "name": "Insights_and_Reporting_Extractor",
        "version": "1.0",
        "entities": [
            {
                "$type": "LocalEntity",
                "name": mapping_id,
                "attributes": [{"name": name, "dataType": kind} for name, kind in _COLUMNS],
                "partitions": [{"name": "Part001", "location": _location(job, mapping_id)}],
            }
        ],
    }
    return Response(200, request.serializer.apply_quirks(entity))


def get_cdm_partition(request: ApiRequest) -> Response:
    """Return the rows that were extracted for a mapping, as CSV without a header."""
    job, mapping_id = _extracted(request)
    location = request.query.get("location")
    if location is None:
        raise API.rejected([missing_parameter("location")], "Cannot get data.")
    if location != _location(job, mapping_id):
        raise ApiError(404, *_NO_DATA)
    chosen = job.inputs["ecInstanceIds"] or [f"0x{number:x}" for number in range(1, ROWS + 1)]
    rows = [f'"{one}","0x10","Element {number}",{number}.5' for number, one in enumerate(map(_quoted, chosen), 1)]
    return Response(200, "".join(f"{row}\r\n" for row in rows), {"Content-Type": "text/csv"})


def _are_mappings(value: object) -> bool:
    return (
        isinstance(value, list)
        and len(value) > 0
        and all(isinstance(one, dict) and isinstance(one.get("id"), str) and one["id"] for one in value)
    )


def _extractions(request: ApiRequest) -> list[Job]:
    request.store.collect_job_results()
    return request.store.jobs.of_kind(EXTRACTION.name)


def _extracted(request: ApiRequest) -> tuple[Job, str]:
    job = API.find(request, "extractionId")
    mapping_id = request.params["mappingId"]
    if mapping_id not in job.inputs["mappings"] or not job.is_successful(request.store.clock.now()):
        raise ApiError(404, *_NO_DATA)
    return job, mapping_id


def _location(job: Job, mapping_id: str) -> str:
    return f"{ids.derived_guid(job.id, mapping_id)}/Part001.csv"


def _quoted(text: str) -> str:
    return text.replace('"', '""')


def _date(request: ApiRequest, moment: float) -> str:
    # This API has dates without a fraction and with an offset.
    return timestamp(moment + request.serializer.skew)[:19] + "+00:00"


def _serialize(request: ApiRequest, job: Job) -> dict[str, Any]:
    serializer = request.serializer
    path = f"{ROOT}/extractions/{job.id}"
    entity = {
        "id": job.id,
        "state": serializer.state(job.state(serializer.now)),
        "startedOn": _date(request, job.created),
        "_links": {"status": {"href": serializer.link(path)}, "logs": {"href": serializer.link(f"{path}/logs")}},
    }
    return serializer.apply_quirks(entity)


def _serialize_of_mapping(request: ApiRequest, job: Job, mapping_id: str) -> dict[str, Any]:
    serializer = request.serializer
    entity = {
        "extractionId": job.id,
        "extractionTimestamp": _date(request, job.ended),
        "changesetIndex": job.inputs["changesetIndex"],
        "mappingTimestamp": _date(request, job.created),
        "_links": {"cdm": {"href": serializer.link(f"{ROOT}/{mapping_id}/extractions/{job.id}/cdm")}},
    }
    return serializer.apply_quirks(entity)


def _logs(request: ApiRequest, job: Job) -> list[dict[str, Any]]:
    serializer, kind = request.serializer, job.kind
    queued, running = (name for name, _ in kind.states)
    entries = [_log(request, job, job.created, queued, "Information", "StateChange", "Queued.")]
    if job.state(serializer.now) != queued or not job.is_active(serializer.now):
        entries.append(_log(request, job, job.created, running, "Information", "StateChange", "Running."))
    if job.is_active(serializer.now):
        return entries
    for one in job.plan.messages:
        category = one.title or "QueryExecution"
        entries.append(_log(request, job, job.ended, running, one.level.capitalize(), category, one.message))
    error = job.error
    level, text = ("Information", "Completed.") if error is None else ("Error", error.message)
    entries.append(_log(request, job, job.ended, job.outcome, level, "StateChange", text))
    return entries


def _log(
    request: ApiRequest, job: Job, moment: float, state: str, level: str, category: str, message: str
) -> dict[str, Any]:
    return {
        "state": request.serializer.state(state),
        "dateTime": _date(request, moment),
        "contextType": "IModel",
        "contextId": job.imodel_id,
        "level": level,
        "category": category,
        "message": message,
    }
