"""Errors that the store raises; the API maps them to error responses."""

from __future__ import annotations


class StartInProgressError(Exception):
    """Another start for the same iModel is in progress."""
