from __future__ import annotations

from scripts.report_table import WIDTH, report_table

LINK = "https://kb.example.com/" + "long-" * 30
FAILING = {
    "file_id": "c187",
    "file_name": "PD-ARC-Deck.rvt",
    "connector": "REVIT",
    "result": "Error",
    "error_code": "TAE_BRG_1021",
    "message": "The file is too old.",
    "description": "Save it with a supported version.",
    "details": "The file is too old.",
    "can_user_fix": True,
    "kb_article_link": LINK,
}
REPORT = {
    "ref": {"kind": "storage", "connection_id": "parking", "run_id": "4711"},
    "state": "Completed",
    "result": "Error",
    "phase": None,
    "started": "2026-11-22T01:30:00+00:00",
    "ended": "2026-11-22T01:55:00.250000+00:00",
    "duration": 1500.25,
    "summary": "Error",
    "totals": {
        "jobs": 2,
        "tasks": 5,
        "tasks_by_result": {"Error": 1, "Success": 4},
        "errors": 1,
        "warnings": 7,
        "other_issues": 0,
    },
    "error": {"key": "RunFailed", "description": "One of five files could not be synchronized. " * 4},
    "failing_tasks": [FAILING],
    "more_failing_tasks": 3,
}


def test_the_table_has_numbers_and_files() -> None:
    lines = report_table(REPORT).splitlines()

    assert "Connection    parking (storage)" in lines
    assert "Ended         2026-11-22 01:55:00 UTC" in lines
    assert "Duration      1500 s" in lines
    assert "  Success     4" in lines
    assert "PD-ARC-Deck.rvt  REVIT      Error   TAE_BRG_1021" in lines
    assert lines.count("    The file is too old.") == 1, "once, although message and details are the same"
    assert "    You can fix this." in lines
    assert lines[-1] == "... and 3 more"


def test_long_lines_are_wrapped_except_links() -> None:
    long = [line for line in report_table(REPORT).splitlines() if len(line) > WIDTH]

    assert long == [f"    {LINK}"]


def test_missing_fields_are_shown_as_unknown() -> None:
    bare = REPORT | {
        "result": None,
        "started": None,
        "ended": None,
        "duration": None,
        "error": None,
        "failing_tasks": [dict.fromkeys(FAILING)],
        "more_failing_tasks": 0,
    }

    lines = report_table(bare).splitlines()

    assert "Result        none" in lines
    assert "Duration      unknown" in lines
    assert any(line.startswith("unknown ") for line in lines)
