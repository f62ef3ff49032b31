"""Reading long lists page by page: every entry once, and to an end, whatever the links say."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_itwin.api.errors import ITwinProtocolError
from airflow_provider_itwin.api.http.messages import Call, Request, Response
from airflow_provider_itwin.api.http.pagination import Pages
from airflow_provider_itwin.api.models.enums import ConnectionKind
from airflow_provider_itwin.api.models.resources import SourceFile
from airflow_provider_itwin.api.runs import endpoints
from tests.api.responses import STORAGE, documented, response
from tests.api.scripted_service import ScriptedService, first

FILES = f"{STORAGE}/c1/sourcefiles"


def source_files() -> Pages[SourceFile]:
    return Pages(
        lambda top, skip: endpoints.get_source_files(ConnectionKind.STORAGE, "c1", top, skip),
        lambda page: (page.source_files, page.links),
    )


def read(script: ScriptedService, pages: Pages[SourceFile] | None = None) -> list[str | None]:
    pages = pages or source_files()
    found: list[str | None] = []
    for _ in range(1000):
        if pages.is_done:
            return found
        left, script.answers = script.answers[1:], script.answers[:1]
        found += [file.id for file in script.play(pages.next_page(script.account()))]
        script.answers = left
    raise AssertionError("the list has no end")


def page(first: int, count: int, next_link: Any = None, **fields: Any) -> Response:
    files = [{"id": f"f{number}", **fields} for number in range(first, first + count)]
    links = {} if next_link is None else {"next": next_link if isinstance(next_link, dict) else {"href": next_link}}
    return response(200, {"sourceFiles": files, "_links": links})


def ids(count: int) -> list[str | None]:
    return [f"f{number}" for number in range(count)]


def query(skip: int) -> str:
    return f"GET {FILES}?$top=100&$skip={skip}"


def test_the_documented_page_is_read() -> None:
    script = ScriptedService(documented("get-storage-connection-sourcefiles", 200), page(2, 0))

    assert read(script) == ["297c8ab9-53a3-4fe5-adf8-79b4c1a95cbb", "5d22aa94-cde5-48ec-afcc-6c4aca67d51b"]
    assert script.lines == [query(0), query(2)]


def test_a_full_page_is_followed_by_the_next() -> None:
    script = ScriptedService(page(0, 100, "x"), page(100, 100, "x"), page(200, 7))

    assert read(script) == ids(207)
    assert script.lines == [query(0), query(100), query(200)]
    assert all(request.headers["prefer"] == "return=representation" for request in script.requests)


def test_a_full_last_page_takes_one_more_request() -> None:
    assert read(ScriptedService(page(0, 100), page(100, 0))) == ids(100)


@pytest.mark.parametrize("link", [None, {}, {"href": None}, {"href": ""}])
def test_a_short_page_without_a_link_is_the_last(link: Any) -> None:
    assert read(ScriptedService(page(0, 99, link))) == ids(99)


@pytest.mark.parametrize(
    "link",
    [
        f"{FILES}?$skip=50&$top=50",
        "https://evil.example/take?$skip=50",
        f"{FILES}&$skip=0&$top=50",
        "nonsense",
        "http://[",
    ],
)
def test_a_short_page_with_a_link_is_followed_by_the_next_by_number(link: str) -> None:
    script = ScriptedService(page(0, 50, link), page(50, 50, link), page(100, 1))

    assert read(script) == ids(101)
    assert script.lines == [query(0), query(50), query(100)]


def test_an_empty_page_ends_the_list_whatever_its_link() -> None:
    assert read(ScriptedService(page(0, 100, "x"), page(100, 3, "x"), page(103, 0, "x"))) == ids(103)


def test_a_repeated_page_ends_the_list() -> None:
    assert read(ScriptedService(page(0, 100, "x"), always=page(0, 100, "x"))) == ids(100)


def test_repeated_ids_end_the_list_although_the_entries_change() -> None:
    calls = iter(range(100))

    def answer(_: Request) -> Response:
        return page(0, 50, "x", lastKnownFileName=f"renamed for the {next(calls)}. time")

    assert read(ScriptedService(always=answer)) == ids(50)


def test_entries_without_ids_are_compared_whole() -> None:
    def files(*names: str) -> Response:
        return response(
            200, {"sourceFiles": [{"lastKnownFileName": name} for name in names], "_links": {"next": {"href": "x"}}}
        )

    pages = source_files()
    script = ScriptedService(files("a", "b"), files("c", "d"), files("c", "d"))

    assert read(script, pages) == [None] * 4


def test_a_page_with_more_entries_than_requested_is_read() -> None:
    assert read(ScriptedService(page(0, 250), page(250, 0))) == ids(250)


@pytest.mark.parametrize(
    "body",
    [
        {"_links": {}},
        {"sourceFiles": None, "_links": {"self": {"href": "x"}}},
        {"sourceFiles": []},
        {"sourceFiles": [], "_links": None},
    ],
)
def test_a_list_can_be_empty(body: Any) -> None:
    assert read(ScriptedService(response(200, body))) == []


@pytest.mark.parametrize("body", [{}, {"sourceFiles": 5}, {"files": []}, {"sourceFiles": {}, "_links": "none"}])
def test_an_invalid_page_is_not_the_end_of_the_list(body: Any) -> None:
    script = ScriptedService(always=first(page(0, 100), response(200, body), then=page(100, 1)))

    assert read(script) == ids(101)
    assert len(script.pauses) == 1
    with pytest.raises(ITwinProtocolError, match="without the expected content"):
        read(ScriptedService(always=response(200, body)))


KINDS = ConnectionKind


@pytest.mark.parametrize(
    ("call", "path", "prefers"),
    [
        (endpoints.get_runs(KINDS.STORAGE, "c1", 100, 0), "/synchronization/imodels/storageconnections/c1/runs", True),
        (
            endpoints.get_runs(KINDS.MANIFEST, "c1", 100, 0),
            "/synchronization/imodels/manifestconnections/c1/runs",
            True,
        ),
        (endpoints.get_runs(KINDS.EXPORT, "c1", 100, 0), "/export/connections/c1/runs", False),
        (endpoints.get_connections(KINDS.STORAGE, "m", 100, 0), "/synchronization/imodels/storageconnections", True),
        (endpoints.get_connections(KINDS.MANIFEST, "m", 100, 0), "/synchronization/imodels/manifestconnections", True),
        (endpoints.get_connections(KINDS.EXPORT, "m", 100, 0), "/export/connections", False),
        (
            endpoints.get_source_files(KINDS.MANIFEST, "c1", 100, 0),
            "/synchronization/imodels/manifestconnections/c1/sourcefiles",
            True,
        ),
    ],
)
def test_each_list_has_its_path_and_prefers_details_where_possible(call: Call[Any], path: str, prefers: bool) -> None:
    assert call.path == path
    assert ("prefer" in call.headers) is prefers
    assert dict(call.query)["$top"] == "100"


def test_an_export_has_no_source_files() -> None:
    with pytest.raises(ValueError, match="no source files"):
        endpoints.get_source_files(ConnectionKind.EXPORT, "c1", 100, 0)


def test_the_imodel_goes_into_the_query_under_its_documented_name() -> None:
    assert endpoints.get_connections(ConnectionKind.STORAGE, "m1", 1, 0).query[0] == ("imodelId", "m1")
    assert "imodelId" not in dict(endpoints.get_connections(ConnectionKind.STORAGE, None, 1, 0).query)
