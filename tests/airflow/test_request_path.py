"""The path from ``execute`` to the HTTP request, as the page on the architecture shows it."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import FrameType, GeneratorType
from typing import Any

import pytest
import requests

import airflow_provider_itwin
from itwin_emulator import Emulator

ROOT = Path(airflow_provider_itwin.__file__).parent
PAGE = Path(__file__).parents[2] / "docs" / "architecture.md"
STEP = re.compile(r"^\d+\. `(?P<file>[\w/]+\.py)` `(?P<function>[\w.]+)`", re.MULTILINE)


def documented_path() -> list[tuple[str, str]]:
    section = PAGE.read_text().partition("## From execute to the request")[2].partition("\n## ")[0]
    return [(step["file"], step["function"]) for step in STEP.finditer(section)]


def place_of(code: Any) -> tuple[str, str] | None:
    path = Path(code.co_filename)
    if not path.is_relative_to(ROOT) or code.co_name == "<lambda>" or "<locals>" in code.co_qualname:
        return None
    return str(path.relative_to(ROOT)), code.co_qualname


def flows_in(frame: FrameType) -> list[tuple[str, str]]:
    """Return the functions of the flows that a frame drives, from the outermost to the innermost."""
    places = []
    for value in frame.f_locals.values():
        flow: Any = value
        while isinstance(flow, GeneratorType):
            places.append(place_of(flow.gi_code))
            flow = flow.gi_yieldfrom
    return [place for place in places if place is not None]


def path_to_here() -> list[tuple[str, str]]:
    """Return the functions of the package on the way to the caller, each once."""
    frames: list[FrameType] = []
    above: FrameType | None = sys._getframe(1)
    while above is not None:
        frames.append(above)
        above = above.f_back
    path: list[tuple[str, str]] = []
    for frame in reversed(frames):
        place = place_of(frame.f_code)
        for found in [*([place] if place else []), *(flows_in(frame) if place else [])]:
            if found not in path:
                path.append(found)
    return path


def test_the_documented_path_matches_the_call_stack(
    emulator: Emulator, run_task: Any, connection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow_provider_itwin.operators.itwin import ITwinRunStorageConnectionOperator

    paths: list[list[tuple[str, str]]] = []
    send = requests.Session.request

    def noted(self: Any, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
        if url.endswith("/run"):
            paths.append(path_to_here())
        return send(self, method, url, *args, **kwargs)

    monkeypatch.setattr(requests.Session, "request", noted)
    emulator.add_connection(connection_id="path-connection", files=["a.dgn"])
    run_task(ITwinRunStorageConnectionOperator(task_id="sync", connection_id="path-connection"))

    (path,) = paths
    path = path[path.index(("operators/base.py", "ITwinRunOperator.execute")) :]
    assert path == documented_path()
    assert len(path) <= 18, "at most half of the steps that it took once"
