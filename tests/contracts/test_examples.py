"""The examples of the documentation match the schemas, and the client of this package reads them without loss."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
import requests

from airflow_provider_itwin.api.http.auth import ClientCredentials
from airflow_provider_itwin.api.http.error_mapping import map_error
from airflow_provider_itwin.api.http.messages import Request, Response
from airflow_provider_itwin.api.models import resources
from itwin_emulator import Emulator, ManualClock

from . import contract
from .conftest import MEDIA_TYPE, ROOTS, RUN_BODIES, START

EXAMPLES = sorted((Path(__file__).parents[1] / "api" / "data").glob("*.json"))
READ_AS: dict[str, type[Any]] = {"run": resources.RunEnvelope, "sourceFiles": resources.SourceFilePage}


def named(path: Path) -> tuple[str, int, Any]:
    operation, status, _ = path.name.split(".")
    return operation, int(status), json.loads(path.read_text())


def ids(path: Path) -> str:
    return path.stem


def without_pages(body: Any) -> Any:
    """Leave out the links that the client does not follow: it believes in the presence of a next page only."""
    if "_links" not in body:
        return body
    return body | {"_links": {name: link for name, link in body["_links"].items() if name == "next"}}


def test_all_examples_are_there() -> None:
    operations = {named(path)[0] for path in EXAMPLES}
    assert operations >= {
        "get-storage-connection-run",
        "get-manifest-connection-run",
        "get-export-connection-run",
        "run-storage-connection",
        "get-storage-connection-sourcefiles",
    }


@pytest.mark.parametrize("path", EXAMPLES, ids=ids)
def test_examples_have_the_documented_shapes(path: Path) -> None:
    operation, status, body = named(path)
    place = contract.place_of(operation, status, representation=False)
    assert place is not None
    contract.check(body, place)


@pytest.mark.parametrize("path", [path for path in EXAMPLES if named(path)[1] == 200], ids=ids)
def test_examples_are_read_without_loss(path: Path) -> None:
    body = named(path)[2]
    (schema,) = (READ_AS[name] for name in body if name in READ_AS)
    read = resources.decoded(path.read_bytes(), schema)
    assert msgspec.to_builtins(read) == without_pages(body)


@pytest.mark.parametrize("path", [path for path in EXAMPLES if named(path)[1] >= 400], ids=ids)
def test_refusals_are_read_without_loss(path: Path) -> None:
    operation, status, body = named(path)
    request = Request("GET", "https://api.bentley.com/x", {})
    error = map_error(Response(status, {}, path.read_bytes()), request, operation, ClientCredentials("id", "secret"))
    told = {"code": error.code, "message": error.message}
    if error.details:
        names = ("code", "message", "target")
        told["details"] = [{name: getattr(one, name) for name in names} for one in error.details]  # type: ignore[assignment]
    assert {"error": told} == body


@pytest.mark.parametrize("kind", ["storage", "manifest", "export"])
def test_runs_of_the_emulator_are_read_without_loss(emulator: Emulator, clock: ManualClock, kind: str) -> None:
    connection = emulator.add_connection(kind, files=7)  # type: ignore[arg-type]
    emulator.plan_run(connection, "PartialSuccess", 600, warnings=3, failing=[{"file": 0, "canUserFix": True}])
    headers = {"Authorization": f"Bearer {emulator.make_token(emulator.client_id)}", "Accept": MEDIA_TYPE}
    path = f"{emulator.url}{ROOTS[kind]}/{connection}"
    with requests.Session() as session:
        session.trust_env = False
        session.headers.update(headers)
        session.post(f"{path}/{START[kind]}", json=RUN_BODIES[kind], timeout=10)
        for _ in range(6):
            for end, schema in (
                ("/runs", resources.RunPage),
                ("", resources.ConnectionEnvelope),
                (f"/runs/{emulator.runs(connection)[0]['id']}", resources.RunEnvelope),
            ):
                answer = session.get(path + end, headers={"Prefer": "return=representation"}, timeout=10)
                read = resources.decoded(answer.content, schema)
                assert msgspec.to_builtins(read) == without_pages(answer.json())
            clock.advance(2)
