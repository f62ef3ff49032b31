"""
Reading what another version of this package has stored: trigger kwargs, events, memos, rows of the task state store, cursors.

Every stored form is an object with a ``version``, the integer of its major version. A form only grows within one version: unknown
members are ignored, members that inform people have a default and may be missing, and what is there is checked. Golden files of
every released form are in ``tests/golden``; tests read them for good.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_itwin import __version__

VERSION_KEY = "version"


class UnknownVersionError(ValueError):
    """What is stored was written in a newer form than this version of the package can read."""


def check_version(values: Mapping[str, Any], newest: int, what: str) -> None:
    """
    Check that a stored form can be read here; a form that names no version has version 1.

    :param newest: the newest version that can be read here
    :param what: what was stored, for the error text
    :raises UnknownVersionError: for a newer version; the text names both and what to do
    :raises ValueError: if the version is no version
    """
    version = values.get(VERSION_KEY, 1)
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise ValueError(f"{what} has the version {version!r:.80}, which is invalid")
    if version > newest:
        raise UnknownVersionError(
            f"{what} has version {version}, but airflow-provider-itwin {__version__} in this process reads versions up to "
            f"{newest} only. Install the same version of the package on all workers, triggerers and schedulers."
        )
