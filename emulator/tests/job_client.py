"""What tests know of the APIs with jobs."""

from __future__ import annotations

from typing import Any

import requests

from platform_client import Api

TRANSFORMATIONS = "/transformations/"
REALITY = ("reality-modeling", "reality-analysis", "reality-conversion")
TYPES = {
    "reality-modeling": "Calibration",
    "reality-analysis": "Objects2D",
    "reality-conversion": "PointCloudConversion",
}


def accept(version: int) -> dict[str, str]:
    return {"Accept": f"application/vnd.bentley.itwin-platform.v{version}+json"}


def ask(
    api: Api, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None, *, version: int = 2
) -> requests.Response:
    return api.call(method, path, json=body, headers={**accept(version), **(headers or {})})


def reality_body(kind: str, itwin: str = "itwin", **changes: Any) -> dict[str, Any]:
    specifications = {"inputs": {"scene": "s"}, "outputs": ["scene", "report"], "options": {"tags": ["QR"]}}
    return {"name": "Nightly", "type": TYPES[kind], "specifications": specifications, "iTwinId": itwin} | changes


def start_reality(api: Api, kind: str, **changes: Any) -> dict[str, Any]:
    answer = ask(api, "POST", f"/{kind}/jobs", reality_body(kind, **changes))
    assert answer.status_code == 201, answer.text
    job: dict[str, Any] = answer.json()["job"]
    return job
