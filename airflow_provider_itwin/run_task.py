"""
What run operators and run sensors have in common: the hook, the deferral, and the end of a run.

DAG files import this module, so whatever needs more than Airflow is imported where it is used.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_itwin.api.runs.result_policy import ResultPolicy
from airflow_provider_itwin.exceptions import airflow_exceptions, error_logged_first
from airflow_provider_itwin.links import write_links
from airflow_provider_itwin.sdk_compat import AirflowException, AirflowFailException
from airflow_provider_itwin.utils.deferral import deferral_timeout
from airflow_provider_itwin.utils.run_outcome import (
    RETRY_BUDGET_BEFORE_DEFERRING,
    add_to_outlet_events,
    conclude_run,
    read_result,
)
from airflow_provider_itwin.version_compat import is_failed_deferral

if TYPE_CHECKING:
    from airflow_provider_itwin.api.models.report import RunReport
    from airflow_provider_itwin.api.models.run_ref import RunRef
    from airflow_provider_itwin.api.runs.start import Baseline
    from airflow_provider_itwin.api.wait.models import WaitResult, WaitSpec
    from airflow_provider_itwin.exceptions import ITwinRunFailedError, ITwinRunFailedFinalError
    from airflow_provider_itwin.hooks.itwin import ITwinHook


class RunTask:
    """
    The part of an operator or a sensor that waits for the run of an iTwin connection; a subclass is an Airflow task, too.

    A subclass sets `kind`, `connection_id`, `itwin_conn_id` and `result_policy`.
    """

    kind: ClassVar[str]

    connection_id: Any
    itwin_conn_id: str

    result_policy: ResultPolicy
    """Which results fail or skip the task."""

    has_links = False
    """Whether the links of the task are written."""

    _report: RunReport | None = None
    """The report of the run, which OpenLineage asks for later, in the process that ends the task."""

    @cached_property
    def hook(self) -> ITwinHook:
        """The hook of the task's Airflow connection."""
        from airflow_provider_itwin.hooks.itwin import ITwinHook

        return ITwinHook(self.itwin_conn_id)

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """Return what the run did, for OpenLineage, which alone calls this."""
        return self._openlineage(failed=False)

    def get_openlineage_facets_on_failure(self, task_instance: Any) -> Any:
        """Return what the run did and why it failed, for OpenLineage, which alone calls this."""
        return self._openlineage(failed=True)

    def _openlineage(self, *, failed: bool) -> Any:
        from airflow_provider_itwin.utils.openlineage import lineage_of

        return lineage_of(self.hook, self.kind, self.connection_id, self._known_run_id, self._report, failed=failed)

    @property
    def _known_run_id(self) -> Any:
        raise NotImplementedError

    def _poll(self, spec: WaitSpec) -> WaitResult:
        """Poll a run on the worker; a trigger has a larger retry budget."""
        with airflow_exceptions():
            result: WaitResult = self.hook.poll_once(spec, RETRY_BUDGET_BEFORE_DEFERRING)
        return result

    def _defer_wait(self, spec: WaitSpec, memo: Mapping[str, Any], *, ends_task: bool = False) -> Any:
        """Defer the task until the wait ends; `memo` is returned in the trigger's event."""
        from airflow_provider_itwin.triggers.itwin import ITwinRunTrigger

        task: Any = self
        # The trigger enforces the deadline. The timeout of the deferral is later: it is for when no triggerer works.
        return task.defer(
            trigger=ITwinRunTrigger(self.itwin_conn_id, spec, memo=dict(memo), ends_task=ends_task),
            method_name="execute_complete",
            timeout=deferral_timeout(spec.deadline, time.time()),
        )

    def _resume(self, resume: Callable[[], Any], after_failed_deferral: Callable[[Exception], Any]) -> Any:
        """Call `resume`, or `after_failed_deferral` with the error when Airflow has ended the deferral."""
        task: Any = self
        with error_logged_first(task.log):
            try:
                return resume()
            except AirflowException as error:
                if not is_failed_deferral(error):
                    raise
                failure = error
            return after_failed_deferral(failure)

    def _judge(
        self,
        context: Mapping[str, Any],
        result: WaitResult,
        failure: type[ITwinRunFailedError | ITwinRunFailedFinalError],
        known: Baseline | None = None,
    ) -> dict[str, Any]:
        """
        Judge a finished run: publish its report, then return it, or raise what the result policy demands.

        :param failure: the exception for a run that counts as failed
        :param known: what the service has said about the connection
        """
        if result.report is None:
            raise AirflowFailException(f"The wait for {result.spec.target} ended with {result.end}, without a report")
        self._report = result.report
        report = result.report
        if known is not None:
            report = report.with_connection(known.connection_name, known.imodel_id)
        values = conclude_run(context, self.hook, report, self.result_policy, failure)
        add_to_outlet_events(self, context, values)
        return values

    def _write_links(
        self, context: Mapping[str, Any], ref: RunRef, *, itwin_id: str | None = None, imodel_id: str | None = None
    ) -> None:
        write_links(self, context, self.hook, ref, itwin_id=itwin_id, imodel_id=imodel_id)

    def _settled(self, result: WaitResult) -> WaitResult:
        """Return a result as a trigger's event would deliver it, so that a task ends the same on a worker and deferred."""
        return read_result(result.as_event())
