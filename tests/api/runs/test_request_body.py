"""The body of a request for a run: how it is sent, and how it is shown."""

from __future__ import annotations

import base64
import json
import time
from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum, StrEnum
from types import MappingProxyType, SimpleNamespace
from typing import Any
from urllib.parse import quote
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_itwin.api.runs import request_body
from airflow_provider_itwin.api.runs.request_body import (
    BodyError,
    masked,
    masked_text,
    plain_body,
)

SECRET = "q7RtZ2mXw9LkVb4NsYc1"
SIGNED = f"https://blob.example/files/Tower.dgn?sv=2026&sig={SECRET}"


class Lazy(Sequence[Any]):
    """A sequence with public fields, as Airflow has them for the output of mapped tasks."""

    def __init__(self, *values: Any) -> None:
        self.values = values
        self.ti = object()

    def __getitem__(self, place: Any) -> Any:
        return self.values[place]

    def __len__(self) -> int:
        return len(self.values)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.values)


@dataclass
class Entry:
    """A file of a manifest, as a user can write it."""

    id: str
    url: str
    children: list[Entry] = field(default_factory=list)


class Colour(StrEnum):
    """A text with a name."""

    RED = "red"


class Number(Enum):
    """A number with a name."""

    ONE = 1


class Text(str):
    """A text of another type."""

    __slots__ = ()


