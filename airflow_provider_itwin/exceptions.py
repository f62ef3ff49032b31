"""Airflow exceptions of this provider."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from airflow_provider_itwin.sdk_compat import (
    AirflowException,
    AirflowFailException,
    AirflowNotFoundException,
    AirflowSensorTimeout,
)

if TYPE_CHECKING:
    from airflow_provider_itwin.api.errors import ITwinError, ITwinInputError
    from airflow_provider_itwin.api.models.job_types import JobReportDict
    from airflow_provider_itwin.api.models.json_types import RunReportDict


class _ErrorLog(Protocol):
    """The part of a logger that :func:`error_logged_first` uses: Airflow's tasks have loggers of several types."""

    def error(self, message: str, /, *arguments: object) -> object:
        """Log an error."""


class ITwinRunFailedError(AirflowException):
    """
    A run failed; a retry of the task starts a new one.

    :param message: what happened, to which files, and what to do about it
    :param report: the run report, as in the XCom ``run_report``
    """

    def __init__(self, message: str, report: RunReportDict | None = None) -> None:
        super().__init__(message)
        self.report = report


class ITwinRunFailedFinalError(AirflowFailException):
    """
    A run that another task or user started failed. It is not retried: a retry would return the same result.

    :param message: what happened, to which files, and what to do about it
    :param report: the run report, as in the XCom ``run_report``
    """

    def __init__(self, message: str, report: RunReportDict | None = None) -> None:
        super().__init__(message)
        self.report = report


class ITwinJobFailedError(AirflowException):
    """
    A job failed; a retry of the task starts a new one.

    :param message: what happened, and the messages of the job
    :param report: the job report, as in the XCom ``job_report``
    """

    def __init__(self, message: str, report: JobReportDict | None = None) -> None:
        super().__init__(message)
        self.report = report


class ITwinJobFailedFinalError(AirflowFailException):
    """
    A job that another task or user started failed. It is not retried: a retry would return the same result.

    :param message: what happened, and the messages of the job
    :param report: the job report, as in the XCom ``job_report``
    """

    def __init__(self, message: str, report: JobReportDict | None = None) -> None:
        super().__init__(message)
        self.report = report


class ITwinRunActiveError(AirflowException):
    """Another run of the iModel is active, and ``if_active`` is ``"fail"``."""


class ITwinPermanentError(AirflowFailException):
    """Not retryable: rejected by the service, or invalid configuration."""


class ITwinTransientError(AirflowException):
    """The service returned no good response for longer than the outage tolerance; a retry may help."""


class ITwinWaitTimeLimitError(ITwinTransientError):
    """The run had not finished when the task timed out; it continues in the cloud."""


class ITwinTriggerEventError(ITwinTransientError):
    """The event of a trigger is invalid, so it does not count as a success."""


class ITwinStoredVersionError(ITwinTransientError):
    """A newer version of this package has stored the state of the task; a retry succeeds on a worker with that version."""


def as_airflow_exception(error: ITwinError | ITwinInputError) -> AirflowException:
    """Return the Airflow exception for `error`: retryable or permanent, with the same text."""
    if getattr(error, "transient", False):
        return ITwinTransientError(str(error))
    return ITwinPermanentError(str(error))


@contextmanager
def error_logged_first(log: _ErrorLog) -> Iterator[None]:
    """Log the error that fails a task, so that its text comes before the traceback that Airflow logs."""
    try:
        yield
    except (
        ITwinRunFailedError,
        ITwinRunFailedFinalError,
        ITwinJobFailedError,
        ITwinJobFailedFinalError,
        ITwinRunActiveError,
        ITwinPermanentError,
        ITwinTransientError,
        AirflowSensorTimeout,
        AirflowNotFoundException,
    ) as error:
        log.error("%s", error)  # noqa: TRY400 (Airflow logs the traceback)
        raise


@contextmanager
def airflow_exceptions() -> Iterator[None]:
    """
    Raise errors of the API client, and of invalid input, as Airflow exceptions.

    Other exceptions pass unchanged.
    """
    from airflow_provider_itwin.api.errors import ITwinConflictError, ITwinError, ITwinInputError

    try:
        yield
    except ITwinConflictError as error:
        raise ITwinTransientError(str(error)) from None
    except (ITwinError, ITwinInputError) as error:
        # One traceback instead of two: the text has all information of the first one, which remains in __context__.
        raise as_airflow_exception(error) from None
