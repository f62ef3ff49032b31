"""The web page: static files, read once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

STATIC = Path(__file__).parent / "static"

_TYPES = {
    "index.html": "text/html; charset=utf-8",
    "style.css": "text/css; charset=utf-8",
    "app.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file as it is sent."""

    body: bytes
    headers: dict[str, str]


def find(method: str, segments: tuple[str, ...]) -> StaticFile | None:
    """Give the file for a path, if it is one of the page's."""
    if method not in ("GET", "HEAD"):
        return None
    if segments == ("",):
        return _read("index.html")
    if segments == ("favicon.ico",):
        return _read("icon.svg")
    if len(segments) == 3 and segments[:2] == ("emulator", "static") and segments[2] in _TYPES:
        return _read(segments[2])
    return None


@cache
def _read(name: str) -> StaticFile:
    headers = {
        "Content-Type": _TYPES[name],
        "Cache-Control": "no-cache",
        "Content-Security-Policy": _POLICY,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }
    return StaticFile((STATIC / name).read_bytes(), headers)
