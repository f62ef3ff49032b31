from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest
import requests

from itwin_emulator import Emulator, ManualClock
from platform_client import STORAGE, Api, error_of


def claims_of(token: str) -> dict[str, object]:
    body = token.split(".")[1]
    claims: dict[str, object] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return claims


def basic(client_id: str, secret: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()}


def test_token_by_form(api: Api, clock: ManualClock) -> None:
    answer = api.ask_token()
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    body = answer.json()
    assert body["token_type"] == "Bearer"
    assert body["expires_in"] == 3600
    claims = claims_of(body["access_token"])
    assert claims["client_id"] == api.client_id
    assert claims["scope"] == ["itwin-platform"]
    assert claims["exp"] == int(clock.service_time()) + 3600


def test_token_by_basic_wants_encoded_halves(emulator: Emulator) -> None:
    url = f"{emulator.url}/connect/token"
    form = {"grant_type": "client_credentials", "scope": "itwin-platform"}
    encoded = basic(quote(emulator.client_id, safe=""), quote(emulator.client_secret, safe=""))
    assert requests.post(url, data=form, headers=encoded, timeout=10).status_code == 200
    # The plus sign in the secret becomes a space if a client does not encode it.
    careless = requests.post(url, data=form, headers=basic(emulator.client_id, emulator.client_secret), timeout=10)
    assert careless.status_code == 401
    assert careless.json()["error"] == "invalid_client"
    assert careless.headers["WWW-Authenticate"].startswith("Basic")


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"client_secret": "wrong"}, "invalid_client"),
        ({"client_id": "service-nobody"}, "invalid_client"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": ""}, "invalid_request"),
        ({"scope": "openid"}, "invalid_scope"),
        ({"scope": "itwin-platform email"}, "invalid_scope"),
        ({"scope": "organization"}, "invalid_scope"),
        ({"scope": "no-such-scope"}, "invalid_scope"),
    ],
)
def test_refusals(api: Api, form: dict[str, str], error: str) -> None:
    answer = api.ask_token(**form)
    assert answer.status_code == 400
    assert answer.json()["error"] == error
    assert "error_description" in answer.json()


def test_two_ways_at_once_are_refused(api: Api, emulator: Emulator) -> None:
    answer = requests.post(
        f"{emulator.url}/connect/token",
        data={"grant_type": "client_credentials", "client_secret": emulator.client_secret},
        headers=basic(emulator.client_id, "x"),
        timeout=10,
    )
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


def test_json_is_no_form(emulator: Emulator) -> None:
    answer = requests.post(f"{emulator.url}/connect/token", json={"grant_type": "client_credentials"}, timeout=10)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


def test_discovery(emulator: Emulator) -> None:
    configuration = requests.get(f"{emulator.url}/.well-known/openid-configuration", timeout=10).json()
    assert configuration["issuer"] == emulator.url
    assert configuration["token_endpoint"] == f"{emulator.url}/connect/token"


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (None, "HeaderNotFound"),
        ("Basic abc", "InvalidAuthorizationScheme"),
        ("Bearer", "InvalidHeaderValue"),
        ("Bearer not-a-token", "InvalidHeaderValue"),
        ("Bearer a.b.c", "InvalidHeaderValue"),
        ("Bearer e30.e30.bad", "Unauthorized"),
    ],
)
def test_headers_that_are_no_token(api: Api, header: str | None, code: str) -> None:
    answer = api.get(f"{STORAGE}/any", headers={"Authorization": header})
    assert answer.status_code == 401
    assert error_of(answer)["code"] == code


def test_missing_header_in_the_documented_words(api: Api) -> None:
    answer = api.get(f"{STORAGE}/any", headers={"Authorization": None})
    assert answer.json() == {
        "error": {
            "code": "HeaderNotFound",
            "message": "Header Authorization was not found in the request. Access denied.",
        }
    }


def test_tokens_expire_on_the_services_clock(api: Api, clock: ManualClock, emulator: Emulator) -> None:
    connection = emulator.add_connection()
    assert api.get(f"{STORAGE}/{connection}").status_code == 200
    clock.advance(3599)
    assert api.get(f"{STORAGE}/{connection}").status_code == 200
    clock.advance(1)
    answer = api.get(f"{STORAGE}/{connection}")
    assert (answer.status_code, error_of(answer)["code"]) == (401, "Unauthorized")
    api.renew()
    assert api.get(f"{STORAGE}/{connection}").status_code == 200


def test_revoked_tokens(api: Api, emulator: Emulator) -> None:
    connection = emulator.add_connection()
    assert api.get(f"{STORAGE}/{connection}").status_code == 200
    emulator.revoke_tokens()
    assert error_of(api.get(f"{STORAGE}/{connection}"))["code"] == "Unauthorized"
    api.renew()
    assert api.get(f"{STORAGE}/{connection}").status_code == 200


