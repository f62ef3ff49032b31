"""Durations for people."""

from __future__ import annotations


def format_duration(seconds: float) -> str:
    """Format a duration: ``42 s``, ``25 min``, ``2 h 5 min``."""
    whole = max(0, round(seconds))
    if whole < 100:
        return f"{whole} s"
    minutes = round(whole / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
