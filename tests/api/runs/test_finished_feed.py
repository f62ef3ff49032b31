"""What a watcher takes for news: the conclusions of a look, and the requests that it costs."""

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
    MOST_AT_ONCE,
    Cursor,
    Ended,
    PollOutcome,
    look_for_ended,
    neighbours,
)
from tests.api.responses import error, response
from tests.api.scripted_service import ScriptedService

KIND = ConnectionKind.STORAGE
NOW = datetime(2026, 9, 21, 14, 0, tzinfo=UTC)


class Service:
    """A connection and its runs, as the service shows them."""

    def __init__(self, spec: str = "newest-first") -> None:
        self.now = NOW
        self.spec = spec
        self.runs: list[dict[str, Any]] = []
        self.requests: list[Request] = []
        self.troubles: dict[str, Response] = {}
        self.tells_last_run = True
        self.hidden: set[str] = set()

    def run(self, name: str, minutes: float = 10, state: str = "Completed", **fields: Any) -> None:
        """Have a run that began some minutes after the last moment, and ended as many later."""
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

    def look(self, cursor: Cursor | None, **arguments: Any) -> PollOutcome:
        self.requests.clear()
        script = ScriptedService(always=self.answer)
        return script.play(look_for_ended(script.account(), KIND, "c1", cursor, **arguments))

    def answer(self, request: Request) -> Response:
        self.requests.append(request)
        path, _, query = request.url.partition("?")
        name = path.rsplit("/", 1)[1]
        if name in self.troubles:
            return self.troubles[name]
        if name == "c1":
            links = {}
            if self.runs and self.tells_last_run:
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
        if self.spec == "shuffled":
            return random.Random(len(self.runs)).sample(self.runs, len(self.runs))
        return self.runs if self.spec == "oldest-first" else self.runs[::-1]


ORDERS = pytest.mark.parametrize("spec", ["newest-first", "oldest-first", "shuffled"])


def names(poll_outcome: PollOutcome) -> list[str]:
    return [run.report.ref.run_id for run in poll_outcome.news]


def through_json(cursor: Cursor) -> Cursor:
    return Cursor.from_dict(json.loads(json.dumps(cursor.as_dict())))


@ORDERS
@pytest.mark.parametrize("history", [0, 1, 5, 250])
def test_the_first_look_tells_no_history(spec: str, history: int) -> None:
    service = Service(spec)
    for number in range(history):
        service.run(f"old-{number}")
    service.now += timedelta(seconds=1)
    first = service.look(None)
    assert names(first) == []
    second = service.look(first.cursor)
    assert (names(second), second.is_gap) == ([], False)


@ORDERS
def test_every_run_is_told_once_and_oldest_first(spec: str) -> None:
    service = Service(spec)
    for number in range(50):
        service.run(f"old-{number}")
    service.now += timedelta(seconds=1)
    cursor = service.look(None).cursor
    told = []
    for name, count in (("one", 1), ("none", 0), ("seven", 7), ("two", 2)):
        for number in range(count):
            service.run(f"{name}-{number}")
        poll_outcome = service.look(through_json(cursor))
        told.append(names(poll_outcome))
        cursor = poll_outcome.cursor
    assert told == [["one-0"], [], [f"seven-{number}" for number in range(7)], ["two-0", "two-1"]]


@pytest.mark.parametrize("spec", ["newest-first", "oldest-first"])
def test_a_long_list_of_runs_needs_no_more_than_it_must(spec: str) -> None:
    service = Service(spec)
    for number in range(730):
        service.run(f"old-{number}")
    service.now += timedelta(seconds=1)
    cursor = service.look(None).cursor
    service.run("new")
    poll_outcome = service.look(cursor)
    assert names(poll_outcome) == ["new"]
    pages = sum("/runs?" in request.url for request in service.requests)
    assert pages == {"newest-first": 1, "oldest-first": 8}[spec]
    assert len(service.requests) == pages + 2
    assert len(poll_outcome.cursor.known) <= MOST_AT_ONCE + 1


