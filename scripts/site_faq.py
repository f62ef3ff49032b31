"""The part of the FAQ that has one source with the page about troubleshooting: its tables of symptoms."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

TROUBLESHOOTING = Path(__file__).resolve().parents[1] / "docs" / "troubleshooting.md"


@dataclass(frozen=True)
class Problem:
    """A row of a table of symptoms."""

    group: str
    symptom: str
    cause: str
    fix: str


def problems() -> list[Problem]:
    """Return all symptoms of the page about troubleshooting, with causes and fixes."""
    section = TROUBLESHOOTING.read_text().partition("## By symptom")[2].partition("\n## ")[0]
    found = []
    for group in section.split("\n### ")[1:]:
        title, _, text = group.partition("\n")
        rows = re.findall(r"^\| (.+?) \| (.+) \| (.+) \|$", text, re.MULTILINE)
        # The first two are the head of the table.
        found += [Problem(title, *row) for row in rows[2:]]
    return found


def questions() -> str:
    """Return each symptom as a heading, with its cause and its fix, by group."""
    pieces, group = [], ""
    for problem in problems():
        if problem.group != group:
            group = problem.group
            pieces.append(f"## {group}")
        pieces.append(
            f"### {_sentence(problem.symptom, '')}\n\n**Cause:** {_sentence(problem.cause)}\n\n**Fix:** {_sentence(problem.fix)}"
        )
    # Links to places on the page about troubleshooting.
    return re.sub(r"\]\(#", "](troubleshooting.md#", "\n\n".join(pieces))


def _sentence(text: str, end: str = ".") -> str:
    return text[0].upper() + text[1:] + ("" if text.endswith(end) else end)
