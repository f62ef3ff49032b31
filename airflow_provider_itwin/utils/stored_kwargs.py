"""
The versions of the keyword arguments of a trigger, which Airflow stores.

DAG files with a watcher import this module, so whatever needs more than Airflow is imported where it is used.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from inspect import Parameter, signature
from typing import Any

log = logging.getLogger(__name__)

KWARGS_VERSION = 1
"""The form of the keyword arguments of our triggers; see :mod:`~airflow_provider_itwin.api.models.stored_version`."""


class StoredKwargs:
    """
    The keyword arguments of a trigger that its class does not know: the version, and those of a later version.

    Only stored arguments have a version. So a misspelt argument in a DAG file is a `TypeError`, but an unknown one in the
    database is not: it would end every wait.

    :param owner: name of the trigger's class, for error texts
    :param others: the keyword arguments that the class does not know
    :raises TypeError: for an unknown argument that was not stored
    """

    __slots__ = ("_others", "_owner", "_version")

    def __init__(self, owner: str, others: Mapping[str, Any]) -> None:
        if others and "version" not in others:
            raise TypeError(f"{owner} got an unexpected keyword argument {next(iter(others))!r}")
        self._owner = owner
        self._version: Any = others.get("version", KWARGS_VERSION)
        self._others = {name: value for name, value in others.items() if name != "version"} or None

    def as_dict(self) -> dict[str, Any]:
        """Return the arguments as they are stored."""
        return {"version": self._version, **(self._others or {})}

    def check(self, unknown: Iterable[str] = ()) -> None:
        """
        Check that this version of the package can work with the arguments; log those that it ignores.

        :raises ValueError: if they are of a newer form; the text names both versions and what to do
        """
        from airflow_provider_itwin.api.models.stored_version import check_version

        check_version({"version": self._version}, KWARGS_VERSION, f"The stored form of {self._owner}")
        ignored = sorted({*(self._others or ()), *unknown})
        if ignored:
            log.warning(
                "%s ignores the stored parameters %s: this version of the package does not know them.",
                self._owner,
                ", ".join(map(repr, ignored)),
            )


def parameters_of(trigger: type[Any]) -> tuple[str, ...]:
    """Return the names of the parameters of a trigger's class."""
    known = signature(trigger).parameters.values()
    return tuple(parameter.name for parameter in known if parameter.kind is not Parameter.VAR_KEYWORD)
