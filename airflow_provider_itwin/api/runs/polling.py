"""Polling a run, or the newest run of a connection."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from math import inf

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

PAUSES_FOR_NEW_RUN = (1.0, 2.0, 4.0, 8.0, 15.0)
"""Seconds between polls of a new run, which the service may not find yet."""


@dataclass(frozen=True, slots=True)
class PollResult:
    """What a poll of a run returned: its summary, and the whole run once it has ended."""

    ref: RunRef
    summary: RunSummary
    run: Run | None


def poll_run(
    account: Account, ref: RunRef, retry_budget: float = DEFAULT_RETRY_BUDGET, latest: float = inf
) -> Flow[PollResult]:
    """Poll a run; all of it is decoded only once it has ended."""
    call = endpoints.get_run_summary(ref.kind, ref.connection_id, ref.run_id)
    summary, run = yield from perform_call(account, call, retry_budget, latest)
    return PollResult(ref, summary, run)


def poll_new_run(account: Account, ref: RunRef) -> Flow[PollResult]:
    """Poll a new run; a 404 is retried, because it can be eventual consistency."""
    for pause in PAUSES_FOR_NEW_RUN:
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
    """Poll the newest run of a connection; None if it began before `since`, has not begun, or does not exist."""
    connection = yield from perform_call(account, endpoints.get_connection(kind, connection_id), retry_budget, latest)
    ref = connection.last_run(kind, connection_id)
    if ref is None or (ref.kind, ref.connection_id) != (kind, connection_id):
        return None
    try:
        poll_result = yield from poll_run(account, ref, retry_budget, latest)
    except ITwinNotFoundError:
        # The connection names the run, so it exists: the 404 is eventual consistency.
        return None
    began = poll_result.summary.start_date_time
    return poll_result if began is not None and began >= since else None
