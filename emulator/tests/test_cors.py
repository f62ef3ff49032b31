"""Web pages of other origins can call the emulated APIs, and not the control API."""

from __future__ import annotations

import requests

from itwin_emulator import Emulator
from platform_client import STORAGE, Api
from storage_client import StorageApi

ORIGIN = "http://localhost:3000"


def test_a_preflight_is_allowed(emulator: Emulator) -> None:
    headers = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "PATCH",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    answer = requests.options(f"{emulator.url}/imodels/m", headers=headers, timeout=10)
    assert answer.status_code == 204
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "PATCH" in answer.headers["Access-Control-Allow-Methods"]
    assert answer.headers["Access-Control-Allow-Headers"] == "authorization,content-type"
    assert len(emulator.request_log) == 0


def test_responses_and_errors_can_be_read(emulator: Emulator, api: Api) -> None:
    connection = emulator.add_connection()
    started = api.post(f"{STORAGE}/{connection}/run", headers={"Origin": ORIGIN})
    assert started.status_code == 202
    assert "Location" in started.headers["Access-Control-Expose-Headers"]
    for path, status in ((f"{STORAGE}/x", 404), ("/webhooks", 501), ("/nowhere", 404)):
        answer = api.get(path, headers={"Origin": ORIGIN})
        assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (status, "*")
    assert api.ask_token().ok
    assert "Access-Control-Allow-Origin" not in api.get(f"{STORAGE}/x").headers


def test_the_control_api_stays_closed(emulator: Emulator) -> None:
    headers = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
    for method in ("OPTIONS", "GET"):
        answer = requests.request(method, f"{emulator.url}/emulator", headers=headers, timeout=10)
        assert answer.status_code == 403
        assert "Access-Control-Allow-Origin" not in answer.headers


def test_a_page_can_upload_and_download(emulator: Emulator, api: Api) -> None:
    storage = StorageApi(api, emulator.add_itwin())
    url = storage.begin("a.txt")["uploadUrl"]
    asked = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "x-ms-blob-type",
    }
    assert requests.options(url, headers=asked, timeout=10).headers["Access-Control-Allow-Headers"] == "x-ms-blob-type"
    uploaded = storage.put(url, b"data", Origin=ORIGIN)
    assert (uploaded.status_code, uploaded.headers["Access-Control-Allow-Origin"]) == (201, "*")
