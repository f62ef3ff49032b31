"""
The files to upload: in a local folder, or in any object store that Airflow knows.

A source is a file, a folder or a pattern: ``/mnt/projects/parking``, ``/mnt/projects/**/*.dgn``,
``s3://aws_default@bucket/designs``. Lists of object stores carry size, time and entity tag of each file, so no file is asked for
alone.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from posixpath import normpath
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from airflow_provider_itwin.api.errors import ITwinInputError
from airflow_provider_itwin.api.models.validation import checked_text, shown
from airflow_provider_itwin.api.storage.digests import fingerprint
from airflow_provider_itwin.api.storage.paths import check_absolute

if TYPE_CHECKING:
    from airflow_provider_itwin.api.storage.plan import UploadSource

MOST_FILES = 200_000

_GLOB = re.compile(r"[*?\[]")
_TAGS = (
    "etag",
    "ETag",
    "e_tag",
    "generation",
    "md5",
    "content_md5",
    "md5Hash",
    "checksum",
    "LastModified",
    "last_modified",
)
_TIMES = ("mtime", "updated", "modified", "created")


def list_sources(source: str, exclude: Collection[str] = ()) -> list[UploadSource]:
    """
    Return the files of a source, sorted by path.

    :param source: a file, a folder or a pattern: an absolute path, or the URL of an object store
    :param exclude: patterns of the names of files and folders to leave out
    :raises ITwinInputError: if the source is invalid, or does not exist
    """
    checked_text(source, "source")
    scheme, is_url, rest = source.partition("://")
    if is_url and scheme.lower() in ("file", "local"):
        source, is_url = rest, ""
    found = _in_object_store(source) if is_url else _local(source)
    # The pattern is part of it: two tasks can upload different files of one folder.
    origin = source.rstrip("/") if is_url else normpath(source)
    files = []
    for file in found:
        if is_excluded(file.path, exclude):
            continue
        files.append(replace(file, origin=origin))
        if len(files) > MOST_FILES:
            raise ITwinInputError(f"source {shown(source)} has more than {MOST_FILES:,} files")
    return sorted(files, key=lambda file: file.path)


def is_excluded(path: str, exclude: Collection[str]) -> bool:
    """Return whether the name of a file, or of a folder in its path, matches one of the patterns."""
    return any(fnmatchcase(part.lower(), pattern.lower()) for part in path.split("/") for pattern in exclude)


def split_pattern(source: str) -> tuple[str, str]:
    """Return the folder of a source, and its pattern below that folder; an empty pattern for none."""
    match = _GLOB.search(source)
    if match is None:
        return source, ""
    base, _, rest = source[: match.start()].rpartition("/")
    return base or "/", rest + source[match.start() :]


def _local(source: str) -> Iterator[UploadSource]:
    check_absolute(source, "source", "designs")
    folder, pattern = split_pattern(source)
    base = Path(folder)
    if pattern:
        found: Iterator[Path] = (path for path in base.glob(pattern) if path.is_file())
        if not base.is_dir():
            raise ITwinInputError(f"source {shown(source)}: there is no folder {shown(folder)} on this worker.")
    elif base.is_dir():
        found = _walk(base)
    elif base.is_file():
        found, base = iter([base]), base.parent
    else:
        raise ITwinInputError(
            f"source {shown(source)} does not exist on this worker. Check that the share is mounted where the task runs."
        )
    for path in found:
        yield _local_source(path, path.relative_to(base).as_posix())


def _walk(base: Path) -> Iterator[Path]:
    def fail(error: OSError) -> None:
        # A folder that cannot be read must not look like an empty one.
        raise error

    for folder, _, names in os.walk(base, onerror=fail):
        for name in names:
            path = Path(folder, name)
            if path.is_file():
                yield path


def _local_source(path: Path, relative: str) -> UploadSource:
    from airflow_provider_itwin.api.storage.plan import UploadSource

    def stat() -> tuple[int, str]:
        status = path.stat()
        return status.st_size, fingerprint(status.st_size, status.st_mtime_ns)

    size, mark = stat()
    return UploadSource(relative, size, mark, lambda: path.open("rb"), stat, str(path))


def _in_object_store(source: str) -> Iterator[UploadSource]:
    from airflow_provider_itwin.sdk_compat import ObjectStoragePath

    folder, pattern = split_pattern(source)
    try:
        base = ObjectStoragePath(folder)
        fs: Any = base.fs
    except (ValueError, ImportError) as error:
        raise ITwinInputError(f"source {shown(source)} cannot be used: {error}") from None
    root = str(base.path).rstrip("/")
    url = folder.rstrip("/")
    try:
        if pattern:
            infos = fs.glob(f"{root}/{pattern}", detail=True)
        elif fs.isfile(root):
            infos, root, url = {root: fs.info(root)}, root.rpartition("/")[0], url.rpartition("/")[0]
        else:
            infos = fs.find(root, detail=True)
    except FileNotFoundError:
        infos = {}
    if not infos and not pattern and not fs.exists(root):
        raise ITwinInputError(f"source {shown(source)} does not exist.")
    for path, info in cast("Mapping[str, Mapping[str, Any]]", infos).items():
        if info.get("type") != "directory" and not path.endswith("/"):
            yield _object_source(fs, path, path.removeprefix(root).lstrip("/"), info, url)


def _object_source(fs: Any, path: str, relative: str, info: Mapping[str, Any], url: str) -> UploadSource:
    from airflow_provider_itwin.api.storage.plan import UploadSource

    def stat() -> tuple[int, str]:
        fs.invalidate_cache()
        return _size_and_fingerprint(fs.info(path))

    def open_() -> BinaryIO:
        return cast("BinaryIO", fs.open(path, "rb"))

    size, mark = _size_and_fingerprint(info)
    return UploadSource(relative, size, mark, open_, stat, f"{url}/{relative}")


def _size_and_fingerprint(info: Mapping[str, Any]) -> tuple[int, str]:
    size = int(info.get("size") or 0)
    facts = [f"{name}={info[name]}" for name in (*_TAGS, *_TIMES) if info.get(name) is not None]
    return size, fingerprint(size, *facts)
