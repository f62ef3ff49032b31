"""
Content of the documentation site that is generated from the code, so that it cannot become outdated.

MkDocs calls :func:`on_page_markdown`. A page contains placeholders, each a comment on a line of its own
(``<!-- version -->``, the documented version, can be anywhere):

``<!-- example: FILE [NAME ...] -->``
    an example DAG, or the named parts of it
``<!-- include: FILE -->``
    a file of the checkout
``<!-- task -->``
    parameters, outputs and errors of the operator or sensor of the page
``<!-- tasks -->``
    all operators and sensors
``<!-- job: NAME -->``
    inputs, states and properties of a shipped job definition
``<!-- parameters: CLASS -->``
    the parameters of a class that job definitions consist of
``<!-- diagram: NAME -->``
    a diagram of the package
``<!-- settings -->``, ``<!-- connection fields -->``, ``<!-- error classes -->``, ``<!-- error texts -->``
    a table
``<!-- questions -->``
    the symptoms of the page about troubleshooting, as questions
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
from scripts.site_errors import error_classes, error_texts, in_table  # noqa: E402
from scripts.site_faq import questions  # noqa: E402
from scripts.site_jobs import data_parameters, job_tables  # noqa: E402
from scripts.site_tasks import task_list, task_tables  # noqa: E402

_PLACEHOLDER = re.compile(r"^<!-- ([a-z ]+?)(?:: (.+?))? -->$", re.MULTILINE)


class UnknownPartError(Exception):
    """A placeholder names a part of an example that does not exist."""


def on_config(config: Any) -> Any:
    """Show the documented version beside the link to the repository and at the end of each page."""
    config.extra["documented_version"] = f"Version {documented_version().partition(chr(44))[0]}"
    config.copyright = (
        f"These pages document version {documented_version()}. Apache License 2.0. "
        "This is not a product of Bentley Systems."
    )
    return config


def documented_version() -> str:
    """Return the version of the package, as the top of the changelog names it."""
    from airflow_provider_itwin import __version__

    heading = re.search(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    if heading is None or not heading[1].startswith(__version__):
        return __version__
    return heading[1].replace("(", "").replace(")", "").replace(f"{__version__} ", f"{__version__}, ")


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Replace the placeholders of a page."""
    address: str = page.file.src_uri
    markdown = markdown.replace("<!-- version -->", documented_version())
    return _PLACEHOLDER.sub(lambda found: _content(address, found[1], found[2] or "", found[0]), markdown)


def _content(page: str, name: str, argument: str, placeholder: str) -> str:
    contents: dict[str, Callable[[], str]] = {
        "example": lambda: example(*argument.split()),
        "include": lambda: included(argument),
        "settings": settings,
        "connection fields": connection_fields,
        "error classes": error_classes,
        "error texts": error_texts,
        "questions": questions,
        "task": lambda: task_tables(page),
        "tasks": task_list,
        "job": lambda: job_tables(argument),
        "parameters": lambda: data_parameters(argument),
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
        rows.append(f"| `{name}` | {field['label']} | {in_table(field['description'])}{default_text} |")
    return "\n".join(rows)
