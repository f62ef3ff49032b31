"""What a 404 means: an id of another kind of connection, a run that never existed, or one that the service does not show yet."""

from __future__ import annotations

from airflow_provider_itwin.api.errors import ITwinError, ITwinNotFoundError
from airflow_provider_itwin.api.http.config import Account
from airflow_provider_itwin.api.http.messages import Flow
from airflow_provider_itwin.api.http.pagination import Pages
from airflow_provider_itwin.api.http.request_flow import perform_call
from airflow_provider_itwin.api.models.enums import ConnectionKind
from airflow_provider_itwin.api.models.resources import Connection, RunSummary
from airflow_provider_itwin.api.models.run_ref import RunRef
from airflow_provider_itwin.api.runs import endpoints
from airflow_provider_itwin.api.runs.finished_feed import get_run_summaries

_MOST_PAGES = 10
"""Pages that are searched for a run: 1,000 runs."""


def explain_connection(
    account: Account, error: ITwinNotFoundError, kind: ConnectionKind, connection_id: str
) -> Flow[ITwinNotFoundError]:
    """
    Add to a 404 which kind of connection the id belongs to, if it is that of another kind.

    :param error: the 404 for a connection, or for a run of it
    :param kind: the kind of connection that was requested
    :return: `error`
    """
    error.is_explained = True
    for other in ConnectionKind:
        if other is not kind and (yield from _find(account, other, connection_id)) is not None:
            error.hint = (
                f"{connection_id} is the id of {_article(other)} {other} connection, not of {_article(kind)} {kind} connection: "
                f"use the operator or sensor for {other} connections, or kind={other.value!r} in the hook."
            )
            error.is_certain = True
            return error
    return error


def explain_run(account: Account, error: ITwinNotFoundError, ref: RunRef) -> Flow[ITwinNotFoundError]:
    """
    Find out whether a 404 for a run is certain: its connection exists, and does not list the run.

    :param error: the 404
    :param ref: the run
    :return: `error`
    """
    error.is_explained = True
    connection = yield from _find(account, ref.kind, ref.connection_id)
    if connection is None:
        return (yield from explain_connection(account, error, ref.kind, ref.connection_id))
    if not ref.is_same(connection.last_run(ref.kind, ref.connection_id)):
        number = yield from _number_of_other_runs(account, ref)
        if number is not None:
            error.hint = (
                f"The {ref.kind} connection {ref.connection_id} has {number} run{'' if number == 1 else 's'}, and none with this "
                "id: check run_id."
            )
            error.is_certain = True
    return error


def _find(account: Account, kind: ConnectionKind, connection_id: str) -> Flow[Connection | None]:
    try:
        return (yield from perform_call(account, endpoints.get_connection(kind, connection_id), retry_budget=0))
    except ITwinError:
        return None


def _number_of_other_runs(account: Account, ref: RunRef) -> Flow[int | None]:
    """Return the number of runs of a connection; None if `ref` is one of them, or they cannot all be listed."""
    pages: Pages[RunSummary] = Pages(
        lambda top, skip: get_run_summaries(ref.kind, ref.connection_id, top, skip),
        lambda page: (page.runs, page.links),
        retry_budget=0,
    )
    number = 0
    try:
        for _ in range(_MOST_PAGES):
            found = yield from pages.next_page(account)
            if any((run.id or "").lower() == ref.run_id.lower() for run in found):
                return None
            number += len(found)
            if pages.is_done:
                return number
    except ITwinError:
        pass
    return None


def _article(kind: ConnectionKind) -> str:
    return "an" if kind is ConnectionKind.EXPORT else "a"
