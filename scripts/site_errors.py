"""The tables of exception classes and error texts, from the code."""

from __future__ import annotations

import ast
import builtins
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from scripts.site_job_errors import JOB_EXAMPLES

PACKAGE = Path(__file__).resolve().parents[1] / "airflow_provider_itwin"

MISSING = "no example in scripts/site_errors.py for"
_RUN = "446123d7-5250-40e6-a31c-326e4fa62d50"
_TARGET = f"run {_RUN} of storage connection demo-storage-connection"
_CAUSE = "The host api.bentley.com did not respond within 60 s."
EXAMPLES: dict[str, str] = {
    **JOB_EXAMPLES,
    "', '.join(missing)": "run_tab.js",
    "', '.join(sorted(both))": "Error",
    "' and '.join(unused)": "fail_on",
    "'.'.join(map(str, AIRFLOW_VERSION))": "3.2.2",
    "'it' if len(unused) == 1 else 'them'": "it",
    "FOLDER": "/opt/airflow/airflow_provider_itwin/plugin/static",
    "_WHERE_FROM if is_rendered else ''": "",
    "__name__": "airflow_provider_itwin.sdk_compat",
    "_elapsed(result)": "20 min",
    "_shown(key)": "htps",
    "connection.conn_id": "itwin_default",
    "cursor.since": "2026-11-22T01:30:00",
    "deferral_failure_text(failure, _LIMITS)": "Its timeout passed.",
    "event": "{'status': 'done'}",
    "expected.target": _TARGET.replace("446123d7", "0c1d90f4"),
    "field": "host",
    "format_duration(result.elapsed)": "1 h",
    "given": "extraction",
    "given['deferrable']": "yes",
    "given[name]": "yes",
    "group.group_id": "each_connection",
    "if_active": "wait",
    "installed": "3.3.2",
    "kind": "a SOCKS proxy",
    "kind[:40]": "http",
    "len(body)": "70,000,000",
    "limit": "0",
    "meant": "connection_id",
    "most_bytes": "67,108,864",
    "most_values": "3,000,000",
    "names": "Error",
    "newest": "1",
    "next(iter(others))": "colour",
    "owner": "ITwinRunTrigger",
    "parameter": "fail_on",
    "parts.netloc + parts.path": "api.bentley.com/imodels",
    "path": "body['sourceFiles'][0]",
    "plan.wanted": "a run",
    "requested": _RUN,
    "resource": "run",
    "response.status": "202",
    "result.end": "finished",
    "result.ref": f"storage/demo-storage-connection/{_RUN}",
    "result.spec.target": _TARGET,
    "result.state or 'unseen'": "Executing",
    "returned": "0c1d90f4-4a52-4f0e-9d3e-2f6f0c5b1001",
    "self._connection_id": "demo-storage-connection",
    "self._encoding": "gzip",
    "self._encoding[:40]": "br",
    "self._kind": "storage",
    "self._target": "storage connection demo-storage-connection",
    "self.catch_up": "-1",
    "self.interval": "0",
    "self.verify": "/etc/ssl/corporate.pem",
    "setting": "proxies in the extra of the iTwin connection",
    "shown(text)": "'{{ params.id }}'",
    "shown(value)": "42 (int)",
    "shown(values)": "'demo' (str)",
    "source.task_id": "start",
    "spec.target": _TARGET,
    "state.own": f"storage/demo-storage-connection/{_RUN}".replace("446123d7", "0c1d90f4"),
    "type(body).__name__": "list",
    "type(key).__name__": "int",
    "type(value).__name__": "set",
    "uri.path": "/models",
    "value[:_LONGEST_VALUE]": "''",
    "values": "{'run': 5}",
    "verify": "/etc/ssl/corporate.pem",
    "version": "2",
    "what": "The stored state of the task",
    # iModels and iTwin Storage.
    "' and '.join(names)": "remove_gone",
    "'/'.join(names[:number])": "Design/Structural",
    "'; '.join(problems[:_MOST_SHOWN])": "Bridge?.dgn: it contains '?'",
    "changeset.id": "1f9e1b5a7c4d",
    "changeset_id": "8c2d90f44b1a",
    "connection.imodel_id": "7b6c1f6a-3b53-4a54-8d0f-2f6f0c5b1001",
    "exclude": "*.tmp",
    "given['change_detection']": "size",
    "host": "storage.example.com",
    "id_or_index": "8c2d90f44b1a",
    "imodel_id": "7b6c1f6a-3b53-4a54-8d0f-2f6f0c5b1002",
    "index": "-1",
    "len(problems)": "1",
    "len(sources)": "12",
    "len(summary.files)": "12",
    "len(text)": "300",
    "longest": "255",
    "more": "",
    "order": "newest",
    "overrides": "CIVIL",
    "problem": "it contains '?'",
    "ref": f"storage/demo-storage-connection/{_RUN}",
    "ref.connection_id": "demo-storage-connection",
    "ref.kind": "storage",
    "run.state or 'missing'": "Executing",
    "run_id": _RUN,
    "self._source.path": "/mnt/projects/Bridge.dgn",
    "self.connection_id": "demo-storage-connection",
    "self.source": "/mnt/projects/**/*.dgn",
    "self.source.path": "/mnt/projects/Bridge.dgn",
    "self.source.size": "2,048,000",
    "shown(folder)": "'/mnt/projects'",
    "shown(part)": "'Design?'",
    "shown(path)": "'Design?/Structural'",
    "shown(source)": "'/mnt/projects/*.dgn'",
    "stored.file.size": "1,024,000",
    "version.changeset_id": "1f9e1b5a7c4d",
    "api.models.version_names name": "name",
    "api.models.version_names shown(text)": "'Night\\n1'",
    "api.storage.folders name": "Structural",
    "utils.run_refs hint": "",
    "utils.run_refs task_id": "synchronize",
    "hooks.imodels name": "changeset",
    "hooks.upload_sources error": "No module named 's3fs'",
    "source {shown(source)} cannot be used": "'s3://aws_default@bucket/designs'",
    "excerpt(str(error), 200)": "No module named 's3fs'",
    "path {shown(self._path)} cannot be used": "'s3://aws_default@bucket/exports/'",
    "{shown(path)}, but nothing can be written": "'https://example.com/exports/'",
    "{shown(path)}, which contains a template": "'/mnt/exports/{{ ds }}/'",
    "{shown(path)}, which contains characters": "'/mnt/exports/\\x07/'",
    "{shown(path)}, which has no path in the object store": "'s3://aws_default@bucket'",
    "{shown(path)}, which is relative": "'exports/'",
    "operators.named_version text": f"Run storage/demo-storage-connection/{_RUN} has pushed no changeset.",
    "operators.upload error": "Permission denied",
    "operators.upload text": "1 of 12 files was not uploaded.",
    "api.storage.object_target path": "s3://aws_default@bucket/exports/bridge.ifc",
    "api.storage.paths example": "exports/",
    "api.storage.paths name": "path",
    "api.storage.transfer what": "bridge.ifc",
    "hooks.download_targets error": "Permission denied",
    "and path {shown(path)} is one file": "'/mnt/exports/bridge.ifc'",
    "night name": "deliver_to",
    "not the reference of a run{reason}": "",
    "operators.download path": "/mnt/exports/bridge.ifc",
    "The template of {field} uses run_report": "name",
    "digest": "9f86d081884c…",
    "existing": "1,024,000",
    "expected": "2c26b46b68ff…",
    "file.id": "t5bDFuN4qUa9ojVw1E5FGtldp8BgSbNCiJ2XMdiT-cA",
    "file_id": "t5bDFuN4qUa9ojVw1E5FGtldp8BgSbNCiJ2XMdiT-cA",
    "found": "1,024,000",
    "hint": "",
    "len(file_ids)": "2",
    "min(unknown)": "upload_files",
    "needed": "export_connection_id",
    "part.sha256": "9f86d081884c…",
    "reason": "Permission denied",
    "received": "1,024,000",
    "run.result or 'no result'": "Error",
    "run.state or 'in an unknown state'": "Executing",
    "self._size": "2,048,000",
    "self._target.shown": "s3://aws_default@bucket/exports/bridge.ifc",
    "self._what(file)": "bridge.ifc",
    "self.shown": "/mnt/exports",
    "shown(name)": "'Bridge?.ifc'",
    "shown(self._path + suffix)": "'/mnt/exports/bridge.ifc'",
    "shown(self._path)": "'file://mnt/exports/'",
    "size": "2,048,000",
    "taker": "x7cDFuN4qUa9ojVw1E5FGtldp8BgSbNCiJ2XMdiT-cB",
    "target.shown": "/mnt/exports/bridge.ifc",
    "verb": "write",
    # These depend on the module.
    "api.http.auth error": "it has 2,000,000 bytes; the limit is 1,048,576",
    "api.http.config name": "itwin.example.com",
    "api.http.transport error": "no start line",
    "api.models.decoding error": "it has 70,000,000 bytes; the limit is 67,108,864",
    "api.models.durations name": "timeout",
    "api.models.durations value": "-1",
    "api.models.enums value": "storge",
    "', '.join(map(repr, map(str, cls)))": "'storage', 'manifest', 'export'",
    "The response is not JSON: {error}": "malformed at byte 112",
    "api.models.run_ref text": "storage/demo",
    "api.models.validation name": "connection_id",
    "api.models.validation type(value).__name__": "RunRef",
    "api.runs.result_policy name": "Failed",
    "api.wait.models error": "no connection_id",
    "hooks.settings name": "issuer_url",
    "hooks.settings text": "many",
    "[itwin] {name} in": "requests_per_minute",
    "operators.base text": (
        f"No run of storage connection demo-storage-connection was started: run storage/demo-second-connection/{_RUN} is active "
        "on its iModel, and if_active is 'fail'."
    ),
    "operators.itwin kind": "export",
    "sdk_compat name": "Dagg",
    "sensors.base parameter": "start_from_trigger",
    "sensors.base version": "3.2.2",
    "sensors.start_trigger name": "run_id",
    "sensors.start_trigger value": "42",
    "triggers.cursor_store error": "API server not reachable",
    "triggers.events name": "Failed",
    "utils.parameters name": "timeout",
    "utils.parameters value": "-1",
    "{name} must be True or False": "strict",
    "{shown(text)}, which is not a valid id of the iTwin Platform: it would": "'../runs'",
    "There is no parameter {name}": "conection_id",
    "utils.run_outcome error": _CAUSE,
    "utils.task_state error": (
        "The stored state of the task has version 2, but airflow-provider-itwin 0.1.0 in this process reads versions up to 1 "
        "only."
    ),
}
"""
Values for the expressions in error texts, by expression, by module and expression, or by a part of the text with the expression
in braces. Constants of a module need none.
"""


