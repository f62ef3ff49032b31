"""The errors of the API and the verdicts on runs as Airflow exceptions, in one place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowNotFoundException,
    AirflowSensorTimeout,
)

if TYPE_CHECKING:
    from airflow_provider_itwin.api.errors import ITwinError, ITwinInputError


class ITwinRunFailedError(AirflowException):
    """
    A run ended badly; a retry of the task starts a new one.

    :param message: what happened, to which files, and what to do about it
    :param report: the run report, as in the XCom ``run_report``
    """

    def __init__(self, message: str, report: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.report = report


class ITwinRunFailedFinalError(AirflowFailException):
    """
    A run that somebody else started ended badly; a retry cannot change that, so there is none.

    :param message: what happened, to which files, and what to do about it
    :param report: the run report, as in the XCom ``run_report``
    """

    def __init__(self, message: str, report: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.report = report


class ITwinRunActiveError(AirflowException):
    """The iModel is being synchronized already, and ``if_active="fail"`` says to fail then."""


class ITwinPermanentError(AirflowFailException):
    """The service, or our own look at the settings, refused in a way that no retry heals."""


class ITwinTransientError(AirflowException):
    """The service could not be reached, or gave no good answer, for longer than is tolerated; a retry may help."""


class ITwinWaitTimeLimitError(ITwinTransientError):
    """The run was still going on when the time limit of the task had passed; it goes on in the cloud."""


class ITwinTriggerEventError(ITwinTransientError):
    """A trigger's event could not be understood, so it does not count as a success."""


class ITwinStoredVersionError(ITwinTransientError):
    """A newer version of this package has stored what the task needs; a retry helps on a worker that has that version."""


def as_airflow_exception(error: ITwinError | ITwinInputError) -> AirflowException:
    """Give `error` as the Airflow exception with its meaning: whether a retry can help, and the same text."""
    if getattr(error, "transient", False):
        return ITwinTransientError(str(error))
    return ITwinPermanentError(str(error))


@contextmanager
def error_logged_first(log: Any) -> Iterator[None]:
    """Log the error that ends a task before Airflow logs its traceback: the sentence comes first, and again at the end."""
    try:
        yield
    except (
        ITwinRunFailedError,
        ITwinRunFailedFinalError,
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
    Raise errors of the API, and invalid input, as the Airflow exception with their meaning.

    Any other exception passes as it is, with its traceback and its retries.
    """
    from airflow_provider_itwin.api.errors import ITwinConflictError, ITwinError, ITwinInputError

    try:
        yield
    except ITwinConflictError as error:
        raise ITwinTransientError(str(error)) from None
    except (ITwinError, ITwinInputError) as error:
        # One traceback, not two: all that the first one says is in the text. It stays in __context__.
        raise as_airflow_exception(error) from None
