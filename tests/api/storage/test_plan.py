"""What an upload does with a file depends on what is recorded about the file in Storage."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import pytest

from airflow_provider_itwin.api.models.storage import StorageItem
from airflow_provider_itwin.api.storage.connectors import connector_for
from airflow_provider_itwin.api.storage.digests import Marker
from airflow_provider_itwin.api.storage.plan import Action, ChangeDetection, UploadSource, choose, plan_file

AT = datetime(2026, 11, 28, tzinfo=UTC)


def source(size: int = 5, fingerprint: str = "new") -> UploadSource:
    return UploadSource("a.dgn", size, fingerprint, io.BytesIO, lambda: (size, fingerprint))


def stored(size: int | None = 5, mark: str | None = "new", modified: str = "2026-11-28T00:00:01Z") -> StorageItem:
    description = str(Marker("ab" * 32, mark, AT)) if mark else "Site plan"
    return StorageItem(id="f", size=size, description=description, last_modified_date_time=modified)


@pytest.mark.parametrize(
    ("file", "detection", "action"),
    [
        (None, "auto", Action.CREATE),
        (None, "always", Action.CREATE),
        (stored(), "auto", Action.KEEP),
        (stored(size=None), "auto", Action.KEEP),
        (stored(mark="old"), "auto", Action.COMPARE),
        (stored(size=6), "auto", Action.UPDATE),
        (stored(mark=None), "auto", Action.UPDATE),
        (stored(modified="2026-11-29T00:00:00Z"), "auto", Action.UPDATE),
        (stored(), "digest", Action.COMPARE),
        (stored(size=6), "digest", Action.UPDATE),
        (stored(mark=None), "digest", Action.UPDATE),
        (stored(), "always", Action.UPDATE),
    ],
)
def test_the_table_of_actions(file: StorageItem | None, detection: ChangeDetection, action: Action) -> None:
    assert plan_file(source(), file, detection) is action


def entry(file_id: str, name: str, created: str = "2026-01-01T00:00:00Z", kind: str = "file") -> StorageItem:
    return StorageItem(id=file_id, display_name=name, type=kind, created_date_time=created)


def test_of_files_with_one_name_the_oldest_counts_and_the_exact_name_comes_first() -> None:
    entries = [
        entry("new", "a.dgn", "2026-01-02T00:00:00Z"),
        entry("old", "a.dgn"),
        entry("other-case", "A.DGN", "2025-01-01T00:00:00Z"),
        entry("folder", "b.dgn", kind="folder"),
        entry("case", "C.dgn"),
    ]
    names = {"a.dgn": "a.dgn", "b.dgn": "b.dgn", "c.dgn": "c.dgn"}
    assert {name: file.id for name, file in choose(entries, names).items()} == {"a.dgn": "old", "c.dgn": "case"}


@pytest.mark.parametrize(
    ("path", "connector"),
    [
        ("a.dgn", "MSTN"),
        ("A.DGN", "MSTN"),
        ("Site/a.civil.dgn", "CIVIL"),
        ("site.land.xml", "MSTN"),
        ("site.xml", None),
        ("a.i.dgn", "MSTN"),
        ("a.dwg", "DWG"),
        ("a.rvt", "REVIT"),
        ("a.shp", "GEOSPATIAL"),
        ("Rail/a.dwg", "AUTOPLANT"),
        ("readme", None),
        ("dgn", None),
    ],
)
def test_the_connector_of_a_file(path: str, connector: str | None) -> None:
    assert connector_for(path, {"*.civil.dgn": "CIVIL", "rail/*": "AUTOPLANT"}) == connector
