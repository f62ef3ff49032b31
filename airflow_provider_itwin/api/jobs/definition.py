"""
The definition of a job API, as data: how a job is started, polled and canceled, and what its responses mean.

DAG files import this module, so it imports nothing beyond the standard library.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from functools import lru_cache
from typing import Any, Literal, Self, TypeAlias, cast

from airflow_provider_itwin.api.errors import ITwinInputError
from airflow_provider_itwin.api.jobs.definition_checks import check_definition
from airflow_provider_itwin.api.jobs.inputs import JobInput
from airflow_provider_itwin.api.jobs.operation import Operation
from airflow_provider_itwin.api.models.validation import shown

JobOutcome: TypeAlias = Literal["running", "passed", "warned", "failed"]
"""What the state of a job means."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobMessages:
    """
    Where the messages of a job are.

    :param get: a further request for them, such as ``GET /reality-modeling/jobs/{job_id}/messages``, made when the job has
        ended; None (default): they are in the response to the last poll, or to `details`
    :param errors: JSON paths to errors: a string, an object with a code and a message, or a list of these
    :param warnings: JSON paths to warnings, of the same forms. An entry with a ``level`` is an error or a warning by that
    """

    get: str | None = None
    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("errors", "warnings"):
            paths: Any = getattr(self, name)
            object.__setattr__(self, name, (paths,) if isinstance(paths, str) else tuple(paths))


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSearch:
    """
    How a job is found whose start had no response.

    The list is read before the start, too: a job that was not in it then is the one that was started.

    :param get: the request for the list, such as ``GET /reality-modeling/jobs?$filter=iTwinId eq '{itwin_id}'``
    :param jobs: JSON path to the list of jobs
    :param id: JSON path to the id of a job, in an entry of the list
    :param same: JSON paths in an entry, and the inputs that they must be equal to
    """

    get: str
    jobs: str
    id: str = "id"
    same: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobDefinition:
    """
    A job API of the iTwin Platform.

    Paths contain inputs by name, and ``{job_id}``. JSON paths are names of members, separated by dots. States are compared
    without case; a job in an unknown state counts as running, with a warning, until the timeout.

    :param name: what a job is called in messages, such as ``transformation``
    :param start: method and path of the request that starts a job, such as ``POST /transformations/``
    :param poll: method and path of the request for its state, such as ``GET /transformations/{job_id}``
    :param id: JSON path to the id in the response to the start, or to a link that ends with it; or ``Location``, the header
    :param state: JSON path to the state in the response to a poll
    :param passed: states of a job that has succeeded
    :param failed: states of a job that has failed, or was canceled
    :param warned: states of a job that has succeeded in part; the task passes with a warning, or fails with `strict`
    :param running: states of a job that has not ended
    :param inputs: the inputs of a job, by name
    :param version: version of the API, sent in the header ``Accept``; default ``v1``
    :param body: members of the body that are the same for every job
    :param progress: JSON path to a percentage in the response to a poll, or two, to a number and its total
    :param details: a request for the whole job, made when it has ended; None (default): the response to the last poll has it
    :param messages: where errors and warnings are
    :param result: JSON path to the result in the last response, or a further request, which can be followed by ``#`` and a JSON
        path, as in ``GET /transformations/{job_id}/report#report._links.download.href``. A link is the place of a file; None
        (default): the job has no result beside its details
    :param cancel: method and path of the request that cancels a running job; None (default): a job cannot be canceled. Only for
        APIs whose request really ends a running job, and never deletes the result of one that has ended
    :param cancel_body: the body of that request; ``{job_id}`` in a text of it is the id
    :param find: how a job is found whose start had no response; None (default): it cannot be found
    :param conflict: what a 409 to the start means. ``fail`` (default): it is an error. ``adopt``: there is an equal job, which
        `find` finds, and which is used
    :param repeatable: whether a second start with the same inputs does no harm. If not, and the job cannot be found, a start
        without a response fails the task, and is not repeated
    :param url: address of the page in Bentley's documentation, for documentation
    :raises ITwinInputError: if the definition cannot be used; the text says why
    """

    name: str
    start: str
    poll: str
    id: str
    state: str
    passed: tuple[str, ...]
    failed: tuple[str, ...]
    warned: tuple[str, ...] = ()
    running: tuple[str, ...] = ()
    inputs: Mapping[str, JobInput] = field(default_factory=dict)
    version: str = "v1"
    body: Mapping[str, Any] = field(default_factory=dict)
    progress: str | tuple[str, str] | None = None
    details: str | None = None
    messages: JobMessages | None = None
    result: str | None = None
    cancel: str | None = None
    cancel_body: Mapping[str, Any] | None = None
    find: JobSearch | None = None
    conflict: Literal["fail", "adopt"] = "fail"
    repeatable: bool = False
    url: str | None = None

    def __post_init__(self) -> None:
        try:
            for name in ("passed", "failed", "warned", "running"):
                object.__setattr__(self, name, _states(getattr(self, name), name))
            _check_shape(self.messages, JobMessages, "messages")
            _check_shape(self.find, JobSearch, "find")
            check_definition(self)
        except ITwinInputError as error:
            raise ITwinInputError(f"JobDefinition {self.name!r}: {error}") from None

    def __hash__(self) -> int:
        return hash((self.name, self.start, self.poll))

    def outcome_of(self, state: str | None) -> JobOutcome | None:
        """Return what a state means; None for an unknown one."""
        return _outcomes(self).get((state or "").strip().lower())

    @property
    def result_request(self) -> str | None:
        """The request for the result; None if there is none."""
        is_request = isinstance(self.result, str) and self.result.startswith("GET ")
        return (self.result or "").partition("#")[0] if is_request else None

    @property
    def result_member(self) -> str | None:
        """The JSON path to the result in the details, or in the response to its request; None: all of that response."""
        return self.result if self.result_request is None else (self.result or "").partition("#")[2] or None

    @property
    def later_requests(self) -> dict[str, str]:
        """The requests after the start, by the names of the parameters that contain them."""
        texts = {
            "poll": self.poll,
            "details": self.details,
            "cancel": self.cancel,
            "messages": self.messages.get if self.messages else None,
            "result": self.result_request,
        }
        return {name: text for name, text in texts.items() if text is not None}

    @property
    def stored_inputs(self) -> tuple[str, ...]:
        """The names of the inputs in requests after the start, which the reference of a job contains."""
        names = [name for what, text in self.later_requests.items() for name in Operation.parse(text, what).inputs]
        return tuple(dict.fromkeys(name for name in names if name != "job_id"))

    def as_dict(self) -> dict[str, Any]:
        """Return the values that differ from the defaults, as JSON values."""
        values: dict[str, Any] = {}
        for one in fields(self):
            value = getattr(self, one.name)
            if one.name == "inputs":
                values[one.name] = {name: given.as_dict() for name, given in value.items()}
            elif isinstance(value, JobMessages | JobSearch):
                values[one.name] = {part.name: _plain(getattr(value, part.name)) for part in fields(value)}
            elif value is not None and value != one.default:
                values[one.name] = _plain(value)
        return values

    @classmethod
    def from_dict(cls, values: object) -> Self:
        """
        Read what :meth:`as_dict` returned; equal definitions are one object.

        :raises ITwinInputError: for an invalid or a missing value
        """
        if not isinstance(values, Mapping):
            raise ITwinInputError(f"A JobDefinition is made of a mapping, not of {shown(values)}")
        try:
            read: Any = _read(json.dumps(values, sort_keys=True))
        except ITwinInputError:
            raise
        except (TypeError, ValueError, AttributeError, RecursionError) as error:
            raise ITwinInputError(f"The JobDefinition is incomplete or unreadable: {error}") from None
        return cast("Self", read)


