"""Operations on diff jobs of the Changed Elements API: create, get, list, delete."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from itwin_emulator.api.job_request import Details, JobApi, required_query, required_text, result_url
from itwin_emulator.api.request import ApiRequest
from itwin_emulator.domain import ids
from itwin_emulator.domain.imodel_history import Changeset
from itwin_emulator.domain.job_kinds import CHANGED_ELEMENTS
from itwin_emulator.domain.job_results import discard
from itwin_emulator.domain.jobs import Job
from itwin_emulator.http.errors import ApiError, insufficient_permissions
from itwin_emulator.http.responses import Response

API = JobApi(
    CHANGED_ELEMENTS,
    "InvalidChangedElementsRequest",
    ("DiffJobNotFound", "Requested diff job is not available."),
    malformed_status=400,
    invalid_status=400,
)
STRATEGIES = ("Basic", "VersionCompare", "Full")
AGENTS = 4
"""Parts that a job is divided into."""
_INVALID = "One or more request parameters are invalid."
_CHANGESET_ID = re.compile("[0-9a-fA-F]{40}")


def create_diff_job(request: ApiRequest) -> Response:
    """Start a diff job; a job with the same parameters must not exist."""
    body = API.body(request)
    details: Details = []
    itwin_id = required_text(body, "iTwinId", details, "create a diff job")
    imodel_id = required_text(body, "iModelId", details, "create a diff job")
    given = {end: _changeset_of(body, end, details) for end in ("start", "end")}
    plan = body.get("diffingPlan")
    if not _is_plan(plan):
        details.append(_invalid("diffingPlan", "It must have one of 'strategy' and 'pipeline'."))
    if details:
        raise API.rejected(details, _INVALID)
    _check_access(request, itwin_id, imodel_id)
    start, end = (_find(request, imodel_id, name, value, details) for name, value in given.items())
    if start is not None and end is not None and start.index > end.index:
        details.append(_invalid("startChangeset", "The start must not be after the end."))
    if details or start is None or end is None:
        raise API.rejected(details, _INVALID)
    inputs = {
        "startChangesetIndex": start.index,
        "endChangesetIndex": end.index,
        "startChangesetId": start.id,
        "endChangesetId": end.id,
        "diffingPlan": plan,
    }
    others = request.store.jobs.of_kind(CHANGED_ELEMENTS.name)
    if any(one.imodel_id == imodel_id and one.inputs == inputs for one in others):
        raise ApiError(409, "DiffJobAlreadyExists", "A diff job with the same parameters exists already.")
    job = API.start(request, itwin_id, inputs, imodel_id=imodel_id)
    return Response(202, {"job": _serialize(request, job)})


def get_diff_job(request: ApiRequest) -> Response:
    """Return a diff job; a completed one with the pre-signed URL of its result."""
    itwin_id, imodel_id = _scope(request)
    job = _find_job(request, itwin_id, imodel_id)
    if job is None:
        raise API.not_found()
    return Response(200, {"job": _serialize(request, job)})


def list_diff_jobs(request: ApiRequest) -> Response:
    """Return the diff jobs of an iModel, newest first and without their results."""
    details: Details = []
    wanted: dict[str, Any] = {}
    for end in ("start", "end"):
        for name in (f"{end}ChangesetIndex", f"{end}Changeset"):
            text = request.query.get(name.lower())
            if text is not None:
                is_index = text.isascii() and text.isdigit() and len(text) < 10
                wanted[end] = _read_changeset(int(text) if is_index else text, name, details)
    strategy = request.query.get("diffingstrategy")
    if strategy is not None and strategy.lower() not in [one.lower() for one in STRATEGIES]:
        details.append(_invalid("diffingStrategy", f"It must be one of {', '.join(STRATEGIES)}."))
    itwin_id, imodel_id = _scope(request, details)
    found = [
        one
        for one in reversed(request.store.jobs.of_kind(CHANGED_ELEMENTS.name))
        if (one.itwin_id, one.imodel_id) == (itwin_id, imodel_id)
        and all(value in _names(one, end) for end, value in wanted.items())
        and strategy in (None, *_spellings(one, strategy))
    ]
    return Response(200, {"jobs": [_summary(request, one) for one in found]})


def delete_diff_job(request: ApiRequest) -> Response:
    """Delete a diff job and its result; it may be missing already."""
    itwin_id, imodel_id = _scope(request)
    job = _find_job(request, itwin_id, imodel_id)
    if job is not None:
        discard(job, request.store.storage)
        request.store.jobs.remove(job)
    return Response(204)


def _invalid(target: str, message: str) -> dict[str, str]:
    return {"code": "InvalidParameter", "message": message, "target": target}


def _changeset_of(body: Mapping[str, Any], end: str, details: Details) -> int | str | None:
    """Return the index or the id of a changeset in a body; the name with ``Index`` is an older one."""
    given = [name for name in (f"{end}Changeset", f"{end}ChangesetIndex") if body.get(name) is not None]
    if not given:
        details.append(_invalid(f"{end}Changeset", f"'{end}Changeset' is required."))
        return None
    values = [_read_changeset(body[name], name, details) for name in given]
    return values[0]


def _read_changeset(value: object, name: str, details: Details) -> int | str | None:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    if isinstance(value, str) and _CHANGESET_ID.fullmatch(value) and not name.endswith("Index"):
        return value.lower()
    details.append(_invalid(name, f"'{name}' is not a valid changeset."))
    return None


def _find(request: ApiRequest, imodel_id: str, end: str, value: int | str | None, details: Details) -> Changeset | None:
    found = request.store.history(imodel_id).changeset(str(value))
    if found is None:
        details.append(_invalid(f"{end}Changeset", "The iModel has no such changeset."))
    return found


def _is_plan(plan: object) -> bool:
    if not isinstance(plan, dict):
        return False
    strategy, pipeline = plan.get("strategy"), plan.get("pipeline")
    if strategy is None:
        return isinstance(pipeline, list) and len(pipeline) > 0
    return pipeline is None and strategy in STRATEGIES


def _check_access(request: ApiRequest, itwin_id: str, imodel_id: str) -> None:
    imodel = request.store.imodels.get(imodel_id)
    if imodel is None or imodel.itwin_id != itwin_id or request.store.role(request.client, imodel_id) is None:
        raise insufficient_permissions()


def _scope(request: ApiRequest, details: Details | None = None) -> tuple[str, str]:
    """Return the iTwin and the iModel of the query, if the client may read them."""
    found: Details = [] if details is None else details
    itwin_id, imodel_id = (required_query(request, name, found) for name in ("iTwinId", "iModelId"))
    found += [
        _invalid(name, f"'{name}' is not a valid GUID.")
        for name, value in request.params.items()
        if not ids.is_valid(value)
    ]
    if found:
        raise API.rejected(found, _INVALID)
    _check_access(request, itwin_id, imodel_id)
    request.store.collect_job_results()
    return itwin_id, imodel_id


def _find_job(request: ApiRequest, itwin_id: str, imodel_id: str) -> Job | None:
    job = request.store.jobs.find(CHANGED_ELEMENTS.name, request.params["jobId"])
    return job if job is not None and (job.itwin_id, job.imodel_id) == (itwin_id, imodel_id) else None


def _names(job: Job, end: str) -> tuple[int, str]:
    return job.inputs[f"{end}ChangesetIndex"], job.inputs[f"{end}ChangesetId"]


def _spellings(job: Job, strategy: str | None) -> tuple[str, ...]:
    same = strategy is not None and strategy.lower() == _strategy(job)
    return (strategy,) if same and strategy is not None else ()


def _strategy(job: Job) -> str:
    return str(job.inputs["diffingPlan"].get("strategy") or "custom").lower()


def _common(request: ApiRequest, job: Job) -> dict[str, Any]:
    serializer = request.serializer
    return {
        "jobId": job.id,
        "status": serializer.state(job.state(serializer.now)),
        "iTwinId": job.itwin_id,
        "iModelId": job.imodel_id,
        **{name: job.inputs[f"{name}"] for name in job.inputs if name != "diffingPlan"},
    }


def _summary(request: ApiRequest, job: Job) -> dict[str, Any]:
    return request.serializer.apply_quirks({**_common(request, job), "diffingStrategy": _strategy(job)})


def _serialize(request: ApiRequest, job: Job) -> dict[str, Any]:
    now = request.serializer.now
    entity = {**_common(request, job), "diffingPlan": job.inputs["diffingPlan"]}
    if job.is_active(now):
        if job.state(now) != CHANGED_ELEMENTS.states[0][0]:
            entity |= {"completedAgents": int(AGENTS * job.percentage(now) / 100), "totalAgents": AGENTS}
    elif job.error is not None:
        entity["error"] = {"code": job.error.code, "message": job.error.message}
    else:
        url = result_url(request, job)
        entity |= {} if url is None else {"href": url}
    return request.serializer.apply_quirks(entity)
