"""The files of the tab, as the API server gives them to a browser."""

from __future__ import annotations

import os
from pathlib import Path

from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

FOLDER = Path(__file__).parent / "static"

NAMES = (
    "tab.js",
    "airflow.js",
    "dom.js",
    "follow.js",
    "page.js",
    "timeline.js",
    "words.js",
    "tab.css",
    "icon.svg",
    "icon-dark.svg",
)

HEADERS = {
    # Asked for anew each time, which costs a few bytes as long as nothing has changed.
    "Cache-Control": "no-cache",
    # None of the files is a page: opened as one, each may do nothing.
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class TabFiles(StaticFiles):
    """Serves the files of the tab, and nothing else: there is nothing in them that not everybody may know."""

    def __init__(self) -> None:
        missing = [name for name in NAMES if not (FOLDER / name).is_file()]
        if missing:
            raise FileNotFoundError(f"{', '.join(missing)} missing in {FOLDER}; install airflow-provider-itwin again")
        super().__init__(directory=FOLDER)

    def file_response(
        self, full_path: str | os.PathLike[str], stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        """Give a file with headers that leave no room for misuse."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers.update(HEADERS)
        return response
