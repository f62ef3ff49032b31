"""The words of the field: names of runs, ids, links to runs, results."""

from __future__ import annotations

import subprocess
import sys
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_itwin.api.errors import ITwinInputError
from airflow_provider_itwin.api.models.enums import (
    ConnectionKind,
    ExecutionResult,
    known_result,
)
from airflow_provider_itwin.api.models.run_ref import RunRef
from airflow_provider_itwin.api.models.validation import checked_id, known_id
from airflow_provider_itwin.api.redaction import holds_secret, printable

KIND = ConnectionKind.STORAGE
OURS = RunRef(KIND, "c1", "r1")

IDS = st.text(
    st.characters(categories=["L", "N", "S"]) | st.sampled_from("-_.~=!$&'()*+,;:@"), min_size=1, max_size=100
).filter(
    lambda text: (
        text not in (".", "..", "None", "null")
        and bool(text.strip())
        and printable(text) == text
        and not holds_secret(text)
    )
)


@pytest.mark.parametrize(
    "good",
    [
        "MWplZe9Uf0iR1IDMqyOMLqBN0_wHEVBGg_CzJmXdmE4",
        "bc38cd8a-fd9f-4abf-9ad7-0c3b3d28720e",
        "a1ecbdc8c4f6173004f9f881914a57c5511a362b",
        "-_",
        "...",
        "none",
        "0",
        "a:b@c",
        "ü",
        "x" * 512,
    ],
)
def test_ids_are_opaque(good: str) -> None:
    assert checked_id(good, "run_id") == good


@pytest.mark.parametrize(
    "bad",
    [
        "",
        " ",
        "None",
        "null",
        ".",
        "..",
        "a/b",
        "/a",
        "a\\b",
        "a?b",
        "a#b",
        "a%2Fb",
        "a b",
        " a",
        "a\n",
        "a\x00",
        "a\x7f",
        "a\u00a0b",
        "a\u2028b",
        "https://api.bentley.com/x",
        "x" * 513,
        "{{ ti.xcom_pull('start') }}",
        "{{x}}",
        "a{{x}}b",
        "{%x%}",
        "{#x#}",
        "a\u202eb",
        "a\u200bb",
        "a\x9bb",
        None,
        5,
        True,
        b"a",
        ["a"],
        {"run_id": "a"},
    ],
)
def test_what_cannot_be_an_id_is_refused_by_its_name(bad: Any) -> None:
    with pytest.raises(ValueError, match=r"^run_id "):
        checked_id(bad, "run_id")


@pytest.mark.parametrize("bad", [None, "", "None"])
def test_what_an_xcom_or_a_template_left_empty_is_explained(bad: Any) -> None:
    with pytest.raises(ValueError, match="check that the upstream task has pushed it"):
        checked_id(bad, "run_id")


def test_the_complaint_about_a_long_id_is_short() -> None:
    with pytest.raises(ValueError, match="run_id") as caught:
        checked_id("x" * 100_000, "run_id")
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("bad", [["x" * 100_000], "x" * 100_000, {"url": "https://x.example/a?sig=abcdef"}, b"a\nb"])
def test_the_error_names_value_and_type_within_bounds(bad: Any) -> None:
    with pytest.raises(ValueError, match="run_id") as caught:
        checked_id(bad, "run_id")
    text = str(caught.value)
    assert f"({type(bad).__name__})" in text
    assert len(text) < 500
    assert "abcdef" not in text
    assert "\n" not in text


@pytest.mark.parametrize("marks", ["%7B%7Bx%7D%7D", "{{x}}", "%7B%25x%25%7D", "%7B%23x", "a%7B%7Bvar.value.x%7D%7D"])
def test_a_link_that_holds_a_template_names_no_run(marks: str) -> None:
    for link in (f"/storageconnections/c1/runs/{marks}", f"/storageconnections/{marks}/runs/r1"):
        assert RunRef.from_link(link, KIND) is None


@given(st.sampled_from(ConnectionKind), IDS, IDS)
def test_the_name_of_a_run_can_be_read_back(kind: ConnectionKind, connection_id: str, run_id: str) -> None:
    ref = RunRef(kind, connection_id, run_id)

    assert str(ref) == f"{kind.value}/{connection_id}/{run_id}"
    assert RunRef.parse(str(ref)) == ref
    assert RunRef.from_dict(ref.as_dict()) == ref


@given(st.sampled_from(ConnectionKind), IDS, IDS)
def test_the_ids_of_a_run_survive_a_link(kind: ConnectionKind, connection_id: str, run_id: str) -> None:
    roots = {
        "storage": "/synchronization/imodels/storageconnections",
        "manifest": "/synchronization/imodels/manifestconnections",
        "export": "/export/connections",
    }
    link = f"https://api.bentley.com{roots[kind]}/{quote(connection_id, safe='')}/runs/{quote(run_id, safe='')}"

    assert RunRef.from_link(link, ConnectionKind.STORAGE) == RunRef(kind, connection_id, run_id)


@pytest.mark.parametrize("connection_id", ["storageconnections", "manifestconnections", "export", "runs"])
def test_the_id_of_a_connection_says_nothing_about_its_kind(connection_id: str) -> None:
    link = f"/export/connections/{connection_id}/runs/r"

    assert RunRef.from_link(link, ConnectionKind.STORAGE) == RunRef(ConnectionKind.EXPORT, connection_id, "r")