def test_in_the_quiet_a_look_is_one_request() -> None:
    service = Service()
    service.run("old")
    service.now += timedelta(seconds=1)
    cursor = service.look(None).cursor
    assert service.look(cursor).cursor == cursor
    assert [request.url.rsplit("/", 1)[1] for request in service.requests] == ["c1"]


def test_a_run_that_goes_on_is_told_when_it_ends() -> None:
    service = Service()
    service.run("going", state="Executing")
    first = service.look(None)
    assert first.cursor.going_on == ("going",)
    second = service.look(first.cursor)
    assert (names(second), second.cursor) == ([], first.cursor)
    assert len(service.requests) == 2
    service.end("going")
    third = service.look(second.cursor)
    assert names(third) == ["going"]
    assert names(service.look(third.cursor)) == []


def test_a_run_that_ended_as_the_watcher_began_is_told() -> None:
    service = Service()
    service.run("just-now")
    service.now -= timedelta(seconds=1)
    assert names(service.look(None)) == ["just-now"]


def test_a_run_that_follows_one_that_goes_on() -> None:
    service = Service()
    service.run("stuck", state="Pondering")
    cursor = service.look(None).cursor
    service.run("next")
    poll_outcome = service.look(cursor)
    assert names(poll_outcome) == ["next"]
    assert poll_outcome.cursor.going_on == ("stuck",)
    service.end("stuck")
    assert names(service.look(poll_outcome.cursor)) == ["stuck"]


def test_runs_that_never_end_do_not_pile_up() -> None:
    service = Service()
    cursor = service.look(None).cursor
    for number in range(60):
        service.run(f"stuck-{number}", state="Executing")
        cursor = service.look(cursor).cursor
    assert len(cursor.going_on) == 20


def test_without_a_link_to_the_last_run_the_list_is_read() -> None:
    service = Service()
    service.tells_last_run = False
    service.run("old")
    service.now += timedelta(seconds=1)
    cursor = service.look(None).cursor
    service.run("a")
    service.run("b")
    poll_outcome = service.look(cursor)
    assert names(poll_outcome) == ["a", "b"]
    assert names(service.look(poll_outcome.cursor)) == []


def test_a_run_that_has_not_got_around_yet_is_waited_for() -> None:
    service = Service()
    cursor = service.look(None).cursor
    service.run("new")
    service.hidden.add("new")
    poll_outcome = service.look(cursor)
    assert (names(poll_outcome), poll_outcome.cursor.going_on) == ([], ("new",))
    service.hidden.clear()
    assert names(service.look(poll_outcome.cursor)) == ["new"]


def test_a_run_that_was_deleted_is_forgotten() -> None:
    service = Service()
    service.run("gone", state="Executing")
    cursor = service.look(None).cursor
    service.hidden.add("gone")
    service.run("new")
    poll_outcome = service.look(cursor)
    assert (names(poll_outcome), poll_outcome.cursor.going_on) == (["new"], ())


def test_runs_that_move_up_in_the_list_are_not_told_again() -> None:
    service = Service()
    for number in range(300):
        service.run(f"old-{number}")
    service.now += timedelta(seconds=1)
    cursor = service.look(None).cursor
    service.run("a")
    cursor = service.look(cursor).cursor
    # The service throws some away, so that others come near.
    del service.runs[250:290]
    service.run("b")
    poll_outcome = service.look(cursor)
    assert names(poll_outcome) == ["b"]


def test_runs_told_long_ago_are_not_told_again_either() -> None:
    service = Service()
    cursor = service.look(None).cursor
    for number in range(250):
        service.run(f"run-{number}")
        cursor = service.look(cursor).cursor
    del service.runs[200:245]
    service.run("new")
    assert names(service.look(cursor)) == ["new"]


