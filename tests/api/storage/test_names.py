"""Names that iTwin Storage refuses are found before anything is sent."""

from __future__ import annotations

import pytest

from airflow_provider_itwin.api.errors import ITwinInputError
from airflow_provider_itwin.api.storage.names import check_names, problem_of, split_folder_path


@pytest.mark.parametrize(
    "name", ["plan.dgn", "Pläne 2026.dgn", "a" * 255, "a.b.c", "100% (final).dwg", "[x].dgn", "日本.ifc"]
)
def test_ordinary_names_are_valid(name: str) -> None:
    assert problem_of(name) is None
    check_names([name, f"Folder/{name}"])


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("a?.dgn", "contains '?'"),
        ("a\\b.dgn", "contains '\\\\'"),
        ("a\x07.dgn", "contains '\\x07'"),
        ("a" * 256, "has 256 characters"),
        (" a.dgn", "begins or ends with a blank"),
        ("a.", "ends with a dot"),
        ("a/../b.dgn", "empty or a relative path"),
        ("a//b.dgn", "empty or a relative path"),
        ("a\u202eb.dgn", "not printable"),
        ("tools/setup.EXE", "executable"),
        ("x/con:1/a.dgn", "contains ':'"),
    ],
)
def test_a_refused_name_is_named_with_the_reason(path: str, reason: str) -> None:
    with pytest.raises(ITwinInputError, match="iTwin Storage would refuse 1 of the files") as caught:
        check_names(["good.dgn", path])
    assert reason in str(caught.value)


def test_names_that_differ_only_in_case_are_refused() -> None:
    with pytest.raises(ITwinInputError, match="differs only in case"):
        check_names(["A/Plan.dgn", "a/plan.dgn"])


def test_all_problems_are_in_one_error_which_is_bounded() -> None:
    with pytest.raises(ITwinInputError, match=r"refuse 100 of the files\..*; 95 more\. Rename") as caught:
        check_names([f"a{number}?" for number in range(100)])
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(("path", "names"), [("", []), ("/A/B/", ["A", "B"]), ("A", ["A"])])
def test_a_folder_path_is_split(path: str, names: list[str]) -> None:
    assert split_folder_path(path) == names


def test_a_folder_path_with_an_invalid_name_is_refused() -> None:
    with pytest.raises(ITwinInputError, match="invalid folder"):
        split_folder_path("A/../B")
