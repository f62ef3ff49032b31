"""Starting a run, exactly once even when a response is lost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn, TypeVar

from airflow_provider_itwin.api.errors import (
    ITwinConnectionError,
    ITwinError,
    ITwinNotFoundError,
    ITwinPermissionError,
    ITwinProtocolError,
    ITwinServerError,
)
from airflow_provider_itwin.api.http.config import Account
from airflow_provider_itwin.api.http.messages import Flow, Pause
from airflow_provider_itwin.api.http.request_flow import DEFAULT_RETRY_BUDGET, perform_call
from airflow_provider_itwin.api.models.resources import (
    ConnectionKind,
    RunRef,
)
from airflow_provider_itwin.api.models.validation import no_xcom
from airflow_provider_itwin.api.runs import endpoints
from airflow_provider_itwin.api.runs.active_run_policy import Active
from airflow_provider_itwin.api.runs.polling import _PAUSES_FOR_LAST_RUN, _poll_new_run

T = TypeVar("T")

_LEAVES_DOUBT = (ITwinConnectionError, ITwinServerError, ITwinProtocolError)
"""What can have become of a request that was carried out all the same."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """
    How a connection stood just before a run of it was asked for.

    :param last_run: its newest run, None if there was none, or the service did not say
    :param asked_at: the moment by the service's own clock, to the second; None if the service did not tell
    :param names_last_run: whether the service said which run was the newest, or that there was none
    :param authentication_type: in whose name it runs, ``User`` or ``Service``; None if the service did not tell
    :param itwin_id: where it belongs, as is `imodel_id`; None if the service did not tell
    """

    last_run: RunRef | None = None
    asked_at: datetime | None = None
    authentication_type: str | None = None
    itwin_id: str | None = None
    imodel_id: str | None = None
    names_last_run: bool = False

    @property
    def can_tell(self) -> bool:
        """Whether a run that began since can be told from an older one at all."""
        return self.names_last_run or self.last_run is not None or self.asked_at is not None

    def precedes(self, run: RunRef, started_at: datetime | None) -> bool:
        """
        Return whether `run`, of the same connection, began after the baseline was taken.

        The names of runs decide: a connection runs one run at a time, so a newest run other than the one of the baseline began
        since. Clocks decide only where there is no name to compare with: the clock behind the ``Date`` header and the one behind
        the start times of runs can differ by seconds.
        """
        if self.names_last_run or self.last_run is not None:
            return not run.is_same(self.last_run)
        if self.asked_at is None:
            return False
        return started_at is None or started_at >= self.asked_at.replace(microsecond=0)


@dataclass(frozen=True, slots=True)
class StartedRun:
    """
    The answer to the wish to start a run.

    :param ref: the run that was created; or the one that is active instead, which can be another connection's; or one of the
        connection that began since, when an answer to us was lost
    :param created: False if it is not certain that this request created it
    :param in_doubt: whether an earlier request of ours, whose answer was lost, may have created it
    """

    ref: RunRef
    created: bool
    in_doubt: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return the answer as JSON values; `ref` is as in the XCom ``run_ref``."""
        return {"ref": self.ref.as_dict(), "created": self.created, "in_doubt": self.in_doubt}

    def serialize(self) -> NoReturn:
        """Refuse; Airflow calls this when the object is returned from a task."""
        no_xcom(self)


def take_baseline(
    account: Account, kind: ConnectionKind, connection_id: str, retry_budget: float = DEFAULT_RETRY_BUDGET
) -> Flow[Baseline]:
    """Look how the connection stands; an account that may run a connection but not read it gets an empty baseline."""
    try:
        connection, asked_at = yield from perform_call(
            account, endpoints.get_connection_with_time(kind, connection_id), retry_budget
        )
    except (ITwinPermissionError, ITwinNotFoundError):
        return Baseline()
    return Baseline(
        connection.last_run(kind, connection_id),
        asked_at,
        connection.authentication_type,
        connection.itwin_id,
        connection.imodel_id,
        names_last_run=connection.links is not None,
    )


def start_run(
    account: Account,
    kind: ConnectionKind,
    connection_id: str,
    body: Mapping[str, Any] | None = None,
    baseline: Baseline | None = None,
    retry_budget: float = DEFAULT_RETRY_BUDGET,
    *,
    in_doubt: bool = False,
) -> Flow[StartedRun]:
    """
    Start a run of a connection.

    After a request whose answer was lost, the connection is looked at before it is asked again: the run may have begun, and a
    short one have ended, so that another request would start a second one.

    :param baseline: how the connection stood before, if that is known already; it tells a new run from an old one when
        the service starts a run without saying which
    :param in_doubt: whether a request that was made since `baseline` was taken may have started a run already
    :raises ITwinError: if no run was started
    """
    if baseline is None:
        baseline = yield from take_baseline(account, kind, connection_id, retry_budget)
    found = (yield from _begun_since(account, baseline, kind, connection_id, retry_budget)) if in_doubt else None
    answer = found or (yield from _ask_for_run(account, kind, connection_id, body, baseline, retry_budget))
    if isinstance(answer, RunRef):
        return StartedRun(answer, created=False, in_doubt=True)
    ref = RunRef.from_link(answer.location, kind, connection_id)
    if answer.created:
        if ref is None or (ref.kind, ref.connection_id) != (kind, connection_id):
            ref = yield from _newest_after(account, kind, connection_id, baseline)
    elif ref is None:
        ref = yield from _active_run(account, kind, connection_id)
    return StartedRun(ref, answer.created, answer.in_doubt or in_doubt)


