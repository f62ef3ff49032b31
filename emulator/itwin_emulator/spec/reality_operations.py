"""The operations of the Reality Modeling, Analysis and Conversion APIs, which differ in the types of their jobs only."""

from __future__ import annotations

from itwin_emulator.api.reality_jobs import ANALYSIS, CONVERSION, MODELING, RealityApi
from itwin_emulator.spec.operation import Handler, Operation

_ONE = "/{jobId}"


def _operations(name: str, path: str, jobs: RealityApi) -> tuple[Operation, ...]:
    def operation(
        identifier: str,
        method: str,
        end: str,
        handler: Handler,
        errors: tuple[int, ...],
        response: str,
        *,
        status: int = 200,
        body: str | None = None,
        query: tuple[str, ...] = (),
    ) -> Operation:
        return Operation(
            f"{path}-jobs-{identifier}",
            method,
            f"/{path}/jobs{end}",
            handler,
            api=name,
            versions=(2,),
            status=status,
            response=(response,),
            body=body,
            query=query,
            errors=errors,
            missing=jobs.jobs.missing,
        )

    pages = ("$filter*", "$top", "continuationToken")
    one, created = "reality-job-response", f"create-{path}-job"
    return (
        operation("create", "POST", "", jobs.create, (400, 403, 404, 422), one, status=201, body=created),
        operation("get-all", "GET", "", jobs.get_all, (422,), "reality-jobs-page", query=pages),
        operation("get", "GET", _ONE, jobs.get, (404, 422), one),
        operation("cancel", "DELETE", _ONE, jobs.cancel, (403, 404, 422), one),
        operation("progress", "GET", f"{_ONE}/progress", jobs.progress, (404, 422), "reality-job-progress"),
        operation("messages", "GET", f"{_ONE}/messages", jobs.messages, (404, 422), "reality-job-messages"),
    )


REALITY_OPERATIONS: tuple[Operation, ...] = (
    *_operations("Reality Modeling", "reality-modeling", MODELING),
    *_operations("Reality Analysis", "reality-analysis", ANALYSIS),
    *_operations("Reality Conversion", "reality-conversion", CONVERSION),
)
