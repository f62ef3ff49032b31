"""
Starting a run, exactly once even when a response is lost.

:func:`ensure_run` is the whole flow: note how the connection stands, ask for a run, and find the run that an earlier request
may have started. Nothing outside this module deals with lost responses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, NoReturn, Self

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
from airflow_provider_itwin.api.models.enums import ConnectionKind
from airflow_provider_itwin.api.models.run_ref import RunRef
from airflow_provider_itwin.api.models.validation import known_id, no_xcom
from airflow_provider_itwin.api.redaction import excerpt
from airflow_provider_itwin.api.runs import endpoints
from airflow_provider_itwin.api.runs.active_run_policy import ActiveRun
from airflow_provider_itwin.api.runs.polling import PAUSES_FOR_NEW_RUN, poll_new_run

_LOSES_RESPONSE = (ITwinConnectionError, ITwinServerError, ITwinProtocolError)
"""Errors of a request that the service may have carried out all the same."""

_LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class Baseline:
    """
    How a connection stood just before a run of it was asked for.

    :param last_run: its newest run; None if there was none, or if the service did not say
    :param asked_at: the time of the service's own clock, to the second; None if the service did not say
    :param authentication_type: in whose name it runs, ``User`` or ``Service``; None if the service did not say
    :param itwin_id: the iTwin that the connection belongs to; None if the service did not say
    :param imodel_id: the iModel that the connection belongs to; None if the service did not say
    :param connection_name: the name of the connection; None if the service did not say
    :param names_last_run: whether the service said which run was the newest, or that there was none
    """

    last_run: RunRef | None = None
    asked_at: datetime | None = None
    authentication_type: str | None = None
    itwin_id: str | None = None
    imodel_id: str | None = None
    connection_name: str | None = None
    names_last_run: bool = False

    @property
    def is_comparable(self) -> bool:
        """Whether a newer run can be told from an older one."""
        return self.names_last_run or self.last_run is not None or self.asked_at is not None

    def precedes(self, run: RunRef, started_at: datetime | None) -> bool:
        """
        Return whether `run`, of the same connection, began after the baseline was taken.

        Ids decide where they can: a connection runs one run at a time, so a newest run other than that of the baseline is newer.
        Clocks decide only where there is no id to compare with: the clock behind the ``Date`` header and the one behind the start
        times of runs can differ by seconds.
        """
        if self.names_last_run or self.last_run is not None:
            return not run.is_same(self.last_run)
        if self.asked_at is None:
            return False
        return started_at is None or started_at >= self.asked_at.replace(microsecond=0)


@dataclass(frozen=True, slots=True)
class StartAttempt:
    """
    What is known about starting a run, before and after each request; to be stored, so that a later process can resume.

    :param baseline: how the connection stood before the first request; None if there was none yet
    :param in_doubt: whether a request may have started a run that is not known
    :param is_restored: whether an earlier process has made it
    """

    baseline: Baseline | None = None
    in_doubt: bool = False
    is_restored: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return what has to survive, as JSON values."""
        baseline = self.baseline
        return {
            "in_doubt": self.in_doubt,
            "baseline": {
                "last_run": baseline.last_run.as_dict() if baseline.last_run else None,
                "asked_at": baseline.asked_at.isoformat() if baseline.asked_at else None,
                "names_last_run": baseline.names_last_run,
                "connection_name": baseline.connection_name,
                "imodel_id": baseline.imodel_id,
            }
            if baseline
            else None,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """
        Read what :meth:`as_dict` returned.

        :raises ValueError: if it is something else; the type of the exception can also be that of the first wrong value
        """
        stored = values.get("baseline")
        baseline = None
        if stored:
            last_run, asked_at = stored["last_run"], stored["asked_at"]
            baseline = Baseline(
                RunRef.from_dict(last_run) if last_run else None,
                datetime.fromisoformat(asked_at) if asked_at else None,
                imodel_id=known_id(stored.get("imodel_id")),
                connection_name=stored.get("connection_name"),
                names_last_run=bool(stored.get("names_last_run", False)),
            )
        # An older version of this package does not say whether there is doubt.
        return cls(baseline, bool(values.get("in_doubt", True)))


class StartOutcome(StrEnum):
    """
    What became of a request for a run.

    ``created``: it started one. ``found``: a run of the connection has begun since the baseline was taken; an earlier request,
    whose response was lost, can have started it. ``active``: the service named an active run instead.
    """

    CREATED = "created"
    FOUND = "found"
    ACTIVE = "active"


@dataclass(frozen=True, slots=True)
class StartResult:
    """
    A run that was asked for, or the one that is active instead.

    :param ref: the run; for ``active`` it can be a run of another connection of the iModel
    :param outcome: what became of the request
    :param attempt: what is known about the connection; pass it to the next :func:`ensure_run` if this one started no run
    :param active: for ``active``: what the active run is to the one who asked
    """

    ref: RunRef
    outcome: StartOutcome
    attempt: StartAttempt
    active: ActiveRun | None = None

    @property
    def created(self) -> bool:
        """Whether it is certain that this request started the run."""
        return self.outcome is StartOutcome.CREATED

    def as_dict(self) -> dict[str, Any]:
        """Return JSON values; `ref` is as in the XCom ``run_ref``."""
        return {"ref": self.ref.as_dict(), "outcome": self.outcome.value, "created": self.created}

    def serialize(self) -> NoReturn:
        """Refuse; Airflow calls this when the object is returned from a task."""
        no_xcom(self)


def _ignore(_: StartAttempt) -> None:
    """Save nothing."""


def ensure_run(
    account: Account,
    kind: ConnectionKind,
    connection_id: str,
    body: Mapping[str, object] | None = None,
    attempt: StartAttempt | None = None,
    save: Callable[[StartAttempt], None] = _ignore,
    retry_budget: float = DEFAULT_RETRY_BUDGET,
) -> Flow[StartResult]:
    """
    Start a run of a connection, unless an earlier request has started one.

    After a request whose response was lost, the connection is polled before the service is asked again: the run may have
    begun, and a short one ended, so that another request would start a second one.

    Any run of a storage connection that began since the baseline does what a new one would. A run with a body may do something
    else. It counts only if an earlier request of ours can have started it.

    :param body: what a manifest or an export run is to do
    :param attempt: what `save` received last, from this process or an earlier one
    :param save: called before each request for a run, and when the service named an older active run instead
    :param retry_budget: seconds for which each request is retried after errors that can pass
    :raises ITwinError: if no run was started
    """
    start = _Start(account, kind, connection_id, body, retry_budget)
    attempt = attempt or StartAttempt()
    if attempt.baseline is None or (body is not None and not attempt.in_doubt):
        attempt = StartAttempt(baseline := (yield from start.take_baseline()))
    else:
        baseline = attempt.baseline
        if attempt.in_doubt or attempt.is_restored:
            found = yield from start.find_run_since(baseline, retry_budget)
            if found is not None:
                return StartResult(found, StartOutcome.FOUND, attempt)
    was_in_doubt = attempt.in_doubt
    attempt = replace(attempt, in_doubt=True, is_restored=False)
    save(attempt)
    answer = yield from start.request_run(baseline)
    if answer.found is not None:
        return StartResult(answer.found, StartOutcome.FOUND, attempt)
    ref = RunRef.from_link(answer.location, kind, connection_id)
    if answer.created:
        if ref is None or (ref.kind, ref.connection_id) != (kind, connection_id):
            ref = yield from start.newest_run_after(baseline)
        return StartResult(ref, StartOutcome.CREATED, attempt)
    if ref is None:
        ref = yield from start.active_run()
    active = yield from start.examine(
        ref, baseline, can_be_ours=body is None or was_in_doubt or start.has_lost_response
    )
    attempt = replace(attempt, in_doubt=False)
    if not active.is_fresh:
        # While that run is active there can be none of ours to find later.
        save(attempt)
    return StartResult(ref, StartOutcome.ACTIVE, attempt, active)


class _Start:
    """The parts of :func:`ensure_run`, with what they share."""

    def __init__(
        self,
        account: Account,
        kind: ConnectionKind,
        connection_id: str,
        body: Mapping[str, object] | None,
        retry_budget: float,
    ) -> None:
        self.has_lost_response = False
        self._account = account
        self._kind = kind
        self._connection_id = connection_id
        self._body = body
        self._retry_budget = retry_budget

    def take_baseline(self) -> Flow[Baseline]:
        """Note how the connection stands; an account that may run a connection but not read it gets an empty baseline."""
        call = endpoints.get_connection_with_time(self._kind, self._connection_id)
        try:
            connection, asked_at = yield from perform_call(self._account, call, self._retry_budget)
        except (ITwinPermissionError, ITwinNotFoundError):
            return Baseline()
        return Baseline(
            connection.last_run(self._kind, self._connection_id),
            asked_at,
            connection.authentication_type,
            connection.itwin_id,
            connection.imodel_id,
            excerpt(connection.display_name, _LONGEST_NAME) if connection.display_name else None,
            names_last_run=connection.links is not None,
        )

    def request_run(self, baseline: Baseline) -> Flow[endpoints.StartAnswer]:
        """Ask for a run; before each retry after a lost response, look for the run that the lost request may have started."""

        def find_instead(error: ITwinError, left: float) -> Flow[endpoints.StartAnswer | None]:
            self.has_lost_response = self.has_lost_response or isinstance(error, _LOSES_RESPONSE)
            if not self.has_lost_response:
                return None
            found = yield from self.find_run_since(baseline, left)
            return None if found is None else endpoints.StartAnswer(created=False, found=found)

        call = endpoints.start_run(self._kind, self._connection_id, self._body)
        return (yield from perform_call(self._account, call, self._retry_budget, before_retry=find_instead))

    def find_run_since(self, baseline: Baseline, retry_budget: float) -> Flow[RunRef | None]:
        """Find a run of the connection that began after `baseline` was taken, finished or not; None if there is none."""
        if not baseline.is_comparable:
            return None
        call = endpoints.get_connection(self._kind, self._connection_id)
        try:
            connection = yield from perform_call(self._account, call, retry_budget)
            ref = connection.last_run(self._kind, self._connection_id)
            if ref is None or ref.connection_id != self._connection_id or ref.is_same(baseline.last_run):
                return None
            poll_result = yield from poll_new_run(self._account, ref)
        except (ITwinPermissionError, ITwinNotFoundError):
            return None
        return ref if baseline.precedes(ref, poll_result.summary.start_date_time) else None

    def newest_run_after(self, baseline: Baseline) -> Flow[RunRef]:
        """Find the run that was started by a request whose response does not name it."""
        call = endpoints.get_connection(self._kind, self._connection_id)
        for pause in (0.0, *PAUSES_FOR_NEW_RUN):
            if pause:
                yield Pause(pause)
            connection = yield from perform_call(self._account, call)
            ref = connection.last_run(self._kind, self._connection_id)
            if ref is not None and not ref.is_same(baseline.last_run) and ref.connection_id == self._connection_id:
                return ref
        raise ITwinProtocolError(
            f"A run of {self._kind} connection {self._connection_id} was accepted, but neither the response nor the connection "
            "names it",
            hint="It may be running. The lastRun link of the connection will name it.",
        )

    def active_run(self) -> Flow[RunRef]:
        """Find the active run when a 303 does not name it."""
        call = endpoints.get_connection(self._kind, self._connection_id)
        connection = yield from perform_call(self._account, call)
        ref = connection.last_run(self._kind, self._connection_id)
        if ref is not None:
            poll_result = yield from poll_new_run(self._account, ref)
            if not poll_result.summary.is_finished:
                return ref
        raise ITwinProtocolError(
            f"The iModel of {self._kind} connection {self._connection_id} is being synchronized by a run that the service does "
            "not name",
            hint="It may be a run of another connection. Try again later.",
        )

    def examine(self, ref: RunRef, baseline: Baseline, *, can_be_ours: bool) -> Flow[ActiveRun]:
        """Find out what the active run `ref`, named by a 303, is to the one who asked for a run of this connection."""
        if (ref.kind, ref.connection_id) != (self._kind, self._connection_id):
            return ActiveRun(ref, is_own=False, is_fresh=False)
        poll_result = yield from poll_new_run(self._account, ref)
        summary = poll_result.summary
        is_fresh = can_be_ours and baseline.precedes(ref, summary.start_date_time)
        return ActiveRun(ref, is_own=True, is_fresh=is_fresh, is_finished=summary.is_finished)
