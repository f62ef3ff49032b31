"""Results of jobs: changesets of transformations, and files that pre-signed URLs lead to."""

from __future__ import annotations

import json
from typing import Any

from itwin_emulator.domain import ids
from itwin_emulator.domain.blobs import Blob, Content
from itwin_emulator.domain.imodel_history import Changeset, ImodelHistory
from itwin_emulator.domain.job_kinds import CHANGED_ELEMENTS, TRANSFORMATION
from itwin_emulator.domain.jobs import Job
from itwin_emulator.domain.storage import Storage

DELETED, INSERTED, MODIFIED = 9, 18, 23
"""Operation codes of changed elements."""
_OPCODES = (INSERTED, MODIFIED, MODIFIED, DELETED)


def result_blob_id(job: Job) -> str:
    """Return the id of the blob with the result of a job."""
    return ids.derived_opaque_id(job.id, "result")


def collect(job: Job, storage: Storage, history: ImodelHistory | None) -> None:
    """
    Create the result of a job that has ended.

    :param history: the history of its iModel, up to date; None: the iModel is deleted
    """
    if not job.is_successful(job.ended):
        if job.kind is TRANSFORMATION and job.cancelled is None:
            _write(job, storage, _report(job, None))
        return
    if job.kind is TRANSFORMATION and history is not None:
        changeset = _push(job, history)
        job.result = {"id": changeset.id, "index": changeset.index}
        _write(job, storage, _report(job, changeset))
    elif job.kind is CHANGED_ELEMENTS:
        start, end = job.inputs["startChangesetIndex"], job.inputs["endChangesetIndex"]
        _write(job, storage, changed_elements(start, end))


def discard(job: Job, storage: Storage) -> None:
    """Remove the file with the result of a job."""
    blob = storage.uploads.pop(result_blob_id(job), None)
    if blob is not None and blob.content is not None:
        storage.folder.remove(blob.content.name)


def changed_elements(start: int, end: int) -> dict[str, Any]:
    """Return the elements that changesets have changed, by their first and last index; equal ranges have equal changes."""
    numbers = range(4 * start, 4 * end + 4)
    properties = [["UserLabel"] if _OPCODES[number % 4] == MODIFIED else [] for number in numbers]
    return {
        "changedElements": {
            "elements": [f"0x{number:x}" for number in numbers],
            "classIds": ["0x10" for _ in numbers],
            "modelIds": ["0x1" for _ in numbers],
            "parentIds": ["0" for _ in numbers],
            "parentClassIds": ["0" for _ in numbers],
            "opcodes": [_OPCODES[number % 4] for number in numbers],
            "type": [1 if one else 0 for one in properties],
            "properties": properties,
            "oldChecksums": [[] for _ in numbers],
            "newChecksums": [[] for _ in numbers],
        }
    }


def _report(job: Job, changeset: Changeset | None) -> dict[str, Any]:
    error = job.error
    return {
        "transformationId": job.id,
        "status": job.outcome,
        "error": None if error is None else error.message,
        "targetChangesetIndex": None if changeset is None else changeset.index,
        "messages": [{"level": one.level, "message": one.message} for one in job.plan.messages],
    }


def _push(job: Job, history: ImodelHistory) -> Changeset:
    # The description tells a push from an earlier one of the same job, which a state file can have kept.
    text = f"Transformation {job.id}"
    for one in reversed(history.changesets):
        if one.description == text:
            return one
    return history.push(job.ended, job.creator, text)


def _write(job: Job, storage: Storage, data: dict[str, Any]) -> None:
    discard(job, storage)
    written = storage.folder.write(json.dumps(data, separators=(",", ":")).encode())
    content = Content(
        written.name, written.size, written.digest, job.ended, content_type="application/json", md5=written.digest
    )
    blob_id = result_blob_id(job)
    storage.uploads[blob_id] = Blob(blob_id, job.itwin_id, content)
    job.result["blob"] = blob_id
