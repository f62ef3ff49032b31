"""Polling a run, or the newest run of a connection."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from math import inf
from typing import TypeVar

from airflow_provider_itwin.api.errors import (
    ITwinNotFoundError,
)
from airflow_provider_itwin.api.http.config import Account
from airflow_provider_itwin.api.http.messages import Flow, Pause
from airflow_provider_itwin.api.http.request_flow import DEFAULT_RETRY_BUDGET, perform_call
from airflow_provider_itwin.api.models.resources import (
    ConnectionKind,
    Run,
    RunRef,
    RunSummary,
)
from airflow_provider_itwin.api.runs import endpoints

T = TypeVar("T")

_PAUSES_FOR_LAST_RUN = (1.0, 2.0, 4.0, 8.0, 15.0)


@dataclass(frozen=True, slots=True)
class PollResult:
    """A look at a run: as much as a poll needs, and the whole of it once it has ended."""

    ref: RunRef
    summary: RunSummary
    run: Run | None


def poll_run(
    account: Account, ref: RunRef, retry_budget: float = DEFAULT_RETRY_BUDGET, latest: float = inf
) -> Flow[PollResult]:
    """Look at a run without reading more than a poll needs."""
    call = endpoints.get_run_summary(ref.kind, ref.connection_id, ref.run_id)
    summary, run = yield from perform_call(account, call, retry_budget, latest)
    return PollResult(ref, summary, run)


def _poll_new_run(account: Account, ref: RunRef) -> Flow[PollResult]:
    """Look at a run that may have begun so lately that the service does not find it yet."""
    for pause in _PAUSES_FOR_LAST_RUN:
        try:
            return (yield from poll_run(account, ref))
        except ITwinNotFoundError:
            yield Pause(pause)
    return (yield from poll_run(account, ref))


def poll_newest_run(
    account: Account,
    kind: ConnectionKind,
    connection_id: str,
    since: datetime,
    retry_budget: float = DEFAULT_RETRY_BUDGET,
    latest: float = inf,
) -> Flow[PollResult | None]:
    """Look at the newest run of a connection; None if it began before `since`, has not begun, or does not exist."""
    connection = yield from perform_call(account, endpoints.get_connection(kind, connection_id), retry_budget, latest)
    ref = connection.last_run(kind, connection_id)
    if ref is None or (ref.kind, ref.connection_id) != (kind, connection_id):
        return None
    try:
        poll_result = yield from poll_run(account, ref, retry_budget, latest)
    except ITwinNotFoundError:
        # The connection names it, so it is there; it has just not got around yet.
        return None
    began = poll_result.summary.start_date_time
    return poll_result if began is not None and began >= since else None
