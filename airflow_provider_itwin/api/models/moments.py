"""
Moments: as the service writes them, and as users do.

DAG files import this module, so it imports nothing beyond the standard library.
"""

from __future__ import annotations

from datetime import UTC, date, datetime

from airflow_provider_itwin.api.errors import ITwinInputError
from airflow_provider_itwin.api.models.validation import shown


def read_moment(text: str | None) -> datetime | None:
    """
    Parse a timestamp of the API, which has up to seven decimal places and an optional time zone (default: UTC).

    :return: an aware datetime in UTC; None for a missing or invalid one, and for the year 1, which means "not yet"
    """
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text.strip())
        if moment.year <= 1:
            return None
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def moment_text(value: object) -> str:
    """
    Return a moment as ISO 8601; a template can be rendered as a str, a datetime or a date.

    :raises ITwinInputError: if it is something else
    """
    if isinstance(value, datetime):
        value = (value.replace(tzinfo=UTC) if value.tzinfo is None else value).isoformat()
    elif isinstance(value, date):
        value = value.isoformat()
    if not isinstance(value, str) or read_moment(value) is None:
        raise ITwinInputError(
            f"With no run_id, started_after must be a moment in ISO 8601, a datetime or a date, not {shown(value)}"
        )
    return value
