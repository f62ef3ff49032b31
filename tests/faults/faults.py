"""What can go wrong with one operation of the service: every fault of the emulator, by its name in the table."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

MEBIBYTE = 1 << 20
ELSEWHERE = "https://elsewhere.example.com/synchronization/imodels/storageconnections/x/runs/y"

STATUSES = (
    *(400, 401, 403, 404, 405, 406, 407, 408, 409, 410, 413, 415, 422, 423, 425, 429, 431),
    *(500, 501, 502, 503, 504),
)


@dataclass(frozen=True)
class Fault:
    """
    One row of the table.

    :param fault: the arguments of `Emulator.fail`
    :param quirks: lasting deviations of the service from its documentation
    :param skew: lasting; seconds by which the clock of the service is ahead
    :param timeout: timeout of one request, in seconds
    """

    name: str
    fault: dict[str, Any] | None = None
    quirks: dict[str, Any] = field(default_factory=dict)
    skew: float = 0.0
    timeout: float = 10.0

    @property
    def is_lasting(self) -> bool:
        """Whether the fault is permanent, instead of a number of failing requests."""
        return self.fault is None


def _body_of(status: int) -> dict[str, Any]:
    """Return the body of a refusal in the error format of the service; another format would mean a gateway."""
    is_refusal = 400 <= status < 500 and status not in (408, 425, 429)
    return {"body": {"error": {"code": "Refused", "message": "The request was refused."}}} if is_refusal else {}


_WRONG_TYPES = {
    "run": {"id": 7, "state": ["Completed"], "result": {"is": "Success"}, "jobs": "none", "startDateTime": 5},
    "connection": {"id": [], "_links": "none", "authenticationType": 5},
    "runs": {"id": "no list"},
    "sourceFiles": 5,
    "access_token": ["no", "text"],
    "expires_in": "soon",
}
"""Every field has another type than documented."""

FAULTS = (
    *(Fault(f"{status}", {"status": status} | _body_of(status)) for status in STATUSES),
    Fault("429 in 7 s", {"status": 429, "headers": {"Retry-After": "7"}}),
    Fault("429 in a day", {"status": 429, "headers": {"Retry-After": "86400"}}),
    Fault("429 at a date", {"status": 429, "headers": {"Retry-After": "Fri, 31 Dec 2049 23:59:59 GMT"}}),
    Fault("503 some time", {"status": 503, "headers": {"Retry-After": "some time"}}),
    Fault("delay", {"kind": "delay", "seconds": 0.01}),
    Fault("hang", {"kind": "hang"}, timeout=0.1),
    Fault("reset before", {"kind": "reset-before"}),
    Fault("reset after", {"kind": "reset-after"}),
    Fault("truncated", {"kind": "truncate"}),
    Fault("length too short", {"kind": "short-length"}),
    Fault("slow body", {"kind": "slow-body", "seconds": 0.02}),
    Fault("body too slow", {"kind": "slow-body", "seconds": 2.0}, timeout=0.1),
    Fault("HTML 502", {"kind": "html"}),
    *(Fault(f"HTML {status}", {"kind": "html", "status": status}) for status in (400, 401, 403, 404, 405)),
    Fault("403 of a gateway", {"status": 403, "body": {"statusCode": 403, "message": "Forbidden"}}),
    Fault("HTML 200", {"kind": "html", "status": 200}),
    Fault("half the JSON", {"kind": "invalid-json"}),
    Fault("a list", {"kind": "wrong-type"}),
    Fault("wrong types", {"status": 200, "body": _WRONG_TYPES}),
    Fault("an empty object", {"status": 200, "body": {}}),
    Fault("deep nesting", {"status": 200, "body": '{"run":' + "[" * 100_000}),
    Fault("no text", {"status": 200, "body": b'\xff\xfe\x00{"run":{}}'}),
    Fault("text/plain", {"kind": "wrong-content-type"}),
    Fault("empty 200", {"kind": "empty"}),
    Fault("empty 204", {"kind": "empty", "status": 204}),
    Fault("304", {"kind": "empty", "status": 304}),
    Fault("302 elsewhere", {"kind": "redirect", "location": ELSEWHERE}),
    Fault("307 elsewhere", {"kind": "redirect", "status": 307, "location": ELSEWHERE}),
    Fault("302 here", {"kind": "redirect", "location": "/sign-in"}),
    Fault("308 nowhere", {"kind": "redirect", "status": 308, "location": "http://[not a link"}),
    Fault("huge", {"kind": "huge", "size": 2 * MEBIBYTE}),
    Fault("endless", {"kind": "endless"}),
    Fault("gzip bomb", {"kind": "gzip-bomb", "size": 8 * MEBIBYTE}),
    Fault("no headers", {"kind": "bare"}),
    Fault("clock an hour ahead", skew=3600.0),
    Fault("clock a day behind", skew=-86400.0),
    Fault("no Location", quirks={"location": "missing"}),
    Fault("Location elsewhere", quirks={"location": "foreign-host"}),
    Fault("Location nonsense", quirks={"location": "nonsense"}),
    Fault("fields missing", quirks={"missing_fields": ["startDateTime", "endDateTime", "_links", "error", "jobs"]}),
    Fault("fields null", quirks={"null_fields": ["startDateTime", "endDateTime", "displayName", "error", "phase"]}),
)
