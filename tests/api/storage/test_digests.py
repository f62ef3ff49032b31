"""The digest of a file's content survives in its description, beside what a person has written there."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_itwin.api.models.storage import StorageItem
from airflow_provider_itwin.api.storage.digests import Marker, described, fingerprint, origin_mark, trusted_marker

AT = datetime(2026, 11, 28, 1, 2, 3, tzinfo=UTC)
MARKER = Marker("ab" * 32, "c0ffee", AT)


def stored(description: str | None, modified: str | None = "2026-11-28T01:02:04.1234567Z") -> StorageItem:
    return StorageItem(id="f", description=description, last_modified_date_time=modified)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, f"[airflow sha256={'ab' * 32} source=c0ffee at=2026-11-28T01:02:03Z]"),
        ("Site plan", f"Site plan [airflow sha256={'ab' * 32} source=c0ffee at=2026-11-28T01:02:03Z]"),
    ],
)
def test_the_marker_follows_what_a_person_has_written(text: str | None, expected: str) -> None:
    assert described(text, MARKER) == expected


@given(st.text(st.characters(exclude_characters="[]"), max_size=120))
def test_a_marker_is_found_again_in_any_description(text: str) -> None:
    once = described(text, MARKER)
    assert Marker.find(once) == MARKER
    assert described(once, None) == text.strip()


@pytest.mark.parametrize("origin", [None, "abcd_-12"])
def test_a_marker_with_and_without_an_origin_is_found_again(origin: str | None) -> None:
    marker = replace(MARKER, origin=origin)
    assert Marker.find(str(marker)) == marker


def test_the_origin_depends_on_source_and_path_but_not_on_case() -> None:
    assert len({origin_mark("/a", "b.dgn"), origin_mark("/a", "c.dgn"), origin_mark("/b", "b.dgn")}) == 3
    assert origin_mark("/a", "Site/b.dgn") == origin_mark("/a", "site/B.dgn")
    assert Marker.find(str(replace(MARKER, origin=origin_mark("/a", "b.dgn")))) is not None


def test_a_new_marker_replaces_the_old_one() -> None:
    newer = Marker("cd" * 32, None, AT)
    text = described(described("Site plan", MARKER), newer)
    assert (Marker.find(text), text.count("[airflow")) == (newer, 1)


@pytest.mark.parametrize("unit", [" ", "\n", "[airflow ", " [airflow sha256=0"])
def test_no_description_takes_long(unit: str) -> None:
    began = time.process_time()

    assert Marker.find(unit * (200_000 // len(unit))) is None

    assert time.process_time() - began < 3.0


@pytest.mark.parametrize(
    "description",
    [
        None,
        "",
        "Site plan",
        f"[airflow sha256={'ab' * 31} at=2026-11-28T01:02:03Z]",
        f"[airflow sha256={'ab' * 32}]",
        f"[airflow sha256={'ab' * 32} at=yesterday-night]",
        f"{MARKER} {MARKER}",
    ],
)
def test_anything_else_is_no_marker(description: str | None) -> None:
    assert Marker.find(description) is None


@pytest.mark.parametrize(
    ("modified", "trusted"),
    [
        ("2026-11-28T01:02:03Z", True),
        ("2026-11-28T01:12:03Z", True),
        ("2026-11-28T01:12:04Z", False),
        ("2026-11-27T01:02:03Z", True),
        (None, False),
        ("no date", False),
    ],
)
def test_a_marker_is_not_trusted_after_a_later_modification(modified: str | None, trusted: bool) -> None:
    assert (trusted_marker(stored(str(MARKER), modified)) is not None) is trusted


def test_a_fingerprint_depends_on_every_part_and_reveals_none() -> None:
    marks = {fingerprint(1, "a"), fingerprint(2, "a"), fingerprint(1, "b"), fingerprint("1", "a", ""), fingerprint(1)}
    assert len(marks) == 5
    assert all(len(mark) == 16 for mark in marks)
    assert fingerprint(1, "a") == fingerprint(1, "a")
