"""Entities as JSON data, with the documented order of fields and the quirks that are on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from itwin_emulator.domain import ids
from itwin_emulator.domain.clock import timestamp
from itwin_emulator.domain.entities import ACCOUNT_ID, Connection, IModel, ITwin
from itwin_emulator.domain.exports import output_id
from itwin_emulator.domain.quirks import Quirks
from itwin_emulator.domain.run_plans import FailingFile
from itwin_emulator.domain.runs import FileTask, Job, Run, task_id, task_state
from itwin_emulator.domain.source_files import SourceFile


def other_case(path: str) -> str:
    """Return the path of a run with capital letters, as older links have them."""
    path = path.replace("storageconnections", "storageConnections")
    return path.replace("manifestconnections", "manifestConnections").replace("/runs/", "/Runs/")


_EXTRA = {"text": "new", "number": 1.5, "flag": True, "nothing": None, "list": [1, "two"], "table": {"deep": {}}}


@dataclass(frozen=True, slots=True)
class Serializer:
    """
    Serializes entities for one request.

    :param now: time of the state to return
    :param skew: clock skew that is added to all dates
    :param origin: scheme, host and port of links
    """

    now: float
    skew: float
    origin: str
    quirks: Quirks

    def run(self, run: Run) -> dict[str, Any]:
        """Return a full run, with jobs and tasks."""
        export = run.kind == "export"
        active = run.is_active(self.now)
        entity: dict[str, Any] = {"id": run.id, "connectionId": run.connection_id}
        entity["startDateTime"] = self.date(run.started)
        self._add_end(entity, None if active else run.ended)
        if not export:
            entity["phase"] = run.phase(self.now)
        entity["state"] = self.state(run.state(self.now))
        entity["result"] = self.result(self._result_of(run))
        if not export and not active and run.plan.error is not None:
            entity["error"] = run.plan.error.as_json()
        if run.has_jobs(self.now):
            entity["jobs"] = [self._job(run, number, job) for number, job in enumerate(run.jobs())]
        elif self.quirks.no_jobs != "absent":
            entity["jobs"] = [] if self.quirks.no_jobs == "empty" else None
        return self.apply_quirks(entity)

    def run_summary(self, run: Run) -> dict[str, Any]:
        """Return the summary of a run for ``Prefer: return=minimal``, without dates."""
        summary = {
            "id": run.id,
            "state": self.state(run.state(self.now)),
            "result": self.result(self._result_of(run)),
        }
        return self.apply_quirks(summary)

    def connection(self, connection: Connection, imodel: IModel, last_run: Run | None) -> dict[str, Any]:
        """Return a connection."""
        links = {
            "iModel": {"href": self.link(f"/imodels/{imodel.id}")},
            "iTwin": {"href": self.link(f"/itwins/{imodel.itwin_id}")},
        }
        if last_run is not None:
            path = f"{connection.path}/runs/{last_run.id}"
            links["lastRun"] = {"href": self.link(other_case(path) if self.quirks.location == "other-case" else path)}
        entity: dict[str, Any] = {"id": connection.id}
        if connection.display_name is not None:
            entity["displayName"] = connection.display_name
        entity["iModelId"] = connection.imodel_id
        entity["iTwinId"] = imodel.itwin_id
        entity["authenticationType"] = connection.authentication_type
        entity["_links"] = links
        return self.apply_quirks(entity)

    def connection_summary(self, connection: Connection) -> dict[str, Any]:
        """Return the summary of a connection for ``Prefer: return=minimal``."""
        entity: dict[str, Any] = {"id": connection.id}
        if connection.display_name is not None:
            entity["displayName"] = connection.display_name
        return self.apply_quirks(entity)

    def source_file(self, connection: Connection, file: SourceFile, *, minimal: bool = False) -> dict[str, Any]:
        """Return a source file; the minimal form lacks the connector."""
        entity: dict[str, Any] = {"id": file.id}
        if connection.kind == "storage":
            entity["storageFileId"] = file.file_id
            if not minimal:
                entity["connectorType"] = file.connector_type
            entity["lastKnownFileName"] = file.name
            entity["_links"] = {"file": {"href": self.link(f"/files/{file.file_id}")}}
        else:
            entity["sourceFileId"] = file.file_id
        return self.apply_quirks(entity)

    def itwin(self, itwin: ITwin) -> dict[str, Any]:
        """Return an iTwin."""
        creator = None if itwin.created_by is None else ids.derived_guid("user", itwin.created_by)
        return self.apply_quirks(
            {
                **self._itwin(itwin),
                "geographicLocation": itwin.geographic_location,
                "latitude": itwin.latitude,
                "longitude": itwin.longitude,
                "ianaTimeZone": itwin.iana_time_zone,
                "dataCenterLocation": itwin.data_center_location,
                "status": itwin.status,
                "parentId": itwin.parent_id or ACCOUNT_ID,
                "iTwinAccountId": ACCOUNT_ID,
                "imageName": None,
                "image": None,
                "createdDateTime": self.date(itwin.created),
                "createdBy": creator,
                "lastModifiedDateTime": self.date(itwin.modified),
                "lastModifiedBy": creator,
            }
        )

    def itwin_summary(self, itwin: ITwin) -> dict[str, Any]:
        """Return the summary of an iTwin for ``Prefer: return=minimal``."""
        return self.apply_quirks(self._itwin(itwin))

    def _itwin(self, itwin: ITwin) -> dict[str, Any]:
        return {
            "id": itwin.id,
            "class": itwin.itwin_class,
            "subClass": itwin.sub_class,
            "type": itwin.type,
            "number": itwin.number or itwin.id,
            "displayName": itwin.display_name,
        }

    def date(self, moment: float) -> str:
        """Format a date."""
        text = timestamp(moment + self.skew)
        match self.quirks.dates:
            case "6-digits":
                return text[:-2] + "Z"
            case "no-zone":
                return text[:-1]
            case "no-fraction":
                return text[:19] + "Z"
            case _:
                return text

    def state(self, state: str) -> str:
        """Return the name of a state."""
        return self.quirks.state_names.get(state, state)

    def result(self, result: str) -> str:
        """Return the name of a result."""
        if result in ("Canceled", "Cancelled") and result not in self.quirks.result_names:
            # A plan with the spelling "Cancelled" keeps it.
            return result if result == "Cancelled" else self.quirks.canceled_spelling
        return self.quirks.result_names.get(result, result)

    def link(self, path: str) -> str:
        """Return an absolute link."""
        return (self.quirks.links_host or self.origin) + path

    def apply_quirks(self, entity: dict[str, Any]) -> dict[str, Any]:
        """Apply the quirks that concern all entities."""
        quirks = self.quirks
        for name in quirks.missing_fields:
            entity.pop(name, None)
        for name in quirks.null_fields:
            if name in entity:
                entity[name] = None
        if quirks.extra_fields:
            entity["unheardOf"] = dict(_EXTRA)
        return entity

    def _result_of(self, run: Run) -> str:
        result = run.result(self.now)
        if self.quirks.success_with_failure and result in ("Error", "PartialSuccess"):
            return "Success"
        return result

    def _add_end(self, entity: dict[str, Any], ended: float | None) -> None:
        if ended is not None:
            entity["endDateTime"] = self.date(ended)
        elif self.quirks.no_end == "null":
            entity["endDateTime"] = None
        elif self.quirks.no_end == "year-1":
            entity["endDateTime"] = "0001-01-01T00:00:00"

    def _job(self, run: Run, number: int, job: Job) -> dict[str, Any]:
        elapsed = self.now - run.started
        state = task_state(job.begins, job.ends, elapsed)
        entity: dict[str, Any] = {"id": ids.derived_id(run.id, number)}
        if state != "Queued":
            entity["startDateTime"] = self.date(run.started + job.begins)
        self._add_end(entity, run.started + job.ends if state == "Completed" else None)
        entity["state"] = self.state(state)
        entity["result"] = self.result(job.result if state == "Completed" else "Undetermined")
        if run.kind != "export":
            entity["connectorType"] = job.connector_type
        entity["tasks"] = [
            self._task(run, task_id(run.id, number, index), task) for index, task in enumerate(job.tasks)
        ]
        return self.apply_quirks(entity)

    def _task(self, run: Run, task_id: str, task: FileTask) -> dict[str, Any]:
        state = task_state(task.begins, task.ends, self.now - run.started)
        completed = state == "Completed"
        entity: dict[str, Any] = {"id": task_id}
        if run.kind == "manifest":
            entity["sourceFileId"] = task.file.file_id
        if state != "Queued":
            entity["startDateTime"] = self.date(run.started + task.begins)
        self._add_end(entity, run.started + task.ends if completed else None)
        entity["retryAttempts"] = task.failure.retry_attempts if completed and task.failure else 0
        if run.kind == "storage":
            entity["storageFileId"] = task.file.file_id
        entity["state"] = self.state(state)
        entity["result"] = self.result(task.result if completed else "Undetermined")
        if completed:
            self._add_outcome(run, task, entity)
        return self.apply_quirks(entity)

    def _add_outcome(self, run: Run, task: FileTask, entity: dict[str, Any]) -> None:
        if run.kind == "export" and task.result == "Success":
            entity["exportOutputFileId"] = output_id(run)
        if task.failure is not None:
            entity["error"] = task.failure.as_json()
        elif self.quirks.success_with_error:
            entity["error"] = FailingFile(0).as_json()
        if run.kind != "export":
            action = "Error" if task.errors else "Warning" if task.warnings else "Info"
            entity["details"] = {
                "synchronizationReport": {
                    "suggestedAction": action,
                    "message": "",
                    "totalErrorsCount": task.errors,
                    "totalWarningsCount": task.warnings,
                    "totalOtherIssuesCount": task.other_issues,
                }
            }
