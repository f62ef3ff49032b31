"""
A run as an asset event tells of it: the same short form whether an operator, a sensor or a watcher has sent the event.

DAG files reach this module, so it imports nothing that they need not know.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

RUN_KEY = "itwin_run"
"""Where in the extra of an asset event, or in the payload of a watcher's event, the run is told of."""

_PARTS = ("ref", "state", "result", "started", "ended", "duration", "totals", "error", "summary")


def told_run(report: Mapping[str, Any]) -> dict[str, Any]:
    """
    Give the short form of a run report: a few hundred bytes, and at most 4 KiB.

    :param report: as in the XCom ``run_report``
    """
    return {name: report.get(name) for name in _PARTS}
