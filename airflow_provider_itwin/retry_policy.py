"""
Which failures a retry can heal: a ready-made retry policy for Airflow 3.3 and newer.

Older Airflows know no such policies; there the classes of :mod:`airflow_provider_itwin.exceptions` tell as much as can be told
without looking at the run: what derives from ``AirflowFailException`` is never retried, all else is.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Self

from airflow_provider_itwin.api.errors import ITwinConflictError, ITwinError, ITwinWaitTimeoutError
from airflow_provider_itwin.api.models.enums import ExecutionResult, known_result
from airflow_provider_itwin.exceptions import ITwinRunActiveError, ITwinRunFailedError, ITwinTransientError
from airflow_provider_itwin.version_compat import AIRFLOW_V_3_3_PLUS, AIRFLOW_VERSION

if not AIRFLOW_V_3_3_PLUS:
    raise ImportError(
        "Retry policies need Airflow 3.3 or newer, and this is "
        f"{'.'.join(map(str, AIRFLOW_VERSION))}: leave retry_policy out; what no retry can heal is not retried all the same, "
        "but for runs whose files somebody has to mend."
    )

from airflow.providers.common.compat.sdk import RetryDecision, RetryPolicy

if not AIRFLOW_V_3_3_PLUS:
    raise ImportError(
        "Retry policies need Airflow 3.3 or newer, and this is "
        f"{'.'.join(map(str, AIRFLOW_VERSION))}: leave retry_policy out; what no retry can heal is not retried all the same, "
        "but for runs whose files somebody has to mend."
    )

__all__ = ["ITwinRetryPolicy"]

_PASSING = (ExecutionResult.SUCCESS, ExecutionResult.PARTIAL_SUCCESS, ExecutionResult.SKIPPED)


class ITwinRetryPolicy(RetryPolicy):
    """
    Retries what can heal, and fails at once what cannot, however many retries the task has left.

    What can heal: an outage of the service, too many requests, a time limit, an iModel that another run keeps busy, and a run
    that failed for reasons of the service's. What cannot: a run whose files are all for a person to mend, a connection whose
    owner has to sign in again, a run that somebody ended, and, in tasks that call the hook themselves, whatever the service
    refuses for good. Of other exceptions it says nothing, so that the task's own settings hold.

    What derives from ``AirflowFailException`` Airflow fails without asking any policy.

    :param after_error: the pause before a retry after trouble with the service; None for the task's ``retry_delay``. What the
        service itself asks to wait is kept even if it is longer
    :param after_run: the same after a run that failed
    :param after_busy: the same after a refusal to wait for another run of the iModel
    """

    def __init__(
        self,
        after_error: timedelta | None = None,
        after_run: timedelta | None = None,
        after_busy: timedelta | None = timedelta(minutes=10),
    ) -> None:
        self.after_error = after_error
        self.after_run = after_run
        self.after_busy = after_busy

    def evaluate(
        self,
        exception: BaseException,
        try_number: int,
        max_tries: int,
        context: Any = None,
    ) -> RetryDecision:
        """Decide by the exception alone; how many retries there are is Airflow's to count."""
        match exception:
            case ITwinRunFailedError():
                reason = beyond_healing(exception.report or {})
                if reason:
                    return RetryDecision.fail(f"A new run would fail as well: {reason}")
                return RetryDecision.retry(self.after_run, "A new run may fare better")
            case ITwinRunActiveError():
                return RetryDecision.retry(self.after_busy, "The run that keeps the iModel busy comes to an end")
            case ITwinTransientError() | ITwinConflictError() | ITwinWaitTimeoutError():
                return RetryDecision.retry(self.after_error, "The trouble may pass")
            case ITwinError(transient=True):
                return RetryDecision.retry(self._no_sooner_than(exception.retry_after), "The trouble may pass")
            case ITwinError():
                return RetryDecision.fail("The service would refuse it again")
        return RetryDecision.default()

    def _no_sooner_than(self, seconds: float | None) -> timedelta | None:
        if seconds is None:
            return self.after_error
        return max(timedelta(seconds=seconds), self.after_error or timedelta())

    def serialize(self) -> dict[str, Any]:
        """Give the parameters as JSON values."""
        return {name: None if pause is None else pause.total_seconds() for name, pause in vars(self).items()}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> Self:
        """Read what :meth:`serialize` gave; parameters of a later version are ignored."""
        known = {name: data[name] for name in vars(cls()) if name in data}
        return cls(**{name: None if seconds is None else timedelta(seconds=seconds) for name, seconds in known.items()})

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in vars(self).items())})"


def beyond_healing(report: Mapping[str, Any]) -> str | None:
    """
    Say why another run of the same connection would end as badly as the one that `report` tells of.

    :param report: a run report, as in the XCom ``run_report``
    :return: None if it might not, or if the report does not tell
    """
    if (report.get("error") or {}).get("key") == "UserNotAuthenticated":
        return "the owner of the connection has to sign in again, or its authenticationType to be changed to Service"
    if known_result(report.get("result")) is ExecutionResult.CANCELED:
        return "somebody has ended the run"
    failed = [task for task in report.get("failing_tasks") or () if known_result(task.get("result")) not in _PASSING]
    if failed and not report.get("more_failing_tasks") and all(task.get("can_user_fix") is True for task in failed):
        names = ", ".join(str(task.get("file_name") or task.get("file_id") or "a file") for task in failed[:3])
        return f"somebody has to mend {names}" + (f" and {len(failed) - 3} more" if len(failed) > 3 else "")
    return None
