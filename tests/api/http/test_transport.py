"""Settings of the network are read and checked once, before anything is sent, and mean the same to both clients."""

from __future__ import annotations

import gzip
import logging
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from airflow_provider_itwin.api.errors import ITwinConnectionError
from airflow_provider_itwin.api.http.auth import ReadyToken
from airflow_provider_itwin.api.http.config import Environment, Network
from airflow_provider_itwin.api.http.content_encoding import (
    ACCEPT_ENCODING,
    BodyError,
    BodyReader,
)
from airflow_provider_itwin.api.http.proxies import checked_proxies, parse_proxy
from airflow_provider_itwin.api.http.transport import Transport
from airflow_provider_itwin.api.models.enums import ConnectionKind
from airflow_provider_itwin.api.redaction import redact
from airflow_provider_itwin.api.runs import endpoints
from tests.api.certificate import self_signed
from tests.api.drivers import DRIVERS, World, call, driver
from tests.api.raw_server import Peer, serving
from tests.api.recorder import Received, Recorder

LOOK = endpoints.get_connection(ConnectionKind.STORAGE, "c1")
ABROAD = Environment("http://itwin.example", "http://itwin.example")
SECURE_ABROAD = Environment("https://itwin.example", "https://itwin.example")
BODY = b'{"connection":{"id":"c1"}}'
PASSWORD = "hunter2"

VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*VARIABLES, "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture(params=DRIVERS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["extra", "http_proxy", "HTTP_PROXY", "ALL_PROXY"])
def source(request: pytest.FixtureRequest) -> str:
    """Where a proxy is named: in the extra of the connection, or in a variable of the machine."""
    return str(request.param)


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    with Recorder().serving() as recorder:
        yield recorder


def network(source: str, text: str, monkeypatch: pytest.MonkeyPatch, scheme: str = "http") -> Network:
    if source == "extra":
        return Network(3.0, proxies=((scheme, text),))
    monkeypatch.setenv(
        source if scheme == "http" else source.replace("HTTP_", "HTTPS_").replace("http_", "https_"), text
    )
    return Network(3.0)


def poll_once(name: str, environment: Environment, network: Network) -> str | None:
    world = World()
    with driver(name, world, world.account(ReadyToken("t0ken"), network, environment)) as made:
        return call(made, LOOK, retry_budget=0.0).id


BASIC = "Basic bWU6aHVudGVyMg=="  # me:hunter2
ODD = "Basic bWU6aHUvbiN0P2VAcjogMg=="  # me:hu/n#t?e@r: 2

GOOD_PROXIES = {
    "http://{place}": None,
    "{place}": None,
    "HTTP://{place}/": None,
    "  http://{place}\n": None,
    "http://me:hunter2@{place}": BASIC,
    "me:hunter2@{place}": BASIC,
    "http://me:hunter2@{place}/": BASIC,
    "http://me:hu/n#t?e@r: 2@{place}": ODD,
    "me:hu/n#t?e@r: 2@{place}": ODD,
    "http://me:hu%2Fn%23t%3Fe%40r%3A%202@{place}": ODD,
    "http://me@{place}": "Basic bWU6",
    "http://me:gr%C3%BC%C3%9Fe@{place}": "Basic bWU6Z3LDvMOfZQ==",
    "http://me:grüße@{place}": "Basic bWU6Z3LDvMOfZQ==",
}


