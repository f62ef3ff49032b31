"""Where downloaded files go: on a local disk, or in any object store that Airflow knows."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_itwin.api.errors import ITwinInputError
from airflow_provider_itwin.api.models.validation import shown
from airflow_provider_itwin.api.redaction import excerpt
from airflow_provider_itwin.api.storage.local_target import LocalTarget
from airflow_provider_itwin.api.storage.object_target import ObjectTarget
from airflow_provider_itwin.api.storage.paths import checked_path, is_folder
from airflow_provider_itwin.api.storage.targets import file_name

if TYPE_CHECKING:
    from airflow_provider_itwin.api.storage.targets import Target


class DownloadTargets:
    """
    The targets of downloads to one path.

    :param path: an absolute path, or the URL of an object store. If it ends with ``/``, it is the folder of the files, which keep
        their names
    :raises ITwinInputError: for an invalid path, and for an object store that Airflow does not know
    """

    def __init__(self, path: object) -> None:
        self._path = checked_path(str(path) if hasattr(path, "__fspath__") or hasattr(path, "protocol") else path)
        scheme, is_url, rest = self._path.partition("://")
        self._local = rest if is_url and scheme.lower() in ("file", "local") else None if is_url else self._path
        self._takers: dict[str, str] = {}
        if self._local is not None and not self._local.startswith("/"):
            raise ITwinInputError(
                f"path is {shown(self._path)}; the URL of a local file has three slashes: file:///folder/"
            )
        if self._local is None:
            _ = self._store  # an unknown object store is an error before any request

    def target_for(self, name: str | None, file_id: str) -> Target:
        """
        Return the target of a file.

        :param name: name of the file in iTwin Storage
        :param file_id: its id
        :raises ITwinInputError: if the name cannot be used, or another file has taken the target
        """
        suffix = file_name(name, file_id) if is_folder(self._path) else ""
        taker = self._takers.setdefault(suffix, file_id)
        if taker != file_id:
            raise ITwinInputError(
                f"The files {taker} and {file_id} would both be {shown(self._path + suffix)}. Download them with separate tasks "
                "to different paths."
            )
        if self._local is not None:
            return LocalTarget(Path(self._local + suffix))
        system, path = self._store
        return ObjectTarget(system, f"{path}/{suffix}" if suffix else path, self._path + suffix)

    @cached_property
    def _store(self) -> tuple[Any, str]:
        """The file system of the object store, and the path in it."""
        from airflow_provider_itwin.sdk_compat import ObjectStoragePath

        try:
            base = ObjectStoragePath(self._path)
            return base.fs, str(base.path).rstrip("/")
        except (ValueError, TypeError, ImportError) as error:
            raise ITwinInputError(
                f"path {shown(self._path)} cannot be used: {excerpt(str(error), 200)}. Airflow knows the object stores of "
                "installed providers, such as s3:// with apache-airflow-providers-amazon[s3fs]."
            ) from None
