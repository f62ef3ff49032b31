"""
Versions of stored forms: trigger kwargs, events, memos, rows of the task state store, cursors.

Every stored form is an object with an integer ``version``. Within one version, members can only be added: unknown members are
ignored, informational members have a default and may be missing, and all others are validated. Golden files of every released
form are in ``tests/golden``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_itwin import __version__

VERSION_KEY = "version"


class UnknownVersionError(ValueError):
    """The stored form has a newer version than this package can read."""


def check_version(values: Mapping[str, Any], newest: int, what: str) -> None:
    """
    Check that this package can read a stored form; the default version is 1.

    :param newest: the newest version that this package can read
    :param what: name of the stored form, for the error text
    :raises UnknownVersionError: for a newer version; the text names both versions and the fix
    :raises ValueError: if the version is invalid
    """
    version = values.get(VERSION_KEY, 1)
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise ValueError(f"{what} has the invalid version {version!r:.80}")
    if version > newest:
        raise UnknownVersionError(
            f"{what} has version {version}, but airflow-provider-itwin {__version__} in this process reads versions up to "
            f"{newest} only. Install the same version of the package on all workers, triggerers and schedulers."
        )
