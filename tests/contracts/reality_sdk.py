"""
A client of reality jobs with the habits of the public Python SDK, for where that is not installed.

It is strict about members, types and names of states, and waits without a limit. It raises nothing: each answer has a status,
and a value or an error.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar
from urllib.parse import parse_qs, urlsplit

import requests

T = TypeVar("T")

STATES = frozenset(
    {"Queued", "Active", "Success", "Failed", "TerminatingOnCancel", "TerminatingOnFailure", "Cancelled"}
)
FINAL = frozenset({"Success", "Failed", "Cancelled"})
REQUIRED = {
    "Calibration": {"scene"},
    "FillImageProperties": {"scene"},
    "ImportPointCloud": {"scanCollection"},
    "Tiling": {"modelingReference"},
    "Production": {"exports"},
    "Constraints": {"addedConstraintsInfo"},
    "WaterConstraints": {"constraints"},
    "TouchUpExport": {"touchUpData"},
    "TrainingS3D": {"detector"},
}
"""Outputs without which a job of this type is unreadable."""
IN_BUCKET = frozenset({"addedConstraintsInfo", "constraints", "importInfo"})


@dataclass(frozen=True)
class Problem:
    """The error of an answer: that of the service, or one of the client itself."""

    code: str
    message: str
    details: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Answer(Generic[T]):
    """A status with a value or an error."""

    status: int
    value: T | None = None
    error: Problem | None = None

    @property
    def good(self) -> T:
        """The value of an answer that has no error."""
        assert self.error is None, self.error
        assert self.value is not None
        return self.value

    @property
    def bad(self) -> Problem:
        """The error."""
        assert self.error is not None
        return self.error


@dataclass(frozen=True)
class RealityJob:
    """A job whose members have the types that the SDK insists on."""

    id: str
    name: str | None
    state: str
    created: datetime
    started: datetime | None
    ended: datetime | None
    units: float | None
    outputs: Any


@dataclass(frozen=True)
class JobPage:
    """A page of a list, and the token of the next one."""

    jobs: list[RealityJob]
    following: str | None


class RealitySdk:
    """Sends absent options as null, bodies as prepared JSON, and asks for version 2 everywhere."""

    def __init__(self, base: str, api: str, itwin: str, token: Callable[[], str], slash: str = "/") -> None:
        """
        :param slash: what is before ``jobs``; versions before 2.4.2 send two slashes
        """
        self.base, self.url = base, f"{base}/{api}{slash}jobs"
        self.conversion = api == "reality-conversion"
        self.itwin, self.token = itwin, token
        self.session = requests.Session()
        # One object for all requests: what a request has set stays in the next ones.
        self.headers = {"User-Agent": "stand-in", "Content-type": "application/json"}

    def submit(self, kind: str, specifications: dict[str, Any], name: str | None) -> Answer[RealityJob]:
        body = {
            "name": name,
            "type": kind,
            "specifications": {"options": None, **specifications},
            "iTwinId": self.itwin,
        }
        return self._send("POST", "", lambda answer: self._job(answer["job"]), data=json.dumps(body))

    def get(self, job_id: str) -> Answer[RealityJob]:
        return self._send("GET", f"/{job_id}", lambda answer: self._job(answer["job"]))

    def cancel(self, job_id: str) -> Answer[RealityJob]:
        return self._send("DELETE", f"/{job_id}", lambda answer: self._job(answer["job"]))

    def progress(self, job_id: str) -> Answer[tuple[str, float]]:
        return self._send("GET", f"/{job_id}/progress", lambda answer: _progress(answer["progress"]))

    def messages(self, job_id: str) -> Answer[dict[str, list[dict[str, Any]]]]:
        return self._send("GET", f"/{job_id}/messages", lambda answer: _messages(answer["messages"]))

    def jobs(self, filters: str, top: int, token: str | None = None) -> Answer[JobPage]:
        parameters: dict[str, Any] = {"$filter": filters, "$top": max(min(top, 1000), 2)}
        if token:
            parameters["continuationToken"] = token
        return self._send("GET", "", self._page, params=parameters)

    def reality_data(self) -> Answer[Any]:
        """List the reality data of the iTwin: version 1 of another API, and a preference that stays."""
        self.headers["Prefer"] = "return=minimal"
        url = f"{self.base}/reality-management/reality-data/?iTwinId={self.itwin}"
        return self._send("GET", url, lambda answer: answer["realityData"], version=1)

    def _send(self, method: str, end: str, read: Callable[[Any], T], *, version: int = 2, **given: Any) -> Answer[T]:
        self.headers |= {
            "Authorization": self.token(),
            "Accept": f"application/vnd.bentley.itwin-platform.v{version}+json",
        }
        url = end if end.startswith("http") else self.url + end
        try:
            response = self.session.request(method, url, headers=self.headers, timeout=10, **given)
        except requests.RequestException as error:
            return Answer(503, error=Problem("NetworkError", str(error)))
        if not response.ok:
            return Answer(response.status_code, error=_problem(response))
        try:
            return Answer(response.status_code, read(response.json()))
        except (AssertionError, KeyError, TypeError, ValueError) as error:
            return Answer(502, error=Problem("InvalidResponse", f"{response.text}: {error!r}"))

    def _page(self, answer: dict[str, Any]) -> JobPage:
        jobs = [self._job(one) for one in answer["jobs"]]
        if answer.get("_links") is None:
            return JobPage(jobs, None)
        query = parse_qs(urlsplit(answer["_links"]["next"]["href"]).query)
        return JobPage(jobs, query.get("continuationToken", [None])[0])

    def _job(self, data: dict[str, Any]) -> RealityJob:
        assert data["iTwinId"] == self.itwin
        assert data["state"] in STATES
        name = data.get("name")
        assert name is None or len(_text(name)) >= 3
        _text(data["userId"])
        execution, specifications = data["executionInfo"], data["specifications"]
        assert isinstance(specifications["inputs"], dict)
        outputs = _text(specifications["output"]) if self.conversion else _outputs(data["type"], specifications)
        return RealityJob(
            _text(data["id"]),
            name,
            data["state"],
            datetime.fromisoformat(execution["createdDateTime"]),
            _date(execution.get("startedDateTime")),
            _date(execution.get("endedDateTime")),
            execution.get("processingUnits"),
            outputs,
        )


def _outputs(kind: str, specifications: dict[str, Any]) -> dict[str, Any]:
    """Return the outputs, each of the type that it has in the SDK: an id, a path in the bucket, or an object with a location."""
    outputs: dict[str, Any] = specifications["outputs"]
    assert REQUIRED.get(kind, set()) <= set(outputs)
    for name, one in outputs.items():
        if name == "exports":
            for export in one:
                _text(export["location"]), _text(export["format"])
        elif name == "modelingReference":
            _text(one["location"])
        else:
            assert _text(one).startswith("bkt:") == (name in IN_BUCKET)
    return outputs


def _progress(found: dict[str, Any]) -> tuple[str, float]:
    assert found["state"] in STATES
    assert 0 <= found["percentage"] <= 100
    return found["state"], found["percentage"]


def _messages(found: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    for one in [*found["errors"], *found["warnings"]]:
        for text in (one["code"], one["title"], one["message"], *one["params"]):
            _text(text)
    return found


def _problem(response: requests.Response) -> Problem:
    try:
        error = response.json()["error"]
        return Problem(_text(error["code"]), _text(error["message"]), error.get("details") or [])
    except (AssertionError, KeyError, TypeError, ValueError):
        return Problem("UnknownError", response.text)


def _text(value: Any) -> str:
    assert isinstance(value, str), value
    return value


def _date(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
