"""A minimal client of the store, and what tests know of its paths and bodies."""

from __future__ import annotations

from typing import Any

import requests

MEDIA_TYPE = "application/vnd.bentley.itwin-platform.v1+json"
STORAGE = "/synchronization/imodels/storageconnections"
MANIFEST = "/synchronization/imodels/manifestconnections"
EXPORT = "/export/connections"
ROOTS = {"storage": STORAGE, "manifest": MANIFEST, "export": EXPORT}
BODIES: dict[str, dict[str, Any] | None] = {"storage": None, "manifest": {}, "export": {"exportType": "IFC"}}


class Api:
    """The least that one needs to talk to the store: a token, and no automatism."""

    def __init__(self, url: str, client_id: str, client_secret: str) -> None:
        self.url = url
        self.client_id = client_id
        self.client_secret = client_secret
        self.session = requests.Session()
        self.session.trust_env = False
        self._token: str | None = None

    def ask_token(self, **form: str) -> requests.Response:
        data = {
            "grant_type": "client_credentials",
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "scope": "itwin-platform",
        } | form
        return self.session.post(f"{self.url}/connect/token", data=data, timeout=10)

    @property
    def token(self) -> str:
        if self._token is None:
            self._token = str(self.ask_token().json()["access_token"])
        return self._token

    def renew(self) -> None:
        self._token = None

    def call(self, method: str, path: str, **kwargs: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.token}", "Accept": MEDIA_TYPE} | kwargs.pop("headers", {})
        headers = {name: value for name, value in headers.items() if value is not None}
        url = path if path.startswith("http") else self.url + path
        kwargs.setdefault("timeout", 10)
        return self.session.request(method, url, headers=headers, allow_redirects=False, **kwargs)

    def get(self, path: str, **kwargs: Any) -> requests.Response:
        return self.call("GET", path, **kwargs)

    def post(self, path: str, body: Any = None, **kwargs: Any) -> requests.Response:
        return self.call("POST", path, json=body, **kwargs) if body is not None else self.call("POST", path, **kwargs)

    def start(self, kind: str, connection_id: str) -> requests.Response:
        end = "run" if kind == "storage" else "runs"
        return self.post(f"{ROOTS[kind]}/{connection_id}/{end}", BODIES[kind])

    def run(self, location: str) -> dict[str, Any]:
        answer = self.get(location)
        assert answer.status_code == 200, answer.text
        run: dict[str, Any] = answer.json()["run"]
        return run

    def control(self, method: str, path: str, body: Any = None) -> requests.Response:
        return self.session.request(method, f"{self.url}/emulator{path}", json=body, timeout=10)


def error_of(answer: requests.Response) -> dict[str, Any]:
    error: dict[str, Any] = answer.json()["error"]
    return error


def tasks_in(run: dict[str, Any]) -> list[dict[str, Any]]:
    return [task for job in run["jobs"] for task in job["tasks"]]
