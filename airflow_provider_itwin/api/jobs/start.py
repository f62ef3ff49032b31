"""
Starting a job once, even when the response to the start is lost.

Most APIs start a second job for a second request. So a request whose response was lost is repeated only if a second job does no
harm, or if the list of jobs shows that the first request has started none.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

from airflow_provider_itwin.api.errors import (
    ITwinConnectionError,
    ITwinError,
    ITwinInputError,
    ITwinInvalidRequestError,
    ITwinJobStartInDoubtError,
    ITwinNotFoundError,
    ITwinPermissionError,
    ITwinProtocolError,
    ITwinServerError,
)
from airflow_provider_itwin.api.http.config import Account
from airflow_provider_itwin.api.http.messages import Flow
from airflow_provider_itwin.api.http.request_flow import DEFAULT_RETRY_BUDGET, perform_call
from airflow_provider_itwin.api.jobs import calls
from airflow_provider_itwin.api.jobs.definition import JobDefinition
from airflow_provider_itwin.api.jobs.inputs import parse_inputs
from airflow_provider_itwin.api.jobs.json_path import id_of, read_path
from airflow_provider_itwin.api.jobs.ref import JobRef
from airflow_provider_itwin.api.models.validation import known_id

log = logging.getLogger(__name__)

_LOSES_RESPONSE = (ITwinConnectionError, ITwinServerError, ITwinProtocolError)
"""Errors of a request that the service may have carried out all the same."""

MOST_LISTED = 1000
MOST_PAGES = 20
"""Jobs of a list that are compared, and pages of it that are read, at most."""


@dataclass(frozen=True, slots=True)
class JobStart:
    """
    What is known about the start of a job.

    :param in_doubt: whether a request was sent whose response is unknown
    :param known: ids of equal jobs that existed before the first request; None if they were not listed
    """

    in_doubt: bool = False
    known: tuple[str, ...] | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return {"in_doubt": self.in_doubt, "known": None if self.known is None else list(self.known)}

    @classmethod
    def from_dict(cls, values: object) -> Self:
        """
        Read what :meth:`as_dict` returned.

        :raises ITwinInputError: if it is something else
        """
        parts = values if isinstance(values, Mapping) else {}
        in_doubt, known = parts.get("in_doubt"), parts.get("known")
        is_list = isinstance(known, list) and all(isinstance(one, str) for one in known)
        if not isinstance(in_doubt, bool) or not (known is None or is_list):
            raise ITwinInputError("The stored start of a job is unreadable")
        return cls(in_doubt, None if known is None else tuple(known))


@dataclass(frozen=True, slots=True)
class StartedJob:
    """
    A job that was started.

    :param ref: the job
    :param outcome: whether this request created it, or an earlier one whose response was lost
    """

    ref: JobRef
    outcome: Literal["created", "found"]


def ensure_job(
    account: Account,
    definition: JobDefinition,
    inputs: Mapping[str, object],
    start: JobStart | None = None,
    save: Callable[[JobStart], None] = lambda start: None,
    retry_budget: float = DEFAULT_RETRY_BUDGET,
) -> Flow[StartedJob]:
    """
    Start a job, unless an earlier request has started it.

    :param inputs: the inputs of the job, by name
    :param start: what `save` received last, in this process or an earlier one; None for a new job
    :param save: called before the request, with what is needed to find the job later
    :raises ITwinInputError: for an invalid input; nothing was sent
    :raises ITwinJobStartInDoubtError: if it is unknown whether a job was started
    :raises ITwinError: if no job was started
    """
    values = parse_inputs(definition.inputs, inputs, definition.name)
    starting = _Starting(account, definition, values, start or JobStart(), save)
    # Mistakes in the inputs must not leave a doubt.
    call = calls.start_job(definition, values)
    if starting.start.in_doubt:
        found = yield from starting.settle_doubt(retry_budget)
        if found is not None:
            return StartedJob(found, "found")
    else:
        known = yield from starting.list_known(retry_budget)
        starting.start = replace(starting.start, known=known)
    starting.start = replace(starting.start, in_doubt=True)
    save(starting.start)
    try:
        job_id = yield from perform_call(account, call, retry_budget, before_retry=starting.before_retry)
    except ITwinError as error:
        found = yield from starting.find_after(error, account.environment.api + call.path, retry_budget)
        return StartedJob(found, "found")
    return StartedJob(starting.ref(job_id), "found" if starting.found == job_id else "created")


class _Starting:
    """The parts of :func:`ensure_job`, with what they share."""

    found: str | None = None
    """The id of a job that a request has started whose response was lost."""

    is_in_doubt = False
    """Whether a request of this process has lost its response."""

    _is_partial = False
    """Whether the list had more entries than were read."""

    def __init__(
        self,
        account: Account,
        definition: JobDefinition,
        values: dict[str, Any],
        start: JobStart,
        save: Callable[[JobStart], None],
    ) -> None:
        self._account, self._definition, self._values, self._save = account, definition, values, save
        self.start = start

    def ref(self, job_id: str) -> JobRef:
        """Return the reference of a job with these inputs."""
        stored = {name: str(self._values[name]) for name in self._definition.stored_inputs}
        return JobRef(self._definition.name, job_id, stored)

    def list_known(self, left: float) -> Flow[tuple[str, ...] | None]:
        """Return the ids of the equal jobs before the start; None if they cannot be listed."""
        if self._definition.find is None:
            return None
        try:
            listed = yield from self.list_equal(left)
        except (ITwinPermissionError, ITwinNotFoundError) as error:
            # A job may be started by those who may not list jobs. Only a lost response is worse then.
            log.warning(
                "If the response to the start of a %s is lost, it cannot be found: %s", self._definition.name, error
            )
            return None
        return tuple(listed)

    def find_after(self, error: ITwinError, url: str, retry_budget: float) -> Flow[JobRef]:
        """
        After the last error of the start, find a job to use.

        :param url: URL of the start request
        :raises ITwinJobStartInDoubtError: if it is unknown whether a job was started
        :raises ITwinError: `error`, if no job was started, or another one does no harm
        """
        if isinstance(error, ITwinJobStartInDoubtError):
            raise error
        # Without a token, the start request itself was not sent.
        is_lost = isinstance(error, _LOSES_RESPONSE) and (self.is_in_doubt or error.url == url)
        if error.status == 409 and self._definition.conflict == "adopt":
            equal = yield from self.list_equal(retry_budget)
            if equal:
                log.info("An equal %s exists already: %s", self._definition.name, equal[0])
                return self.ref(equal[0])
        elif is_lost and not self._definition.repeatable:
            found = yield from self._look_again(error)
            if found is None:
                raise self.in_doubt(error)
            return found
        self._save(replace(self.start, in_doubt=is_lost or self.is_in_doubt))
        raise error

    def _look_again(self, lost: ITwinError) -> Flow[JobRef | None]:
        """Look once more for a lost job, when the time for retries is over."""
        if self._definition.find is None or self.start.known is None:
            return None
        try:
            return (yield from self.settle_doubt(0, lost))
        except ITwinJobStartInDoubtError:
            raise
        except ITwinError:
            return None

    def before_retry(self, error: ITwinError, left: float) -> Flow[str | None]:
        """Before a retry after a lost response: find what the lost request may have started."""
        if not isinstance(error, _LOSES_RESPONSE):
            return None
        self.is_in_doubt = True
        ref = yield from self.settle_doubt(left, error)
        return None if ref is None else ref.job_id

    def settle_doubt(self, left: float, error: ITwinError | None = None) -> Flow[JobRef | None]:
        """
        Find the job that a request without a response has started.

        :return: None if another request does no harm
        :raises ITwinJobStartInDoubtError: if that is unknown
        """
        if self._definition.find is not None and self.start.known is not None:
            try:
                listed = yield from self.list_equal(left)
            except (ITwinPermissionError, ITwinNotFoundError, ITwinInvalidRequestError) as refusal:
                raise self.in_doubt(error, f" It cannot be found: {refusal}") from None
            new = [job_id for job_id in listed if job_id not in self.start.known]
            if len(new) > 1:
                raise self.in_doubt(error, f" Since then, {len(new)} equal jobs were started: {', '.join(new[:5])}.")
            if new:
                self.found = new[0]
                log.info("A request without a response has started %s %s", self._definition.name, self.found)
                return self.ref(self.found)
            if self._is_partial and not self._definition.repeatable:
                raise self.in_doubt(error, " It can be in a part of the list that was not read.")
            return None
        if self._definition.repeatable:
            return None
        raise self.in_doubt(error)

    def list_equal(self, left: float) -> Flow[list[str]]:
        """Return the ids of the jobs with the same inputs."""
        search = self._definition.find
        if search is None:
            return []
        listed: list[Any] = []
        pages: list[calls.Query] = [()]
        while True:
            call = calls.list_jobs(self._definition, search, self._values, pages[-1])
            page = yield from perform_call(self._account, call, left)
            listed += page.jobs
            if not page.following or page.following in pages or len(pages) == MOST_PAGES or len(listed) >= MOST_LISTED:
                break
            pages.append(page.following)
        self._is_partial = page.has_more or len(listed) > MOST_LISTED
        ids: list[str] = []
        for job in listed[:MOST_LISTED]:
            job_id = known_id(id_of(read_path(job, search.id)))
            is_equal = all(
                _as_compared(read_path(job, path)) == _as_compared(self._values.get(name))
                for path, name in search.same.items()
            )
            if job_id is not None and is_equal:
                ids.append(job_id)
        return ids

    def in_doubt(self, error: ITwinError | None, more: str = "") -> ITwinJobStartInDoubtError:
        cause = f": {str(error).rstrip('.')}" if error else ""
        return ITwinJobStartInDoubtError(
            f"It is unknown whether the {self._definition.name} was started{cause}.{more}",
            hint=f"Check whether the {self._definition.name} runs. If it does not, clear the task: it then starts a new one.",
        )


def _as_compared(value: Any) -> Any:
    """Return a value for a comparison: services spell ids and names in another case, and numbers as texts."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).casefold() if isinstance(value, str | int | float) else value