def error_classes() -> str:
    """Return all exception classes and their docstrings as a table."""
    rows = ['<div class="names" markdown>', "", "| class | meaning |", "| --- | --- |"]
    rows += [f"| `{name}` | {in_table(meaning)} |" for name, meaning in classes_of_errors().items()]
    return "\n".join([*rows, "", "</div>"])


def classes_of_errors() -> dict[str, str]:
    """Return the first paragraph of the docstring of each public exception class."""
    found: dict[str, str] = {}
    for path in (PACKAGE / "exceptions.py", PACKAGE / "api" / "errors.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and node.name.endswith("Error"):
                found[node.name] = " ".join((ast.get_docstring(node) or "").partition("\n\n")[0].split())
    return found


def error_texts() -> str:
    """Return the text of every raised error as a table, in alphabetical order."""
    public = classes_of_errors()
    classes: dict[str, str] = {}
    for _, name, text in texts_of_errors():
        if name in public or hasattr(builtins, name) or name.startswith("Airflow"):
            classes[text] = f"`{name}`"
        else:
            classes.setdefault(text, "part of another error")
    rows = [f"| {in_table(text)} | {classes[text]} |" for text in sorted(classes, key=str.casefold)]
    return "\n".join(['<div class="texts" markdown>', "", "| text | class |", "| --- | --- |", *rows, "", "</div>"])


def texts_of_errors() -> Iterator[tuple[str, str, str]]:
    """Yield module, class and text of each raised error, with example values."""
    for path in sorted(PACKAGE.rglob("*.py")):
        module = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                # A lower-case name is a function that makes the error.
                case ast.Raise(exc=ast.Call(func=ast.Name(id=name), args=[first, *_])) if not name.strip("_").islower():
                    pieces = list(_pieces(first))
                    if any(re.search(r"[a-z]{3}", piece) for piece in pieces if isinstance(piece, str)):
                        template = "".join(map(str, pieces))
                        yield module, name, "".join(_filled(piece, template, module) for piece in pieces)


class _Value(NamedTuple):
    """A value in an error text."""

    expression: str
    is_repr: bool

    def __str__(self) -> str:
        return f"{{{self.expression}}}"


def _pieces(node: ast.expr) -> Iterator[str | _Value]:
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.JoinedStr(values=values):
            for value in values:
                yield from _pieces(value)
        case ast.FormattedValue(value=value, conversion=conversion):
            yield _Value(ast.unparse(value), conversion == ord("r"))
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            yield from _pieces(left)
            yield from _pieces(right)


def _filled(piece: str | _Value, template: str, module: str) -> str:
    if isinstance(piece, str):
        return piece
    text = example_value(piece.expression, template, module)
    is_shown_as_it_is = re.fullmatch(r"['{\[].*|-?\d+", text)
    return repr(text) if piece.is_repr and not is_shown_as_it_is else text


def example_value(expression: str, template: str, module: str) -> str:
    """
    Return an example of what an expression in an error text becomes; `MISSING` if there is none.

    :param template: the whole text, with its expressions in braces
    """
    context = (key for key in EXAMPLES if f"{{{expression}}}" in key and key in template)
    for key in (*context, f"{module.partition('.')[2]} {expression}", expression):
        if key in EXAMPLES:
            return EXAMPLES[key]
    try:
        value = eval(expression, vars(importlib.import_module(module)))  # noqa: S307 (an expression of our own code)
    except NameError:
        return f"{MISSING} {{{expression}}}"
    return f"{value:,g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def in_table(text: str) -> str:
    """Return a text of the code for a cell of a table."""
    text = re.sub(r":(?:class|func|meth):`~?([^`]+)`", lambda found: f"`{found[1].rpartition('.')[2]}`", text)
    text = text.replace("``", "`").replace("|", "\\|").replace("<", "&lt;")
    # Two pairs of brackets would be rendered as a link.
    text = text.replace("][", "]\\[")
    # Asterisks and underscores in code would be rendered as emphasis.
    return re.sub(r"\{+[^{}]*\}+", r"`\g<0>`", text) if "`" not in text else text