def test_runs_without_dates_are_told_once() -> None:
    service = Service()
    service.run("old", endDateTime=None, startDateTime=None)
    first = service.look(None)
    assert names(first) == []
    cursor = first.cursor
    service.run("new", endDateTime="0001-01-01T00:00:00", startDateTime=None)
    poll_outcome = service.look(cursor)
    assert names(poll_outcome) == ["new"]
    assert names(service.look(poll_outcome.cursor)) == []


def test_a_run_that_ended_in_the_future_does_not_silence_the_next() -> None:
    service = Service()
    cursor = service.look(None).cursor
    service.run("odd", endDateTime="9999-01-01T00:00:00Z")
    cursor = service.look(cursor).cursor
    service.run("next")
    assert names(service.look(cursor)) == ["next"]


def test_clocks_of_the_service_that_differ_lose_no_run() -> None:
    service = Service()
    cursor = service.look(None).cursor
    service.run("a")
    cursor = service.look(cursor).cursor
    service.run("b", endDateTime=(service.now - timedelta(minutes=5)).isoformat())
    assert names(service.look(cursor)) == ["b"]


def test_what_ended_longer_ago_than_is_caught_up_is_not_told() -> None:
    service = Service()
    cursor = service.look(None).cursor
    service.run("a")
    service.run("b")
    service.run("c")
    assert names(service.look(cursor, catch_up=25 * 60)) == ["b", "c"]
    assert names(service.look(cursor, catch_up=None)) == ["a", "b", "c"]


def test_more_runs_than_can_be_told_are_a_gap() -> None:
    service = Service()
    service.run("old")
    service.now += timedelta(seconds=1)
    cursor = service.look(None).cursor
    for number in range(150):
        service.run(f"new-{number}")
    poll_outcome = service.look(cursor)
    assert poll_outcome.is_gap
    assert names(poll_outcome) == [f"new-{number}" for number in range(150 - MOST_AT_ONCE - 1, 150)]


def test_a_look_that_fails_goes_on_where_it_stopped() -> None:
    service = Service()
    cursor = service.look(None).cursor
    for name in ("a", "b", "c"):
        service.run(name)
    memo: dict[str, Ended] = {}
    service.troubles["b"] = error(503)
    with pytest.raises(ITwinServerError):
        service.look(cursor, memo=memo)
    assert memo
    service.troubles.clear()
    poll_outcome = service.look(cursor, memo=memo)
    assert names(poll_outcome) == ["a", "b", "c"]
    assert len(service.requests) < 5
    assert not memo


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500])
def test_trouble_with_the_connection_is_raised(status: int) -> None:
    service = Service()
    service.troubles["c1"] = error(status)
    with pytest.raises(ITwinError):
        service.look(None)


def test_an_export_is_asked_for_as_it_can_be() -> None:
    script = ScriptedService(
        response(200, {"connection": {"id": "c1"}}),
        response(200, {"runs": [{"id": "r1", "state": "Completed", "jobs": [{"tasks": []}]}]}),
    )
    poll_outcome = script.play(look_for_ended(script.account(), ConnectionKind.EXPORT, "c1", None))
    assert poll_outcome.cursor.known == ("r1",)
    assert "prefer" not in script.requests[-1].headers


@pytest.mark.parametrize(
    "nonsense", [None, {}, [], {"since": "yesterday"}, {"since": "2026-01-01T00:00:00"}, {"since": 5}]
)
def test_a_cursor_that_cannot_be_read_is_refused(nonsense: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        Cursor.from_dict(nonsense)


def test_a_cursor_is_small_however_long_the_list() -> None:
    service = Service()
    for number in range(500):
        service.run(f"7dbd531d-6967-47b2-8945-{number:012d}")
    assert len(json.dumps(service.look(None).cursor.as_dict())) < 16 * 1024


def test_neighbours_are_found_on_either_side() -> None:
    listed = [RunSummary(id=str(number)) for number in range(500)]
    assert [entry.id for entry in neighbours(listed, "300")] == [str(number) for number in range(201, 400)]
    assert [entry.id for entry in neighbours(listed, None)] == [str(number) for number in range(MOST_AT_ONCE + 1)]
