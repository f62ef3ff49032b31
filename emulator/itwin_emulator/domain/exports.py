"""Outputs of export runs: files in the Storage of the iTwin."""

from __future__ import annotations

from collections.abc import Mapping

from itwin_emulator.domain import ids
from itwin_emulator.domain.entities import IModel
from itwin_emulator.domain.runs import Run
from itwin_emulator.domain.storage import Storage

_IFC = """\
ISO-10303-21;
HEADER;
FILE_DESCRIPTION(('Export of an emulated iModel'),'2;1');
FILE_NAME('{name}','','','','itwin-emulator','','');
FILE_SCHEMA(('IFC4'));
ENDSEC;
DATA;
#1=IFCPROJECT('{digest}',$,'{name}',$,$,$,$,$,$);
ENDSEC;
END-ISO-10303-21;
"""
_PDF = "%PDF-1.4\n% Export of the emulated iModel {name} ({digest})\n%%EOF\n"


def output_id(run: Run) -> str:
    """Return the id of the file that an export run writes."""
    return ids.derived_guid(run.id, "output")


class ExportOutputs:
    """The export runs whose output is not in Storage yet."""

    def __init__(self) -> None:
        self._pending: dict[str, Run] = {}

    def expect(self, run: Run) -> None:
        """Remember an export run; its output appears in Storage after its end."""
        self._pending[run.id] = run

    def pending_ids(self) -> list[str]:
        """Return the ids of the runs whose output is not in Storage yet."""
        return list(self._pending)

    def collect(self, storage: Storage, imodels: Mapping[str, IModel], now: float) -> bool:
        """Write the outputs of the runs that have ended. Return whether there were any."""
        ended = [run for run in self._pending.values() if not run.is_active(now)]
        for run in ended:
            del self._pending[run.id]
            if any(task.result == "Success" for job in run.jobs() for task in job.tasks):
                _write(storage, run, imodels[run.imodel_id])
        return bool(ended)


def _write(storage: Storage, run: Run, imodel: IModel) -> None:
    extension, template = ("pdf", _PDF) if run.export_type == "PDF" else ("ifc", _IFC)
    # Equal exports of an iModel have equal bytes: neither the run nor the time is in them.
    text = template.format(name=imodel.id, digest=ids.derived_id("export", imodel.id, extension)[:22])
    folder = storage.root(imodel.itwin_id, run.ended)
    file = storage.add_file(
        folder, f"{imodel.id}-{run.id}.{extension}", "", run.ended, description=None, file_id=output_id(run)
    )
    storage.set_content(file, storage.folder.write(text.encode()), "", run.ended)
