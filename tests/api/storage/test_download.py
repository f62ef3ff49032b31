"""A download gives the whole file or an error, whatever happens to its connections."""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_itwin.api.errors import (
    ITwinConnectionError,
    ITwinFileError,
    ITwinFileExistsError,
    ITwinInputError,
    ITwinPermissionError,
    ITwinProtocolError,
    ITwinServerError,
    ITwinStoppedError,
    ITwinUntrustedHostError,
)
from airflow_provider_itwin.api.storage.download import MOST_STARTS
from airflow_provider_itwin.api.storage.transfer import MOST_LINKS
from tests.api.storage.blob_server import Behavior, BlobServer, serving
from tests.api.storage.downloads import CONTENT, FILE_ID, NAME, TOKEN, World, use_fake_time

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DIGEST = hashlib.sha256(CONTENT).hexdigest()
CHANGED = bytes(reversed(CONTENT))


@pytest.fixture
def blob() -> Iterator[BlobServer]:
    """A blob storage with the content of the file."""
    with serving(CONTENT) as blob:
        yield blob
        assert [headers for headers in blob.requests if "authorization" in headers] == []
        assert TOKEN not in repr((blob.requests, blob.paths))


@pytest.fixture
def world(blob: BlobServer, monkeypatch: pytest.MonkeyPatch) -> World:
    """The file."""
    return World(blob, use_fake_time(monkeypatch))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the file is to be, in a folder that does not exist yet."""
    return tmp_path / "out" / NAME


def names(path: Path) -> list[str]:
    """The names in the folder of the target."""
    return sorted(entry.name for entry in path.parent.iterdir()) if path.parent.exists() else []


def check(world: World, path: Path, content: bytes = CONTENT, **settings: Any) -> None:
    """Download, and compare what is there with the content."""
    done = world.download(path, **settings)
    assert path.read_bytes() == content
    assert done.as_dict() == {
        "file_id": FILE_ID,
        "name": NAME,
        "path": str(path),
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    assert names(path) == [path.name]


def test_a_file_is_downloaded_into_a_new_folder(world: World, blob: BlobServer, path: Path) -> None:
    check(world, path)
    assert blob.ranges == [None]
    assert blob.requests[0]["accept-encoding"] == "identity"
    assert world.links == 1


def test_an_empty_file_is_downloaded(world: World, blob: BlobServer, path: Path) -> None:
    blob.content = b""
    world.describe(b"")
    check(world, path, b"")


def test_a_cut_body_resumes_where_it_was_cut(world: World, blob: BlobServer, path: Path) -> None:
    blob.behaviors = [Behavior(cut=1_500_000), Behavior(cut=0), Behavior(cut=1)]
    check(world, path)
    assert blob.ranges == [None, "bytes=1500000-", "bytes=1500000-", "bytes=1500001-"]
    assert [headers.get("if-match") for headers in blob.requests] == [None, '"v1"', '"v1"', '"v1"']
    assert world.links == 1


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
def test_a_temporary_error_is_retried(world: World, blob: BlobServer, path: Path, status: int) -> None:
    blob.behaviors = [Behavior(cut=100), Behavior(status=status)]
    check(world, path)
    assert blob.ranges == [None, "bytes=100-", "bytes=100-"]


def test_a_retry_waits_as_long_as_the_blob_storage_asks_for(world: World, blob: BlobServer, path: Path) -> None:
    blob.behaviors = [Behavior(status=503, headers={"Retry-After": "33"})]
    check(world, path)
    assert world.time.pauses == [pytest.approx(33, rel=0.2)]


def test_a_stalled_body_resumes(blob: BlobServer, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(blob, use_fake_time(monkeypatch), timeout=0.3)
    blob.behaviors = [Behavior(cut=500_000, hold=True)]
    check(world, path)
    assert blob.ranges == [None, "bytes=500000-"]


def test_an_expired_url_is_replaced_at_once(world: World, blob: BlobServer, path: Path) -> None:
    blob.behaviors = [Behavior(cut=1_000_000), Behavior(status=403)]
    check(world, path)
    assert world.links == 2
    assert blob.ranges == [None, "bytes=1000000-", "bytes=1000000-"]
    assert blob.paths[-1].endswith("sig=signature-2")
    assert len(world.time.pauses) == 1  # after the cut


def test_urls_that_are_refused_one_after_the_other_end_the_download(world: World, blob: BlobServer, path: Path) -> None:
    blob.behaviors = [Behavior(status=403)] * 20
    with pytest.raises(ITwinPermissionError, match=rf"for {MOST_LINKS} URLs in a row.*Check whether the worker"):
        world.download(path)
    assert world.links == MOST_LINKS
    assert names(path) == []


@pytest.mark.parametrize(
    ("behavior", "error"),
    [
        (Behavior(status=403), ITwinPermissionError),
        (Behavior(status=403, body=b"<html>Blocked</html>"), ITwinProtocolError),
        (Behavior(status=404, body=b""), ITwinProtocolError),
        (Behavior(status=418), ITwinProtocolError),
    ],
)
def test_only_an_error_of_the_blob_storage_itself_is_final(
    world: World, blob: BlobServer, path: Path, behavior: Behavior, error: type[Exception]
) -> None:
    blob.behaviors = [behavior] * 50
    with pytest.raises(error):
        world.download(path)


def test_the_retry_budget_ends_a_download_that_gets_nothing(world: World, blob: BlobServer, path: Path) -> None:
    blob.behaviors = [Behavior(cut=1000), *[Behavior(status=503)] * 100]
    with pytest.raises(ITwinServerError, match=rf"{NAME}.*ended after 1000 of {len(CONTENT)} bytes.*returned 503"):
        world.download(path, retry_budget=60)
    assert 60 <= sum(world.time.pauses) <= 61
    assert not path.exists()


def test_received_content_renews_the_retry_budget(world: World, blob: BlobServer, path: Path) -> None:
    refused = [Behavior(status=503)] * 5
    blob.behaviors = [*refused, Behavior(cut=1_500_000), *refused, Behavior(cut=1_500_000), *refused]
    check(world, path, retry_budget=40)
    assert sum(world.time.pauses) > 80


def test_single_bytes_do_not_renew_the_retry_budget(world: World, blob: BlobServer, path: Path) -> None:
    blob.behaviors = [Behavior(cut=1)] * 100
    with pytest.raises(ITwinConnectionError, match="ended after"):
        world.download(path, retry_budget=60)
    assert len(blob.requests) < 20


def test_a_changed_content_starts_over(world: World, blob: BlobServer, path: Path) -> None:
    def change() -> None:
        blob.replace(CHANGED, '"v2"')
        world.describe(CHANGED, "2026-01-02T00:00:00Z")

    blob.behaviors = [Behavior(cut=1_000_000), Behavior(before=change)]
    check(world, path, CHANGED)
    assert blob.ranges == [None, "bytes=1000000-", None]


def test_a_changed_content_starts_over_if_its_storage_ignores_the_condition(
    world: World, blob: BlobServer, path: Path
) -> None:
    blob.etag = 'W/"1"'  # a weak one cannot be a condition

    def change() -> None:
        blob.replace(CHANGED, 'W/"2"')

    blob.behaviors = [Behavior(cut=1_000_000), Behavior(before=change)]
    check(world, path, CHANGED)
    assert [headers.get("if-match") for headers in blob.requests] == [None, None, None]


def test_a_file_that_is_modified_during_the_download_is_downloaded_again(
    world: World, blob: BlobServer, path: Path
) -> None:
    def change(look: int) -> None:
        if look == 2:
            blob.replace(CHANGED, '"v2"')
            world.describe(CHANGED, "2026-01-02T00:00:00Z")

    world.before_look = change
    check(world, path, CHANGED)
    assert world.looks == 4


def test_a_file_that_is_modified_all_the_time_is_an_error(world: World, path: Path) -> None:
    world.before_look = lambda look: world.describe(CONTENT, f"2026-01-{look:02}T00:00:00Z")
    with pytest.raises(ITwinProtocolError, match=f"began {MOST_STARTS} times.*was modified during the download"):
        world.download(path)
    assert names(path) == []


@pytest.mark.parametrize(
    ("behavior", "reason"),
    [
        (Behavior(ignores_range=True), "ignored the range"),
        (Behavior(status=416), "refused to continue"),
        (Behavior(headers={"Content-Range": "bytes 5-9/3145745", "Content-Length": "5"}), "another range"),
        (Behavior(headers={"Content-Range": ""}), "another range"),
        (Behavior(headers={"Content-Range": f"bytes 1000-{len(CONTENT)}/{len(CONTENT) + 1}"}), "instead of"),
    ],
)
def test_a_response_that_does_not_continue_the_content_starts_over(
    world: World, blob: BlobServer, path: Path, behavior: Behavior, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    blob.behaviors = [Behavior(cut=1000), behavior]
    with caplog.at_level(logging.WARNING):
        check(world, path)
    assert blob.ranges == [None, "bytes=1000-", None]
    assert reason in caplog.text


@pytest.mark.parametrize("there", [CONTENT + b"x", CONTENT[:-1], b""])
def test_a_content_of_another_size_is_an_error(world: World, blob: BlobServer, path: Path, there: bytes) -> None:
    blob.content = there
    with pytest.raises(ITwinProtocolError, match="never got the whole file: the content has"):
        world.download(path)
    assert len(blob.requests) == MOST_STARTS
    assert names(path) == []


def test_a_content_without_a_length_that_is_too_long_is_an_error(world: World, blob: BlobServer, path: Path) -> None:
    blob.behaviors = [Behavior(headers={"Content-Length": ""}, cut=len(CONTENT) + 9, extra=b"123456789")] * MOST_STARTS
    with pytest.raises(ITwinProtocolError, match="more than"):
        world.download(path)
    assert names(path) == []


def test_an_unknown_size_is_an_error(world: World, path: Path) -> None:
    world.describe(CONTENT, size=None)
    with pytest.raises(ITwinProtocolError, match="does not report the size"):
        world.download(path)


def test_a_redirect_of_the_blob_storage_is_not_followed(world: World, blob: BlobServer, path: Path) -> None:
    blob.behaviors = [Behavior(status=302, headers={"Location": f"{blob.url}/elsewhere"})] * 50
    with pytest.raises(Exception, match="returned 302"):
        world.download(path, retry_budget=10)
    assert all("elsewhere" not in path for path in blob.paths)


@pytest.mark.parametrize("url", ["http://192.0.2.1/a?sig=x", "ftp://127.0.0.1/a", "https://user@host/a", "/a?sig=x"])
def test_an_unsafe_url_is_refused_and_not_quoted(
    world: World, path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world, "call", lambda call, _=0: world.file if call.operation == "get-file" else url)
    with pytest.raises(ITwinUntrustedHostError) as error:
        world.download(path)
    assert "sig" not in str(error.value)


def test_no_log_and_no_error_names_the_signature(
    world: World, blob: BlobServer, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    blob.behaviors = [Behavior(cut=10), Behavior(status=403), *[Behavior(status=500)] * 50]
    with caplog.at_level(logging.INFO, "airflow_provider_itwin"), pytest.raises(ITwinServerError) as error:
        world.download(path)
    text = caplog.text + str(error.value) + repr(error.value)
    assert "signature-" not in text
    assert "sig=" not in text
    assert TOKEN not in text


def test_a_stop_ends_the_transfer_and_keeps_what_can_be_resumed(world: World, blob: BlobServer, path: Path) -> None:
    blob.behaviors = [Behavior(cut=1_000_000), Behavior(before=world.stopped.set)]
    with pytest.raises(ITwinStoppedError, match="was stopped after"):
        world.download(path)
    assert not path.exists()
    world.stopped.clear()
    check(world, path)
    assert int((blob.ranges[-1] or "").removeprefix("bytes=").rstrip("-")) >= 1_000_000


def test_a_stop_ends_a_pause(world: World, blob: BlobServer, path: Path) -> None:
    blob.behaviors = [Behavior(status=503, before=world.stopped.set)] * 20
    with pytest.raises(ITwinStoppedError):
        world.download(path)
    assert len(blob.requests) == 1


def test_an_existing_file_is_replaced(world: World, path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"old")
    check(world, path)


def test_an_existing_file_of_the_right_size_is_kept_on_request(world: World, blob: BlobServer, path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    before = path.stat().st_ino
    check(world, path, overwrite=False)
    assert blob.requests == []
    assert path.stat().st_ino == before


def test_another_existing_file_is_not_replaced_without_overwrite(world: World, blob: BlobServer, path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"old")
    with pytest.raises(ITwinFileExistsError, match=r"exists and has 3 bytes.*overwrite=True"):
        world.download(path, overwrite=False)
    assert path.read_bytes() == b"old"
    assert blob.requests == []


def test_a_failed_download_leaves_the_existing_file(world: World, blob: BlobServer, path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"old")
    blob.behaviors = [Behavior(cut=10), *[Behavior(status=503)] * 50]
    with pytest.raises(ITwinServerError):
        world.download(path)
    assert path.read_bytes() == b"old"


def test_a_folder_is_not_replaced(world: World, tmp_path: Path) -> None:
    with pytest.raises(ITwinInputError, match=r"is a folder\. End it with '/'"):
        world.download(tmp_path)


def test_a_folder_that_cannot_be_created_is_named_in_the_error(world: World, blob: BlobServer, path: Path) -> None:
    path.parent.write_text("a file")
    with pytest.raises(ITwinFileError, match=f"{path.parent}"):
        world.download(path)
    assert blob.requests == []


def marked(world: World, digest: str, at: str = "2026-01-01T00:00:00Z", modified: str = "2026-01-01T00:00:00Z") -> None:
    """Let the description of the file record a digest."""
    world.describe(CONTENT, modified, description=f"Drawn by A. [airflow sha256={digest} at={at}]")


def test_the_digest_in_the_description_is_compared(world: World, path: Path) -> None:
    marked(world, DIGEST)
    check(world, path)


def test_a_content_with_another_digest_is_an_error(world: World, blob: BlobServer, path: Path) -> None:
    marked(world, "0" * 64)
    with pytest.raises(ITwinProtocolError, match=f"has the SHA-256 {DIGEST} instead of {'0' * 64}"):
        world.download(path)
    assert len(blob.requests) == MOST_STARTS
    assert names(path) == []


def test_the_digest_of_an_earlier_content_is_ignored(world: World, path: Path) -> None:
    marked(world, "0" * 64, modified="2026-01-02T00:00:00Z")
    check(world, path)


def test_an_existing_file_with_another_digest_is_not_kept(world: World, path: Path) -> None:
    marked(world, DIGEST)
    path.parent.mkdir()
    path.write_bytes(CHANGED)
    with pytest.raises(ITwinFileExistsError, match="with another SHA-256"):
        world.download(path, overwrite=False)
