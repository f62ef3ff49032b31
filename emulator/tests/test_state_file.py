from __future__ import annotations

import json
import stat
import threading
import time
from pathlib import Path

import pytest

from itwin_emulator import Emulator, ManualClock
from itwin_emulator.admin import state_file
from platform_client import STORAGE, Api, tasks_in


def test_everything_survives_a_restart(tmp_path: Path, clock: ManualClock) -> None:
    path = tmp_path / "state.json"
    with Emulator(scenario="demo", clock=clock, state_file=path) as first:
        api = Api(first.url, first.client_id, first.client_secret)
        location = api.start("storage", "demo-failing-connection").headers["Location"]
        first.plan_run("demo-second-connection", "TimedOut", times=2)
        other = first.add_client("service-other", "secret", roles={"t": "reader"})
        added = api.post(
            f"{STORAGE}/demo-second-connection/sourcefiles", {"storageFileId": "new", "connectorType": "MSTN"}
        ).json()["sourceFile"]
        api.call("DELETE", f"{STORAGE}/demo-partial-connection")
        first.quirks.dates = "6-digits"
        first.controls.on_change()
        before = first.runs("demo-failing-connection")
        token = api.token
    clock.advance(60)
    with Emulator(clock=clock, state_file=path) as second:
        api = Api(second.url, second.client_id, second.client_secret)
        api._token = token
        run = api.run(location.replace(first.url, second.url))
        assert (run["state"], run["result"]) == ("Completed", "Error")
        assert len([task for task in tasks_in(run) if task["result"] == "Error"]) == 3
        assert run["id"] == before[0]["id"]
        assert run["startDateTime"] == before[0]["startDateTime"]
        assert api.get(f"{STORAGE}/demo-second-connection/sourcefiles/{added['id']}").status_code == 200
        assert api.get(f"{STORAGE}/demo-partial-connection").status_code == 404
        assert api.start("storage", "demo-second-connection").status_code == 202
        clock.advance(60)
        assert second.runs("demo-second-connection")[0]["result"] == "TimedOut"
        assert Api(second.url, *other).ask_token().status_code == 200
        assert second.quirks.dates == "6-digits"


def test_an_active_run_is_still_active(tmp_path: Path, clock: ManualClock) -> None:
    path = tmp_path / "state.json"
    with Emulator(clock=clock, state_file=path) as first:
        first.add_connection(connection_id="c", imodel_id="m")
        first.add_connection("export", connection_id="e", imodel_id="m")
        run = first.start_run("c")
    with Emulator(clock=clock, state_file=path) as second:
        api = Api(second.url, second.client_id, second.client_secret)
        answer = api.start("export", "e")
        assert answer.status_code == 303
        assert answer.headers["Location"].endswith(f"{STORAGE}/c/runs/{run}")


def test_revoked_stays_revoked(tmp_path: Path, clock: ManualClock) -> None:
    path = tmp_path / "state.json"
    with Emulator(clock=clock, state_file=path) as first:
        token = Api(first.url, first.client_id, first.client_secret).token
        first.revoke_tokens()
    with Emulator(clock=clock, state_file=path) as second:
        api = Api(second.url, second.client_id, second.client_secret)
        api._token = token
        assert api.get(STORAGE).status_code == 401


def test_the_file_is_whole_and_private(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    with Emulator(scenario="demo", state_file=path) as emulator:
        for _ in range(5):
            emulator.add_connection()
            assert json.loads(path.read_text())["version"] == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["state.json"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 99}', '{"version": 1, "tokens": {}}'])
def test_a_file_that_is_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "state.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="not a state file"):
        Emulator(state_file=path)


def test_a_large_state_is_written_from_time_to_time(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state.json"
    with Emulator(clock=clock, state_file=path) as first:
        monkeypatch.setattr(state_file, "SYNC_LIMIT", 0.0)
        written = path.read_text()
        for number in range(20):
            first.add_connection(connection_id=f"c-{number}")
        assert path.read_text() == written, "written in the background"
        deadline = time.monotonic() + 10
        while path.read_text() == written and time.monotonic() < deadline:
            time.sleep(0.05)
        assert len(json.loads(path.read_text())["connections"]) == 20, "after a while it is written all the same"
        first.add_connection(connection_id="last")
    assert len(json.loads(path.read_text())["connections"]) == 21, "and at the end, at once"
    assert not [one for one in threading.enumerate() if one.name == "itwin-emulator-state"]


def test_a_failed_background_write_is_raised_at_the_next_change(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    emulator = Emulator(clock=clock, state_file=folder / "state.json").start()
    monkeypatch.setattr(state_file, "SYNC_LIMIT", 0.0)
    (folder / "state.json").unlink()
    folder.rmdir()
    emulator.add_connection()
    deadline = time.monotonic() + 10
    with pytest.raises(OSError, match="state"):  # noqa: PT012 -- it comes with some later change
        while time.monotonic() < deadline:
            time.sleep(0.05)
            emulator.controls.on_change()
    folder.mkdir()
    emulator.stop()
    assert (folder / "state.json").exists()


def test_runs_share_what_they_have_in_common(tmp_path: Path, clock: ManualClock) -> None:
    path = tmp_path / "state.json"
    with Emulator(clock=clock, state_file=path) as first:
        first.add_connection(connection_id="c", files=2)
        for _ in range(3):
            first.start_run("c")
            clock.advance(60)
        before = first.runs("c")
    with Emulator(clock=clock, state_file=path) as second:
        assert second.runs("c") == before
        one, *others = second.store.connections["c"].runs
        assert all(other.plan is one.plan and other.files[0] is one.files[0] for other in others)
