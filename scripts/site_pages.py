"""
What the documentation site takes from the code itself, so that it cannot be forgotten there.

MkDocs calls :func:`on_page_markdown`. A page asks with a comment of its own line: ``<!-- example: FILE [NAME ...] -->`` for an
example DAG or the named parts of it, ``<!-- include: FILE -->`` for a file of the checkout, ``<!-- settings -->``,
``<!-- connection fields -->``, ``<!-- error classes -->``, ``<!-- error texts -->`` and ``<!-- picture -->``.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from scripts.site_picture import picture  # noqa: E402 (MkDocs loads this file by its path)

PACKAGE = ROOT / "airflow_provider_itwin"
_ASKED = re.compile(r"^<!-- ([a-z ]+?)(?:: (.+?))? -->$", re.MULTILINE)
_LINK = re.compile(r"\]\((?!https?:|#)([^)]+)\)")


class UnknownRequestError(Exception):
    """A page asks for what is not there."""


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put what a page asks for in its place."""
    return _ASKED.sub(lambda found: _answer(found[1], found[2] or "", found[0]), markdown)


def _answer(what: str, argument: str, asked: str) -> str:
    answers: dict[str, Callable[[], str]] = {
        "example": lambda: example(*argument.split()),
        "include": lambda: included(argument),
        "settings": settings,
        "connection fields": connection_fields,
        "error classes": error_classes,
        "error texts": error_texts,
        "picture": picture,
    }
    # What begins with "figures" marks where measured figures go, and is for writers.
    return answers[what]() if what in answers else asked


def example(name: str, *parts: str) -> str:
    """
    Give the code of an example DAG.

    :param name: its file, without ``.py``
    :param parts: names of variables, functions or imports that are wanted; none for the whole file
    :raises UnknownRequestError: if there is no such part
    """
    text = (ROOT / "example_dags" / f"{name}.py").read_text()
    if not parts:
        return f"```python\n{text}```"
    found = dict(_segments(text))
    missing = [part for part in parts if part not in found]
    if missing:
        raise UnknownRequestError(f"{name}.py has no {', '.join(missing)}, but {', '.join(found)}")
    return "```python\n" + "\n\n".join(found[part] for part in parts) + "\n```"


def _segments(text: str) -> Iterator[tuple[str, str]]:
    import textwrap

    lines = text.splitlines()
    for node in ast.walk(ast.parse(text)):
        match node:
            case (
                ast.Assign(targets=[ast.Name(id=label)])
                | ast.AnnAssign(target=ast.Name(id=label))
                | ast.FunctionDef(name=label)
            ):
                first = min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", []))])
            case ast.Expr(value=ast.Call(func=ast.Name(id=label))):
                first = node.lineno
            case _:
                continue
        yield label, textwrap.dedent("\n".join(lines[first - 1 : node.end_lineno]))


def included(name: str) -> str:
    """Give a file of the checkout, with its links into the checkout as plain text."""
    text = (ROOT / name).read_text()
    return re.sub(r"\[([^\]]+)\]\((?!https?:|#)[^)]+\)", r"\1", text)


def settings() -> str:
    """Give the options of the section ``[itwin]`` as a table."""
    from airflow_provider_itwin.get_provider_info import get_provider_info

    rows = ["| option | default | meaning |", "| --- | --- | --- |"]
    for name, option in get_provider_info()["config"]["itwin"]["options"].items():
        rows.append(f"| `{name}` | `{option['default']}` | {' '.join(option['description'].split())} |")
    return "\n".join(rows)


def connection_fields() -> str:
    """Give the extra fields of the connection form as a table."""
    from airflow_provider_itwin.hooks.connection_form import FIELDS

    rows = ["| key in extra | label in the form | meaning |", "| --- | --- | --- |"]
    for name, field in FIELDS.items():
        default = field["schema"].get("default")
        told = f" Default: `{default}`." if default is not None else ""
        rows.append(f"| `{name}` | {field['label']} | {_in_table(field['description'])}{told} |")
    return "\n".join(rows)


def error_classes() -> str:
    """Give all exception classes, with what their docstrings say."""
    rows = ["| class | meaning |", "| --- | --- |"]
    rows += [f"| `{name}` | {_in_table(meaning)} |" for name, meaning in classes_of_errors().items()]
    return "\n".join(rows)


def classes_of_errors() -> dict[str, str]:
    """Give the first paragraph of the docstring of each public exception class."""
    found: dict[str, str] = {}
    for path in (PACKAGE / "exceptions.py", PACKAGE / "api" / "errors.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and node.name.endswith("Error"):
                found[node.name] = " ".join((ast.get_docstring(node) or "").partition("\n\n")[0].split())
    return found


def error_texts() -> str:
    """Give the text of every error that is raised, by the part of the package that raises it."""
    parts: dict[str, list[str]] = {}
    for module, name, text in texts_of_errors():
        line = f"| {_in_table(text)} | `{name}` |"
        if line not in parts.setdefault(module, []):
            parts[module].append(line)
    pieces = []
    for module, lines in parts.items():
        pieces.append(f"### `{module}`\n\n| text | class |\n| --- | --- |\n" + "\n".join(lines))
    return "\n\n".join(pieces)


def texts_of_errors() -> Iterator[tuple[str, str, str]]:
    """Give module, class and text of each error with a text of its own; what is filled in stands in braces."""
    for path in sorted(PACKAGE.rglob("*.py")):
        if "emulator" in path.parts:
            continue
        module = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Raise(exc=ast.Call(func=ast.Name(id=name), args=[first, *_])):
                    text = _text(first)
                    if text and re.search(r"[a-z]{3}", re.sub(r"\{.*?\}", "", text)):
                        yield module, name, text


def _text(node: ast.expr) -> str:
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=values):
            return "".join(_text(value) for value in values)
        case ast.FormattedValue(value=value):
            return "{" + ast.unparse(value).replace("`", "") + "}"
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _text(left) + _text(right)
    return ""


def _in_table(text: str) -> str:
    text = re.sub(r":(?:class|func|meth):`~?([^`]+)`", lambda found: f"`{found[1].rpartition('.')[2]}`", text)
    text = text.replace("``", "`").replace("|", "\\|").replace("<", "&lt;")
    # Asterisks and underscores of code that is filled in would be read as emphasis.
    return re.sub(r"\{([^{}]*)\}", r"`{\1}`", text) if "`" not in text else text