@lru_cache(maxsize=256)
def _read(text: str) -> JobDefinition:
    values = _known(JobDefinition, json.loads(text))
    values["inputs"] = {name: JobInput(**_known(JobInput, one)) for name, one in values.get("inputs", {}).items()}
    shapes: tuple[tuple[str, Any], ...] = (("messages", JobMessages), ("find", JobSearch))
    for name, shape in shapes:
        if values.get(name) is not None:
            values[name] = shape(**_known(shape, values[name]))
    if isinstance(values.get("progress"), list):
        values["progress"] = tuple(values["progress"])
    return JobDefinition(**values)


def _known(shape: type[Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members that this version knows: a later version may have stored more."""
    known = {one.name for one in fields(shape)}
    return {name: value for name, value in values.items() if name in known}


@lru_cache(maxsize=256)
def _outcomes(definition: JobDefinition) -> dict[str, JobOutcome]:
    outcomes: tuple[JobOutcome, ...] = ("running", "passed", "warned", "failed")
    return {state.lower(): outcome for outcome in outcomes for state in getattr(definition, outcome)}


def _check_shape(value: object, shape: type[Any], name: str) -> None:
    if value is not None and not isinstance(value, shape):
        raise ITwinInputError(f"{name} must be {shape.__name__}, not {shown(value)}")


def _states(value: object, name: str) -> tuple[str, ...]:
    texts = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, Iterable) else (value,)
    if any(not isinstance(text, str) or not text.strip() for text in texts):
        raise ITwinInputError(f"{name} must be states, such as ('Succeeded',), not {value!r:.80}")
    return tuple(text.strip() for text in texts)


def _plain(value: object) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value
