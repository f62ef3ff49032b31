"""Schemas of the bodies of the APIs with jobs."""

from __future__ import annotations

from itwin_emulator.api.changed_elements import STRATEGIES
from itwin_emulator.api.reality_jobs import ANALYSIS_TYPES, MIN_NAME, MODELING_TYPES
from itwin_emulator.domain.job_kinds import CHANGED_ELEMENTS, EXTRACTION, REALITY_MODELING, TRANSFORMATION
from itwin_emulator.spec.schema_types import (
    BOOLEAN,
    INTEGER,
    STRING,
    Schema,
    array,
    enumeration,
    nullable,
    object_,
    open_object,
    page,
    ref,
    response,
)

_FREE: Schema = {"type": "object"}
_ID: Schema = {**STRING, "minLength": 1}
_DATE: Schema = nullable(STRING)
_CHANGESET: Schema = nullable(object_({"id": STRING, "index": INTEGER}))

_TRANSFORMATIONS: dict[str, Schema] = {
    "transformation-status": enumeration(TRANSFORMATION.all_states),
    "transformation-summary": object_({"id": STRING, "status": ref("transformation-status")}),
    "transformation": object_(
        {
            "id": STRING,
            "status": ref("transformation-status"),
            "errorMessage": STRING,
            "errorCode": INTEGER,
            "processedEntityCount": INTEGER,
            "totalEntityCount": INTEGER,
            "createdDateTime": STRING,
            "finishedDateTime": _DATE,
            "sourceChangeset": _CHANGESET,
            "lastTargetChangesetPushed": _CHANGESET,
            "_links": object_({"configuration": ref("link"), "targetIModel": ref("link")}),
        }
    ),
    "transformation-response": response("transformation", "transformation"),
    "transformations-page": page("transformations", "transformation"),
    "transformations-summary-page": page("transformations", "transformation-summary"),
    "transformation-report-response": object_(
        {"report": object_({"_links": object_({"download": ref("link")})})}, ("report",)
    ),
    "transformation-configuration": object_(
        {
            "id": STRING,
            "name": STRING,
            "changesetDescription": STRING,
            "createdDateTime": STRING,
            "modifiedDateTime": STRING,
            "transformType": STRING,
            "_links": object_({"sourceIModel": ref("link"), "targetIModel": ref("link")}),
        }
    ),
    "transformation-configuration-response": response("configuration", "transformation-configuration"),
    "create-transformation": open_object({"configurationId": _ID}, ("configurationId",)),
}


def _new_job(types: tuple[str, ...]) -> Schema:
    return open_object(
        {
            "name": nullable({**STRING, "minLength": MIN_NAME}),
            "type": enumeration(types) if types else _ID,
            "specifications": open_object({"inputs": _FREE}, ("inputs",)),
            "iTwinId": _ID,
        },
        ("type", "specifications", "iTwinId"),
    )


_MESSAGE = object_({"code": STRING, "title": STRING, "message": STRING, "params": array(STRING)})
_REALITY: dict[str, Schema] = {
    "reality-job-state": enumeration(REALITY_MODELING.all_states),
    "reality-job": object_(
        {
            "id": STRING,
            "name": STRING,
            "type": STRING,
            "iTwinId": STRING,
            "userId": STRING,
            "state": ref("reality-job-state"),
            "executionInfo": object_(
                {
                    "createdDateTime": STRING,
                    "startedDateTime": STRING,
                    "endedDateTime": STRING,
                    "processingUnits": {"type": "number"},
                }
            ),
            "specifications": _FREE,
        }
    ),
    "reality-job-response": response("job", "reality-job"),
    "reality-jobs-page": object_(
        {"jobs": array(ref("reality-job")), "_links": object_({"next": ref("link")})}, ("jobs",)
    ),
    "reality-job-progress": object_(
        {
            "progress": object_(
                {
                    "state": ref("reality-job-state"),
                    "percentage": {"type": "number", "minimum": 0, "maximum": 100},
                }
            )
        },
        ("progress",),
    ),
    "reality-job-messages": object_(
        {"messages": object_({"errors": array(_MESSAGE), "warnings": array(_MESSAGE)})}, ("messages",)
    ),
    "create-reality-modeling-job": _new_job(MODELING_TYPES),
    "create-reality-analysis-job": _new_job(ANALYSIS_TYPES),
    "create-reality-conversion-job": _new_job(()),
}

