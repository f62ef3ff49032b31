"""
Content of the documentation site that is generated from the code, so that it cannot become outdated.

MkDocs calls :func:`on_page_markdown`. A page contains placeholders, each a comment on a line of its own:

``<!-- example: FILE [NAME ...] -->``
    an example DAG, or the named parts of it
``<!-- include: FILE -->``
    a file of the checkout
``<!-- diagram: NAME -->``
    a diagram of the package
``<!-- settings -->``, ``<!-- connection fields -->``, ``<!-- error classes -->``, ``<!-- error texts -->``
    a table
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

from scripts.site_diagram import DIAGRAMS  # noqa: E402 (MkDocs loads this file by its path)

PACKAGE = ROOT / "airflow_provider_itwin"
_PLACEHOLDER = re.compile(r"^<!-- ([a-z ]+?)(?:: (.+?))? -->$", re.MULTILINE)


class UnknownPartError(Exception):
    """A placeholder names a part of an example that does not exist."""


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace the placeholders of a page."""
    return _PLACEHOLDER.sub(lambda found: _content(found[1], found[2] or "", found[0]), markdown)


def _content(name: str, argument: str, placeholder: str) -> str:
    contents: dict[str, Callable[[], str]] = {
        "example": lambda: example(*argument.split()),
        "include": lambda: included(argument),
        "settings": settings,
        "connection fields": connection_fields,
        "error classes": error_classes,
        "error texts": error_texts,
        "diagram": lambda: DIAGRAMS[argument].svg(),
    }
    # Comments that begin with "figures" mark measured figures for authors and stay.
    return contents[name]() if name in contents else placeholder


def example(name: str, *parts: str) -> str:
    """
    Return the code of an example DAG.

    :param name: its file, without ``.py``
    :param parts: names of variables, functions or calls; none: the whole file
    :raises UnknownPartError: if a part does not exist
    """
    text = (ROOT / "example_dags" / f"{name}.py").read_text()
    if not parts:
        return f"```python\n{text}```"
    found = dict(_segments(text))
    missing = [part for part in parts if part not in found]
    if missing:
        raise UnknownPartError(f"{name}.py has no {', '.join(missing)}, but {', '.join(found)}")
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
    """Return a file of the checkout; its links into the checkout become plain text."""
    text = (ROOT / name).read_text()
    return re.sub(r"\[([^\]]+)\]\((?!https?:|#)[^)]+\)", r"\1", text)


def settings() -> str:
    """Return the options of the section ``[itwin]`` as a table."""
    from airflow_provider_itwin.get_provider_info import get_provider_info

    rows = ["| option | default | meaning |", "| --- | --- | --- |"]
    for name, option in get_provider_info()["config"]["itwin"]["options"].items():
        rows.append(f"| `{name}` | `{option['default']}` | {' '.join(option['description'].split())} |")
    return "\n".join(rows)


def connection_fields() -> str:
    """Return the extra fields of the connection form as a table."""
    from airflow_provider_itwin.hooks.connection_form import FIELDS

    rows = ["| key in extra | label in the form | meaning |", "| --- | --- | --- |"]
    for name, field in FIELDS.items():
        default = field["schema"].get("default")
        default_text = f" Default: `{default}`." if default is not None else ""
        rows.append(f"| `{name}` | {field['label']} | {_in_table(field['description'])}{default_text} |")
    return "\n".join(rows)


def error_classes() -> str:
    """Return all exception classes and their docstrings as a table."""
    rows = ["| class | meaning |", "| --- | --- |"]
    rows += [f"| `{name}` | {_in_table(meaning)} |" for name, meaning in classes_of_errors().items()]
    return "\n".join(rows)


def classes_of_errors() -> dict[str, str]:
    """Return the first paragraph of the docstring of each public exception class."""
    found: dict[str, str] = {}
    for path in (PACKAGE / "exceptions.py", PACKAGE / "api" / "errors.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and node.name.endswith("Error"):
                found[node.name] = " ".join((ast.get_docstring(node) or "").partition("\n\n")[0].split())
    return found


def error_texts() -> str:
    """Return the text of every raised error as tables, one for each module."""
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
    """Yield module, class and text of each raised error; braces mark values that are filled in."""
    for path in sorted(PACKAGE.rglob("*.py")):
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
    # Asterisks and underscores in code would be rendered as emphasis.
    return re.sub(r"\{([^{}]*)\}", r"`{\1}`", text) if "`" not in text else text