UNSAFE = [
    "a\u202eb",
    "a\u200bb",
    "a\u2028b",
    "a\x85b",
    "a\x9bb",
    "\ufeffa",
    "a\ud800",
    "\ue000",
    "a\u3164",
    "sig=abc",
    "a;password=b",
]


@pytest.mark.parametrize("value", [*UNSAFE, "eyJhbGciOiJub25lIn0.eyJhIjoxfQ.c2ln"], ids=ascii)
def test_an_id_is_safe_to_show(value: str) -> None:
    with pytest.raises(ITwinInputError) as caught:
        checked_id(value, "run_id")

    assert str(caught.value).isprintable()
    assert known_id(value) is None
    if value != "a\ud800":
        assert RunRef.from_link(f"/export/connections/c/runs/{quote(value, safe='')}", ConnectionKind.EXPORT) is None


@given(st.text(), st.sampled_from(ConnectionKind))
def test_no_link_confuses(link: str, kind: ConnectionKind) -> None:
    for text in (link, f"https://x/{link}", f"https://x/runs/{link}", f"/a/b/runs/{link}"):
        ref = RunRef.from_link(text, kind)
        assert ref is None or RunRef.parse(str(ref)) == ref


@given(st.text())
def test_no_name_confuses(text: str) -> None:
    try:
        ref = RunRef.parse(text)
    except ValueError:
        return
    assert str(ref) == text


@pytest.mark.parametrize(
    "text", ["", "storage", "storage/c", "storage/c/r/x", "parcel/c/r", "storage//r", "storage/c/", "Storage/c/r"]
)
def test_what_is_no_name_of_a_run(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        RunRef.parse(text)


def test_a_kind_may_be_written_as_text() -> None:
    ref = RunRef("manifest", "c1", "r1")  # type: ignore[arg-type]

    assert ref.kind is ConnectionKind.MANIFEST
    assert ref.as_dict() == {"kind": "manifest", "connection_id": "c1", "run_id": "r1"}
    assert type(ref.as_dict()["kind"]) is str


@pytest.mark.parametrize(
    "parts", [("parcel", "c", "r"), ("storage", "", "r"), ("storage", "c", "a/b"), ("storage", None, "r")]
)
def test_a_run_needs_a_kind_and_ids(parts: tuple[Any, Any, Any]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        RunRef(*parts)


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ("https://api.bentley.com/synchronization/imodels/storageconnections/c1/runs/r1", OURS),
        ("https://api.bentley.com/synchronization/imodels/storageConnections/c1/Runs/r1", OURS),
        ("https://qa-api.bentley.com/synchronization/imodels/storageconnections/c1/runs/r1/", OURS),
        ("/synchronization/imodels/storageconnections/c1/runs/r1?imodelId=m#x", OURS),
        ("storageconnections/c1/runs/r1", OURS),
        ("https://sampleHostName/synchronization/imodels/connection/c1/runs/r1", OURS),
        ("https://api.bentley.com/synchronization/imodels/storageconnections/runs/c1/r1", OURS),
        ("//evil.example/storageconnections/c1/runs/r1", OURS),
        ("javascript:/storageconnections/c1/runs/r1", OURS),
        (
            "https://api.bentley.com/synchronization/imodels/manifestconnections/c1/runs/r1",
            RunRef(ConnectionKind.MANIFEST, "c1", "r1"),
        ),
        ("https://api.bentley.com/export/connections/c1/runs/r1", RunRef(ConnectionKind.EXPORT, "c1", "r1")),
        ("/Export/Connections/c1/Runs/r1/", RunRef(ConnectionKind.EXPORT, "c1", "r1")),
        ("https://x/storageconnections/RUNS/runs/r1", RunRef(KIND, "RUNS", "r1")),
        ("https://x/storageconnections/a%2Bb/runs/r%20", None),
        ("https://x/storageconnections/a%2Bb/runs/r1", RunRef(KIND, "a+b", "r1")),
        ("https://x/storageconnections/c1/runs/a%2Fb", None),
        ("https://x/storageconnections/c1/runs/..", None),
        ("https://x/storageconnections/c1/runs", None),
        ("https://x/storageconnections/c1/runs/", None),
        ("https://x/storageconnections/c1/runs/r1/tasks/t1", None),
        ("https://x/storageconnections/c1", None),
        ("https://x/runs/r1", None),
        ("runs/r1", None),
        ("http://[broken", None),
        ("", None),
        (None, None),
        (5, None),
    ],
)
def test_links_to_runs(link: Any, expected: RunRef | None) -> None:
    assert RunRef.from_link(link, KIND) == expected


@pytest.mark.parametrize(
    ("text", "result"),
    [
        *((result.value, result) for result in ExecutionResult),
        ("Cancelled", ExecutionResult.CANCELED),
        ("cancelled", ExecutionResult.CANCELED),
        ("success", ExecutionResult.SUCCESS),
        ("SUCCESS", ExecutionResult.SUCCESS),
        (" Success ", ExecutionResult.SUCCESS),
        ("Succeeded", None),
        ("", None),
        ("None", None),
        (None, None),
    ],
)
def test_results_in_any_case_and_either_spelling(text: str | None, result: ExecutionResult | None) -> None:
    assert known_result(text) is result


@pytest.mark.parametrize("module", ["models.enums", "runs.result_policy", "runs.active_run_policy"])
def test_what_dag_files_reach_is_light(module: str) -> None:
    code = (
        "import sys; before = set(sys.modules)\n"
        f"import airflow_provider_itwin.api.{module}\n"
        "print(*({name.split('.')[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names)))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout.split() == ["airflow_provider_itwin"]
