"""Inputs of jobs: the conversion of rendered templates, and what is refused before a request is sent."""

from __future__ import annotations

import json
import math
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_itwin.api.errors import ITwinInputError
from airflow_provider_itwin.api.jobs.inputs import JobInput, camel_case, check_inputs, parse_inputs

OBJECT = {"a": [1, 2.5, "x", None, True]}
DEEP = "[" * 100_000 + "]" * 100_000
HUGE = "9" * 5000

CONVERSIONS: list[tuple[Any, Any, Any]] = [
    ("string", "x y", "x y"),
    ("string", "5", "5"),
    ("string", "ü'\"/..\n", "ü'\"/..\n"),
    ("id", "a-B_1.2", "a-B_1.2"),
    ("index or id", 5, 5),
    ("index or id", "5", 5),
    ("index or id", "0", 0),
    ("index or id", "5a", "5a"),
    ("index or id", "abc", "abc"),
    ("integer", "5", 5),
    ("integer", " -5 ", -5),
    ("integer", 5.0, 5),
    ("integer", "5e3", 5000),
    ("integer", 2**63, 2**63),
    ("number", "5", 5),
    ("number", "5.25", 5.25),
    ("number", 1e300, 1e300),
    ("boolean", "true", True),
    ("boolean", " False ", False),
    ("boolean", True, True),
    ("object", OBJECT, OBJECT),
    ("object", json.dumps(OBJECT), OBJECT),
    ("object", MappingProxyType({"a": MappingProxyType({"b": (1,)})}), {"a": {"b": [1]}}),
    ("array", [1, {"a": 2}], [1, {"a": 2}]),
    ("array", (1, 2), [1, 2]),
    ("array", "[]", []),
    ("array", '[{"id": "x"}]', [{"id": "x"}]),
]


@pytest.mark.parametrize(("kind", "value", "expected"), CONVERSIONS)
def test_a_rendered_template_is_converted_to_the_type(kind: Any, value: Any, expected: Any) -> None:
    parsed = JobInput(type=kind).parse(value, "a")

    assert parsed == expected
    assert type(parsed) is type(expected)


NO_VALUES: dict[str, list[Any]] = {
    "string": [
        *(5, None, "", " ", "None", "null", True, [], "\ud800", b"x"),
    ],
    "id": [
        *(5, "", "None", "a/b", "..", ".", "a b", "a?b", "a#b", "a%2Fb", "a\\b", "{{ x }}"),
        *("a\x00b", "a\u202eb", "x" * 513, "sig=abc", "\ud800"),
    ],
    "index or id": [
        *(True, 5.5, None, "a/b", "", HUGE, 10**30, "-5/"),
    ],
    "integer": [
        *("x", "", "5.5", 5.5, True, "true", None, [], HUGE, 10**400, "1e400", "NaN"),
        *(math.nan, math.inf, -math.inf, DEEP, "[5]"),
    ],
    "number": [
        *("x", "", True, "Infinity", "-Infinity", "NaN", math.nan, math.inf, "1e999"),
        *(HUGE, 10**400, DEEP, {}, "{}"),
    ],
    "boolean": [
        *("yes", "1", 1, 0, "", None, [], "None"),
    ],
    "object": [
        *("", "x", "[]", [], 5, None, "null", '{"a": NaN}', '{"a": 1e999}', DEEP, "{'a': 1}"),
        *({"a": math.nan}, {"a": object()}, {"a": "\ud800"}, {"a": {1, 2}}, {("a",): 1}),
        *({"a": 10**400}, {"a": int(HUGE[:4000])}, '{"a": ' + HUGE + "}"),
    ],
    "array": [
        *("", "{}", {}, 5, None, "x", "[NaN]", [math.inf], {1}, DEEP, "[1,]"),
    ],
}
REFUSALS = [(kind, value) for kind, values in NO_VALUES.items() for value in values]


@pytest.mark.parametrize(("kind", "value"), REFUSALS, ids=[str(number) for number in range(len(REFUSALS))])
def test_any_other_value_is_refused_in_one_short_line(kind: Any, value: Any) -> None:
    with pytest.raises(ITwinInputError, match=r"^a (is|must)") as refusal:
        JobInput(type=kind).parse(value, "a")

    text = str(refusal.value)
    assert len(text) < 400
    assert text.isprintable()


def test_a_value_that_contains_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)

    with pytest.raises(ITwinInputError, match="a must be an array"):
        JobInput(type="array").parse(loop, "a")


def test_an_object_is_copied() -> None:
    given: dict[str, Any] = {"a": {"b": []}}

    parsed = JobInput(type="object").parse(given, "a")
    given["a"]["b"].append(1)

    assert parsed == {"a": {"b": []}}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("itwin_id", "iTwinId"),
        ("imodel_id", "iModelId"),
        ("source_imodel_id", "sourceIModelId"),
        ("target_itwin_id", "targetITwinId"),
        ("changeset_id", "changesetId"),
        ("ec_instance_ids", "ecInstanceIds"),
        ("type", "type"),
        ("a_1_b", "a1B"),
    ],
)
def test_names_are_spelled_as_the_apis_spell_them(name: str, expected: str) -> None:
    assert camel_case(name) == expected
    assert JobInput().member_for(name) == expected