def _ask_for_run(
    account: Account,
    kind: ConnectionKind,
    connection_id: str,
    body: Mapping[str, Any] | None,
    baseline: Baseline,
    retry_budget: float,
) -> Flow[endpoints.StartAnswer | RunRef]:
    """Ask for a run; give the service's answer, or the run that a request whose answer was lost turns out to have started."""
    give_up_at = account.clock() + retry_budget
    asking = perform_call(account, endpoints.start_run(kind, connection_id, body), retry_budget)
    in_doubt = False
    outcome: Any = None
    no_token: ITwinError | None = None
    while True:
        try:
            want = asking.send(outcome) if no_token is None else asking.throw(no_token)
        except StopIteration as end:
            answer: endpoints.StartAnswer = end.value
            return answer
        outcome = no_token = None
        try:
            outcome = yield want
        except ITwinError as error:
            no_token = error
        if not isinstance(want, Pause):
            continue
        in_doubt = in_doubt or isinstance(want.error, _LEAVES_DOUBT)
        left = max(0.0, give_up_at - account.clock())
        found = (yield from _begun_since(account, baseline, kind, connection_id, left)) if in_doubt else None
        if found is not None:
            asking.close()
            return found


def _begun_since(
    account: Account, baseline: Baseline, kind: ConnectionKind, connection_id: str, retry_budget: float
) -> Flow[RunRef | None]:
    if not baseline.can_tell:
        return None
    try:
        return (yield from find_started_since(account, baseline, kind, connection_id, retry_budget))
    except (ITwinPermissionError, ITwinNotFoundError):
        return None


def _newest_after(account: Account, kind: ConnectionKind, connection_id: str, baseline: Baseline) -> Flow[RunRef]:
    for pause in (0.0, *_PAUSES_FOR_LAST_RUN):
        if pause:
            yield Pause(pause)
        connection = yield from perform_call(account, endpoints.get_connection(kind, connection_id))
        ref = connection.last_run(kind, connection_id)
        if ref is not None and not ref.is_same(baseline.last_run) and ref.connection_id == connection_id:
            return ref
    raise ITwinProtocolError(
        f"A run of {kind} connection {connection_id} was accepted, but neither the answer nor the connection tells which",
        hint="It may be going on; the connection's lastRun link will name it.",
    )


def _active_run(account: Account, kind: ConnectionKind, connection_id: str) -> Flow[RunRef]:
    connection = yield from perform_call(account, endpoints.get_connection(kind, connection_id))
    ref = connection.last_run(kind, connection_id)
    if ref is not None:
        poll_result = yield from _poll_new_run(account, ref)
        if not poll_result.summary.is_finished:
            return ref
    raise ITwinProtocolError(
        f"The iModel of {kind} connection {connection_id} is being synchronized by a run that the service does not name",
        hint="It may be another connection's; trying again later helps.",
    )


def find_started_since(
    account: Account,
    baseline: Baseline,
    kind: ConnectionKind,
    connection_id: str,
    retry_budget: float = DEFAULT_RETRY_BUDGET,
) -> Flow[RunRef | None]:
    """Find a run of the connection that began after `baseline` was taken, finished or not; None if there is none."""
    connection = yield from perform_call(account, endpoints.get_connection(kind, connection_id), retry_budget)
    ref = connection.last_run(kind, connection_id)
    if ref is None or ref.connection_id != connection_id or ref.is_same(baseline.last_run):
        return None
    poll_result = yield from _poll_new_run(account, ref)
    return ref if baseline.precedes(ref, poll_result.summary.start_date_time) else None


def examine_active(
    account: Account,
    ref: RunRef,
    baseline: Baseline,
    kind: ConnectionKind,
    connection_id: str,
    *,
    does_the_same: bool = True,
) -> Flow[Active]:
    """
    Find out what the active run `ref`, named by a 303, is to a task that asked for a run of this connection.

    :param does_the_same: whether a run of the connection that began since does what ours would: true of any run of a storage
        connection, but of a run that is told what to do only if it can be our own
    """
    if (ref.kind, ref.connection_id) != (kind, connection_id):
        return Active(ref, ours=False, fresh=False)
    poll_result = yield from _poll_new_run(account, ref)
    fresh = does_the_same and baseline.precedes(ref, poll_result.summary.start_date_time)
    return Active(ref, ours=True, fresh=fresh, finished=poll_result.summary.is_finished)
