"""The headers Accept and Prefer."""

from __future__ import annotations

import pytest

from itwin_emulator import Emulator
from itwin_emulator.http.content_negotiation import choose_version, preferences
from platform_client import Api

VENDOR = "application/vnd.bentley.itwin-platform."


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("return=minimal", {"return": "minimal"}),
        ('return="representation"', {"return": "representation"}),
        ("Return = representation", {"return": "representation"}),
        ("return=representation; foo=bar", {"return": "representation"}),
        ('wait=10, return=representation; a="x, return=minimal"; b', {"wait": "10", "return": "representation"}),
        ("respond-async,return=minimal,return=representation", {"respond-async": "", "return": "minimal"}),
        ('foo="a\\"b"', {"foo": 'a"b'}),
        ("", {}),
        (",,", {}),
    ],
)
def test_prefer(header: str, expected: dict[str, str]) -> None:
    assert preferences(header) == expected


@pytest.mark.parametrize(
    ("accept", "version"),
    [
        (None, 1),
        ("*/*", 1),
        ("application/json, text/plain, */*", 1),
        (f"{VENDOR}v1+json", 1),
        (f"{VENDOR}V2+json; charset=utf-8", 2),
        (f"text/html, {VENDOR}v2+json", 2),
        (f"{VENDOR}v3+json", None),
        (f"{VENDOR}v2+xml", None),
        ("text/html", None),
    ],
)
def test_versions(accept: str | None, version: int | None) -> None:
    assert choose_version(accept, (1, 2)) == version


def test_the_version_of_the_imodels_api(emulator: Emulator, api: Api) -> None:
    model = emulator.add_imodel()
    itwin = emulator.store.imodels[model].itwin_id
    for version, project in (("v1", itwin), ("v2", None)):
        answer = api.get(f"/imodels/{model}", headers={"Accept": f"{VENDOR}{version}+json"})
        assert answer.json()["iModel"].get("projectId") == project
        assert answer.headers["x-itwinplatform-media-type"] == f"bentley.itwin-platform.{version}"
    assert api.get(f"/imodels/{model}", headers={"Accept": f"{VENDOR}v3+json"}).status_code == 406
    assert api.get(f"/itwins/{itwin}", headers={"Accept": f"{VENDOR}v2+json"}).status_code == 406


def test_several_prefer_headers_are_one(emulator: Emulator, api: Api) -> None:
    model = emulator.add_imodel()
    itwin = emulator.store.imodels[model].itwin_id
    for prefer, count in (("wait=1", 2), ("wait=1, return=representation", 16)):
        found = api.get(f"/imodels?iTwinId={itwin}", headers={"Prefer": prefer}).json()["iModels"]
        assert (len(found[0]) > 2) == (count > 2)