def test_a_token_of_another_issuer(api: Api, emulator: Emulator) -> None:
    with Emulator() as other:
        foreign = Api(other.url, other.client_id, other.client_secret).token
    answer = api.get(f"{STORAGE}/any", headers={"Authorization": f"Bearer {foreign}"})
    assert (answer.status_code, error_of(answer)["code"]) == (401, "Unauthorized")


def test_lifetime_is_a_setting(clock: ManualClock) -> None:
    with Emulator(clock=clock, token_lifetime=5) as emulator:
        api = Api(emulator.url, emulator.client_id, emulator.client_secret)
        assert api.ask_token().json()["expires_in"] == 5
        connection = emulator.add_connection()
        assert api.get(f"{STORAGE}/{connection}").status_code == 200
        clock.advance(6)
        assert api.get(f"{STORAGE}/{connection}").status_code == 401


def test_a_token_that_was_brought_along(api: Api, emulator: Emulator, clock: ManualClock) -> None:
    connection = emulator.add_connection()
    api._token = emulator.make_token(emulator.client_id)
    assert api.get(f"{STORAGE}/{connection}").status_code == 200
    api._token = emulator.make_token(emulator.client_id, lifetime=-1)
    assert error_of(api.get(f"{STORAGE}/{connection}"))["code"] == "Unauthorized"
    api._token = emulator.make_token(emulator.client_id, ["imodels:read"])
    assert error_of(api.get(f"{STORAGE}/{connection}"))["code"] == "RequiredScopeMissing"
    api._token = emulator.make_token("service-nobody")
    assert error_of(api.get(f"{STORAGE}/{connection}"))["details"][0]["code"] == "UnknownClient"


def test_wrong_scope(emulator: Emulator) -> None:
    api = Api(emulator.url, *emulator.add_client(scopes=["imodels:read"], everywhere=True))
    api._token = api.ask_token(scope="imodels:read").json()["access_token"]
    answer = api.get(f"{STORAGE}/any")
    assert (answer.status_code, error_of(answer)["code"]) == (401, "RequiredScopeMissing")


def test_client_that_the_platform_does_not_know(emulator: Emulator) -> None:
    api = Api(emulator.url, *emulator.add_client(registered=False))
    answer = api.get(f"{STORAGE}/any")
    assert answer.status_code == 401
    assert error_of(answer) == {
        "code": "Unauthorized",
        "message": "Access denied due to invalid client. Make sure that client was registered on "
        "https://developer.bentley.com.",
        "details": [
            {"code": "UnknownClient", "message": "Client was not registered on https://developer.bentley.com."}
        ],
    }


def test_no_secret_is_logged_or_returned(api: Api, emulator: Emulator) -> None:
    emulator.add_connection(connection_id="one")
    api.get(f"{STORAGE}/one", params={"access_token": api.token, "sig": "s3cr3t"})
    for end in ("?state=s3cr3t", "#access_token=s3cr3t"):
        emulator.fail(kind="redirect", location=f"https://login.example.com/callback{end}")
        api.get(f"{STORAGE}/one")
    text = json.dumps([entry.as_dict() for entry in emulator.request_log])
    text += (
        json.dumps(emulator.controls.overview(), default=str)
        + json.dumps(emulator.controls.dashboard())
        + repr(emulator.store.clients)
    )
    for secret in (api.token, emulator.client_secret, "s3cr3t", "Bearer"):
        assert secret not in text
    assert [entry.client_id for entry in emulator.request_log] == [emulator.client_id] * 4
    assert [entry.location for entry in emulator.request_log][2:] == ["https://login.example.com/callback?***"] * 2


def test_older_scopes_allow_one_api(emulator: Emulator, api: Api) -> None:
    emulator.add_connection("storage", "s", "m")
    asked = api.ask_token(scope="imodels:read  synchronization:modify")
    assert asked.json()["scope"] == "imodels:read synchronization:modify"
    bearer = {"Authorization": f"Bearer {asked.json()['access_token']}"}

    def status(method: str, path: str) -> int:
        return api.call(method, path, headers=bearer).status_code

    assert status("GET", "/imodels/m") == 200
    assert status("DELETE", "/imodels/m") == 401
    assert status("GET", f"{STORAGE}/s") == 401
    assert status("POST", f"{STORAGE}/s/run") == 202
    assert status("GET", "/itwins/x") == 401


def test_a_client_without_the_platform_scope_has_only_its_own(emulator: Emulator) -> None:
    api = Api(emulator.url, *emulator.add_client(scopes=["imodels:read"]))
    assert api.ask_token(scope="imodels:read").ok
    assert api.ask_token(scope="imodels:modify").json()["error"] == "invalid_scope"
