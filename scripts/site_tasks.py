"""
The pages of operators and sensors: parameters, outputs and errors, from the signatures and docstrings of the classes.

A new class needs one row in :data:`TASKS`, and its page, which contains the placeholder ``<!-- task -->``.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import sys
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, get_args, get_origin

_OPERATORS = "airflow_provider_itwin.operators.itwin"
_SENSORS = "airflow_provider_itwin.sensors.itwin"
_JOB_OPERATOR = "airflow_provider_itwin.operators.jobs"
_JOB_SENSOR = "airflow_provider_itwin.sensors.jobs"

TASKS: dict[str, tuple[str, str]] = {
    # page: (module, class)
    "operators/upload-files.md": (_OPERATORS, "ITwinUploadFilesOperator"),
    "operators/run-storage-connection.md": (_OPERATORS, "ITwinRunStorageConnectionOperator"),
    "operators/run-manifest-connection.md": (_OPERATORS, "ITwinRunManifestConnectionOperator"),
    "operators/run-export-connection.md": (_OPERATORS, "ITwinRunExportConnectionOperator"),
    "operators/list-source-files.md": (_OPERATORS, "ITwinListSourceFilesOperator"),
    "operators/create-named-version.md": (_OPERATORS, "ITwinCreateNamedVersionOperator"),
    "operators/download-file.md": (_OPERATORS, "ITwinDownloadFileOperator"),
    "operators/job.md": (_JOB_OPERATOR, "ITwinJobOperator"),
    "sensors/storage-connection-run.md": (_SENSORS, "ITwinStorageConnectionRunSensor"),
    "sensors/manifest-connection-run.md": (_SENSORS, "ITwinManifestConnectionRunSensor"),
    "sensors/export-connection-run.md": (_SENSORS, "ITwinExportConnectionRunSensor"),
    "sensors/job.md": (_JOB_SENSOR, "ITwinJobSensor"),
}
"""The pages of the public operators and sensors."""

WITHOUT_PAGE: frozenset[str] = frozenset()
"""Public classes whose pages are not written yet."""

_OPERATOR_PARAMETERS = (
    "The parameters of all Airflow operators, such as `task_id`, `retries`, `pool` and `outlets`, have their usual "
    "meaning."
)
_SENSOR_PARAMETERS = (
    "The parameters of all Airflow sensors have their usual meaning, deferred or not: `timeout` (seconds or a `timedelta`, "
    "default 7 days), `soft_fail`, `never_fail`, `mode`, `poke_interval`. So do those of all operators, such as `task_id` and "
    "`retries`."
)
_TYPE_NAMES = {
    "Any": "any JSON value",
    "Callable": "a function",
    "float": "number",
    "int": "integer",
    "JobDefinition": "[`JobDefinition`](../jobs/write-a-definition.md)",
    "Mapping": "`dict`",
    "ResultName": "[results](../results.md)",
    "XComArg": "the output of a task",
}
_FIELD = re.compile(r"^:(param|return|raises|returns)(?: (\S+?))?:\s*", re.MULTILINE)
_DEFAULT = re.compile(r"(?:; | \()?default:? [^;.()]+\)?(?=[;.]|$)")


@dataclass(frozen=True)
class Parameter:
    """A parameter of an operator or a sensor, as a user writes it."""

    name: str
    type: str
    default: str
    meaning: str


def task_class(page: str) -> Any:
    """Return the class that a page describes."""
    module, name = TASKS[page]
    return getattr(importlib.import_module(module), name)


def task_tables(page: str) -> str:
    """Return the parameters, outputs and errors of the class of a page."""
    cls = task_class(page)
    described = docstring_fields(cls)
    rows = [
        f"| `{one.name}` | {table_cell(one.type)} | {table_cell(one.default)} | {table_cell(one.meaning)} |"
        for one in parameters(cls)
    ]
    common = _SENSOR_PARAMETERS if hasattr(cls, "poke") else _OPERATOR_PARAMETERS
    outputs = [f"| `{key}` | {table_cell(_with_link(meaning))} |" for key, meaning in outputs_of(cls).items()]
    errors = [
        f"| `{name}` | {table_cell(meaning)} |" for (kind, name), meaning in described.items() if kind == "raises"
    ]
    return "\n".join(
        [
            '<div class="names" markdown>',
            "",
            "## Parameters",
            "",
            "| parameter | type or values | default | meaning |",
            "| --- | --- | --- | --- |",
            *rows,
            "",
            f"{common} *Templated* parameters take Jinja templates.",
            "",
            "## Outputs",
            "",
            "| XCom | value |",
            "| --- | --- |",
            *outputs,
            "",
            "## Errors",
            "",
            "| exception | when |",
            "| --- | --- |",
            *errors,
            "",
            "[Troubleshooting](../troubleshooting.md#by-class) says what to do about each of them.",
            "",
            "</div>",
        ]
    )


def task_list() -> str:
    """Return all operators and sensors, with links to their pages."""
    rows = ['<div class="names" markdown>', "", "| class | what it does |", "| --- | --- |"]
    for page, (_, name) in TASKS.items():
        summary = " ".join((inspect.getdoc(task_class(page)) or "").partition("\n\n")[0].split())
        rows.append(f"| [`{name}`]({page}) | {table_cell(summary)} |")
    return "\n".join([*rows, "", "</div>"])


def parameters(cls: Any) -> list[Parameter]:
    """Return the parameters of a class, required ones first."""
    described = docstring_fields(cls)
    found = []
    for name, (annotation, default, module) in signature(cls).items():
        meaning = described.get(("param", name), "")
        # The table has columns for these.
        meaning = meaning.replace(" (templated)", "").replace(" (default)", "")
        meaning = _sentence(_DEFAULT.sub("", meaning) if default not in (inspect.Parameter.empty, None) else meaning)
        if name in cls.template_fields:
            meaning += " *Templated.*"
        is_required = default is inspect.Parameter.empty
        found.append(
            Parameter(
                name=name,
                type=type_text(annotation, module),
                default="required" if is_required else f"`{default_text(default)}`",
                meaning=meaning,
            )
        )
    return sorted(found, key=lambda one: one.default != "required")


def signature(cls: Any) -> dict[str, tuple[str, Any, str]]:
    """Return annotation, default and module of each parameter that the package's own classes add to Airflow's."""
    found: dict[str, tuple[str, Any, str]] = {}
    for base in cls.__mro__:
        if not base.__module__.startswith("airflow_provider_itwin.") or "__init__" not in vars(base):
            continue
        constructor = inspect.unwrap(vars(base)["__init__"])
        # Airflow gives a class without a constructor that of its base.
        if not constructor.__module__.startswith("airflow_provider_itwin."):
            continue
        for name, one in inspect.signature(constructor).parameters.items():
            if name != "self" and one.kind is inspect.Parameter.KEYWORD_ONLY:
                found.setdefault(name, (str(one.annotation), one.default, base.__module__))
    return found


def default_text(value: Any) -> str:
    """Return a default as a user would write it."""
    if isinstance(value, (tuple, list)):
        return "[" + ", ".join(f'"{one}"' for one in value) + "]"
    return f'"{value}"' if isinstance(value, str) else str(value)


def type_text(annotation: str, module: str) -> str:
    """Return a type as a user reads it: values of literals, and names without their module."""
    *parts, last = dict.fromkeys(_type_parts(ast.parse(annotation, mode="eval").body, module))
    return f"{', '.join(parts)} or {last}" if parts else last


def _type_parts(node: ast.expr, module: str) -> list[str]:
    match node:
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return [*_type_parts(left, module), *_type_parts(right, module)]
        case ast.Constant(value=None):
            return ["`None`"]
        case ast.Name(id="bool"):
            return ["`True`", "`False`"]
        case ast.Subscript(value=ast.Name(id="Literal"), slice=values):
            return [f'`"{one}"`' for one in ast.literal_eval(ast.unparse(values).strip("()").join("[]"))]
        case ast.Subscript(value=ast.Name(id="Iterable" | "Sequence" | "Collection"), slice=item):
            return [f"list of {', '.join(_type_parts(item, module))}"]
        case ast.Subscript(value=ast.Name(id="tuple"), slice=ast.Tuple(elts=[item, ast.Constant(value=last)])):
            count = "tuple of" if last is ... else "tuple of two"
            return [f"{count} {', '.join(_type_parts(item, module))}"]
        case ast.Name(id=name) | ast.Subscript(value=ast.Name(id=name)):
            value = getattr(sys.modules[module], name, None)
            if name not in _TYPE_NAMES and get_origin(value) is Literal:
                return [f'`"{one}"`' for one in get_args(value)]
            return [_TYPE_NAMES.get(name, f"`{name}`")]
    return [f"`{ast.unparse(node)}`"]


def outputs_of(cls: Any) -> dict[str, str]:
    """Return the XComs of a class, from the paragraph of its docstring that begins with ``XCom``."""
    text = inspect.getdoc(cls) or ""
    found = re.search(r"^XComs?: (.+?)\n\n", text, re.MULTILINE | re.DOTALL)
    if found is None:
        return {}
    line = " ".join(found[1].split()).rstrip(".")
    # "``a`` and ``b``, both the report" names two keys with one meaning.
    if both := re.fullmatch(r"``(\w+)`` and ``(\w+)``, both (.+)", line):
        return {both[1]: _sentence(both[3]), both[2]: _sentence(both[3])}
    outputs = {}
    for part in line.split("; "):
        key, _, meaning = part.partition(" ")
        outputs[key.strip("`,")] = _sentence(meaning.removeprefix("with "))
    returned = docstring_fields(cls).get(("return", ""))
    if returned is not None and "XCom" not in returned and "return_value" in outputs:
        outputs["return_value"] = _sentence(returned)
    return outputs


@cache
def docstring_fields(cls: Any) -> dict[tuple[str, str], str]:
    """Return the fields of a docstring by kind (``param``, ``return``, ``raises``) and name."""
    pieces = _FIELD.split(inspect.getdoc(cls) or "")
    found: dict[tuple[str, str], str] = {}
    for kind, name, text in zip(pieces[1::3], pieces[2::3], pieces[3::3], strict=True):
        found[kind, name or ""] = " ".join(text.split())
    return found


def _with_link(meaning: str) -> str:
    meaning = re.sub(r"report of the run|run report", "[run report](../reports.md)", meaning)
    return re.sub(r"report of the job", "[report of the job](../jobs.md#the-report)", meaning)


def _sentence(text: str) -> str:
    text = text.strip()
    text = text[:1].upper() + text[1:] if not text.startswith("`") else text
    return text if not text or text.endswith(".") else f"{text}."


def table_cell(text: str) -> str:
    """Return a text of a docstring for a cell of a table."""
    # Single backquotes of docstrings are parameters, double ones are code; both are code on a page.
    return text.replace("``", "`").replace("|", "\\|")
