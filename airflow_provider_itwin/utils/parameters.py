"""
The parameters of operators and sensors: refused when the DAG file is parsed, if they can be judged then.

DAG files import this module, so it imports nothing beyond the standard library.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, ClassVar, Self

from airflow_provider_itwin.api.errors import ITwinInputError
from airflow_provider_itwin.api.models.validation import checked_id, checked_text, is_template
from airflow_provider_itwin.api.runs.result_policy import DEFAULT_FAIL_ON, ResultPolicy

_PACKAGE = "airflow_provider_itwin."

_OTHER_NAMES = {
    "storage_connection_id": "connection_id",
    "manifest_connection_id": "connection_id",
    "export_connection_id": "connection_id",
    "itwin_connection_id": "connection_id",
    "conn_id": "itwin_conn_id",
    "http_conn_id": "itwin_conn_id",
    "connection": "connection_id",
    "storage_connection_run_id": "run_id",
    "connection_run_id": "run_id",
    "poke_interval": "poll_interval",
    "polling_interval": "poll_interval",
    "polling_period_seconds": "poll_interval",
    "check_interval": "poll_interval",
    "if_running": "if_active",
    "wait": "wait_for_completion",
    "wait_for_termination": "wait_for_completion",
    "wait_until_finished": "wait_for_completion",
    "wait_timeout": "timeout",
    "timeout_seconds": "timeout",
    "allowed_results": "fail_on",
    "failed_results": "fail_on",
    "request_body": "body",
    "data": "body",
}
"""Names of other providers, and names that people expect, with the names that they have here."""

_OF_RESULT: dict[str, Any] = {"fail_on": DEFAULT_FAIL_ON, "skip_on": (), "strict": False}
"""Parameters about the result of a run, with their defaults."""

_OF_WAIT: dict[str, Any] = {"deferrable": None, "poll_interval": None, "timeout": None}
"""Parameters about a wait, with their defaults."""


def parse_seconds(value: float | timedelta | None, name: str) -> float | None:
    """
    Return a duration in seconds; None stays None.

    :raises ITwinInputError: if it is not positive, or not finite
    """
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < math.inf:
        raise ITwinInputError(f"{name} must be a positive number of seconds, a timedelta, or None, not {value!r}")
    return seconds


def parse_results(names: Iterable[str], parameter: str) -> tuple[str, ...]:
    """
    Return the results that a parameter names, as a tuple: an iterator could be read only once.

    :raises ITwinInputError: if it is not iterable
    """
    try:
        return (names,) if isinstance(names, str) else tuple(names)
    except TypeError:
        raise ITwinInputError(f"{parameter} must be results of a run, such as ['Error'], not {names!r}") from None


def check_wait_parameters(given: Mapping[str, Any]) -> None:
    """
    Check the parameters that operators and sensors have in common: how to wait, and which results fail or skip a task.

    :param given: values by name
    :raises ITwinInputError: for an invalid value
    """
    for name in ("poll_interval", "timeout"):
        parse_seconds(given.get(name), name)
    if given.get("deferrable") not in (None, True, False):
        raise ITwinInputError(f"deferrable must be True or False, not {given['deferrable']!r}. It cannot be a template")
    fail_on, skip_on = given.get("fail_on", DEFAULT_FAIL_ON), given.get("skip_on", ())
    # An iterator could be read only once.
    if isinstance(fail_on, Collection) and isinstance(skip_on, Collection):
        ResultPolicy.of(fail_on, skip_on)


def check_unused_parameters(given: Mapping[str, Any], default_args: Mapping[str, Any], *, queues: bool) -> None:
    """
    Refuse parameters that have no effect because the task does not wait for its run.

    :param given: values by name
    :param default_args: the default_args of the DAG
    :param queues: whether the task can wait for another run before it starts its own
    :raises ITwinInputError: for a parameter that has no effect
    """
    unused = [
        name
        for name, default in (_OF_RESULT if queues else _OF_RESULT | _OF_WAIT).items()
        if name in given
        and given[name] not in (default, [])
        and not (name in default_args and default_args[name] is given[name])
    ]
    if unused:
        raise ITwinInputError(
            f"wait_for_completion=False ends the task when the run has started, so {' and '.join(unused)} would have no effect. "
            f"Remove {'it' if len(unused) == 1 else 'them'}, or wait_for_completion=False."
        )


class CheckedParameters:
    """
    Mixin of operators and sensors: refuses unknown names and invalid values when the DAG file is parsed, also in ``partial()``.

    A template, or the output of another task, is validated when the task runs.
    """

    switches: ClassVar[tuple[str, ...]] = ()
    """The parameters that are True or False."""

    def __new__(cls, *_: Any, **kwargs: Any) -> Self:
        """Refuse unknown names before Airflow reports that another one is missing."""
        _check_names(cls, kwargs)
        return super().__new__(cls)

    @classmethod
    def partial(cls, **kwargs: Any) -> Any:
        """Return the operator with some of its parameters; ``expand()`` adds the others. See Airflow's documentation."""
        _check_names(cls, kwargs)
        with error_names_task(cls, kwargs.get("task_id")):
            cls.check_parameters(kwargs)
        parent: Any = super()
        return parent.partial(**kwargs)

    @classmethod
    def check_parameters(cls, given: Mapping[str, Any], default_args: Mapping[str, Any] | None = None) -> None:
        """
        Check the parameters that a DAG file has given, together or some of them.

        :param given: values by name
        :param default_args: the default_args of the DAG: a task need not use what is meant for all of its tasks
        :raises ITwinInputError: for an invalid value
        """
        for name, check in (("connection_id", checked_id), ("itwin_conn_id", checked_text)):
            if name in given and (given[name] is None or is_literal(given[name])):
                check(given[name], name, is_rendered=False)
        for name in cls.switches:
            if name in given and not isinstance(given[name], bool):
                raise ITwinInputError(f"{name} must be True or False, not {given[name]!r}. It cannot be a template")


def is_literal(value: object) -> bool:
    """Return whether a parameter has its final value: it is neither None, a template nor the output of another task."""
    return isinstance(value, str | bytes | int | float | Mapping | list | tuple | set) and not is_template(value)


@contextmanager
def error_names_task(cls: type, task_id: object) -> Iterator[None]:
    """Name the operator and the task in an error."""
    try:
        yield
    except ITwinInputError as error:
        task = f" {task_id!r}" if isinstance(task_id, str) else ""
        raise ITwinInputError(f"{cls.__name__}{task}: {error}") from None


def _check_names(cls: type, given: Mapping[str, Any]) -> None:
    if not cls.__module__.startswith(_PACKAGE):
        # A subclass can take its own parameters out of **kwargs.
        return
    known = _parameters(cls)
    for name in given:
        if name in known or name.startswith("_"):
            continue
        meant = _OTHER_NAMES.get(name)
        if meant not in known:
            meant = next(iter(get_close_matches(name, known, 1, 0.75)), None)
        if meant is not None:
            with error_names_task(cls, given.get("task_id")):
                raise ITwinInputError(f"There is no parameter {name!r}. Did you mean {meant!r}?")


@lru_cache(maxsize=32)
def _parameters(cls: type) -> frozenset[str]:
    """Return the names of all parameters that a class and its bases accept."""
    return frozenset(
        name
        for base in cls.__mro__
        if "__init__" in vars(base) and base is not object
        for name in inspect.signature(vars(base)["__init__"]).parameters
        if name not in ("self", "args", "kwargs")
    )
