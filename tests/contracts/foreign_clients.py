"""
Clients independent of this package, each with the habits of a publicly known one.

They reproduce the habits of known programs in few lines. None of them
sleeps: a function to call instead is passed in.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import requests

MEDIA_TYPE = "application/vnd.bentley.itwin-platform.v1+json"
UNESCAPED = "-_.!~*'()"
"""What encodeURIComponent of JavaScript leaves as it is."""


def encode_uri_component(text: str) -> str:
    return quote(text, safe=UNESCAPED)


class ServiceAuthorization:
    """Asks discovery where tokens come from, and names itself in a Basic header of two encoded halves."""

    def __init__(self, authority: str, client_id: str, client_secret: str, scope: str = "itwin-platform") -> None:
        self.authority = authority.removesuffix("/")
        self.basic = ":".join(map(encode_uri_component, (client_id, client_secret)))
        self.scope = scope
        self.configuration: dict[str, Any] | None = None
        self._token = ""
        self._expires_at = 0.0

    def token_endpoint(self) -> str:
        if self.configuration is None:
            answer = requests.get(f"{self.authority}/.well-known/openid-configuration", timeout=10)
            answer.raise_for_status()
            self.configuration = answer.json()
        endpoint: str = self.configuration["token_endpoint"]
        return endpoint

    def access_token(self) -> str:
        # A minute before the end it is no good any more.
        if time.time() > self._expires_at - 60:
            answer = requests.post(
                self.token_endpoint(),
                data={"grant_type": "client_credentials", "scope": self.scope},
                headers={"Authorization": "Basic " + base64.b64encode(self.basic.encode()).decode()},
                timeout=10,
            )
            answer.raise_for_status()
            body = answer.json()
            self._token = f"{body['token_type']} {body['access_token']}"
            self._expires_at = time.time() + body["expires_in"]
        return self._token


def form_token(issuer: str, client_id: str, client_secret: str) -> str:
    """Get a token as the documentation shows it with curl: everything in the form."""
    form = {
        "grant_type": "client_credentials",
        "client_id": client_id,
        "client_secret": client_secret,
        "scope": "itwin-platform",
    }
    answer = requests.post(f"{issuer}/connect/token", data=form, timeout=10)
    answer.raise_for_status()
    return f"Bearer {answer.json()['access_token']}"


class CommandLine:
    """Starts a run, looks for it in the connection, and asks again and again. Follows every redirect without noticing."""

    def __init__(self, base: str, token: Callable[[], str], pause: Callable[[], None]) -> None:
        self.base = base
        self.token = token
        self.pause = pause

    def send(self, method: str, path: str, body: Any = None, query: dict[str, str] | None = None) -> Any:
        url = self.base + path
        if query:
            url += "?" + "&".join(f"{encode_uri_component(key)}={encode_uri_component(query[key])}" for key in query)
        answer = requests.request(
            method,
            url,
            json=body,
            headers={"Authorization": self.token(), "Accept": MEDIA_TYPE, "Content-Type": "application/json"},
            timeout=10,
        )
        # This header says whether there is a body.
        if "application/json" in (answer.headers.get("content-type") or ""):
            data = answer.json()
            if not answer.ok:
                raise RuntimeError(data["error"]["code"])
            return data
        if answer.headers.get("content-type") is not None:
            raise RuntimeError(f"cannot read {answer.headers['content-type']}")
        return None

    def connections(self, imodel_id: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while True:
            query = {"imodelId": imodel_id, "$top": "2", "$skip": str(len(found))}
            page = self.send("GET", "/synchronization/imodels/storageconnections", query=query)["connections"]
            found += page
            if len(page) < 2:
                return found

    def run(self, connection_id: str) -> dict[str, Any]:
        path = f"/synchronization/imodels/storageconnections/{connection_id}"
        self.send("POST", f"{path}/run")
        connection = self.send("GET", path)["connection"]
        run_id = connection["_links"]["lastRun"]["href"].split("/")[8]
        while True:
            run: dict[str, Any] = self.send("GET", f"{path}/runs/{run_id}")["run"]
            if run["state"] == "Completed":
                return run
            self.pause()


class SampleApp:
    """Knows a connection by its name and its newest run by the moment of its start, whatever the list's order."""

    def __init__(self, base: str, token: str) -> None:
        self.base = f"{base}/synchronization/imodels/storageconnections"
        self.headers = {"Authorization": token, "Accept": MEDIA_TYPE, "Prefer": "return=representation"}

    def connection_named(self, imodel_id: str, name: str) -> dict[str, Any] | None:
        answer = requests.get(f"{self.base}?imodelId={imodel_id}", headers=self.headers, timeout=10).json()
        return next((one for one in answer["connections"] if one.get("displayName") == name), None)

    def create(self, imodel_id: str, name: str, files: list[dict[str, str]]) -> dict[str, Any]:
        body = {"iModelId": imodel_id, "displayName": name, "authenticationType": "Service", "sourceFiles": files}
        answer = requests.post(self.base, json=body, headers=self.headers, timeout=10)
        connection: dict[str, Any] = answer.json()["connection"]
        return connection

    def start(self, connection_id: str) -> int:
        return requests.post(f"{self.base}/{connection_id}/run", headers=self.headers, timeout=10).status_code

    def newest_run(self, connection_id: str) -> dict[str, Any]:
        runs = requests.get(f"{self.base}/{connection_id}/runs", headers=self.headers, timeout=10).json()["runs"]
        newest: dict[str, Any] = sorted(runs, key=lambda run: run["startDateTime"], reverse=True)[0]
        return newest


class ManifestSample:
    """Takes the Location for an address that can be asked as it is, with the token; and then the same of ``lastRun``."""

    def __init__(self, base: str, token: str) -> None:
        self.base = f"{base}/synchronization/imodels/manifestconnections"
        self.session = requests.Session()
        self.session.headers.update({"Authorization": token, "Accept": MEDIA_TYPE})

    def start(self, connection_id: str, manifest: dict[str, Any]) -> dict[str, Any]:
        url = f"{self.base}/{connection_id}/runs"
        answer = self.session.post(url, json=manifest, allow_redirects=False, timeout=10)
        run: dict[str, Any] = self.session.get(answer.headers["location"], timeout=10).json()["run"]
        return run

    def last_run(self, connection_id: str) -> dict[str, Any] | None:
        links = self.session.get(f"{self.base}/{connection_id}", timeout=10).json()["connection"]["_links"]
        if "lastRun" not in links:
            return None
        run: dict[str, Any] = self.session.get(links["lastRun"]["href"], timeout=10).json()["run"]
        return run


def everything(url: str, name: str, token: str) -> Iterator[dict[str, Any]]:
    """Follow the links from page to page for as long as there is a next one."""
    following: str | None = url
    while following is not None:
        page = requests.get(following, headers={"Authorization": token, "Accept": MEDIA_TYPE}, timeout=10).json()
        yield from page[name]
        following = page["_links"].get("next", {}).get("href")
