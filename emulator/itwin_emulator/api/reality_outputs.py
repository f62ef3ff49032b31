"""Where the outputs of a job of Reality Modeling, Analysis or Conversion are, in the shapes that its API has for them."""

from __future__ import annotations

from typing import Any

from itwin_emulator.domain import ids
from itwin_emulator.domain.job_kinds import REALITY_CONVERSION
from itwin_emulator.domain.jobs import Job

LOCATED = frozenset({"modelingReference"})
"""Outputs that are objects with a location."""
IN_BUCKET = frozenset({"addedConstraintsInfo", "constraints", "importInfo"})
"""Outputs that are paths in the bucket of the iTwin, not ids of reality data."""
DETECTOR = "detector"
"""The output of a training: name and version of a detector."""
FIRST_VERSION = "1.0"


def with_outputs(job: Job) -> dict[str, Any]:
    """Return the specifications of a job with the places that its outputs are written to."""
    specifications = dict(job.inputs["specifications"])
    outputs = specifications.get("outputs")
    if job.kind is REALITY_CONVERSION:
        # The request of a conversion names no outputs: there is one.
        specifications["output"] = _id(job, "output")
    if isinstance(outputs, list):
        if all(isinstance(one, str) for one in outputs):
            names = [one[:1].lower() + one[1:] for one in outputs]
            specifications["outputs"] = {name: _place(job, name) for name in names}
    elif isinstance(outputs, dict):
        asked = {name: one for name, one in outputs.items() if one is not None and one is not False}
        specifications["outputs"] = {name: _output(job, name, one) for name, one in asked.items()}
    return specifications


def _output(job: Job, name: str, requested: Any) -> Any:
    # Outputs with options of their own are lists of objects: each gets a location. True asks for an output.
    if isinstance(requested, list):
        return [
            {**one, "location": _id(job, f"{name}/{index}")} if isinstance(one, dict) else one
            for index, one in enumerate(requested)
        ]
    return _place(job, name) if requested is True else requested


def _place(job: Job, name: str) -> Any:
    if name in LOCATED:
        return {"location": _id(job, name)}
    if name in IN_BUCKET:
        return f"bkt:{job.id}/{name}"
    if name == DETECTOR:
        return _detector(job.inputs["specifications"])
    return _id(job, name)


def _detector(specifications: dict[str, Any]) -> str:
    options = specifications.get("options")
    version = options.get("versionNumber") if isinstance(options, dict) else None
    return f"{specifications['inputs'].get('detectorName')}/{version or FIRST_VERSION}"


def _id(job: Job, name: str) -> str:
    return ids.derived_guid(job.id, "output", name)
