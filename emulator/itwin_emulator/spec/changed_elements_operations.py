"""The operations of the Changed Elements API: change tracking and comparisons of version 1, diff jobs of version 3."""

from __future__ import annotations

from itwin_emulator.api import change_tracking, changed_elements
from itwin_emulator.spec.operation import PAGED, Handler, Operation

_ALL = "/diff"
_ONE = f"{_ALL}/{{jobId}}"
_IMODEL = ("iTwinId*", "iModelId*")
_ENDS = ("startChangesetId*", "endChangesetId*")
_FILTERS = ("startChangeset", "endChangeset", "startChangesetIndex", "endChangesetIndex", "diffingStrategy")


def _operation(
    identifier: str,
    method: str,
    path: str,
    handler: Handler,
    errors: tuple[int, ...],
    response: tuple[str, ...] = (),
    *,
    status: int = 200,
    body: str | None = None,
    query: tuple[str, ...] = (),
    version: int = 3,
    location: bool = True,
    missing: tuple[str, str] = changed_elements.API.missing,
) -> Operation:
    return Operation(
        identifier,
        method,
        f"/changedelements{path}",
        handler,
        api="Changed Elements",
        versions=(version,),
        status=status,
        response=response,
        body=body,
        query=query,
        errors=errors,
        missing=missing,
        location=location,
    )


CHANGED_ELEMENTS_OPERATIONS: tuple[Operation, ...] = (
    _operation(
        "enable-change-tracking",
        "PUT",
        "/tracking",
        change_tracking.set_tracking,
        (403, 422),
        status=202,
        body="enable-change-tracking",
        version=1,
        location=False,
    ),
    _operation(
        "get-tracking",
        "GET",
        "/tracking",
        change_tracking.get_tracking,
        (403, 404, 422),
        ("tracking-response",),
        query=_IMODEL,
        version=1,
        missing=change_tracking.TRACKING_MISSING,
    ),
    _operation(
        "get-changesets",
        "GET",
        "/changesets",
        change_tracking.list_changesets,
        (403, 422),
        ("changeset-statuses-page",),
        query=(*_IMODEL, *PAGED),
        version=1,
    ),
    _operation(
        "get-comparison",
        "GET",
        "/comparison",
        change_tracking.get_comparison,
        (403, 404, 422),
        ("comparison-response",),
        query=(*_IMODEL, *_ENDS),
        version=1,
        missing=change_tracking.COMPARISON_MISSING,
    ),
    _operation(
        "create-diff-job",
        "POST",
        _ALL,
        changed_elements.create_diff_job,
        (400, 403, 409),
        ("diff-job-response",),
        status=202,
        body="create-diff-job",
    ),
    _operation(
        "get-diff-jobs",
        "GET",
        _ALL,
        changed_elements.list_diff_jobs,
        (400, 403),
        ("diff-jobs-response",),
        query=(*_IMODEL, *_FILTERS),
    ),
    _operation(
        "get-diff-job",
        "GET",
        _ONE,
        changed_elements.get_diff_job,
        (400, 403, 404),
        ("diff-job-response",),
        query=_IMODEL,
    ),
    _operation(
        "delete-diff-job", "DELETE", _ONE, changed_elements.delete_diff_job, (400, 403), status=204, query=_IMODEL
    ),
)
