"""A run report as plain text for a terminal."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

WIDTH = 100
_LABEL = 14


def report_table(report: dict[str, Any]) -> str:
    """Format a run report: the run, its files by result, and the files that need attention."""
    ref, totals = report["ref"], report["totals"]
    rows = [
        ("Connection", f"{ref['connection_id']} ({ref['kind']})"),
        ("Run", ref["run_id"]),
        ("Result", report["result"] or "none"),
        ("Started", _moment(report["started"])),
        ("Ended", _moment(report["ended"])),
        ("Duration", "unknown" if report["duration"] is None else f"{report['duration']:.0f} s"),
        ("Jobs", str(totals["jobs"])),
        ("Files", str(totals["tasks"])),
        *((f"  {result}", str(number)) for result, number in totals["tasks_by_result"].items()),
        ("Errors", str(totals["errors"])),
        ("Warnings", str(totals["warnings"])),
        ("Other issues", str(totals["other_issues"])),
    ]
    if report["error"]:
        said = filter(None, (report["error"]["key"], report["error"]["description"]))
        rows.append(("Run's error", ": ".join(said)))
    lines = ["Run report", "-" * WIDTH, *(line for label, text in rows for line in _row(label, text))]
    if report["failing_tasks"]:
        lines += ["", "Files that need attention", "-" * WIDTH, *_failing(report["failing_tasks"])]
        if report["more_failing_tasks"]:
            lines.append(f"... and {report['more_failing_tasks']} more")
    return "\n".join(lines)


def _failing(tasks: Iterable[dict[str, Any]]) -> list[str]:
    cells = [("File", "Connector", "Result", "Code")]
    notes: list[list[str]] = [[]]
    for task in tasks:
        name = task["file_name"] or task["file_id"] or "unknown"
        cells.append((name, task["connector"] or "", task["result"] or "none", task["error_code"] or ""))
        notes.append(_notes(task))
    widths = [max(len(row[column]) for row in cells) for column in range(4)]
    lines = []
    for row, said in zip(cells, notes, strict=True):
        lines.append("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        lines += said
    return lines


def _notes(task: dict[str, Any]) -> list[str]:
    texts = dict.fromkeys(text for name in ("message", "description", "details") if (text := task[name]))
    if task["can_user_fix"] is not None:
        texts["You can fix this." if task["can_user_fix"] else "You cannot fix this: contact Bentley support."] = None
    if task["kb_article_link"]:
        texts[f"See {task['kb_article_link']}"] = None
    return [line for text in texts for line in _wrapped(text, indent=4)]


def _row(label: str, text: str) -> list[str]:
    lines: Sequence[str] = _wrapped(text, indent=_LABEL) or [""]
    return [f"{label:<{_LABEL}}{lines[0].strip()}", *lines[1:]]


def _wrapped(text: str, indent: int) -> list[str]:
    # A link must stay on one line.
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=" " * indent,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _moment(text: str | None) -> str:
    return text[:19].replace("T", " ") + " UTC" if text else "unknown"
