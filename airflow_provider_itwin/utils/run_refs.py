"""
References to runs as parameters: what tasks pass to one another.

DAG files import this module, so it imports nothing beyond the standard library.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_itwin.api.errors import ITwinInputError
from airflow_provider_itwin.api.models.run_ref import RunRef
from airflow_provider_itwin.api.models.validation import is_template, shown

_PARTS = ("kind", "connection_id", "run_id")
_EXPECTED = (
    "run_ref must be the XCom run_ref of a run operator, such as run_ref=synchronize.output['run_ref'], the output of a sensor, "
    "a dict with kind, connection_id and run_id, or 'kind/connection_id/run_id'"
)


def check_run_ref(value: object) -> None:
    """
    Check a reference in a DAG file, as far as it can be judged then: parts of a dict may be templates.

    :raises ITwinInputError: if it cannot become a reference
    """
    if isinstance(value, Mapping):
        parts = value.get("ref", value)
        if not isinstance(parts, Mapping) or any(name not in parts for name in _PARTS):
            raise ITwinInputError(f"{_EXPECTED}, not {shown(value)}")
    elif isinstance(value, str) and not is_template(value):
        parse_run_ref(value, is_rendered=False)
    elif value is None or isinstance(value, bytes | int | float | list | tuple | set):
        raise ITwinInputError(f"{_EXPECTED}, not {shown(value)}")
    elif hasattr(value, "output"):
        task_id = getattr(value, "task_id", "")
        raise ITwinInputError(f"{_EXPECTED}, not the task {task_id} itself. Pass its output.")


def parse_run_ref(value: Any, *, is_rendered: bool = True) -> RunRef:
    """
    Return the reference that a task was given: the XCom ``run_ref``, a report, or a text.

    :param is_rendered: whether the value can come from an XCom or a template, for the error text
    :raises ITwinInputError: for anything else, and for invalid ids
    """
    if isinstance(value, Mapping):
        # A report names its run in `ref`.
        value = value.get("ref", value)
    if isinstance(value, RunRef):
        return value
    if isinstance(value, Mapping) and all(name in value for name in _PARTS):
        return RunRef.from_dict(dict(value))
    if isinstance(value, str) and value.count("/") == 2:
        return RunRef.parse(value)
    hint = ". If it comes from an XCom, check that the upstream task has pushed it." if is_rendered else ""
    raise ITwinInputError(f"{_EXPECTED}, not {shown(value)}{hint}")


def kind_of(value: object) -> str | None:
    """Return the kind of connection that a reference in a DAG file names; None if it is not known yet."""
    if isinstance(value, Mapping):
        parts = value.get("ref", value)
        return str(parts.get("kind")) if isinstance(parts, Mapping) else None
    return value.partition("/")[0] if isinstance(value, str) else None


def report_in(value: Any) -> Mapping[str, Any] | None:
    """Return the report of the run if a reference has it, as the output of a sensor does; else None."""
    return value if isinstance(value, Mapping) and isinstance(value.get("ref"), Mapping) else None
