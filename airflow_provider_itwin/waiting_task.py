"""
What all tasks that wait have in common: the hook, the poll on the worker, and the deferral.

DAG files import this module, so whatever needs more than Airflow is imported where it is used.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_itwin.exceptions import airflow_exceptions, error_logged_first
from airflow_provider_itwin.sdk_compat import AirflowException
from airflow_provider_itwin.utils.deferral import deferral_timeout
from airflow_provider_itwin.utils.run_outcome import RETRY_BUDGET_BEFORE_DEFERRING, read_result
from airflow_provider_itwin.version_compat import is_failed_deferral

if TYPE_CHECKING:
    from airflow.triggers.base import BaseTrigger

    from airflow_provider_itwin.api.wait.any_wait import ResultT, WaitLimits
    from airflow_provider_itwin.hooks.itwin import ITwinHook

T = TypeVar("T")


class WaitingTask:
    """
    The part of an operator or a sensor that waits, on the worker or deferred; a subclass is an Airflow task, too.

    A subclass sets `itwin_conn_id`, and makes the trigger.
    """

    itwin_conn_id: str

    @cached_property
    def hook(self) -> ITwinHook:
        """The hook of the task's Airflow connection."""
        from airflow_provider_itwin.hooks.itwin import ITwinHook

        return ITwinHook(self.itwin_conn_id)

    def _poll(self, spec: WaitLimits[ResultT]) -> ResultT:
        """Poll once on the worker; a trigger has a larger retry budget."""
        with airflow_exceptions():
            return self.hook.poll_once(spec, RETRY_BUDGET_BEFORE_DEFERRING)

    def _trigger(self, spec: Any, memo: dict[str, Any], *, ends_task: bool = False) -> BaseTrigger:
        """Return the trigger that waits."""
        raise NotImplementedError

    def _defer_wait(self, spec: WaitLimits[Any], memo: Mapping[str, Any], *, ends_task: bool = False) -> Any:
        """Defer the task until the wait ends; `memo` is returned in the trigger's event."""
        task: Any = self
        # The trigger enforces the deadline. The timeout of the deferral is later: it is for when no triggerer works.
        return task.defer(
            trigger=self._trigger(spec, dict(memo), ends_task=ends_task),
            method_name="execute_complete",
            timeout=deferral_timeout(spec.deadline, time.time()),
        )

    def _resume(self, resume: Callable[[], Any], after_failed_deferral: Callable[[Exception], T]) -> T:
        """Call `resume`, or `after_failed_deferral` with the error when Airflow has ended the deferral."""
        task: Any = self
        with error_logged_first(task.log):
            try:
                resumed: T = resume()
            except AirflowException as error:
                if not is_failed_deferral(error):
                    raise
                failure = error
            else:
                return resumed
            return after_failed_deferral(failure)

    def _settled(self, result: ResultT) -> ResultT:
        """Return a result as a trigger's event would deliver it, so that a task ends the same on a worker and deferred."""
        return read_result(result.as_event(), type(result))