_DIFF_JOB: dict[str, Schema] = {
    "jobId": STRING,
    "status": ref("diff-job-status"),
    "iTwinId": STRING,
    "iModelId": STRING,
    "startChangesetIndex": INTEGER,
    "endChangesetIndex": INTEGER,
    "startChangesetId": STRING,
    "endChangesetId": STRING,
}
CHANGESET_PATTERN = "^([1-9][0-9]{0,8}|[0-9a-fA-F]{40})$"
CHANGESET_ID_PATTERN = "^[0-9a-fA-F]{40}$"
_ANY_CHANGESET: Schema = {
    "anyOf": [{**INTEGER, "minimum": 1}, {**STRING, "pattern": "^[0-9a-fA-F]{40}$"}],
}
_INDEX: Schema = {**INTEGER, "minimum": 1}
_PLAN: Schema = {
    "anyOf": [
        {
            **open_object({"strategy": enumeration(STRATEGIES)}, ("strategy",)),
            "not": {"required": ["pipeline"]},
        },
        {
            **open_object({"pipeline": {**array(_FREE), "minItems": 1}}, ("pipeline",)),
            "not": {"required": ["strategy"]},
        },
    ]
}
_TEXTS = array(STRING)
_CHANGED_ELEMENTS: dict[str, Schema] = {
    "tracking-response": object_({"enabled": BOOLEAN}),
    "changeset-status": object_({"id": STRING, "index": INTEGER, "ready": BOOLEAN}),
    "changeset-statuses-page": page("changesetStatus", "changeset-status"),
    "changed-elements": object_(
        {
            **dict.fromkeys(("elements", "classIds", "modelIds", "parentIds", "parentClassIds"), _TEXTS),
            **dict.fromkeys(("opcodes", "type"), array(INTEGER)),
            "properties": array(_TEXTS),
            **dict.fromkeys(("oldChecksums", "newChecksums"), array(array(INTEGER))),
        }
    ),
    "comparison-response": response("changedElements", "changed-elements"),
    "enable-change-tracking": open_object(
        {"enable": BOOLEAN, "iTwinId": STRING, "iModelId": STRING}, ("enable", "iTwinId", "iModelId")
    ),
    "diff-job-status": enumeration(CHANGED_ELEMENTS.all_states),
    "diff-job": object_(
        {
            **_DIFF_JOB,
            "diffingPlan": _FREE,
            "completedAgents": INTEGER,
            "totalAgents": INTEGER,
            "href": STRING,
            "error": object_({"code": STRING, "message": STRING}),
        }
    ),
    "diff-job-summary": object_({**_DIFF_JOB, "diffingStrategy": STRING}),
    "diff-job-response": response("job", "diff-job"),
    "diff-jobs-response": object_({"jobs": array(ref("diff-job-summary"))}, ("jobs",)),
    "create-diff-job": {
        **open_object(
            {
                "iTwinId": _ID,
                "iModelId": _ID,
                "startChangeset": _ANY_CHANGESET,
                "endChangeset": _ANY_CHANGESET,
                "startChangesetIndex": _INDEX,
                "endChangesetIndex": _INDEX,
                "diffingPlan": _PLAN,
            },
            ("iTwinId", "iModelId", "diffingPlan"),
        ),
        "allOf": [
            {"anyOf": [{"required": [name]}, {"required": [f"{name}Index"]}]}
            for name in ("startChangeset", "endChangeset")
        ],
    },
}

_CONTINUED = object_({"self": ref("link"), "next": ref("link")})


def _continued_page(name: str, schema: str) -> Schema:
    return object_({name: array(ref(schema)), "_links": _CONTINUED}, (name, "_links"))


_EXTRACTIONS: dict[str, Schema] = {
    "extraction-state": enumeration(EXTRACTION.all_states),
    "extraction": object_(
        {
            "id": STRING,
            "state": ref("extraction-state"),
            "startedOn": STRING,
            "_links": object_({"status": ref("link"), "logs": ref("link")}),
        }
    ),
    "extraction-response": response("extraction", "extraction"),
    "extractions-page": _continued_page("extractions", "extraction"),
    "mapping-extraction": object_(
        {
            "extractionId": STRING,
            "extractionTimestamp": STRING,
            "changesetIndex": INTEGER,
            "mappingTimestamp": STRING,
            "_links": object_({"cdm": ref("link")}),
        }
    ),
    "mapping-extractions-page": _continued_page("extractions", "mapping-extraction"),
    "extraction-log": object_(
        {
            "state": ref("extraction-state"),
            "dateTime": STRING,
            "contextType": STRING,
            "contextId": STRING,
            "level": enumeration(("Information", "Warning", "Error")),
            "category": STRING,
            "message": STRING,
        }
    ),
    "extraction-logs-page": _continued_page("logs", "extraction-log"),
    "cdm": object_({"name": STRING, "version": STRING, "entities": array(ref("cdm-entity"))}),
    "cdm-entity": object_(
        {
            "$type": STRING,
            "name": STRING,
            "attributes": array(object_({"name": STRING, "dataType": STRING})),
            "partitions": array(object_({"name": STRING, "location": STRING})),
        }
    ),
    "csv": STRING,
    "run-extraction": open_object(
        {
            "iModelId": _ID,
            "mappings": array(open_object({"id": _ID}, ("id",)), 1),
            "changesetId": nullable(STRING),
            "ecInstanceIds": nullable(array(STRING)),
        },
        ("iModelId", "mappings"),
    ),
}

JOBS_SCHEMAS: dict[str, Schema] = {**_TRANSFORMATIONS, **_REALITY, **_CHANGED_ELEMENTS, **_EXTRACTIONS}
