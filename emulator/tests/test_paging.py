from __future__ import annotations

import pytest

from itwin_emulator import Emulator, ManualClock
from platform_client import EXPORT, STORAGE, Api, error_of


def names(api: Api, path: str) -> tuple[list[str], dict[str, dict[str, str]]]:
    page = api.get(path).json()
    return [file["lastKnownFileName"] for file in page["sourceFiles"]], page["_links"]


def test_pages_follow_each_other(api: Api, emulator: Emulator) -> None:
    connection = emulator.add_connection(files=25)
    path: str | None = f"{STORAGE}/{connection}/sourcefiles?$top=10"
    pages = []
    while path is not None:
        page, links = names(api, path)
        pages.append(page)
        path = links.get("next", {}).get("href")
    assert [len(page) for page in pages] == [10, 10, 5]
    assert len({name for page in pages for name in page}) == 25


def test_links_of_a_page_in_the_middle(api: Api, emulator: Emulator) -> None:
    connection = emulator.add_connection(files=25)
    _, links = names(api, f"{STORAGE}/{connection}/sourcefiles?%24top=10&%24skip=10")
    base = f"{emulator.url}{STORAGE}/{connection}/sourcefiles"
    assert links == {
        "self": {"href": f"{base}?$skip=10&$top=10"},
        "prev": {"href": f"{base}?$skip=0&$top=10"},
        "next": {"href": f"{base}?$skip=20&$top=10"},
    }


def test_a_hundred_at_a_time_by_default(api: Api, emulator: Emulator) -> None:
    connection = emulator.add_connection(files=130)
    page, links = names(api, f"{STORAGE}/{connection}/sourcefiles")
    assert len(page) == 100
    assert links["next"]["href"].endswith("?$skip=100&$top=100")


def test_beyond_the_end(api: Api, emulator: Emulator) -> None:
    connection = emulator.add_connection(files=3)
    page, links = names(api, f"{STORAGE}/{connection}/sourcefiles?$skip=50")
    assert page == []
    assert "next" not in links


@pytest.mark.parametrize("top", ["0", "1001", "-1", "ten", "", "1e2", "٣"])
def test_page_size_out_of_limits(api: Api, emulator: Emulator, top: str) -> None:
    connection = emulator.add_connection()
    answer = api.get(f"{STORAGE}/{connection}/sourcefiles", params={"$top": top})
    assert answer.status_code == 422
    assert error_of(answer) == {
        "code": "InvalidStorageConnectionSourceFilesRequest",
        "message": "Cannot perform operation.",
        "details": [{"code": "InvalidValue", "message": "Page size is out of limits.", "target": "$top"}],
    }


def test_a_thousand_is_the_most(api: Api, emulator: Emulator) -> None:
    connection = emulator.add_connection(files=1200)
    page, _ = names(api, f"{STORAGE}/{connection}/sourcefiles?$top=1000")
    assert len(page) == 1000


def test_skip_must_be_a_number(api: Api, emulator: Emulator) -> None:
    connection = emulator.add_connection()
    answer = api.get(f"{STORAGE}/{connection}/runs?$skip=-3")
    assert answer.status_code == 422
    assert error_of(answer)["details"][0]["target"] == "$skip"


def test_lists_of_runs_and_exports(api: Api, emulator: Emulator, clock: ManualClock) -> None:
    connection = emulator.add_connection("export")
    for _ in range(60):
        emulator.start_run(connection)
        clock.advance(10)
    page = api.get(f"{EXPORT}/{connection}/runs").json()
    assert len(page["runs"]) == 50
    assert page["_links"]["next"]["href"].endswith("?$skip=50&$top=50")
    newest_first = [run["id"] for run in page["runs"]]
    assert newest_first == [run["id"] for run in emulator.runs(connection)][:9:-1]


def test_links_keep_the_imodel(api: Api, emulator: Emulator) -> None:
    for _ in range(3):
        emulator.add_connection(imodel_id="m")
    for name in ("imodelId", "iModelId", "IMODELID"):
        page = api.get(f"{STORAGE}?{name}=m&$top=2").json()
        assert len(page["connections"]) == 2
        assert "iModelId=m&$skip=2&$top=2" in page["_links"]["next"]["href"]
        rest = api.get(page["_links"]["next"]["href"]).json()
        assert len(rest["connections"]) == 1


@pytest.mark.parametrize(
    ("form", "next_link"),
    [
        ("loop", "?$skip=0&$top=2"),
        ("malformed", "&$skip=2&$top=2"),
        ("wrong-path", "/synchronization/imodels/connection/"),
        ("endless", "?$skip=2&$top=2"),
    ],
)
def test_odd_links(api: Api, emulator: Emulator, form: str, next_link: str) -> None:
    connection = emulator.add_connection(files=3)
    emulator.quirks.next_links = form  # type: ignore[assignment]
    _, links = names(api, f"{STORAGE}/{connection}/sourcefiles?$top=2")
    assert next_link in links["next"]["href"]
    _, last = names(api, f"{STORAGE}/{connection}/sourcefiles?$top=2&$skip=2")
    assert ("next" in last) == (form in ("loop", "endless"))


def test_empty_objects_for_links(api: Api, emulator: Emulator) -> None:
    emulator.quirks.next_links = "empty-object"
    _, links = names(api, f"{STORAGE}/{emulator.add_connection()}/sourcefiles")
    assert links["prev"] == {}
    assert links["next"] == {}
