"""References of jobs, and paths to values in JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_itwin.api.errors import ITwinInputError
from airflow_provider_itwin.api.jobs.json_path import id_of, read_path, write_path
from airflow_provider_itwin.api.jobs.ref import JobRef

REF = JobRef("diff", "j1", {"itwin_id": "i1"})


def test_a_reference_survives_json() -> None:
    stored = json.loads(json.dumps(REF.as_dict()))

    assert JobRef.from_dict(stored) == REF
    assert JobRef.from_dict({**stored, "added_later": 5}) == REF
    assert hash(JobRef.from_dict(stored)) == hash(REF)
    assert str(REF) == "diff j1"
    assert JobRef.from_dict({"job_id": "j1"}) == JobRef("job", "j1")


@pytest.mark.parametrize(
    "parts",
    [
        None,
        "j1",
        ["diff", "j1"],
        {},
        {"job_id": None},
        {"job_id": 5},
        {"job_id": "a/b"},
        {"job_id": ".."},
        {"job_id": "None"},
        {"job_id": "{{ x }}"},
        {"job_id": "j1", "inputs": None},
        {"job_id": "j1", "inputs": ["a"]},
        {"job_id": "j1", "inputs": {"a": None}},
        {"job_id": "j1", "inputs": {"a": "x/y"}},
        {"job_id": "j1", "inputs": {"a": {"b": 1}}},
        {"job_id": "j1", "name": "x" * 61},
        {"job_id": "j1", "name": "a\nb"},
        {"job_id": "j1", "name": {"a": 1}},
        {"job_id": "j1", "name": " "},
    ],
)
def test_anything_else_is_no_reference(parts: Any) -> None:
    with pytest.raises(ITwinInputError) as refusal:
        JobRef.from_dict(parts)

    assert str(refusal.value).isprintable()


def test_a_reference_cannot_be_an_xcom_by_itself() -> None:
    with pytest.raises(TypeError, match="return its as_dict"):
        REF.serialize()


@pytest.mark.parametrize(
    ("value", "path", "expected"),
    [
        ({"a": {"b": 5}}, "a.b", 5),
        ({"a": {"b": 5}}, "a", {"b": 5}),
        ({"a": [{"b": 5}]}, "a.b", None),
        ({"a": None}, "a.b", None),
        ({"a.b": 5}, "a.b", None),
        ({}, "a", None),
        ([], "a", None),
        ("text", "a", None),
        (None, "a", None),
        ({"@odata.x": 1, "$top": 2}, "$top", 2),
    ],
)
def test_a_path_leads_through_objects_only(value: Any, path: str, expected: Any) -> None:
    assert read_path(value, path) == expected


def test_objects_on_the_way_are_created() -> None:
    values: dict[str, Any] = {"a": {"x": 1}}

    write_path(values, "a.b.c", 5)

    assert values == {"a": {"x": 1, "b": {"c": 5}}}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("j1", "j1"),
        (5, "5"),
        ("https://h/a/j1?x=y#z", "j1"),
        ("/a/j%201/", "j 1"),
        ("https://h", None),
        ("https://[x/a", None),
        ("/", None),
        ("", ""),
        (True, None),
        (1.5, None),
        (None, None),
        (["j1"], None),
    ],
)
def test_an_id_is_a_text_a_number_or_the_end_of_a_link(value: Any, expected: str | None) -> None:
    assert id_of(value) == expected