REDUCED: dict[str, tuple[Any, Any]] = {
    "nothing": (None, None),
    "truth": (True, True),
    "numbers": ([1, 1.5, -0.0], [1, 1.5, -0.0]),
    "tuple": ((1, (2,)), [1, [2]]),
    "set": ({"a"}, ["a"]),
    "frozenset": (frozenset({"a"}), ["a"]),
    "deque": (deque([1, 2]), [1, 2]),
    "range": (range(3), [0, 1, 2]),
    "lazy": (Lazy({"id": "a"}, Lazy(1)), [{"id": "a"}, [1]]),
    "mapping": (MappingProxyType({"a": OrderedDict(b=1)}), {"a": {"b": 1}}),
    "dataclass": (
        Entry("a", "b", [Entry("c", "d")]),
        {"id": "a", "url": "b", "children": [{"id": "c", "url": "d", "children": []}]},
    ),
    "keys of a dictionary": ({"a": 1}.keys(), ["a"]),
    "enum": ([Colour.RED, Number.ONE], ["red", 1]),
    "subclass": (Text("a"), "a"),
    "moment": (datetime(2026, 1, 1, tzinfo=UTC), "2026-01-01T00:00:00+00:00"),
    "day": (date(2026, 1, 1), "2026-01-01"),
    "uuid": (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
}


@pytest.mark.parametrize(("value", "plain"), REDUCED.values(), ids=REDUCED)
def test_values_with_one_json_form_are_sent_in_it(value: Any, plain: Any) -> None:
    reduced = plain_body({"sourceFiles": [value]})

    assert reduced == {"sourceFiles": [plain]}
    assert json.loads(json.dumps(reduced, allow_nan=False)) == reduced
    assert all(type(one) in (dict, list, str, int, float, bool, type(None)) for one in walk(reduced))


def walk(value: Any) -> Iterator[Any]:
    yield value
    inner = [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else []
    for one in inner:
        yield from walk(one)


CYCLE: list[Any] = []
CYCLE.append(CYCLE)
WIDE_CYCLE: list[Any] = []
WIDE_CYCLE += [WIDE_CYCLE, WIDE_CYCLE]
REFUSED: dict[str, tuple[Any, str]] = {
    "object": (object(), r"body\.sourceFiles\[0\] is of type object"),
    "namespace": (SimpleNamespace(url=SIGNED), "of type SimpleNamespace"),
    "bytes": (SIGNED.encode(), "of type bytes"),
    "bytearray": (bytearray(b"a"), "of type bytearray"),
    "memoryview": (memoryview(b"a"), "of type memoryview"),
    "generator": ((one for one in [SIGNED]), "of type generator"),
    "iterator": (iter([SIGNED]), "of type list_iterator"),
    "decimal": (Decimal("1.5"), "of type Decimal"),
    "complex": (1j, "of type complex"),
    "function": (len, "of type builtin_function_or_method"),
    "class": (Entry, "of type type"),
    "exception": (ValueError(SIGNED), "of type ValueError"),
    "key": ({1: SIGNED}, r"a key of body\.sourceFiles\[0\] is of type int"),
    "secret key": ({SIGNED: object()}, r"body\.sourceFiles\[0\]\.\*\*\* is of type object"),
    "not a number": (float("nan"), "not a finite number"),
    "infinity": (float("-inf"), "not a finite number"),
    "surrogate": ("\ud800", "lone surrogate"),
    "surrogate in a key": ({"\ud800": 1}, "lone surrogate"),
    "cycle": (CYCLE, "contains itself"),
    "wide cycle": (WIDE_CYCLE, "more than 1,000,000 values|contains itself"),
    "many": (range(1_000_001), "more than 1,000,000 values"),
    "endless": (range(10**15), "more than 1,000,000 values"),
}


@pytest.mark.parametrize(("value", "words"), REFUSED.values(), ids=REFUSED)
def test_anything_else_is_refused_by_the_name_of_its_type(value: Any, words: str) -> None:
    with pytest.raises(BodyError, match=words) as caught:
        plain_body({"sourceFiles": [value]})

    assert SECRET not in str(caught.value)


def test_long_texts_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_body, "LARGEST_BODY", 100)

    assert plain_body({"a": "x" * 99})
    with pytest.raises(BodyError, match="more than 100 characters"):
        plain_body({"a": "x" * 60, "b": "x" * 60})


@pytest.mark.parametrize("body", [None, "body", [], 42, SIGNED], ids=repr)
def test_a_body_is_an_object(body: Any) -> None:
    with pytest.raises(BodyError, match=f"body must be a mapping.*not {type(body).__name__}"):
        plain_body(body)


DOCUMENTED = {
    "documentAttributeSchemaUrl": "https://blob.net/documentAttributeSchema.json",
    "sourceFiles": [
        {
            "id": "MWplZe9Uf0iR1IDMqyOMLqBN0_wHEVBGg_CzJmXdmE4",
            "name": "PD-ARC-Deck (Level 01), final.dgn",
            "action": "bridge",
            "url": "https://blob.net/7dbd531d-6967-47b2-8945-a722a437ad7a/Master.dgn",
            "connectorType": "MSTN",
            "documentAttribute": {
                "className": "ProjectwiseDynamic:PWDocumentLink",
                "properties": {"Revision": "R01", "CodeValue": "7dbd531d-6967-47b2-8945-a722a437ad7a"},
            },
            "children": [{"id": "a7c36238", "parentId": "f5b36238", "name": "Reference_2026-01-31.dgn"}],
        }
    ],
    "exportType": "IFC",
    "ifcVersion": "IFC2x3 CV 2.0",
    "inputOptions": {"modelIds": ["0x20000000001"], "changesetId": "9a5b0c2f5d3e4f60718293a4b5c6d7e8f9012345"},
    "outputOptions": {"location": "USER_BLOB_STORAGE", "outputSasUrl": "https://abc.com/out"},
}


def test_documented_members_are_shown() -> None:
    assert masked(plain_body(DOCUMENTED)) == DOCUMENTED


def test_addresses_are_shown_without_their_query() -> None:
    assert masked(plain_body({"sourceFiles": [Entry("a", SIGNED)]})) == {
        "sourceFiles": [{"id": "a", "url": "https://blob.example/files/Tower.dgn?***", "children": []}]
    }


def test_long_lists_are_shown_in_part() -> None:
    shown = masked(plain_body({"modelIds": range(1000)}))

    assert shown["modelIds"][98:] == [98, 99, "... 900 more"]


UNICODE_FORM = "https://blob.example/a\\u003fsv\\u003d1\\u0026sig\\u003d" + SECRET
HIDING_PLACES: dict[str, Any] = {
    "value": SIGNED,
    "key": {SIGNED: 1},
    "key and value": {SIGNED: SIGNED},
    "value of a hidden key": {f"https://x/?sig={SECRET}": SECRET[:12]},
    "encoded": SIGNED.replace("?", "%3F"),
    "encoded twice": quote(quote(SIGNED)),
    "encoded six times": quote(quote(quote(quote(quote(quote(SIGNED, safe="")))))),
    "every character encoded": "".join(f"%{ord(char):02x}" for char in SIGNED),
    "html": SIGNED.replace("?", "&#63;").replace("&", "&amp;").replace("=", "&#x3d;"),
    "unicode escapes": UNICODE_FORM,
    "full width": f"https://blob.example/a\uff1fs\uff49g\uff1d{SECRET}",
    "invisible characters": f"https://blob.example/a\u200b?s\u200big\u200b={SECRET}",
    "no scheme": f"x.blob.example/a.dgn?se=1&token={SECRET}",
    "no scheme, encoded": f"x.blob.example/a.dgn%3fse%3d1%26token%3d{SECRET}",
    "no host": f"?sv=2026&sig={SECRET}",
    "signature alone": f"sv=2026&sr=b&sig={SECRET}",
    "upper case": SIGNED.upper().replace(SECRET.upper(), SECRET),
    "fragment": f"https://blob.example/a#access_token={SECRET}",
    "user": f"https://user:{SECRET}@blob.example/a",
    "user without scheme": f"user:{SECRET}@blob.example/a",
    "other scheme": f"s3://key:{SECRET}@bucket/a",
    "account key": f"DefaultEndpointsProtocol=https;AccountName=x;AccountKey={SECRET}==;EndpointSuffix=core.windows.net",
    "shared access signature": f"BlobEndpoint=https://x/;SharedAccessSignature=sv=1&sig={SECRET}",
    "database": f"Server=x;User Id=sa;Password={SECRET};",
    "password with blanks": f"Server=x;Password=a b {SECRET};",
    "bearer": f"Bearer {SECRET}",
    "json": json.dumps({"url": SIGNED}),
    "json in json": json.dumps({"inner": json.dumps([{"password": "my " + SECRET}])}),
    "json with escapes": json.dumps({"url": SIGNED}).replace("/", "\\/").replace("?", "\\u003f"),
    "broken json": json.dumps({"password": SECRET, "url": SIGNED})[:-1],
    "random text": SECRET + "Jd83nXq",
    "base64": base64.b64encode(SIGNED.encode()).decode(),
    "path": f"https://hooks.example/services/{SECRET}",
    "hex": SECRET.encode().hex() + SECRET,
    "secret field": {"password": SECRET},
    "secret field with an object": {"credentials": {"a": {"b": SECRET}}},
    "secret field with a list": {"apiKeys": ["a", SECRET]},
    "secret field with a number": {"pin": 1234, "tokens": [SECRET]},
    "id that is none": {"fileId": SIGNED},
    "odd characters": f"p@$$-{SECRET[:6]}!{SECRET}",
    "private key": f"-----BEGIN PRIVATE KEY-----\n{SECRET}\n-----END PRIVATE KEY-----",
    "long text": "word " * 2000 + SECRET,
    "nested": [[[{"a": [SIGNED]}]]],
    "dataclass": Entry("a", SIGNED),
    "lazy": Lazy(Entry("a", SIGNED), SIGNED),
    "set": {SIGNED},
    "mapping": MappingProxyType({"url": SIGNED}),
    "text of another type": Text(SIGNED),
}


RANDOM = (HIDING_PLACES["random text"], HIDING_PLACES["hex"])


@pytest.mark.parametrize("value", HIDING_PLACES.values(), ids=HIDING_PLACES)
@pytest.mark.parametrize("key", ["url", "name", "anything", "id"])
def test_a_secret_is_masked_at_any_place(key: str, value: Any) -> None:
    if key == "id" and value in RANDOM:
        pytest.skip("ids of the service are random text, too")
    shown = json.dumps(masked(plain_body({"sourceFiles": [{key: value}]})))

    assert SECRET not in shown
    assert SECRET[:8] not in shown
    assert SECRET.encode().hex()[:16] not in shown


@pytest.mark.parametrize(
    "value",
    [object(), SIGNED.encode(), {1, 2}, Lazy(SIGNED), Entry("a", SIGNED), ValueError(SIGNED)],
    ids=lambda one: type(one).__name__,
)
def test_a_value_that_is_not_json_is_hidden(value: Any) -> None:
    assert masked(value) == "***"
    assert masked({"a": value}) == {"a": "***"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
WRAPPERS = (
    lambda url: url,
    quote,
    lambda url: quote(quote(url)),
    lambda url: url.replace("?", "%3F"),
    lambda url: url.partition("://")[2],
    lambda url: json.dumps({"url": url}),
    lambda url: json.dumps(json.dumps([url])),
    lambda url: {url: 1},
    lambda url: [url],
    lambda url: Entry("a", url),
    lambda url: Lazy(url),
    lambda url: {"note": f"see {url}, please"},
)


@given(
    before=st.text(max_size=20),
    after=st.text(max_size=20),
    query=st.sampled_from(["sig", "token", "X-Amz-Signature", "se", "x"]),
    wrap=st.sampled_from(WRAPPERS),
    key=st.text(max_size=10),
    around=st.dictionaries(st.text(max_size=5), JSON, max_size=3),
)
def test_the_query_of_an_address_is_never_shown(
    before: str, after: str, query: str, wrap: Any, key: str, around: dict[str, Any]
) -> None:
    address = f"https://blob.example/a?sv=1&{query}={SECRET}"
    body = {**around, key: [before, wrap(address), after], "z": wrap(address + " " + after)}

    assert SECRET not in json.dumps(masked(plain_body(body)))


@given(st.dictionaries(st.text(), JSON))
def test_masking_any_body_gives_plain_printable_json(body: dict[str, Any]) -> None:
    shown = masked(plain_body(body))

    assert json.loads(json.dumps(shown, allow_nan=False)) == shown
    assert all(one.isprintable() for one in walk(shown) if isinstance(one, str))


@given(st.dictionaries(st.text(), JSON))
def test_a_plain_body_is_sent_as_it_is(body: dict[str, Any]) -> None:
    assert plain_body(body) == body


@pytest.mark.parametrize("unit", ["%25", "&amp;", "\\u0025", "{", "[", '"', "a=", "a1", "aA", "x?", "!a", "a-"])
def test_any_text_is_masked_fast(unit: str) -> None:
    began = time.process_time()

    masked_text(unit * (4096 // len(unit)))

    assert time.process_time() - began < 1.0