@pytest.mark.parametrize(("text", "authorization"), GOOD_PROXIES.items(), ids=GOOD_PROXIES)
def test_a_proxy_is_used_however_it_is_written(
    name: str, source: str, text: str, authorization: str | None, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = text.replace("{place}", f"127.0.0.1:{recorder.port}")

    assert poll_once(name, ABROAD, network(source, text, monkeypatch)) == "c1"

    assert recorder.targets == ["GET http://itwin.example/synchronization/imodels/storageconnections/c1"]
    assert recorder.received[0].headers.get("proxy-authorization") == authorization


@pytest.mark.parametrize(("text", "authorization"), GOOD_PROXIES.items(), ids=GOOD_PROXIES)
def test_a_tunnel_is_asked_for_however_the_proxy_is_written(
    name: str, source: str, text: str, authorization: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    heads: list[bytes] = []

    def refuse(peer: Peer) -> None:
        heads.append(peer.request())
        peer.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

    with serving(refuse) as port:
        text = text.replace("{place}", f"127.0.0.1:{port}")
        with pytest.raises(ITwinConnectionError) as caught:
            poll_once(name, SECURE_ABROAD, network(source, text, monkeypatch, "https"))

    assert heads[0].startswith(b"CONNECT itwin.example:443 HTTP/1.")
    sent = [
        line.partition(b": ")[2].decode() for line in heads[0].splitlines() if line.lower().startswith(b"proxy-auth")
    ]
    assert sent == ([authorization] if authorization else [])
    assert "403" in str(caught.value)
    assert "hu" not in str(caught.value).replace("https", "")


BAD_PROXIES = {
    "socks5://me:hunter2@127.0.0.1:1080": "a socks5 proxy, which is not supported",
    "socks5h://127.0.0.1:1080": "a socks5h proxy, which is not supported",
    "SOCKS4://127.0.0.1:1080": "a socks4 proxy, which is not supported",
    "ftp://127.0.0.1:21": "a ftp proxy, which is not supported",
    "hunter2://127.0.0.1:21": "of an unknown kind",
    "http://me:hunter2@": "is not a valid proxy URL",
    "http://": "is not a valid proxy URL",
    "me:hunter2@": "is not a valid proxy URL",
    "http://:3128": "is not a valid proxy URL",
    "http://me:hunter2@proxy:99999": "is not a valid proxy URL",
    "http://me:hunter2@proxy:0": "is not a valid proxy URL",
    "http://me:hunter2@proxy:port": "is not a valid proxy URL",
    "http://me:hunter2@proxy:": "is not a valid proxy URL",
    "http://me:hunter2@[::1": "is not a valid proxy URL",
    "http://me:hunter2@::1": "is not a valid proxy URL",
    "http://me:hunter2@pro xy:1": "is not a valid proxy URL",
    "http://me:hunter2@pro\nxy:1": "is not a valid proxy URL",
    "http://me:hunter2@proxy/path": "is not a valid proxy URL",
    "http://me:hunter2@proxy?query": "is not a valid proxy URL",
    "http:/proxy:3128": "is not a valid proxy URL",
    "http:proxy:3128": "is not a valid proxy URL",
    "http://m%3Ae:hunter2@proxy:1": "is not a valid proxy URL",
}


@pytest.mark.parametrize(("text", "words"), BAD_PROXIES.items(), ids=BAD_PROXIES)
@pytest.mark.parametrize("secure", [False, True])
def test_a_proxy_that_cannot_be_used_is_refused_before_anything_is_sent(
    name: str, source: str, text: str, words: str, secure: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = SECURE_ABROAD if secure else ABROAD
    settings = network(source, text, monkeypatch, "https" if secure else "http")

    with pytest.raises(ValueError, match=words) as caught:
        poll_once(name, environment, settings)

    assert PASSWORD not in str(caught.value)
    assert "proxies in the extra" in str(caught.value) or "in the environment" in str(caught.value)


@pytest.mark.parametrize("text", [text for text in BAD_PROXIES if text.strip()])
def test_what_is_refused_when_it_is_used_is_refused_when_it_is_read(text: str) -> None:
    with pytest.raises(ValueError, match="https in proxies") as caught:
        checked_proxies({"https": text}, "proxies")
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize(
    "key", ["ssl", "htpp", "no_proxy", "", "https://host:443", f"me:{PASSWORD}@proxy", "https://a/b"]
)
def test_a_proxy_for_something_that_is_not_a_scheme_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="expected http, https, all") as caught:
        checked_proxies({key: "http://proxy:1"}, "proxies")
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize("value", [5, ["http://proxy"], {"a": "b"}, True])
def test_a_proxy_that_is_not_a_text_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="must be an object such as"):
        checked_proxies({"https": value}, "proxies")


@pytest.mark.parametrize("value", ["", " ", None])
def test_no_proxy_for_a_scheme_is_a_direct_connection(name: str, value: str | None, recorder: Recorder) -> None:
    proxies = checked_proxies({"HTTP": value, "all": f"127.0.0.1:{recorder.port}"}, "proxies")

    assert proxies[1] == ("http", "")
    assert poll_once(name, Environment.of(recorder.url), Network(3.0, proxies=proxies)) == "c1"
    assert recorder.targets == ["GET /synchronization/imodels/storageconnections/c1"]


@pytest.mark.parametrize("no_proxy", ["itwin.example", ".example", "*"])
def test_no_proxy_of_the_machine_is_respected_by_both(
    name: str, no_proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    world = World()
    account = world.account(ReadyToken("t"), Network(3.0), ABROAD)

    assert Transport.of(account).proxy(ABROAD.api) is None
    with driver(name, world, account) as made, pytest.raises(ITwinConnectionError) as caught:
        call(made, LOOK, retry_budget=0.0)
    assert "127.0.0.1" not in str(caught.value)


def test_the_machine_is_asked_once(name: str, recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", recorder.url)
    world = World()
    with driver(name, world, world.account(ReadyToken("t"), Network(3.0), ABROAD)) as made:
        monkeypatch.setenv("HTTP_PROXY", "socks5://127.0.0.1:1")
        assert call(made, LOOK, retry_budget=0.0).id == "c1"


SECRET_TEXTS = ["hunter2", "hu/n#t?e@r: 2", "a", "grüße"]


@pytest.mark.parametrize("password", SECRET_TEXTS)
def test_the_password_of_a_proxy_is_hidden_wherever_it_stands(password: str) -> None:
    proxy = parse_proxy(f"me:{password}@proxy:3128", "x")

    assert password not in repr(proxy) or password == "a"
    assert set(proxy.secrets) == {password, (proxy.authorization or "").removeprefix("Basic ")}
    text = f"cannot use http://me:{password}@proxy:3128 with {proxy.authorization}"
    hidden = redact(text, proxy.secrets)
    assert f":{password}@" not in hidden
    assert (proxy.authorization or "") not in hidden


def test_what_a_proxy_echoes_is_hidden(
    name: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)

    def echo(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 407 no hunter2 for bWU6aHVudGVyMg==\r\nContent-Length: 0\r\n\r\n")

    with serving(echo) as port:
        settings = network("extra", f"http://me:hunter2@127.0.0.1:{port}", monkeypatch, "https")
        with pytest.raises(ITwinConnectionError) as caught:
            poll_once(name, SECURE_ABROAD, settings)
    assert PASSWORD not in f"{caught.value}{caplog.text}"
    assert "bWU6aHVudGVyMg" not in f"{caught.value}{caplog.text}"


@pytest.mark.parametrize("content", [None, "no certificate"])
@pytest.mark.parametrize("variable", [None, "REQUESTS_CA_BUNDLE"])
def test_authorities_that_cannot_be_read_are_refused_before_anything_is_sent(
    name: str, tmp_path: Path, content: str | None, variable: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "authorities.pem"
    if content is not None:
        path.write_text(content)
    if variable:
        monkeypatch.setenv(variable, str(path))

    with pytest.raises(ValueError, match=r"verify is '.*authorities\.pem', which is not a CA bundle"):
        poll_once(name, SECURE_ABROAD, Network(3.0, verify=True if variable else str(path)))


@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
def test_a_proxy_that_speaks_tls_is_used_by_both(name: str, tmp_path: Path) -> None:
    certificate = self_signed(tmp_path / "server.pem")
    with Recorder(certificate).serving() as recorder:
        settings = Network(5.0, verify=str(certificate), proxies=(("http", f"https://127.0.0.1:{recorder.port}"),))
        assert poll_once(name, ABROAD, settings) == "c1"
        assert recorder.targets == ["GET http://itwin.example/synchronization/imodels/storageconnections/c1"]


# How the body is encoded


def raw_deflate(data: bytes) -> bytes:
    maker = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return maker.compress(data) + maker.flush()


ENCODED: dict[str, tuple[str, bytes, str | None]] = {
    "none": ("", BODY, None),
    "identity": ("identity", BODY, None),
    "gzip": ("gzip", gzip.compress(BODY), None),
    "GZIP, in capitals": (" GZIP ", gzip.compress(BODY), None),
    "x-gzip": ("x-gzip", gzip.compress(BODY), None),
    "gzip in two members": ("gzip", gzip.compress(BODY[:9]) + gzip.compress(BODY[9:]), None),
    "gzip with padding": ("gzip", gzip.compress(BODY) + b"\0" * 50, None),
    "deflate": ("deflate", zlib.compress(BODY), None),
    "raw deflate": ("deflate", raw_deflate(BODY), None),
    "gzip that is plain": ("gzip", BODY, "not gzip, as its headers say"),
    "deflate that is plain": ("deflate", BODY, "not deflate, as its headers say"),
    "gzip that is cut": ("gzip", gzip.compress(BODY)[:-9], "its gzip body is truncated"),
    "gzip with a wrong sum": ("gzip", gzip.compress(BODY)[:-8] + b"\0" * 8, "not gzip, as its headers say"),
    "br": ("br", BODY, "content encoding 'br', which was not requested"),
    "zstd": ("zstd", BODY, "content encoding 'zstd', which was not requested"),
    "gzip twice": ("gzip, gzip", gzip.compress(gzip.compress(BODY)), "content encoding 'gzip, gzip'"),
    "unknown": ("x-" + "y" * 99, BODY, "which was not requested"),
}


@pytest.mark.parametrize(("encoding", "body", "error"), ENCODED.values(), ids=ENCODED)
def test_a_body_is_decoded_alike(name: str, recorder: Recorder, encoding: str, body: bytes, error: str | None) -> None:
    recorder.answer = lambda got: (200, {"Content-Encoding": encoding}, body)

    if error is None:
        assert poll_once(name, Environment.of(recorder.url), Network(3.0)) == "c1"
    else:
        with pytest.raises(ITwinConnectionError, match=error):
            poll_once(name, Environment.of(recorder.url), Network(3.0))


def test_only_what_is_understood_is_asked_for(name: str, recorder: Recorder) -> None:
    poll_once(name, Environment.of(recorder.url), Network(3.0))

    assert recorder.received[0].headers["accept-encoding"] == ACCEPT_ENCODING == "gzip, deflate"


@pytest.mark.parametrize("encoding", ["br", "gzip"])
def test_an_empty_body_needs_no_decoding(name: str, encoding: str, recorder: Recorder) -> None:
    def answer(got: Received) -> tuple[int, dict[str, str], bytes]:
        return 202, {"Content-Encoding": encoding, "Location": f"{got.target}s/r1"}, b""

    recorder.answer = answer
    world = World()
    account = world.account(ReadyToken("t"), Network(3.0), Environment.of(recorder.url))
    with driver(name, world, account) as made:
        assert call(made, endpoints.start_run(ConnectionKind.STORAGE, "c1"), retry_budget=0.0).created


LARGEST = 1 << 20


@pytest.mark.parametrize(
    "parts",
    [
        lambda: [b"x" * (LARGEST + 1)],
        lambda: [b"x" * 1000] * 1100,
        lambda: [gzip.compress(b"x" * (LARGEST + 1))],
        lambda: [gzip.compress(b"x" * LARGEST), gzip.compress(b"x")],
        lambda: [gzip.compress(b"")] * 60_000,
    ],
    ids=["at once", "in parts", "compressed", "in two members", "compressed nothing"],
)
def test_a_body_is_bounded_before_and_after_decompression(parts: Callable[[], list[bytes]]) -> None:
    found = parts()
    reader = BodyReader({"content-encoding": "gzip" if found[0].startswith(b"\x1f") else ""}, LARGEST)

    with pytest.raises(BodyError, match="larger than 1 MiB"):
        deque(map(reader.feed, found), maxlen=0)


def test_a_body_that_comes_byte_by_byte_is_the_same_body() -> None:
    for encoding, body, error in ENCODED.values():
        reader = BodyReader({"content-encoding": encoding}, LARGEST)
        if error is None:
            for byte in body:
                reader.feed(bytes([byte]))
            assert reader.finish() == BODY
