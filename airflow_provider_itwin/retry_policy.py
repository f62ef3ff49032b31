"""
A retry policy for Airflow 3.3 and newer.

Older versions of Airflow have no retry policies: there, exceptions that derive from ``AirflowFailException`` are not retried, and
all others are; see :mod:`airflow_provider_itwin.exceptions`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Self

from airflow_provider_itwin.api.errors import ITwinConflictError, ITwinError, ITwinWaitTimeoutError
from airflow_provider_itwin.api.models.enums import USER_NOT_AUTHENTICATED, ExecutionResult, known_result
from airflow_provider_itwin.exceptions import ITwinRunActiveError, ITwinRunFailedError, ITwinTransientError
from airflow_provider_itwin.version_compat import AIRFLOW_V_3_3_PLUS, AIRFLOW_VERSION

if not AIRFLOW_V_3_3_PLUS:
    raise ImportError(
        "Retry policies need Airflow 3.3 or newer, and this is "
        f"{'.'.join(map(str, AIRFLOW_VERSION))}. Remove retry_policy; ITwinPermanentError is never retried in any version."
    )

from airflow.sdk import RetryDecision, RetryPolicy

if TYPE_CHECKING:
    from airflow_provider_itwin.api.models.json_types import RunReportDict
    from airflow_provider_itwin.sdk_compat import Context

__all__ = ["ITwinRetryPolicy"]

_PASSING = (ExecutionResult.SUCCESS, ExecutionResult.PARTIAL_SUCCESS, ExecutionResult.SKIPPED)


class ITwinRetryPolicy(RetryPolicy):
    """
    Retries errors that a retry can fix, and fails the task at once for all others, however many retries are left.

    Retried: an outage of the service, rate limiting, a timeout, an iModel with an active run, and a run that failed because of
    the service. Not retried: a run whose failing files a user must fix, a connection whose owner must sign in again, a canceled
    run, and, in tasks that call the hook themselves, a permanent error of the service. For any other exception, the settings of
    the task apply.

    Airflow fails a task for an ``AirflowFailException`` without asking the policy.

    :param after_error: delay before a retry after an error of the service, or its ``Retry-After`` if that is longer; None: the
        task's ``retry_delay``
    :param after_run: delay before a retry after a failed run; None: the task's ``retry_delay``
    :param after_busy: delay before a retry while another run of the iModel is active; None: the task's ``retry_delay``
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
        context: Context | None = None,
    ) -> RetryDecision:
        """Decide by the exception; Airflow counts the retries."""
        match exception:
            case ITwinRunFailedError():
                if exception.report and (reason := permanent_reason(exception.report)):
                    return RetryDecision.fail(f"A new run would fail too: {reason}")
                return RetryDecision.retry(self.after_run, "A new run may succeed")
            case ITwinRunActiveError():
                return RetryDecision.retry(self.after_busy, "Another run of the iModel is active")
            case ITwinTransientError() | ITwinConflictError() | ITwinWaitTimeoutError():
                return RetryDecision.retry(self.after_error, "The error may be temporary")
            case ITwinError(transient=True):
                return RetryDecision.retry(self._no_sooner_than(exception.retry_after), "The error may be temporary")
            case ITwinError():
                return RetryDecision.fail("The service would refuse the request again")
        return RetryDecision.default()

    def _no_sooner_than(self, seconds: float | None) -> timedelta | None:
        if seconds is None:
            return self.after_error
        return max(timedelta(seconds=seconds), self.after_error or timedelta())

    def serialize(self) -> dict[str, float | None]:
        """Return the parameters as JSON values."""
        return {name: None if pause is None else pause.total_seconds() for name, pause in vars(self).items()}

    @classmethod
    def deserialize(cls, data: dict[str, float | None]) -> Self:
        """Parse the result of :meth:`serialize`; parameters of a later version are ignored."""
        known = {name: data[name] for name in vars(cls()) if name in data}
        return cls(**{name: None if seconds is None else timedelta(seconds=seconds) for name, seconds in known.items()})

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in vars(self).items())})"


def permanent_reason(report: RunReportDict) -> str | None:
    """
    Return why another run of the same connection would fail too.

    :param report: a run report, as in the XCom ``run_report``
    :return: None if another run may succeed
    """
    if (error := report.get("error")) and error.get("key") == USER_NOT_AUTHENTICATED:
        return "the owner of the connection must sign in again, or its authenticationType must be changed to Service"
    if known_result(report.get("result")) is ExecutionResult.CANCELED:
        return "the run was canceled"
    failed = [task for task in report.get("failing_tasks") or () if known_result(task.get("result")) not in _PASSING]
    if failed and not report.get("more_failing_tasks") and all(task.get("can_user_fix") is True for task in failed):
        names = ", ".join(str(task.get("file_name") or task.get("file_id") or "a file") for task in failed[:3])
        return f"a user must fix {names}" + (f" and {len(failed) - 3} more" if len(failed) > 3 else "")
    return None
