"""Finding a job that was started in a list with several pages."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_itwin.api.errors import ITwinJobStartInDoubtError
from airflow_provider_itwin.api.jobs.start import MOST_PAGES
from tests.api.jobs.job_apis import API
from tests.api.jobs.test_start import FOUND, LIST, POST, listed, posts, start
from tests.api.responses import SILENCE, response
from tests.api.scripted_service import ScriptedService


def page(link: object, *ids: str) -> Any:
    """Make the response to the request for a page of the list, with a link to the next one."""
    things = [{"id": one, "name": "night", "options": {"imodelId": "m1"}} for one in ids]
    return response(200, {"things": things, "_links": {"next": {"href": link}}})


def test_a_job_on_a_later_page_of_the_list_is_found() -> None:
    # The host, the path and the filters are ours, whatever the link says.
    first = "https://example.com/others?$skip=1&$top=1&iModel=m2"
    second = "?continuationToken=a%2Bb"
    before = [page(first, "one"), page(second, "two"), listed("three")]
    script = ScriptedService(*before, SILENCE, page(first, "one"), listed("new"))

    assert start(script, FOUND).ref.job_id == "new"

    pages = [LIST, f"{LIST}&$skip=1&$top=1", f"{LIST}&continuationToken=a%2Bb"]
    assert script.lines == [*pages, POST, *pages[:2]]


@pytest.mark.parametrize(
    "link",
    [
        f"{API}/things?imodel=M1",
        "?",
        7,
        {"a": 1},
        "http://[",
        "?" + "&".join(f"p{number}=x" for number in range(100)),
        "?token=" + "x" * 5000,
    ],
)
def test_a_job_can_be_on_a_page_of_the_list_that_cannot_be_read(link: object) -> None:
    script = ScriptedService(page(link, "old"), SILENCE, always=page(link, "old"))

    with pytest.raises(ITwinJobStartInDoubtError, match="It can be in a part of the list that was not read"):
        start(script, FOUND)

    assert script.lines == [LIST, POST, LIST]


@pytest.mark.parametrize(("first", "pages"), [(0, 2), (1, MOST_PAGES)], ids=["the same page again", "too many pages"])
def test_the_pages_that_are_read_are_bounded(first: int, pages: int) -> None:
    read = [page(f"?$skip={number * first}", f"old-{number}") for number in range(pages)]
    script = ScriptedService(*read, SILENCE, *read)

    with pytest.raises(ITwinJobStartInDoubtError, match="It can be in a part of the list that was not read"):
        start(script, FOUND)

    assert posts(script) == 1
