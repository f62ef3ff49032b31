"""
The pages of job APIs: inputs and states of each definition, and the parameters of the classes that definitions consist of.

A new definition needs one row in :data:`JOB_PAGES`, and its page, which contains the placeholder ``<!-- job: NAME -->``.
"""

from __future__ import annotations

import importlib
from dataclasses import MISSING, Field, fields
from typing import Any

from scripts.site_errors import in_table
from scripts.site_tasks import default_text, docstring_fields, table_cell, type_text

_JOBS = "airflow_provider_itwin.jobs"

JOB_PAGES: dict[str, dict[str, str]] = {
    # page: definitions, and their operators
    "jobs/transformations.md": {"TRANSFORMATION": "ITwinTransformationOperator"},
    "jobs/changed-elements.md": {"DIFF": "ITwinDiffOperator"},
    "jobs/grouping-and-mapping.md": {"EXTRACTION": "ITwinExtractionOperator"},
    "jobs/reality.md": {
        "REALITY_MODELING": "ITwinRealityModelingOperator",
        "REALITY_ANALYSIS": "ITwinRealityAnalysisOperator",
        "REALITY_CONVERSION": "ITwinRealityConversionOperator",
    },
}
"""The pages of the shipped definitions."""

_PARTS = {
    "JobDefinition": "airflow_provider_itwin.api.jobs.definition",
    "JobInput": "airflow_provider_itwin.api.jobs.inputs",
    "JobMessages": "airflow_provider_itwin.api.jobs.definition",
    "JobSearch": "airflow_provider_itwin.api.jobs.definition",
}
"""The classes that definitions consist of, and their modules."""

_OUTCOMES = {
    "running": "waits",
    "passed": "succeeds",
    "warned": "succeeds, with a warning; fails with `strict=True`",
    "failed": "fails",
}
_STARTS_AGAIN = (
    "A second start with the same inputs does no harm, so a start whose response was lost is repeated.",
    "A job whose start had no response is found in the list of jobs, and used.",
    "A job whose start had no response cannot be found: the task fails, and is not retried.",
)


def definition_of(name: str) -> Any:
    """Return a shipped definition by the name of its constant."""
    return getattr(importlib.import_module(_JOBS), name)


def job_tables(name: str) -> str:
    """Return inputs, states and properties of a shipped definition."""
    definition = definition_of(name)
    inputs = [
        f"| `{key}` | {_values(one)} | {_default(one)} | {in_table(_sentence(one.help))} |"
        for key, one in definition.inputs.items()
    ]
    states = [
        f"| {', '.join(f'`{state}`' for state in getattr(definition, outcome))} | {meaning} |"
        for outcome, meaning in _OUTCOMES.items()
        if getattr(definition, outcome)
    ]
    return "\n".join(
        [
            '<div class="names" markdown>',
            "",
            "| input | type or values | default | meaning |",
            "| --- | --- | --- | --- |",
            *inputs,
            "",
            "| state | the task |",
            "| --- | --- |",
            *states,
            "| any other | waits, with a warning in the log, until its `timeout` |",
            "",
            "| property | value |",
            "| --- | --- |",
            *(f"| {key} | {table_cell(value)} |" for key, value in _properties(definition)),
            "",
            "</div>",
        ]
    )


def data_parameters(name: str) -> str:
    """Return the parameters of one of the classes that definitions consist of."""
    cls = getattr(importlib.import_module(_PARTS[name]), name)
    described = docstring_fields(cls)
    rows = [
        f"| `{one.name}` | {table_cell(type_text(str(one.type), cls.__module__))} | {_field_default(one)} | "
        f"{table_cell(_without_default(described['param', one.name]))} |"
        for one in fields(cls)
    ]
    head = ["| parameter | type or values | default | meaning |", "| --- | --- | --- | --- |"]
    return "\n".join(['<div class="names" markdown>', "", *head, *rows, "", "</div>"])


def _properties(definition: Any) -> list[tuple[str, str]]:
    found = [
        ("start", f"`{definition.start}`, version `{definition.version}`"),
        ("poll", f"`{definition.poll}`"),
        (
            "cancel",
            f"`{definition.cancel}`" if definition.cancel else "not possible: an ended task leaves the job running",
        ),
        ("result", _result(definition.result)),
        ("start without a response", _STARTS_AGAIN[0 if definition.repeatable else 1 if definition.find else 2]),
    ]
    if definition.conflict == "adopt":
        found.append(("an equal job exists", "It is used; no second one is started."))
    return [*found, ("documentation", f"<{definition.url}>")]


def _result(result: str | None) -> str:
    if result is None:
        return "none: `result_path` is refused"
    where = f"the response to `{result}`" if result.startswith("GET ") else f"`{result}` of the job"
    return f"{where}; `result_path` writes it to a file"


def _values(one: Any) -> str:
    return ", ".join(f'`"{value}"`' for value in one.values) or one.type


def _default(one: Any) -> str:
    if one.default is not None:
        return f"`{default_text(one.default)}`"
    return "required" if one.required else "not sent"


def _field_default(one: Field[Any]) -> str:
    if one.default_factory is not MISSING:
        return f"`{one.default_factory()}`"
    if one.default == ():
        return "`()`"
    return "required" if one.default is MISSING else f"`{default_text(one.default)}`"


def _without_default(meaning: str) -> str:
    for text in ("; default ``v1``", " (default)"):
        meaning = meaning.replace(text, "")
    return _sentence(meaning)


def _sentence(text: str) -> str:
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")
