"""
What all sensors that wait have in common: their limits, and the rules of Airflow's sensors, also after a deferral.

DAG files import this module, so whatever needs more than Airflow is imported where it is used.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_provider_itwin.api.models.durations import parse_seconds
from airflow_provider_itwin.exceptions import (
    ITwinTransientError,
    ITwinWaitTimeLimitError,
    airflow_exceptions,
    error_logged_first,
)
from airflow_provider_itwin.sdk_compat import (
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    BaseOperator,
    BaseSensorOperator,
    PokeReturnValue,
)
from airflow_provider_itwin.version_compat import is_deferral_timeout
from airflow_provider_itwin.waiting_task import WaitingTask

if TYPE_CHECKING:
    from airflow_provider_itwin.api.wait.any_wait import WaitLimits
    from airflow_provider_itwin.sdk_compat import Context


class WaitingSensor(WaitingTask, BaseSensorOperator):
    """The part of a sensor that follows the rules of Airflow's sensors, on the worker and deferred."""

    deferrable: bool
    poll_interval: Any
    _began: float | None = None
    _seen = False

    def _defer(self, context: Context, spec: Any) -> Any:
        """Defer the task until the wait ends."""
        raise NotImplementedError

    def _spec(self, began: float) -> Any:
        """Return what to wait for, since `began`."""
        raise NotImplementedError

    def _end(self, context: Context, result: Any) -> Any:
        """End the task as the result of the wait demands."""
        raise NotImplementedError

    def _not_finished_text(self, result: Any, failure: Exception) -> str:
        """Return the error text for what had not finished when Airflow ended the wait."""
        raise NotImplementedError

    def _execute(self, context: Context) -> Any:
        """Wait on the worker, or defer the task; return the report."""
        with error_logged_first(self.log):
            if self.deferrable:
                return self._begin(context)
            self._began = time.time()
            return BaseSensorOperator.execute(self, context)

    def poke(self, context: Context) -> bool | PokeReturnValue:
        """Poll once; return the report once the wait has ended."""
        try:
            report = self._poll_and_judge(context, self._spec(self._first_poke(context)))
        except Exception as error:
            # The base class logs what silent_fail silences, and pokes again.
            if self._is_silenced(error) or (skip := self._skip_instead(error)) is None:
                raise
            raise skip from None
        return False if report is None else PokeReturnValue(is_done=True, xcom_value=report)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """
        Resume without the rules of the base class, which would skip after a deferral what it fails after a poke.

        When Airflow has ended the deferral, the sensor polls once before the task fails.
        """
        return self._resume(
            lambda: BaseOperator.resume_execution(self, next_method, next_kwargs, context),
            lambda failure: self._after_failed_deferral(context, failure),
        )

    def _begin(self, context: Context) -> Any:
        """Poll once, and defer the task if the wait has not ended."""
        self._began = time.time()
        spec = None
        try:
            spec = self._spec(self._began)
            result = self._poll(spec)
            self._seen = self._seen or result.state is not None
            if result.end is not None:
                return self._end(context, self._settled(result))
        except Exception as error:  # noqa: BLE001 (never_fail and silent_fail apply to any)
            return self._end_as_poke_would(context, error, spec)
        return self._defer(context, replace(spec, seen=self._seen))

    def _poll_and_judge(self, context: Context, spec: WaitLimits[Any]) -> Any:
        """Poll once; return the report, None while the wait continues."""
        with airflow_exceptions():
            result = self.hook.poll_once(spec)
        self._seen = self._seen or result.state is not None
        return None if result.end is None else self._end(context, self._settled(result))

    def _after_failed_deferral(self, context: Context, failure: Exception) -> Any:
        """Judge what has finished all the same; else fail with the reason why the wait ended."""
        from airflow_provider_itwin.api.wait.any_wait import WaitEnd

        try:
            result = self._poll(replace(self._spec(time.time()), deadline=None))
            if result.end is WaitEnd.FINISHED:
                return self._end(context, self._settled(result))
        except Exception as error:  # noqa: BLE001 (never_fail and silent_fail apply to any)
            return self._end_as_poke_would(context, error, None)
        text = self._not_finished_text(result, failure)
        unfinished = self._timeout_error(text) if is_deferral_timeout(failure) else ITwinTransientError(text)
        return self._end_as_poke_would(context, unfinished, None)

    @property
    def _limit(self) -> float:
        """Seconds that the wait may take; on a worker Airflow itself enforces ``execution_timeout``."""
        execution = parse_seconds(self.execution_timeout, "execution_timeout") if self.deferrable else None
        return float(self.timeout) if execution is None else min(execution, float(self.timeout))

    @property
    def _limit_name(self) -> str:
        return "timeout" if self._limit == float(self.timeout) else "execution_timeout"

    def _timeout_error(self, text: str) -> AirflowException:
        """Return the error for a timeout; as on a worker, a task is retried after its execution_timeout only."""
        return AirflowSensorTimeout(text) if self._limit_name == "timeout" else ITwinWaitTimeLimitError(text)

    def _first_poke(self, context: Context) -> float:
        """Return the time of the first poke; in reschedule mode each poke is a new process, and only Airflow knows it."""
        if self._began is None:
            # The sensor was not started by Airflow.
            self._began = time.time()
        if not self.reschedule:
            return self._began
        task_instance = context["ti"]
        first = getattr(task_instance, "get_first_reschedule_date", None)
        time_of_first = first(context) if first else task_instance.start_date
        return time_of_first.timestamp() if time_of_first else self._began

    def _end_as_poke_would(self, context: Context, error: Exception, spec: WaitLimits[Any] | None) -> NoReturn:
        """Apply ``soft_fail``, ``never_fail`` and ``silent_fail`` by the rules that the base class has for a poke."""
        if self._is_silenced(error) and spec is not None:
            self.log.error("A poll failed; continuing because silent_fail is set: %s", error)
            self._defer(context, replace(spec, not_before=time.time() + self.poke_interval))
        skip = self._skip_instead(error)
        if skip is None:
            raise error
        raise skip from None

    def _is_silenced(self, error: Exception) -> bool:
        return self.silent_fail and not isinstance(
            error, AirflowSensorTimeout | AirflowFailException | AirflowSkipException | ITwinWaitTimeLimitError
        )

    def _skip_instead(self, error: Exception) -> AirflowSkipException | None:
        """Return the skip by which ``soft_fail`` or ``never_fail`` replaces an error, with the reason; None if they do not."""
        if isinstance(error, AirflowSkipException | ITwinWaitTimeLimitError):
            # On a worker, no flag applies to execution_timeout either.
            return None
        if self.soft_fail and isinstance(error, AirflowSensorTimeout | AirflowFailException):
            return AirflowSkipException(f"Skipping because soft_fail is set: {error}")
        if self.never_fail:
            return AirflowSkipException(f"Skipping because never_fail is set: {error}")
        return None
