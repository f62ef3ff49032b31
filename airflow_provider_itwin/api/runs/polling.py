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
from airflow_provider_itwin.api.http.request_flow import DEFAULT_PATIENCE, exchange
from airflow_provider_itwin.api.models.resources import (
    ConnectionKind,
    Glance,
    Run,
    RunRef,
)
from airflow_provider_itwin.api.runs import endpoints

T = TypeVar("T")

_PAUSES_FOR_LAST_RUN = (1.0, 2.0, 4.0, 8.0, 15.0)


@dataclass(frozen=True, slots=True)
class Sight:
    """A look at a run: as much as a poll needs, and the whole of it once it has ended."""

    ref: RunRef
    glance: Glance
    run: Run | None


def look_at_run(account: Account, ref: RunRef, patience: float = DEFAULT_PATIENCE, latest: float = inf) -> Flow[Sight]:
    """Look at a run without reading more than a poll needs."""
    call = endpoints.glance_at_run(ref.kind, ref.connection_id, ref.run_id)
    glance, run = yield from exchange(account, call, patience, latest)
    return Sight(ref, glance, run)


def _look_at_new_run(account: Account, ref: RunRef) -> Flow[Sight]:
    """Look at a run that may have begun so lately that the service does not find it yet."""
    for pause in _PAUSES_FOR_LAST_RUN:
        try:
            return (yield from look_at_run(account, ref))
        except ITwinNotFoundError:
            yield Pause(pause)
    return (yield from look_at_run(account, ref))


def look_for_newest(
    account: Account,
    kind: ConnectionKind,
    connection_id: str,
    since: datetime,
    patience: float = DEFAULT_PATIENCE,
    latest: float = inf,
) -> Flow[Sight | None]:
    """Look at the newest run of a connection; None if it began before `since`, has not begun, or does not exist."""
    connection = yield from exchange(account, endpoints.get_connection(kind, connection_id), patience, latest)
    ref = connection.last_run(kind, connection_id)
    if ref is None or (ref.kind, ref.connection_id) != (kind, connection_id):
        return None
    try:
        sight = yield from look_at_run(account, ref, patience, latest)
    except ITwinNotFoundError:
        # The connection names it, so it is there; it has just not got around yet.
        return None
    began = sight.glance.start_date_time
    return sight if began is not None and began >= since else None
