"""The feed of finished runs: which runs a poll reports, and how many requests it takes."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider_itwin.api.errors import ITwinError, ITwinServerError
from airflow_provider_itwin.api.http.messages import Request, Response
from airflow_provider_itwin.api.models.enums import ConnectionKind
from airflow_provider_itwin.api.models.resources import RunSummary
from airflow_provider_itwin.api.runs.finished_feed import (
    MOST_LISTED,
    Cursor,
    FeedUpdate,
    FinishedRun,
    poll_finished_runs,
    runs_near,
)
from tests.api.responses import error, response
from tests.api.scripted_service import ScriptedService

KIND = ConnectionKind.STORAGE
NOW = datetime(2026, 9, 21, 14, 0, tzinfo=UTC)


class Service:
    """A connection and its runs, as the service shows them."""

    def __init__(self, order: str = "newest-first") -> None:
        self.now = NOW
        self.order = order
        self.runs: list[dict[str, Any]] = []
        self.requests: list[Request] = []
        self.failures: dict[str, Response] = {}
        self.names_last_run = True
        self.hidden: set[str] = set()

    def run(self, name: str, minutes: float = 10, state: str = "Completed", **fields: Any) -> None:
        """Add a run that begins after `minutes`, and takes as many."""
        self.now += timedelta(minutes=minutes)
        began = self.now
        self.now += timedelta(minutes=minutes)
        run = {"id": name, "state": state, "result": "Success", "startDateTime": began.isoformat()}
        if state == "Completed":
            run["endDateTime"] = self.now.isoformat()
        self.runs.append(run | fields)

    def end(self, name: str) -> None:
        self.now += timedelta(minutes=1)
        [run] = [run for run in self.runs if run["id"] == name]
        run |= {"state": "Completed", "endDateTime": self.now.isoformat()}

    def poll_once(self, cursor: Cursor | None, **arguments: Any) -> FeedUpdate:
        self.requests.clear()
        script = ScriptedService(always=self.answer)
        return script.play(poll_finished_runs(script.account(), KIND, "c1", cursor, **arguments))

    def answer(self, request: Request) -> Response:
        self.requests.append(request)
        path, _, query = request.url.partition("?")
        name = path.rsplit("/", 1)[1]
        if name in self.failures:
            return self.failures[name]
        if name == "c1":
            links = {}
            if self.runs and self.names_last_run:
                links["lastRun"] = {"href": f"{path}/runs/{self.runs[-1]['id']}"}
            date = self.now.strftime("%a, %d %b %Y %H:%M:%S GMT")
            return response(200, {"connection": {"id": "c1", "_links": links}}, date=date)
        if name == "runs":
            top, skip = (int(part.split("=")[1]) for part in query.split("&"))
            assert request.headers["prefer"] == "return=minimal"
            runs = [{key: run[key] for key in ("id", "state", "result")} for run in self.ordered()][skip : skip + top]
            return response(200, {"runs": runs, "_links": {}})
        for run in self.runs:
            if run["id"] == name and name not in self.hidden:
                return response(200, {"run": run})
        return error(404)

    def ordered(self) -> list[dict[str, Any]]:
        if self.order == "shuffled":
            return random.Random(len(self.runs)).sample(self.runs, len(self.runs))
        return self.runs if self.order == "oldest-first" else self.runs[::-1]


ORDERS = pytest.mark.parametrize("order", ["newest-first", "oldest-first", "shuffled"])


def names(update: FeedUpdate) -> list[str]:
    return [run.report.ref.run_id for run in update.finished]


def through_json(cursor: Cursor) -> Cursor:
    return Cursor.from_dict(json.loads(json.dumps(cursor.as_dict())))


@ORDERS
@pytest.mark.parametrize("history", [0, 1, 5, 250])
def test_the_first_poll_reports_no_earlier_runs(order: str, history: int) -> None:
    service = Service(order)
    for number in range(history):
        service.run(f"old-{number}")
    service.now += timedelta(seconds=1)
    first = service.poll_once(None)
    assert names(first) == []
    second = service.poll_once(first.cursor)
    assert (names(second), second.is_gap) == ([], False)


@ORDERS
def test_every_run_is_reported_once_and_oldest_first(order: str) -> None:
    service = Service(order)
    for number in range(50):
        service.run(f"old-{number}")
    service.now += timedelta(seconds=1)
    cursor = service.poll_once(None).cursor
    reported = []
    for name, count in (("one", 1), ("none", 0), ("seven", 7), ("two", 2)):
        for number in range(count):
            service.run(f"{name}-{number}")
        update = service.poll_once(through_json(cursor))
        reported.append(names(update))
        cursor = update.cursor
    assert reported == [["one-0"], [], [f"seven-{number}" for number in range(7)], ["two-0", "two-1"]]


@pytest.mark.parametrize("order", ["newest-first", "oldest-first"])
def test_a_new_run_in_a_long_list_takes_few_requests(order: str) -> None:
    service = Service(order)
    for number in range(730):
        service.run(f"old-{number}")
    service.now += timedelta(seconds=1)
    cursor = service.poll_once(None).cursor
    service.run("new")
    update = service.poll_once(cursor)
    assert names(update) == ["new"]
    pages = sum("/runs?" in request.url for request in service.requests)
    assert pages == {"newest-first": 1, "oldest-first": 8}[order]
    assert len(service.requests) == pages + 2
    assert len(update.cursor.known) <= MOST_LISTED + 1


def test_a_poll_without_changes_is_one_request() -> None:
    service = Service()
    service.run("old")
    service.now += timedelta(seconds=1)
    cursor = service.poll_once(None).cursor
    assert service.poll_once(cursor).cursor == cursor
    assert [request.url.rsplit("/", 1)[1] for request in service.requests] == ["c1"]


def test_a_running_run_is_reported_when_it_ends() -> None:
    service = Service()
    service.run("going", state="Executing")
    first = service.poll_once(None)
    assert first.cursor.unfinished == ("going",)
    second = service.poll_once(first.cursor)
    assert (names(second), second.cursor) == ([], first.cursor)
    assert len(service.requests) == 2
    service.end("going")
    third = service.poll_once(second.cursor)
    assert names(third) == ["going"]
    assert names(service.poll_once(third.cursor)) == []


def test_a_run_that_ended_when_the_feed_began_is_reported() -> None:
    service = Service()
    service.run("just-now")
    service.now -= timedelta(seconds=1)
    assert names(service.poll_once(None)) == ["just-now"]


def test_a_run_is_reported_while_an_earlier_one_continues() -> None:
    service = Service()
    service.run("stuck", state="Pondering")
    cursor = service.poll_once(None).cursor
    service.run("next")
    update = service.poll_once(cursor)
    assert names(update) == ["next"]
    assert update.cursor.unfinished == ("stuck",)
    service.end("stuck")
    assert names(service.poll_once(update.cursor)) == ["stuck"]


def test_the_number_of_running_runs_in_a_cursor_is_limited() -> None:
    service = Service()
    cursor = service.poll_once(None).cursor
    for number in range(60):
        service.run(f"stuck-{number}", state="Executing")
        cursor = service.poll_once(cursor).cursor
    assert len(cursor.unfinished) == 20


def test_without_a_link_to_the_last_run_the_list_is_read() -> None:
    service = Service()
    service.names_last_run = False
    service.run("old")
    service.now += timedelta(seconds=1)
    cursor = service.poll_once(None).cursor
    service.run("a")
    service.run("b")
    update = service.poll_once(cursor)
    assert names(update) == ["a", "b"]
    assert names(service.poll_once(update.cursor)) == []


def test_a_run_that_is_not_found_yet_is_reported_later() -> None:
    service = Service()
    cursor = service.poll_once(None).cursor
    service.run("new")
    service.hidden.add("new")
    update = service.poll_once(cursor)
    assert (names(update), update.cursor.unfinished) == ([], ("new",))
    service.hidden.clear()
    assert names(service.poll_once(update.cursor)) == ["new"]


def test_a_run_that_was_deleted_is_forgotten() -> None:
    service = Service()
    service.run("gone", state="Executing")
    cursor = service.poll_once(None).cursor
    service.hidden.add("gone")
    service.run("new")
    update = service.poll_once(cursor)
    assert (names(update), update.cursor.unfinished) == (["new"], ())


def test_runs_that_move_up_in_the_list_are_not_reported_again() -> None:
    service = Service()
    for number in range(300):
        service.run(f"old-{number}")
    service.now += timedelta(seconds=1)
    cursor = service.poll_once(None).cursor
    service.run("a")
    cursor = service.poll_once(cursor).cursor
    # The service deletes some, so that others move up.
    del service.runs[250:290]
    service.run("b")
    update = service.poll_once(cursor)
    assert names(update) == ["b"]


def test_runs_that_were_reported_long_ago_are_not_reported_again() -> None:
    service = Service()
    cursor = service.poll_once(None).cursor
    for number in range(250):
        service.run(f"run-{number}")
        cursor = service.poll_once(cursor).cursor
    del service.runs[200:245]
    service.run("new")
    assert names(service.poll_once(cursor)) == ["new"]


def test_runs_without_dates_are_reported_once() -> None:
    service = Service()
    service.run("old", endDateTime=None, startDateTime=None)
    first = service.poll_once(None)
    assert names(first) == []
    cursor = first.cursor
    service.run("new", endDateTime="0001-01-01T00:00:00", startDateTime=None)
    update = service.poll_once(cursor)
    assert names(update) == ["new"]
    assert names(service.poll_once(update.cursor)) == []


def test_a_run_that_ended_in_the_future_does_not_hide_the_next() -> None:
    service = Service()
    cursor = service.poll_once(None).cursor
    service.run("odd", endDateTime="9999-01-01T00:00:00Z")
    cursor = service.poll_once(cursor).cursor
    service.run("next")
    assert names(service.poll_once(cursor)) == ["next"]


def test_no_run_is_lost_if_clocks_of_the_service_differ() -> None:
    service = Service()
    cursor = service.poll_once(None).cursor
    service.run("a")
    cursor = service.poll_once(cursor).cursor
    service.run("b", endDateTime=(service.now - timedelta(minutes=5)).isoformat())
    assert names(service.poll_once(cursor)) == ["b"]


def test_runs_that_ended_before_the_catch_up_period_are_not_reported() -> None:
    service = Service()
    cursor = service.poll_once(None).cursor
    service.run("a")
    service.run("b")
    service.run("c")
    assert names(service.poll_once(cursor, catch_up=25 * 60)) == ["b", "c"]
    assert names(service.poll_once(cursor, catch_up=None)) == ["a", "b", "c"]


def test_more_runs_than_one_poll_can_report_are_a_gap() -> None:
    service = Service()
    service.run("old")
    service.now += timedelta(seconds=1)
    cursor = service.poll_once(None).cursor
    for number in range(150):
        service.run(f"new-{number}")
    update = service.poll_once(cursor)
    assert update.is_gap
    assert names(update) == [f"new-{number}" for number in range(150 - MOST_LISTED - 1, 150)]


def test_a_failed_poll_is_resumed_where_it_stopped() -> None:
    service = Service()
    cursor = service.poll_once(None).cursor
    for name in ("a", "b", "c"):
        service.run(name)
    polled: dict[str, FinishedRun] = {}
    service.failures["b"] = error(503)
    with pytest.raises(ITwinServerError):
        service.poll_once(cursor, polled=polled)
    assert polled
    service.failures.clear()
    update = service.poll_once(cursor, polled=polled)
    assert names(update) == ["a", "b", "c"]
    assert len(service.requests) < 5
    assert not polled


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500])
def test_an_error_of_the_connection_is_raised(status: int) -> None:
    service = Service()
    service.failures["c1"] = error(status)
    with pytest.raises(ITwinError):
        service.poll_once(None)


def test_runs_of_an_export_are_listed_without_prefer() -> None:
    script = ScriptedService(
        response(200, {"connection": {"id": "c1"}}),
        response(200, {"runs": [{"id": "r1", "state": "Completed", "jobs": [{"tasks": []}]}]}),
    )
    update = script.play(poll_finished_runs(script.account(), ConnectionKind.EXPORT, "c1", None))
    assert update.cursor.known == ("r1",)
    assert "prefer" not in script.requests[-1].headers


@pytest.mark.parametrize(
    "values", [None, {}, [], {"since": "yesterday"}, {"since": "2026-01-01T00:00:00"}, {"since": 5}]
)
def test_an_invalid_cursor_is_refused(values: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        Cursor.from_dict(values)


def test_a_cursor_is_small_however_long_the_list() -> None:
    service = Service()
    for number in range(500):
        service.run(f"7dbd531d-6967-47b2-8945-{number:012d}")
    assert len(json.dumps(service.poll_once(None).cursor.as_dict())) < 16 * 1024


def test_neighbours_are_found_on_either_side() -> None:
    listed = [RunSummary(id=str(number)) for number in range(500)]
    assert [entry.id for entry in runs_near(listed, "300")] == [str(number) for number in range(201, 400)]
    assert [entry.id for entry in runs_near(listed, None)] == [str(number) for number in range(MOST_LISTED + 1)]
