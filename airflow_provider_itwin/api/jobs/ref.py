"""
References to jobs.

DAG files import this module, so it imports nothing beyond the standard library.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NoReturn, Self

from airflow_provider_itwin.api.errors import ITwinInputError
from airflow_provider_itwin.api.models.job_types import JobRefDict
from airflow_provider_itwin.api.models.validation import checked_id, no_xcom, shown

LONGEST_NAME = 60


def is_job_name(name: object) -> bool:
    """Return whether `name` can be what a job is called in messages."""
    return isinstance(name, str) and bool(name.strip()) and name.isprintable() and len(name) <= LONGEST_NAME


@dataclass(frozen=True, slots=True)
class JobRef:
    """
    The reference of a job.

    :param name: what the job is called, as in its definition
    :param job_id: id of the job
    :param inputs: the inputs that are part of the paths of its requests
    """

    name: str
    job_id: str
    inputs: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not is_job_name(self.name):
            raise ITwinInputError(
                f"name must be what a job is called, in 1 to {LONGEST_NAME} characters, not {shown(self.name)}"
            )
        checked_id(self.job_id, "job_id")
        for name, value in self.inputs.items():
            checked_id(value, name)

    def __str__(self) -> str:
        return f"{self.name} {self.job_id}"

    def __hash__(self) -> int:
        return hash((self.name, self.job_id))

    def as_dict(self) -> JobRefDict:
        """Return the parts as JSON values, as in the XCom ``job_ref``."""
        return {"name": self.name, "job_id": self.job_id, "inputs": dict(self.inputs)}

    def serialize(self) -> NoReturn:
        """Refuse; Airflow calls this when the object is returned from a task."""
        no_xcom(self)

    @classmethod
    def from_dict(cls, parts: object) -> Self:
        """
        Parse the result of :meth:`as_dict`.

        :raises ITwinInputError: if a part is missing or invalid
        """
        inputs = parts.get("inputs", {}) if isinstance(parts, Mapping) else None
        if not isinstance(parts, Mapping) or not isinstance(inputs, Mapping):
            raise ITwinInputError(
                f"The reference of a job must be a mapping with name, job_id and inputs, not {shown(parts)}"
            )
        job_id = checked_id(parts.get("job_id"), "job_id")
        return cls(parts.get("name") or "job", job_id, {str(name): str(value) for name, value in inputs.items()})
