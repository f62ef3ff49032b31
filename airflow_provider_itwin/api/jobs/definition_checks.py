"""
The checks of a definition, made where it is written: a mistake must not show only after a job was started.

DAG files import this module, so it imports nothing beyond the standard library.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import combinations
from typing import Any, TypeAlias

from airflow_provider_itwin.api.errors import ITwinInputError
from airflow_provider_itwin.api.jobs.inputs import JobInput, json_value
from airflow_provider_itwin.api.jobs.json_path import checked_json_path
from airflow_provider_itwin.api.jobs.operation import CANCELS, STARTS, Operation
from airflow_provider_itwin.api.jobs.ref import LONGEST_NAME, is_job_name
from airflow_provider_itwin.api.models.validation import shown

Definition: TypeAlias = Any
"""A ``JobDefinition``, whose module imports this one."""

_VERSION = re.compile(r"v[1-9][0-9]?")
_PATH_TYPES = ("id", "index or id", "integer")


def check_definition(definition: Definition) -> None:
    """
    Check a definition.

    :raises ITwinInputError: if it cannot be used; the text says why
    """
    _check_name(definition)
    _check_inputs(definition)
    _check_operations(definition)
    _check_bodies(definition)
    _check_states(definition)
    _check_json_paths(definition)
    _check_search(definition)


def _check_name(definition: Definition) -> None:
    name, version = definition.name, definition.version
    if not is_job_name(name):
        raise ITwinInputError(f"name must be what a job is called, in 1 to {LONGEST_NAME} characters")
    if not isinstance(version, str) or not _VERSION.fullmatch(version):
        raise ITwinInputError(f"version must be 'v1', 'v2' and so on, not {version!r:.80}")


def _check_inputs(definition: Definition) -> None:
    inputs = definition.inputs
    if not isinstance(inputs, Mapping):
        raise ITwinInputError(f"inputs must be a dict of JobInput by name, not {shown(inputs)}")
    for name, one in inputs.items():
        if not isinstance(one, JobInput):
            raise ITwinInputError(f"input {name!r} must be a JobInput, not {shown(one)}")
        one.check(name)
    members = [(name, one.member_for(name)) for name, one in inputs.items() if one.place == "body"]
    for (name, member), (other, others) in combinations(members, 2):
        if _overlap(member, others):
            raise ITwinInputError(
                f"the inputs {name!r} and {other!r} are the same member of the body, or one is in the other: "
                f"{member} and {others}"
            )


def _overlap(member: str, other: str) -> bool:
    return f"{member}.".startswith(f"{other}.") or f"{other}.".startswith(f"{member}.")


def _check_operations(definition: Definition) -> None:
    later = definition.later_requests
    requests = {"start": definition.start, **({"find": definition.find.get} if definition.find else {}), **later}
    used: set[str] = set()
    for name, text in requests.items():
        methods = STARTS if name == "start" else CANCELS if name == "cancel" else ("GET",)
        operation = Operation.parse(text, name, methods)
        known = {*definition.inputs, "job_id"} if name in later else set(definition.inputs)
        unknown = [one for one in operation.inputs if one not in known]
        if unknown:
            raise ITwinInputError(f"{name} contains {{{unknown[0]}}}, which is not an input of the job")
        for one in operation.inputs:
            if one != "job_id":
                _check_input_in_url(
                    definition.inputs[one], name, one, in_path=one in operation.path_inputs, is_stored=name in later
                )
        has_id = "job_id" in operation.inputs or (name == "cancel" and "{job_id}" in str(definition.cancel_body))
        if name in later and not has_id:
            raise ITwinInputError(f"{name} must contain {{job_id}}")
        used.update(operation.inputs)
    for name, given in definition.inputs.items():
        if given.place == "path" and name not in used:
            raise ITwinInputError(f"input {name!r} has the place 'path', but no request contains {{{name}}}")


def _check_input_in_url(given: JobInput, request: str, name: str, *, in_path: bool, is_stored: bool) -> None:
    what = f"{request} contains {{{name}}}"
    if given.secret:
        raise ITwinInputError(f"{what}, which is a secret: URLs are logged")
    if given.type in ("object", "array"):
        raise ITwinInputError(f"{what}, which is an {given.type}: only the body can contain it")
    if (in_path or is_stored) and given.type not in _PATH_TYPES:
        # Any other text can change the path, or is refused by the reference of the job when the job runs already.
        where = " in its path" if in_path else ", which is stored"
        raise ITwinInputError(
            f"{what}{where}, so its type must be 'id', 'index or id' or 'integer', not {given.type!r}"
        )
    if not given.required and given.default is None:
        raise ITwinInputError(f"{what}, so the input must be required or have a default")


def _check_bodies(definition: Definition) -> None:
    for name in ("body", "cancel_body"):
        body = getattr(definition, name)
        if (name == "body" or body is not None) and (not isinstance(body, Mapping) or json_value(body) is None):
            raise ITwinInputError(f"{name} must be an object of JSON values, not {shown(body)}")
    if definition.cancel_body is not None and definition.cancel is None:
        raise ITwinInputError("cancel_body has no effect without cancel")
    for name, one in definition.inputs.items():
        if one.place == "body" and _is_taken(definition.body, one.member_for(name)):
            raise ITwinInputError(
                f"input {name!r} is the member {one.member_for(name)} of the body, where body has a value already"
            )


def _is_taken(body: Mapping[str, object], member: str) -> bool:
    """Return whether a member, or a member on the way to it, has a value that it would replace."""
    at: object = body
    for name in member.split("."):
        if not isinstance(at, Mapping):
            return True
        if name not in at:
            return False
        at = at[name]
    return True


def _check_states(definition: Definition) -> None:
    if not definition.passed:
        raise ITwinInputError("passed must name the states of a job that has succeeded")
    seen: dict[str, str] = {}
    for name in ("running", "passed", "warned", "failed"):
        for state in getattr(definition, name):
            other = seen.setdefault(state.lower(), name)
            if other != name:
                raise ITwinInputError(f"the state {state!r} is in {other} and in {name}")


def _check_json_paths(definition: Definition) -> None:
    if definition.id != "Location":
        checked_json_path(definition.id, "id")
    checked_json_path(definition.state, "state")
    progress = definition.progress
    if isinstance(progress, str):
        checked_json_path(progress, "progress")
    elif isinstance(progress, tuple | list) and len(progress) == 2:
        for path in progress:
            checked_json_path(path, "progress")
    elif progress is not None:
        raise ITwinInputError("progress must be a JSON path, or two: to a number and its total")
    if definition.result_member is not None:
        checked_json_path(definition.result_member, "result")
    messages = definition.messages
    for path in (*messages.errors, *messages.warnings) if messages else ():
        checked_json_path(path, "messages")


def _check_search(definition: Definition) -> None:
    search = definition.find
    if not isinstance(definition.repeatable, bool):
        raise ITwinInputError(f"repeatable must be True or False, not {definition.repeatable!r:.80}")
    if definition.conflict not in ("fail", "adopt"):
        raise ITwinInputError(f"conflict must be 'fail' or 'adopt', not {definition.conflict!r:.80}")
    if search is None:
        if definition.conflict == "adopt":
            raise ITwinInputError("conflict='adopt' needs find, which finds the equal job")
        return
    for path in (search.jobs, search.id, *search.same):
        checked_json_path(path, "find")
    unknown = [name for name in search.same.values() if name not in definition.inputs]
    if unknown:
        raise ITwinInputError(f"find compares with the input {unknown[0]!r}, which the job does not have")
