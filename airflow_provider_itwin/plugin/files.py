"""The files of tab and page, as the API server serves them."""

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
    "mount.js",
    "overview.js",
    "overview-page.js",
    "overview-read.js",
    "overview-reading.js",
    "overview-refresh.js",
    "overview-rows.js",
    "page.js",
    "step-page.js",
    "steps.js",
    "tables.js",
    "timeline.js",
    "words.js",
    "tab.css",
    "overview.css",
    "icon.svg",
    "icon-dark.svg",
)

HEADERS = {
    # Revalidated each time, which costs a few bytes if nothing has changed.
    "Cache-Control": "no-cache",
    # None of the files is a page: opened as one, it must not run anything.
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class TabFiles(StaticFiles):
    """Serves the files of tab and page, and nothing else. The files are public: they contain no data."""

    def __init__(self) -> None:
        missing = [name for name in NAMES if not (FOLDER / name).is_file()]
        if missing:
            raise FileNotFoundError(f"{', '.join(missing)} missing in {FOLDER}; install airflow-provider-itwin again")
        super().__init__(directory=FOLDER)

    def file_response(
        self, full_path: str | os.PathLike[str], stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        """Return a file with security headers."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers.update(HEADERS)
        return response
