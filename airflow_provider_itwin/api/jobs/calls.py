"""The requests of a job: each function returns the :class:`Call` to perform."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from string import Formatter
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import parse_qsl, quote, urlsplit

import msgspec

from airflow_provider_itwin.api.errors import ITwinError, ITwinProtocolError
from airflow_provider_itwin.api.http.messages import Call, Response
from airflow_provider_itwin.api.jobs.definition import JobDefinition, JobSearch
from airflow_provider_itwin.api.jobs.json_path import id_of, read_path, write_path
from airflow_provider_itwin.api.jobs.operation import Operation
from airflow_provider_itwin.api.jobs.ref import JobRef
from airflow_provider_itwin.api.models.decoding import UNREADABLE, OversizedError, check_size, valid_escapes, valid_utf8
from airflow_provider_itwin.api.models.validation import known_id

MOST_CACHED = 20_000
"""Requests for the state of a job that are kept: they are sent again and again."""

MOST_VALUES = 200_000
"""JSON values of one response about a job, at most."""

_MOST_PARAMETERS = 50
_LONGEST_QUERY = 4_000
"""Parameters in a link to the next page, and characters that it adds to the query, at most."""

Query: TypeAlias = tuple[tuple[str, str], ...]

_ACCEPTED = frozenset({200, 201, 202, 204})


class JobPage(NamedTuple):
    """
    A page of a list of jobs.

    :param jobs: its entries
    :param has_more: whether there are further pages
    :param following: what the next page adds to the query; ``()`` if there is none, or the link to it is unreadable
    """

    jobs: list[Any]
    has_more: bool
    following: Query


def start_job(definition: JobDefinition, values: Mapping[str, Any]) -> Call[str]:
    """
    Start a job; the result is its id.

    :param values: all inputs, parsed
    """
    operation = Operation.parse(definition.start, "start")
    body: dict[str, Any] = {name: _copy(value) for name, value in definition.body.items()}
    query: list[tuple[str, str]] = []
    headers: dict[str, str] = {}
    for name, value in values.items():
        one = definition.inputs[name]
        if name in operation.inputs:
            continue
        if one.place == "query":
            query.append((one.member_for(name), _text(value)))
        elif one.place == "header":
            headers[one.member_for(name).lower()] = _text(value)
        elif one.place == "body":
            write_path(body, one.member_for(name), value)

    def read(response: Response) -> str:
        found = (
            response.headers.get("location")
            if definition.id == "Location"
            else read_path(_json(response), definition.id)
        )
        job_id = known_id(id_of(found))
        if job_id is None:
            raise ITwinProtocolError(
                f"The response to the start of the {definition.name} has no valid id at {definition.id}"
            )
        return job_id

    return _call(
        definition, operation, f"start {definition.name}", read, values, query=query, headers=headers, body=body
    )


@lru_cache(maxsize=MOST_CACHED)
def poll_job(definition: JobDefinition, ref: JobRef) -> Call[tuple[Mapping[str, Any], str]]:
    """Get the state of a job; the result is the response and the state in it."""

    def read(response: Response) -> tuple[Mapping[str, Any], str]:
        body = _object(response, definition)
        state = read_path(body, definition.state)
        if not isinstance(state, str) or not state.strip():
            raise ITwinProtocolError(f"The response about {ref} has no state at {definition.state}")
        return body, state.strip()

    return _call(definition, Operation.parse(definition.poll, "poll"), f"get {definition.name}", read, _inputs_of(ref))


def get_more(definition: JobDefinition, text: str, ref: JobRef, what: str) -> Call[Any]:
    """
    Make one of the further requests about a job that has ended.

    An empty response, and one that is too large, are errors that a retry does not help.

    :param text: method and path
    :param what: name of the request, for errors
    """

    def read(response: Response) -> Any:
        if not response.body.strip():
            raise ITwinError(f"The response to {what} of {ref} is empty")
        return _json(response, ITwinError)

    return _call(definition, Operation.parse(text, what), f"{what} of {definition.name}", read, _inputs_of(ref))


def list_jobs(
    definition: JobDefinition, search: JobSearch, values: Mapping[str, Any], page: Query = ()
) -> Call[JobPage]:
    """
    Get a page of the list of jobs in which a lost one is searched.

    No list is an error: it must not count as one without the job.

    :param values: all inputs, parsed
    :param page: what the page before this one added to the query; ``()`` for the first one
    """
    operation = Operation.parse(search.get, "find")

    def read(response: Response) -> JobPage:
        body = _json(response)
        listed = read_path(body, search.jobs)
        if not isinstance(listed, list):
            raise ITwinProtocolError(f"The response to list of {definition.name} has no list at {search.jobs}")
        link = read_path(body, "_links.next.href") if listed else None
        return JobPage(listed, bool(link), _next_page(link, operation) if isinstance(link, str) else ())

    return _call(definition, operation, f"list of {definition.name}", read, values, query=[*page])


def _next_page(link: str, operation: Operation) -> Query:
    """
    Return what a link to the next page adds to the query of a list, such as ``$skip`` or a token.

    The link itself is never followed: the host, the path and the filters of a list are those of the definition.
    """
    own = {name.lower() for name, _ in operation.query}
    try:
        query = parse_qsl(urlsplit(link).query, max_num_fields=_MOST_PARAMETERS)
    except ValueError:
        return ()
    added = tuple((name, value) for name, value in query if name.lower() not in own)
    return added if sum(len(name) + len(value) for name, value in added) <= _LONGEST_QUERY else ()


def cancel_job(definition: JobDefinition, ref: JobRef) -> Call[None]:
    """
    Cancel a job.

    :raises ValueError: if the API cannot cancel a job
    """
    if definition.cancel is None:
        raise ValueError(f"The {definition.name} cannot be canceled")
    body = None if definition.cancel_body is None else _with_id(definition.cancel_body, ref.job_id)
    operation = Operation.parse(definition.cancel, "cancel")
    return _call(definition, operation, f"cancel {definition.name}", lambda _: None, _inputs_of(ref), body=body)


def _call(
    definition: JobDefinition,
    operation: Operation,
    name: str,
    read: Callable[[Response], Any],
    values: Mapping[str, Any],
    *,
    query: list[tuple[str, str]] | None = None,
    headers: Mapping[str, str] | None = None,
    body: Any = None,
) -> Call[Any]:
    quoted = {one: quote(_text(values[one]), safe="") for one in operation.inputs}
    plain = {one: _text(values[one]) for one in operation.inputs}
    sent = {"accept": f"application/vnd.bentley.itwin-platform.{definition.version}+json", **(headers or {})}
    if body is not None:
        sent["content-type"] = "application/json"
    return Call(
        operation=name,
        method=operation.method,
        path=operation.path.format(**quoted),
        read=read,
        query=(*((key, _filled(value, plain)) for key, value in operation.query), *(query or ())),
        headers=sent,
        body=None if body is None else msgspec.json.encode(body),
        accepts=_ACCEPTED,
    )


def _filled(template: str, values: Mapping[str, str]) -> str:
    """Return a value of a query with its inputs; in a string of OData, a quote is doubled, so that it does not end the string."""
    text, quotes = "", 0
    for literal, name, _, _ in Formatter().parse(template):
        text += literal
        quotes += literal.count("'")
        if name:
            text += values[name].replace("'", "''") if quotes % 2 else values[name]
    return text


def _inputs_of(ref: JobRef) -> dict[str, str]:
    return {**ref.inputs, "job_id": ref.job_id}


def _json(response: Response, too_large: type[ITwinError] = ITwinProtocolError) -> Any:
    """
    Return the JSON of a response.

    :param too_large: the error for too many values, or too many levels of them
    :raises ITwinProtocolError: if it is no JSON
    """
    try:
        check_size(response.body, MOST_VALUES)
        try:
            return msgspec.json.decode(response.body)
        except UNREADABLE:
            return msgspec.json.decode(valid_utf8(valid_escapes(response.body)))
    except (OversizedError, RecursionError) as error:
        raise too_large(f"The response is too large: {error}") from None
    except UNREADABLE as error:
        raise ITwinProtocolError(f"The response is no readable JSON: {error}") from None


def _object(response: Response, definition: JobDefinition) -> Mapping[str, Any]:
    body = _json(response)
    if not isinstance(body, dict):
        raise ITwinProtocolError(f"The response about the {definition.name} is a {type(body).__name__}, not an object")
    return body


def _with_id(value: Any, job_id: str) -> Any:
    if isinstance(value, Mapping):
        return {name: _with_id(one, job_id) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_with_id(one, job_id) for one in value]
    return value.replace("{job_id}", job_id) if isinstance(value, str) else value


def _copy(value: Any) -> Any:
    return _with_id(value, "{job_id}")


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