def test_a_member_of_its_own_replaces_the_name() -> None:
    assert JobInput(member="diffingPlan.strategy").member_for("strategy") == "diffingPlan.strategy"


SECRET = "hunter-2/of=everything"


@pytest.mark.parametrize("kind", ["string", "id", "index or id", "integer", "number", "boolean", "object", "array"])
@pytest.mark.parametrize("value", [SECRET, f'{{"a": "{SECRET}"', SECRET.encode(), [SECRET], SECRET + "\ud800"])
def test_the_value_of_a_secret_is_never_quoted(kind: Any, value: Any) -> None:
    one = JobInput(type=kind, secret=True, values=("a", "b"), shortest=3)

    with pytest.raises(ITwinInputError) as refusal:
        one.parse(value, "token")

    assert "hunter" not in str(refusal.value)
    assert "hunter" not in repr(refusal.value.__cause__)
    assert refusal.value.__suppress_context__ or refusal.value.__context__ is None


@pytest.mark.parametrize("value", ["", " ", "None"])
def test_a_secret_that_a_template_has_not_found_is_refused(value: str) -> None:
    with pytest.raises(ITwinInputError, match="token is a secret that is empty"):
        JobInput(secret=True).parse(value, "token")


def test_a_secret_is_passed_on_unchanged() -> None:
    assert JobInput(secret=True).parse(SECRET, "token") == SECRET


@pytest.mark.parametrize("value", ["a\r\nHost: evil.example", "a\n", "ü", "a\x00"])
@pytest.mark.parametrize("secret", [True, False])
def test_a_value_cannot_add_a_header(value: str, secret: bool) -> None:
    with pytest.raises(ITwinInputError, match="a header can only contain printable ASCII characters") as refusal:
        JobInput(place="header", member="X-A", secret=secret).parse(value, "a")

    assert "evil" not in str(refusal.value) or not secret


def test_a_value_is_spelled_as_the_api_spells_it() -> None:
    one = JobInput(values=("Basic", "Full"))

    assert one.parse("bASIC", "a") == "Basic"
    with pytest.raises(ITwinInputError, match=r"a is 'Other'.*expected one of Basic, Full"):
        one.parse("Other", "a")


@pytest.mark.parametrize(("kind", "value", "unit"), [("string", "ab", "characters"), ("array", [1], "entries")])
def test_a_value_can_be_too_short(kind: Any, value: Any, unit: str) -> None:
    with pytest.raises(ITwinInputError, match=f"a must have at least 3 {unit}, not {len(value)}"):
        JobInput(type=kind, shortest=3).parse(value, "a")


INPUTS = {
    "imodel_id": JobInput(type="id", required=True),
    "limit": JobInput(type="integer", default=5),
    "strict": JobInput(type="boolean"),
}


def test_all_values_are_converted_with_defaults_and_without_none() -> None:
    assert parse_inputs(INPUTS, {"imodel_id": "m1", "strict": None}, "thing") == {"imodel_id": "m1", "limit": 5}
    assert parse_inputs(INPUTS, {"imodel_id": "m1", "limit": "7"}, "thing") == {"imodel_id": "m1", "limit": 7}


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({}, "The thing needs imodel_id"),
        ({"imodel_id": None}, "The thing needs imodel_id"),
        ({"imodel_id": "m", "other": 1}, "The thing has no input 'other'; it has imodel_id, limit, strict"),
        ({"imodel_id": "m", "other": None}, "The thing has no input 'other'"),
        ({"imodel_id": "m", "limit": b"5"}, "limit must be an integer"),
    ],
)
def test_missing_and_unknown_inputs_are_refused(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ITwinInputError, match=sentence):
        parse_inputs(INPUTS, given, "thing")


def test_templates_are_judged_when_they_are_rendered() -> None:
    check_inputs(INPUTS, {"imodel_id": "{{ var.value.x }}", "limit": "{{ 5 }}", "strict": object()}, "thing")
    check_inputs(INPUTS, {"limit": 5}, "thing", is_whole=False)

    with pytest.raises(ITwinInputError, match="imodel_id"):
        parse_inputs(INPUTS, {"imodel_id": "{{ var.value.x }}"}, "thing")


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | st.binary(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(
    st.sampled_from(["string", "id", "index or id", "integer", "number", "boolean", "object", "array"]),
    ANY | ANY.map(repr),
)
def test_any_value_is_converted_to_json_or_refused(kind: Any, value: Any) -> None:
    try:
        parsed = JobInput(type=kind).parse(value, "a")
    except ITwinInputError:
        return
    text = json.dumps(parsed, allow_nan=False, ensure_ascii=False).encode()
    assert json.loads(text) == parsed
