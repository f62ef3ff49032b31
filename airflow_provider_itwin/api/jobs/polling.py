"""Polling a job, and reading what is known about one that has ended."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from math import inf
from typing import Any

from airflow_provider_itwin.api.errors import ITwinAuthenticationError, ITwinError
from airflow_provider_itwin.api.http.config import Account
from airflow_provider_itwin.api.http.messages import Call, Flow
from airflow_provider_itwin.api.http.request_flow import DEFAULT_RETRY_BUDGET, perform_call
from airflow_provider_itwin.api.jobs import calls
from airflow_provider_itwin.api.jobs.definition import JobDefinition, JobOutcome
from airflow_provider_itwin.api.jobs.json_path import read_path
from airflow_provider_itwin.api.jobs.ref import JobRef
from airflow_provider_itwin.api.redaction import excerpt

log = logging.getLogger(__name__)

_LONGEST_STATE = 40


@dataclass(slots=True)
class JobSummary:
    """
    What a poll says about a job.

    :param state: its state, as the service spells it
    :param outcome: what the state means; None for an unknown one
    :param progress: percentage; None if it is unknown
    """

    state: str
    outcome: JobOutcome | None
    progress: float | None = None
    ends_in_unknown_state: bool = False
    start_date_time: datetime | None = None

    @property
    def is_finished(self) -> bool:
        """Whether the job has ended."""
        return self.outcome not in (None, "running")


@dataclass(frozen=True, slots=True)
class JobSnapshot:
    """
    A job that has ended.

    :param summary: what the last poll said
    :param details: what the service says about it
    :param messages: the response with its messages; None if there is none
    :param result: the value of its result; None if there is none
    """

    summary: JobSummary
    details: Mapping[str, Any]
    messages: Any = None
    result: Any = None


@dataclass(slots=True)
class JobPollResult:
    """What a poll of a job returned: its summary, and the whole job once it has ended."""

    ref: JobRef
    summary: JobSummary
    run: JobSnapshot | None


def poll_job(
    account: Account,
    definition: JobDefinition,
    ref: JobRef,
    retry_budget: float = DEFAULT_RETRY_BUDGET,
    latest: float = inf,
) -> Flow[JobPollResult]:
    """Poll a job; its details, messages and result are requested only once it has ended."""
    body, state = yield from perform_call(account, calls.poll_job(definition, ref), retry_budget, latest)
    summary = JobSummary(_shown(state), definition.outcome_of(state), _progress(definition, body))
    if not summary.is_finished:
        return JobPollResult(ref, summary, None)

    found: dict[str, Any] = {}
    for what, text in definition.later_requests.items():
        # A failed job has no result.
        if what in ("details", "messages") or (what == "result" and summary.outcome != "failed"):
            call = calls.get_more(definition, text, ref, what)
            found[what] = yield from _more(account, call, ref, retry_budget, latest)
    details = found["details"] if isinstance(found.get("details"), Mapping) else body
    result = details if definition.result_request is None else found.get("result")
    if definition.result_member is not None:
        result = read_path(result, definition.result_member)
    elif definition.result is None:
        result = None
    messages = found.get("messages")
    return JobPollResult(ref, summary, JobSnapshot(summary, details, messages, result))


def _more(account: Account, call: Call[Any], ref: JobRef, retry_budget: float, latest: float) -> Flow[Any]:
    """Make a request that a job may have no answer to; a permanent error is logged, and must not hide how the job ended."""
    try:
        return (yield from perform_call(account, call, retry_budget, latest))
    except ITwinError as error:
        if error.transient or isinstance(error, ITwinAuthenticationError):
            raise
        log.warning("%s has ended, but the service does not return more about it: %s", ref, error)
        return None


@lru_cache(maxsize=256)
def _shown(state: str) -> str:
    # An API has few states, and each is polled thousands of times.
    return excerpt(state, _LONGEST_STATE)


def _progress(definition: JobDefinition, body: Mapping[str, Any]) -> float | None:
    if definition.progress is None:
        return None
    if isinstance(definition.progress, str):
        percentage = _number(read_path(body, definition.progress))
    else:
        done, total = (_number(read_path(body, path)) for path in definition.progress)
        percentage = None if done is None or total is None or total <= 0 else round(min(1.0, done / total) * 100, 1)
    return None if percentage is None else min(100.0, max(0.0, percentage))


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return None
