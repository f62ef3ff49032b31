"""Whatever is sent, there is an answer, and it is never the emulator's own failure."""

from __future__ import annotations

import logging
import socket

import pytest

from itwin_emulator import Emulator
from platform_client import EXPORT, STORAGE

JSON = b"application/json"
FORM = b"application/x-www-form-urlencoded"


def head(method: str, path: bytes, *headers: bytes, host: bytes = b"Host: 127.0.0.1") -> bytes:
    return b"\r\n".join([method.encode() + b" " + path + b" HTTP/1.1", host, b"{auth}", *headers, b"", b""])


def post(path: bytes, body: bytes, media_type: bytes = JSON) -> bytes:
    return head("POST", path, b"Content-Type: " + media_type, b"Content-Length: %d" % len(body)) + body


ROOT = STORAGE.encode()
EXPORTS = EXPORT.encode()
SURROGATE = (
    b'{"iModelId":"m","displayName":"\\ud800","sourceFiles":[{"storageFileId":"\\ud801","connectorType":"MSTN"}]}'
)

REQUESTS: dict[str, bytes] = {
    "host of no letters": head("POST", ROOT + b"/c/run", host=b"Host: \xff\xfe"),
    "no host": b"GET " + ROOT + b" HTTP/1.0\r\n{auth}\r\n\r\n",
    "headers of no letters": head("GET", ROOT, b"Prefer: \xff", b"User-Agent: \xff", b"X-Correlation-Id: \xff"),
    "accept of no letters": head("GET", ROOT, b"Accept: \xff"),
    "id of no letters": head("GET", ROOT + b"/%ff%fe/runs"),
    "id of nothing": head("GET", ROOT + b"/%00/runs"),
    "id in braces": head("GET", ROOT + b"/{0}/runs"),
    "dots": head("GET", ROOT + b"/../../runs"),
    "query of no letters": head("GET", ROOT + b"?%ff=%fe&$top=%ff"),
    "many parameters": head("GET", ROOT + b"?" + b"a=1&" * 1900),
    "slashes": head("GET", b"//"),
    "another host": head("GET", b"http://elsewhere.example/synchronization"),
    "asterisk": head("OPTIONS", b"*"),
    "tunnel": head("CONNECT", b"a:1"),
    "unheard of": head("FOO", b"/"),
    "redirect to a bracket": head("GET", b"/export/authorizationinformation?redirectUrl=http://["),
    "redirect to half a letter": head("GET", b"/export/authorizationinformation?redirectUrl=http://%ed%a0%80"),
    "deep list": post(ROOT, b"[" * 100_000),
    "deep object": post(ROOT, b'{"a":' * 50_000),
    "another encoding": post(ROOT, b"\xff\xfe{}"),
    "half a letter": post(ROOT, SURROGATE),
    "half a letter for an export": post(EXPORTS, b'{"iModelId":"m","displayName":"\\ud800"}'),
    "wrong types": post(ROOT, b'{"iModelId":{},"sourceFiles":[[]],"displayName":[],"authenticationType":[]}'),
    "null for a type": post(EXPORTS, b'{"iModelId":"m","authenticationType":null}'),
    "endless number": post(ROOT, b'{"iModelId":' + b"9" * 6000 + b"}"),
    "form of no letters": post(b"/connect/token", b"grant_type=\xff", FORM),
    "large form": post(b"/connect/token", b"a=1&" * 100, FORM),
    "form with half a letter": post(
        b"/connect/token", b"grant_type=client_credentials&client_id=%ed%a0%80&client_secret=%ed%a0%80", FORM
    ),
    "limit": head("GET", b"/emulator/request_log?limit=x"),
    "since": head("GET", b"/emulator/request_log?since=x"),
    "half a host": head("GET", b"/emulator", host=b"Host: [::"),
    "port beyond": head("GET", b"/emulator", host=b"Host: 127.0.0.1:99999999"),
    "origin of a bracket": head("GET", b"/emulator", b"Origin: http://["),
    "deep control": post(b"/emulator/plans", b"[" * 100_000),
    "list for an id": post(b"/emulator/plans", b'{"connection_id":[]}'),
    "no number": post(b"/emulator/plans", b'{"connection_id":"c","duration":NaN}'),
    "no end": post(b"/emulator/plans", b'{"connection_id":"c","duration":1e400}'),
    "long run": post(b"/emulator/plans", b'{"connection_id":"c","duration":1e300}'),
    "many plans": post(b"/emulator/plans", b'{"connection_id":"c","times":999999999999}'),
    "many files": post(b"/emulator/connections", b'{"files":99999999999}'),
    "fewer than no files": post(b"/emulator/connections", b'{"files":-1}'),
    "number for roles": post(b"/emulator/clients", b'{"roles":5}'),
    "number for scopes": post(b"/emulator/clients", b'{"scopes":5}'),
    "numbers for a client": post(b"/emulator/clients", b'{"client_id":5,"client_secret":7}'),
    "headers in headers": post(b"/emulator/faults", b'{"headers":{"a\\r\\nb":"x"}}'),
}
TOKENS = [
    b"Authorization: Bearer a.\xff\xfe.\xff",
    b"Authorization: Bearer eyJhIjoxfQ.eyJhIjoxfQ.\xff\xfe",
    b"Authorization: Basic \xff",
    b"Authorization: ",
    b"Authorization: Bearer",
]


def status_of(emulator: Emulator, request: bytes) -> int:
    with socket.create_connection(("127.0.0.1", emulator.port), timeout=10) as connection:
        connection.sendall(request)
        return int(connection.recv(65536).split(b" ", 2)[1])


@pytest.mark.parametrize("name", REQUESTS)
def test_an_answer_to_everything(emulator: Emulator, name: str, caplog: pytest.LogCaptureFixture) -> None:
    emulator.add_connection(connection_id="c", imodel_id="m")
    token = b"Authorization: Bearer " + emulator.make_token(emulator.client_id).encode()
    with caplog.at_level(logging.WARNING):
        assert status_of(emulator, REQUESTS[name].replace(b"{auth}", token)) < 500
    assert caplog.records == []


@pytest.mark.parametrize("token", TOKENS)
def test_odd_tokens(emulator: Emulator, token: bytes) -> None:
    assert status_of(emulator, head("GET", ROOT).replace(b"{auth}", token)) == 401
    form = post(b"/connect/token", b"grant_type=client_credentials", FORM).replace(b"{auth}", token)
    assert status_of(emulator, form) in (400, 401)


def test_half_a_letter_comes_back_as_it_was(emulator: Emulator) -> None:
    emulator.add_imodel("m")
    token = b"Authorization: Bearer " + emulator.make_token(emulator.client_id).encode()
    assert status_of(emulator, REQUESTS["half a letter"].replace(b"{auth}", token)) == 201
    assert status_of(emulator, head("GET", ROOT, b"Prefer: return=representation").replace(b"{auth}", token)) == 200
