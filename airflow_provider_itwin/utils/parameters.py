"""
The parameters of operators and sensors: refused when the DAG file is parsed, if they can be judged then.

DAG files import this module, so it imports nothing beyond the standard library.
"""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from airflow_provider_itwin.api.errors import ITwinInputError
from airflow_provider_itwin.api.models.durations import parse_seconds
from airflow_provider_itwin.api.models.validation import checked_id, checked_text, is_template, name_meant
from airflow_provider_itwin.api.runs.result_policy import DEFAULT_FAIL_ON, ResultPolicy

if TYPE_CHECKING:
    from airflow_provider_itwin.sdk_compat import OperatorPartial, PlainXComArg

_PACKAGE = "airflow_provider_itwin."

_OTHER_NAMES = {
    "storage_connection_id": "connection_id",
    "manifest_connection_id": "connection_id",
    "export_connection_id": "connection_id",
    "itwin_connection_id": "connection_id",
    "conn_id": "itwin_conn_id",
    "http_conn_id": "itwin_conn_id",
    "connection": "connection_id",
    "definition": "job",
    "job_definition": "job",
    "job_id": "job_ref",
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
    "run": "run_ref",
    "ref": "run_ref",
    "version_name": "name",
    "named_version": "name",
    "display_name": "name",
    "changeset": "changeset_id",
    "changeset_index": "changeset_id",
    "if_exists": "if_named",
    "if_unchanged": "on_no_changes",
    "storage_file_id": "file_id",
    "export_output_file_id": "file_id",
    "local_path": "path",
    "file_path": "path",
    "destination": "path",
    "target_path": "path",
    "output_path": "path",
    "replace": "overwrite",
}
"""Names of other providers, and names that people expect, with the names that they have here."""

OF_RUN_RESULT: dict[str, object] = {"fail_on": DEFAULT_FAIL_ON, "skip_on": (), "strict": False}
"""Parameters about the result of a run, with their defaults."""

OF_JOB_RESULT: dict[str, object] = {"strict": False, "result_path": None}
"""Parameters about the result of a job, with their defaults."""

OF_WAIT: dict[str, object] = {"deferrable": None, "poll_interval": None, "timeout": None}
"""Parameters about a wait, with their defaults."""


def parse_results(names: Iterable[str], parameter: str) -> tuple[str, ...]:
    """
    Return the results that a parameter names, as a tuple: an iterator could be read only once.

    :raises ITwinInputError: if it is not iterable
    """
    try:
        return (names,) if isinstance(names, str) else tuple(names)
    except TypeError:
        raise ITwinInputError(f"{parameter} must be results of a run, such as ['Error'], not {names!r}") from None


def check_wait_parameters(given: Mapping[str, object]) -> None:
    """
    Check the parameters that operators and sensors have in common: how to wait, and which results fail or skip a task.

    :param given: values by name
    :raises ITwinInputError: for an invalid value
    """
    check_polling_parameters(given)
    fail_on, skip_on = given.get("fail_on", DEFAULT_FAIL_ON), given.get("skip_on", ())
    # An iterator could be read only once.
    if isinstance(fail_on, Collection) and isinstance(skip_on, Collection):
        ResultPolicy.of(fail_on, skip_on)


def check_polling_parameters(given: Mapping[str, object]) -> None:
    """
    Check the parameters about polling, which tasks of runs and of jobs have in common.

    :param given: values by name
    :raises ITwinInputError: for an invalid value
    """
    for name in ("poll_interval", "timeout"):
        parse_seconds(given.get(name), name)
    if given.get("deferrable") not in (None, True, False):
        raise ITwinInputError(f"deferrable must be True or False, not {given['deferrable']!r}. It cannot be a template")


def check_unused_parameters(
    what: Literal["run", "job"],
    without_effect: Mapping[str, object],
    given: Mapping[str, object],
    default_args: Mapping[str, object] | None,
) -> None:
    """
    Refuse parameters that have no effect because the task does not wait for its run or job.

    :param what: what the task starts
    :param without_effect: the parameters without effect, with their defaults
    :param given: values by name
    :param default_args: the default_args of the DAG
    :raises ITwinInputError: for a parameter that has no effect
    """
    default_args = default_args or {}
    unused = [
        name
        for name, default in without_effect.items()
        if name in given
        and given[name] not in (default, [])
        and not (name in default_args and default_args[name] is given[name])
    ]
    if unused:
        raise ITwinInputError(
            f"wait_for_completion=False ends the task when the {what} has started, so {' and '.join(unused)} would have no "
            f"effect. Remove {'it' if len(unused) == 1 else 'them'}, or wait_for_completion=False."
        )


class CheckedParameters:
    """
    Mixin of operators and sensors: refuses unknown names and invalid values when the DAG file is parsed, also in ``partial()``.

    A template, or the output of another task, is validated when the task runs.
    """

    switches: ClassVar[tuple[str, ...]] = ()
    """The parameters that are True or False."""

    if TYPE_CHECKING:
        # Airflow returns this type, and declares one without XComs by key: output["run_ref"].
        @property
        def output(self) -> PlainXComArg: ...  # noqa: D102

    def __new__(cls, *_: Any, **kwargs: Any) -> Self:  # noqa: D102 (editors would show it instead of that of the class)
        # Before Airflow reports that another name is missing.
        _check_names(cls, kwargs)
        return super().__new__(cls)

    @classmethod
    def more_parameters(cls, given: Mapping[str, object]) -> Collection[str]:
        """Return names that are accepted beside those of the signature."""
        return ()

    @classmethod
    def refuse_unknown(cls, name: str, given: Mapping[str, object]) -> None:
        """Refuse a name that is like no known one, if the class can say more than Airflow, which refuses it next."""

    @classmethod
    def partial(cls, **kwargs: Any) -> OperatorPartial:
        """Return the operator with some of its parameters; ``expand()`` adds the others. See Airflow's documentation."""
        _check_names(cls, kwargs)
        with error_names_task(cls, kwargs.get("task_id")):
            cls.check_parameters(kwargs)
        parent: Any = super()
        partial: OperatorPartial = parent.partial(**kwargs)
        return partial

    @classmethod
    def check_parameters(cls, given: Mapping[str, object], default_args: Mapping[str, object] | None = None) -> None:
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


def _check_names(cls: type, given: Mapping[str, object]) -> None:
    if not cls.__module__.startswith(_PACKAGE):
        # A subclass can take its own parameters out of **kwargs.
        return
    checked: Any = cls
    known = _parameters(cls) | {*checked.more_parameters(given)}
    for name in given:
        if name in known or name.startswith("_"):
            continue
        meant = _OTHER_NAMES.get(name)
        if meant not in known:
            meant = name_meant(name, known)
        with error_names_task(cls, given.get("task_id")):
            if meant is not None:
                raise ITwinInputError(f"There is no parameter {name!r}. Did you mean {meant!r}?")
            checked.refuse_unknown(name, given)


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
