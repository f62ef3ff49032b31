from __future__ import annotations

import pytest

from itwin_emulator import Emulator, ManualClock
from platform_client import STORAGE, Api


def test_there_is_no_limit_by_default(api: Api, emulator: Emulator) -> None:
    connection = emulator.add_connection()
    assert {api.get(f"{STORAGE}/{connection}").status_code for _ in range(50)} == {200}


def test_a_minutes_worth(api: Api, emulator: Emulator, clock: ManualClock) -> None:
    connection = emulator.add_connection()
    emulator.limit_rate(per_minute=3)
    for _ in range(3):
        assert api.get(f"{STORAGE}/{connection}").status_code == 200
        clock.advance(10)
    answer = api.get(f"{STORAGE}/{connection}/runs")
    assert answer.status_code == 429
    assert answer.json() == {
        "error": {
            "code": "RateLimitExceeded",
            "message": "The client sent more requests than allowed by this API for the current tier of the client.",
        }
    }
    assert answer.headers["Retry-After"] == "30"
    assert answer.headers["ITwinPlatform-RateLimited-Tier"] == "Own"
    assert answer.headers["ITwinPlatform-RateLimited-API"] == "Synchronization"
    assert answer.headers["ITwinPlatform-RateLimited-Operation"] == "get-storage-connection-runs"
    assert answer.headers["ITwinPlatform-RateLimited-Application"] == api.client_id
    clock.advance(29)
    assert api.get(f"{STORAGE}/{connection}").status_code == 429
    clock.advance(1)
    assert api.get(f"{STORAGE}/{connection}").status_code == 200


def test_an_hours_worth(api: Api, emulator: Emulator, clock: ManualClock) -> None:
    emulator.limit_rate(per_minute=3, per_hour=4)
    for _ in range(4):
        assert api.get(STORAGE).status_code == 200
        clock.advance(60)
    answer = api.get(STORAGE, headers={"Authorization": f"Bearer {api.token}"})
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, str(3600 - 240))


def test_tiers(clock: ManualClock) -> None:
    with Emulator(clock=clock, tier="community") as emulator:
        api = Api(emulator.url, emulator.client_id, emulator.client_secret)
        answers = [api.get(STORAGE).status_code for _ in range(501)]
        assert answers == [200] * 500 + [429]
        emulator.set_tier("standard", "TooManyRequests")
        assert api.get(STORAGE).status_code == 200
        emulator.limit_rate(per_minute=0)
        assert api.get(STORAGE).json()["error"] == {
            "code": "TooManyRequests",
            "message": "More requests were received than the subscription rate-limit allows.",
        }
        with pytest.raises(ValueError, match="premium"):
            emulator.set_tier("gold")
        with pytest.raises(ValueError, match="TooManyRequests"):
            emulator.set_tier("basic", "SlowDown")


def test_each_client_counts_for_itself(api: Api, emulator: Emulator) -> None:
    emulator.limit_rate(per_minute=1)
    other = Api(emulator.url, *emulator.add_client(everywhere=True))
    rich = Api(emulator.url, *emulator.add_client(everywhere=True, tier="premium"))
    assert [one.get(STORAGE).status_code for one in (api, other, api, other)] == [200, 200, 429, 429]
    assert {rich.get(STORAGE).status_code for _ in range(5)} == {200}


def test_tokens_and_strangers_are_not_counted(api: Api, emulator: Emulator) -> None:
    emulator.limit_rate(per_minute=1)
    for _ in range(5):
        assert api.ask_token().status_code == 200
        assert api.get(STORAGE, headers={"Authorization": None}).status_code == 401
    assert api.get(STORAGE).status_code == 200


def test_each_operation_has_its_documented_code(api: Api, emulator: Emulator) -> None:
    emulator.add_connection("storage", "s")
    emulator.add_connection("export", "e")
    emulator.limit_rate(per_minute=0)
    for method, path, code in (
        ("GET", f"{STORAGE}/s/runs/x", "RateLimitExceeded"),
        ("POST", f"{STORAGE}/s/run", "TooManyRequests"),
        ("GET", f"{STORAGE}/s/sourcefiles", "TooManyRequests"),
        ("GET", "/export/connections/e/runs/x", "TooManyRequests"),
        ("GET", "/export/connections/e", "RateLimitExceeded"),
    ):
        assert api.call(method, path).json()["error"]["code"] == code
    emulator.set_tier(None)
    emulator.fail("run-storage-connection", 1, 429)
    assert api.post(f"{STORAGE}/s/run").json()["error"]["code"] == "TooManyRequests"
