from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from itwin_emulator import Emulator, ManualClock, Quirks, RunPlan
from itwin_emulator.api.json_cache import RunJsonCache
from itwin_emulator.api.serializers import Serializer
from itwin_emulator.domain.entities import Connection
from itwin_emulator.domain.run_plans import STATES
from itwin_emulator.domain.runs import Run
from itwin_emulator.domain.source_files import invent_files
from itwin_emulator.domain.store import Store
from itwin_emulator.http.responses import encode
from platform_client import STORAGE, Api

SHARES = st.tuples(st.sampled_from([name for name in STATES if name != "Completed"]), st.sampled_from([0, 0.1, 1, 3]))
PLANS = st.builds(
    RunPlan,
    result=st.sampled_from(["Success", "Error", "PartialSuccess"]),
    duration=st.sampled_from([0.0, 1.0, 60.0, 600.0]),
    states=st.lists(SHARES, min_size=1, max_size=5)
    .map(tuple)
    .filter(lambda states: sum(share for _, share in states) > 0),
)
STEPS = st.lists(st.sampled_from([0.0, 1e-7, 0.25, 1 / 3, 0.5, 1.0, 2.5]), min_size=1, max_size=25)


@settings(max_examples=150, deadline=None)
@given(
    plan=PLANS,
    steps=STEPS,
    count=st.integers(0, 7),
    kind=st.sampled_from(["storage", "export"]),
    early=st.none() | STEPS,
)
def test_a_cached_body_equals_a_fresh_one(
    plan: RunPlan, steps: list[float], count: int, kind: Any, early: list[float] | None
) -> None:
    connection = Connection("c", kind, "m")
    start = 1_780_000_000.0
    store = Store(ManualClock(start, speed=60.0))
    run = store.new_run(connection, invent_files(count), plan, start)
    json_cache, elapsed = RunJsonCache(), 0.0
    for number, step in enumerate(steps):
        elapsed += step
        if early is not None and number == len(early):
            run.finish(start + elapsed, "TimedOut")
        serializer = Serializer(start + elapsed, 0.0, "http://127.0.0.1", Quirks())
        fresh = json.loads(encode(serializer.run(run)))
        for _ in range(2):
            kept = json.loads(json_cache.encode_run(run, serializer))
            # At the very moment of a change either is right.
            assert kept == fresh or close_to_a_change(run, elapsed)


def close_to_a_change(run: Run, elapsed: float) -> bool:
    return any(abs(moment - elapsed) < 2e-6 for moment in run._compute_change_times())


def test_quirks_apply_at_once(api: Api, emulator: Emulator, clock: ManualClock) -> None:
    connection = emulator.add_connection()
    emulator.plan_run(connection, "Canceled")
    location = api.start("storage", connection).headers["Location"]
    clock.advance(600)
    assert api.run(location)["result"] == "Canceled"
    emulator.quirks.canceled_spelling = "Cancelled"
    assert api.run(location)["result"] == "Cancelled"
    emulator.quirks.reset()
    emulator.quirks.state_names["Completed"] = "Over"
    assert api.run(location)["state"] == "Over"
    emulator.quirks.reset()
    assert api.run(location)["state"] == "Completed"


def test_a_clock_that_is_put_right_shows_at_once(api: Api, emulator: Emulator, clock: ManualClock) -> None:
    connection = emulator.add_connection()
    location = api.start("storage", connection).headers["Location"]
    clock.advance(600)
    before = api.run(location)["startDateTime"]
    clock.skew = 3600.0
    api.renew()
    assert api.run(location)["startDateTime"] > before


def test_a_run_that_somebody_ends_shows_at_once(api: Api, emulator: Emulator) -> None:
    connection = emulator.add_connection()
    location = api.start("storage", connection).headers["Location"]
    assert api.run(location)["state"] != "Completed"
    emulator.finish_run(connection, result="Skipped")
    assert (api.run(location)["state"], api.run(location)["result"]) == ("Completed", "Skipped")


@pytest.mark.parametrize("body", [{"a": "\ud800"}, {"a": "ä"}, [1, None], "text", b"bytes", None])
def test_encode(body: Any) -> None:
    encoded = encode(body)
    if isinstance(body, dict | list):
        assert json.loads(encoded) == body
    else:
        assert encoded == (body.encode() if isinstance(body, str) else body or b"")


def test_lists_show_the_same_as_single_runs(api: Api, emulator: Emulator, clock: ManualClock) -> None:
    connection = emulator.add_connection()
    for _ in range(3):
        emulator.start_run(connection)
        clock.advance(5)
        whole = api.get(f"{STORAGE}/{connection}/runs", headers={"Prefer": "return=representation"}).json()["runs"]
        assert whole == [api.run(f"{STORAGE}/{connection}/runs/{run['id']}") for run in whole]
        clock.advance(20)
