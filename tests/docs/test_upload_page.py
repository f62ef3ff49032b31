"""What the page about uploads says of connectors and of descriptions is what the package does."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from airflow_provider_itwin.api.storage.connectors import CONNECTORS
from airflow_provider_itwin.api.storage.digests import Marker, described, fingerprint

from .pages import DOCS

PAGE = (DOCS / "operators" / "upload-files.md").read_text()


def test_the_description_is_one_that_an_upload_writes() -> None:
    [shown] = re.findall(r"^    (.+\[airflow .+)$", PAGE, re.MULTILINE)
    marker = Marker.find(shown)
    assert marker is not None
    assert described("Issued for construction", marker) == shown
    assert marker.at == datetime(2026, 11, 28, 1, 30, 7, tzinfo=UTC)
    assert marker.source is not None
    assert len(marker.source) == len(fingerprint("a"))


def test_the_page_lists_the_connector_of_each_extension() -> None:
    rows = re.findall(r"^\| `([A-Z]+)` \| (`\..+`) \|$", PAGE, re.MULTILINE)
    assert {extension: name for name, listed in rows for extension in re.findall(r"`(.+?)`", listed)} == CONNECTORS
