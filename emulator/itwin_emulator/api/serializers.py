"""Entities as the API shows them: JSON in the documented order of fields, bent by whatever oddities are on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from itwin_emulator.domain import ids
from itwin_emulator.domain.clock import timestamp
from itwin_emulator.domain.entities import Connection, IModel, ITwin, SourceFile
from itwin_emulator.domain.quirks import Oddities
from itwin_emulator.domain.run_plans import FailingFile
from itwin_emulator.domain.runs import Bundle, Run, Work, shown_state

_EXTRA = {"text": "new", "number": 1.5, "flag": True, "nothing": None, "list": [1, "two"], "table": {"deep": {}}}


@dataclass(frozen=True, slots=True)
class Show:
    """Prints entities for one request: as of one moment, with links to one origin."""

    now: float
    skew: float
    origin: str
    """Scheme, host and port that links begin with."""
    oddities: Oddities

    def run(self, run: Run) -> dict[str, Any]:
        """Print a run with everything in it."""
        export = run.kind == "export"
        active = run.is_active(self.now)
        entity: dict[str, Any] = {"id": run.id, "connectionId": run.connection_id}
        entity["startDateTime"] = self.moment(run.started)
        self._end(entity, None if active else run.ended)
        if not export:
            entity["phase"] = run.phase(self.now)
        entity["state"] = self.state(run.state(self.now))
        entity["result"] = self.result(self._verdict(run))
        if not export and not active and run.plan.error is not None:
            entity["error"] = run.plan.error.as_json()
        if run.has_jobs(self.now):
            entity["jobs"] = [self._job(run, number, bundle) for number, bundle in enumerate(run.bundles())]
        return self.bent(entity)

    def run_summary(self, run: Run) -> dict[str, Any]:
        """Print the little of a run that ``Prefer: return=minimal`` leaves: no times."""
        summary = {
            "id": run.id,
            "state": self.state(run.state(self.now)),
            "result": self.result(self._verdict(run)),
        }
        return self.bent(summary)

    def connection(self, connection: Connection, imodel: IModel, last_run: Run | None) -> dict[str, Any]:
        """Print a connection."""
        links = {
            "iModel": {"href": self.link(f"/imodels/{imodel.id}")},
            "iTwin": {"href": self.link(f"/itwins/{imodel.itwin_id}")},
        }
        if last_run is not None:
            links["lastRun"] = {"href": self.link(f"{connection.path}/runs/{last_run.id}")}
        entity: dict[str, Any] = {"id": connection.id}
        if connection.display_name is not None:
            entity["displayName"] = connection.display_name
        entity["iModelId"] = connection.imodel_id
        entity["iTwinId"] = imodel.itwin_id
        entity["authenticationType"] = connection.authentication_type
        entity["_links"] = links
        return self.bent(entity)

    def connection_summary(self, connection: Connection) -> dict[str, Any]:
        """Print the little of a connection that ``Prefer: return=minimal`` leaves."""
        entity: dict[str, Any] = {"id": connection.id}
        if connection.display_name is not None:
            entity["displayName"] = connection.display_name
        return self.bent(entity)

    def source_file(self, connection: Connection, file: SourceFile, *, minimal: bool = False) -> dict[str, Any]:
        """Print a source file; the minimal form lacks the connector."""
        entity: dict[str, Any] = {"id": file.id}
        if connection.kind == "storage":
            entity["storageFileId"] = file.file_id
            if not minimal:
                entity["connectorType"] = file.connector_type
            entity["lastKnownFileName"] = file.name
            entity["_links"] = {"file": {"href": self.link(f"/files/{file.file_id}")}}
        else:
            entity["sourceFileId"] = file.file_id
        return self.bent(entity)

    def imodel(self, imodel: IModel) -> dict[str, Any]:
        """Print an iModel, as far as the links of a connection lead to it."""
        links = {"iTwin": {"href": self.link(f"/itwins/{imodel.itwin_id}")}}
        entity = {"id": imodel.id, "displayName": imodel.display_name, "iTwinId": imodel.itwin_id, "_links": links}
        return self.bent({**entity, "name": imodel.display_name, "state": "initialized"})

    def itwin(self, itwin: ITwin) -> dict[str, Any]:
        """Print an iTwin, as far as the links of a connection lead to it."""
        return self.bent(
            {
                "id": itwin.id,
                "class": "Endeavor",
                "subClass": "Project",
                "displayName": itwin.display_name,
                "status": "Active",
            }
        )

    def moment(self, moment: float) -> str:
        """Print a moment."""
        text = timestamp(moment + self.skew)
        match self.oddities.dates:
            case "6-digits":
                return text[:-2] + "Z"
            case "no-zone":
                return text[:-1]
            case "no-fraction":
                return text[:19] + "Z"
            case _:
                return text

    def state(self, state: str) -> str:
        """Print a state."""
        return self.oddities.state_names.get(state, state)

    def result(self, result: str) -> str:
        """Print a result."""
        if result in ("Canceled", "Cancelled") and result not in self.oddities.result_names:
            # A plan may say Cancelled itself; then that is what it wants to see.
            return result if result == "Cancelled" else self.oddities.canceled_spelling
        return self.oddities.result_names.get(result, result)

    def link(self, path: str) -> str:
        """Print an absolute link."""
        return (self.oddities.links_host or self.origin) + path

    def bent(self, entity: dict[str, Any]) -> dict[str, Any]:
        """Apply the oddities that concern any entity."""
        odd = self.oddities
        for name in odd.missing_fields:
            entity.pop(name, None)
        for name in odd.null_fields:
            if name in entity:
                entity[name] = None
        if odd.extra_fields:
            entity["unheardOf"] = dict(_EXTRA)
        return entity

    def _verdict(self, run: Run) -> str:
        result = run.result(self.now)
        if self.oddities.success_with_failure and result in ("Error", "PartialSuccess"):
            return "Success"
        return result

    def _end(self, entity: dict[str, Any], ended: float | None) -> None:
        if ended is not None:
            entity["endDateTime"] = self.moment(ended)
        elif self.oddities.no_end == "null":
            entity["endDateTime"] = None
        elif self.oddities.no_end == "year-1":
            entity["endDateTime"] = "0001-01-01T00:00:00"

    def _job(self, run: Run, number: int, bundle: Bundle) -> dict[str, Any]:
        elapsed = self.now - run.started
        state = shown_state(bundle.begins, bundle.ends, elapsed)
        job: dict[str, Any] = {"id": ids.derived_id(run.id, number)}
        if state != "Queued":
            job["startDateTime"] = self.moment(run.started + bundle.begins)
        self._end(job, run.started + bundle.ends if state == "Completed" else None)
        job["state"] = self.state(state)
        job["result"] = self.result(bundle.result if state == "Completed" else "Undetermined")
        if run.kind != "export":
            job["connectorType"] = bundle.connector_type
        job["tasks"] = [self._task(run, f"{number}/{index}", work) for index, work in enumerate(bundle.works)]
        return self.bent(job)

    def _task(self, run: Run, number: str, work: Work) -> dict[str, Any]:
        state = shown_state(work.begins, work.ends, self.now - run.started)
        done = state == "Completed"
        task: dict[str, Any] = {"id": ids.derived_id(run.id, number)}
        if run.kind == "manifest":
            task["sourceFileId"] = work.file.file_id
        if state != "Queued":
            task["startDateTime"] = self.moment(run.started + work.begins)
        self._end(task, run.started + work.ends if done else None)
        task["retryAttempts"] = work.failure.retry_attempts if done and work.failure else 0
        if run.kind == "storage":
            task["storageFileId"] = work.file.file_id
        task["state"] = self.state(state)
        task["result"] = self.result(work.result if done else "Undetermined")
        if done:
            self._outcome(run, work, task)
        return self.bent(task)

    def _outcome(self, run: Run, work: Work, task: dict[str, Any]) -> None:
        if run.kind == "export" and work.result == "Success":
            task["exportOutputFileId"] = ids.derived_guid(run.id, "output")
        if work.failure is not None:
            task["error"] = work.failure.as_json()
        elif self.oddities.success_with_error:
            task["error"] = FailingFile(0).as_json()
        if run.kind != "export":
            action = "Error" if work.errors else "Warning" if work.warnings else "Info"
            task["details"] = {
                "synchronizationReport": {
                    "suggestedAction": action,
                    "message": "",
                    "totalErrorsCount": work.errors,
                    "totalWarningsCount": work.warnings,
                    "totalOtherIssuesCount": work.other_issues,
                }
            }
