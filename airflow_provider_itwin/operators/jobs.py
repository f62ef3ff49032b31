"""The operator that starts a job of any API of the iTwin Platform, and waits for its end."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_itwin import metrics
from airflow_provider_itwin.api.errors import ITwinInputError
from airflow_provider_itwin.api.jobs.definition import JobDefinition
from airflow_provider_itwin.api.jobs.inputs import check_inputs, holds_template, unknown_input_text
from airflow_provider_itwin.api.models.durations import parse_seconds
from airflow_provider_itwin.exceptions import (
    ITwinJobFailedError,
    ITwinTransientError,
    ITwinTriggerEventError,
    ITwinWaitTimeLimitError,
    airflow_exceptions,
    error_logged_first,
)
from airflow_provider_itwin.job_task import (
    JOB_REF_KEY,
    JobTask,
    check_result_path,
    job_not_finished_text,
    job_timeout_text,
)
from airflow_provider_itwin.sdk_compat import BaseOperator
from airflow_provider_itwin.utils.deferral import default_deferrable, operator_deadline
from airflow_provider_itwin.utils.parameters import (
    OF_JOB_RESULT,
    OF_WAIT,
    CheckedParameters,
    check_polling_parameters,
    check_unused_parameters,
    error_names_task,
)
from airflow_provider_itwin.utils.run_outcome import (
    deferral_failure_text,
    is_stale_event,
    raise_wait_error,
    read_result,
    with_try_number,
)
from airflow_provider_itwin.version_compat import is_deferral_timeout

if TYPE_CHECKING:
    from jinja2 import Environment

    from airflow_provider_itwin.api.jobs.ref import JobRef
    from airflow_provider_itwin.api.jobs.start import JobStart
    from airflow_provider_itwin.api.wait.job_wait import JobWaitResult
    from airflow_provider_itwin.sdk_compat import Context, XComArg
    from airflow_provider_itwin.utils.job_state import JobTaskState
    from airflow_provider_itwin.utils.task_state import TaskStateStore

__all__ = ["ITwinJobOperator"]

_LIMITS = "timeout or execution_timeout"
_HIDDEN = "***"


class ITwinJobOperator(CheckedParameters, JobTask, BaseOperator):
    """
    Start a job of any API of the iTwin Platform, and wait for its end.

    The inputs of the job are keyword arguments, such as ``configuration_id="…"``, or a dict in `inputs`, which can be mapped.

    XComs: ``return_value``, the id of the job; ``job_ref`` with `name`, `job_id` and `inputs`, pushed before the wait;
    ``job_report``, the report of the job, pushed after the wait.

    :param job: the job API; named operators such as ``ITwinTransformationOperator`` have their own
    :param inputs: inputs of the job by name (templated); a rendered text is converted to the type of the input
    :param itwin_conn_id: the Airflow connection, of type ``itwin`` (templated); default ``itwin_default``
    :param wait_for_completion: whether to wait for the end of the job; default True
    :param deferrable: whether to wait in the triggerer instead of on the worker; None (default): as ``[operators]
        default_deferrable``
    :param poll_interval: seconds, or a timedelta, between two polls of the job; None (default): 5 % of the elapsed time, at
        least 10 s and at most 2 min
    :param timeout: seconds, or a timedelta, from the start of the task to the end of the job; None (default): no limit
    :param strict: whether the task also fails when the job has succeeded in part; default False: a warning
    :param result_path: where the result of the job is written, as an absolute path or the URL of an object store (templated);
        with ``/`` at the end, the folder of the file. None (default): a small result is in the XCom ``job_report``
    :param cancel_on_kill: whether the job is canceled when a user ends the task, if the API can cancel jobs (a deferred task
        needs Airflow 3.3 or newer for that); default True
    :param durable: whether a retry after a lost worker resumes with the job that was started (Airflow 3.3 and newer); default
        True
    :return: the id of the job
    :raises ITwinJobFailedError: if the job has failed or was canceled; a retry starts a new job
    :raises ITwinWaitTimeLimitError: if `timeout` passed, or ``execution_timeout`` in a deferred task; can be retried
    :raises ITwinTransientError: if the service had no good response for the outage tolerance (``[itwin] outage_tolerance``);
        can be retried
    :raises ITwinPermanentError: for refused credentials, 403, 404, 422, invalid inputs and settings, and if it is unknown
        whether a job was started; not retried
    :raises ValueError: for an invalid parameter, when the DAG file is parsed if it can be judged then
    """

    job: JobDefinition | None = None
    switches = ("wait_for_completion", "strict", "cancel_on_kill", "durable")
    template_fields: Sequence[str] = ("inputs", "itwin_conn_id", "result_path")
    template_fields_renderers = {"inputs": "json"}  # noqa: RUF012 (as the base class)
    ui_color = "#d6e4ec"

    def __init__(
        self,
        *,
        job: JobDefinition | None = None,
        inputs: Mapping[str, object] | XComArg | None = None,
        itwin_conn_id: str = "itwin_default",
        wait_for_completion: bool = True,
        deferrable: bool | None = None,
        poll_interval: float | timedelta | None = None,
        timeout: float | timedelta | None = None,
        strict: bool = False,
        result_path: str | XComArg | None = None,
        cancel_on_kill: bool = True,
        durable: bool = True,
        **kwargs: Any,
    ) -> None:
        with error_names_task(type(self), kwargs.get("task_id")):
            definition = self.checked_definition(job)
            named = {name: kwargs.pop(name) for name in definition.inputs if name in kwargs}
        super().__init__(**kwargs)
        with error_names_task(type(self), self.task_id):
            self.check_parameters(
                {
                    "job": definition,
                    "inputs": inputs,
                    "itwin_conn_id": itwin_conn_id,
                    "wait_for_completion": wait_for_completion,
                    "deferrable": deferrable,
                    "poll_interval": poll_interval,
                    "timeout": timeout,
                    "strict": strict,
                    "result_path": result_path,
                    "cancel_on_kill": cancel_on_kill,
                    "durable": durable,
                },
                kwargs.get("default_args"),
            )
            if named and inputs is not None and not isinstance(inputs, Mapping):
                raise ITwinInputError("Pass the inputs as keyword arguments, or all of them in inputs")
            if inputs is None or isinstance(inputs, Mapping):
                # Airflow knows the values of mapped tasks, which it must not render, by their identity.
                inputs = {**(inputs or {}), **named} if named or inputs is None else inputs
                check_inputs(definition.inputs, inputs, definition.name)
        self.job = definition
        self.inputs: Any = inputs
        self.itwin_conn_id = itwin_conn_id
        self.wait_for_completion = wait_for_completion
        self.deferrable = default_deferrable() if deferrable is None else deferrable
        self.poll_interval = parse_seconds(poll_interval, "poll_interval")
        self.timeout = timeout
        self.strict = strict
        self.result_path: Any = result_path
        self.cancel_on_kill = cancel_on_kill
        self.durable = durable
        self._secrets: dict[str, Any] = {}

    @classmethod
    def more_parameters(cls, given: Mapping[str, object]) -> Collection[str]:
        """Return the names of the inputs of the job."""
        job = given.get("job", cls.job)
        return job.inputs if isinstance(job, JobDefinition) else ()

    @classmethod
    def refuse_unknown(cls, name: str, given: Mapping[str, object]) -> None:
        """Refuse the name of an input that the job does not have."""
        job = given.get("job", cls.job)
        if isinstance(job, JobDefinition):
            raise ITwinInputError(unknown_input_text(name, job.inputs, job.name))

    @classmethod
    def check_parameters(cls, given: Mapping[str, object], default_args: Mapping[str, object] | None = None) -> None:
        """Check the parameters that a DAG file has given; see the base class."""
        super().check_parameters(given, default_args)
        check_polling_parameters(given)
        definition = cls.checked_definition(given.get("job"))
        inputs = given.get("inputs")
        if inputs is not None and not isinstance(inputs, Mapping) and not holds_template(inputs):
            raise ITwinInputError(f"inputs must be a dict of inputs by name, not {inputs!r:.80}")
        if isinstance(inputs, Mapping):
            check_inputs(definition.inputs, inputs, definition.name, is_whole=False)
        check_result_path(definition, given.get("result_path"))
        if not given.get("wait_for_completion", True):
            check_unused_parameters("job", OF_JOB_RESULT | OF_WAIT, given, default_args)

    def render_template(
        self, content: object, context: Context, jinja_env: Environment | None = None, seen_oids: set[int] | None = None
    ) -> object:
        """
        Render a value; secrets in `inputs` are masked from then on, and are not part of the rendered field.

        Airflow calls this for each field, also of mapped tasks. Not every version of it masks rendered fields.
        """
        rendered = super().render_template(content, context, jinja_env, seen_oids)
        return self._take_secrets(rendered) if content is self.inputs else rendered

    def _take_secrets(self, inputs: object) -> object:
        """Mask the secrets in inputs, keep them aside, and return the inputs without them."""
        from airflow_provider_itwin.version_compat import mask_secret

        if not isinstance(inputs, Mapping):
            return inputs
        found = {
            name: inputs[name]
            for name, one in self.definition.inputs.items()
            if one.secret and inputs.get(name) not in (None, "", _HIDDEN)
        }
        for value in found.values():
            mask_secret(str(value))
        self._secrets = self._secrets | found
        return {**inputs, **dict.fromkeys(found, _HIDDEN)} if found else inputs

    def execute(self, context: Context) -> str:
        """
        Start the job, and wait for its end.

        :return: the id of the job
        """
        with error_logged_first(self.log):
            return self._start_or_resume(context)

    def execute_complete(self, context: Context, event: object = None) -> str:
        """Resume after a wait in the triggerer, as after a wait on the worker."""
        from airflow_provider_itwin.api.wait.job_wait import JobWaitResult
        from airflow_provider_itwin.utils.job_state import JobTaskState

        if is_stale_event(context, event):
            return self._start_or_resume(context)
        result = read_result(event, JobWaitResult)
        try:
            state = JobTaskState.from_dict(result.memo)
        except ValueError as error:
            raise ITwinTriggerEventError(str(error)) from None
        if state.ref != result.spec.ref:
            raise ITwinTriggerEventError(f"The trigger's event is about {result.spec.target}, not {state.ref}")
        self._known_ref = state.ref
        return self._finish(context, self._store(context), result)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> str:
        """Resume after a deferral; when Airflow has ended the deferral, poll the job once before the task fails."""
        return self._resume(
            lambda: super(ITwinJobOperator, self).resume_execution(next_method, next_kwargs, context),
            lambda failure: self._after_failed_deferral(context, failure),
        )

    def on_kill(self) -> None:
        """Cancel the job if the API can; else log that it continues."""
        if self._known_ref is None:
            self.log.warning("The task ends before it knows of a job.")
            return
        if not self.cancel_on_kill or self.definition.cancel is None:
            reason = (
                "cancel_on_kill is False"
                if self.definition.cancel
                else f"the {self.definition.name} cannot be canceled"
            )
            self.log.warning("The task ends. %s continues in the cloud: %s.", self._known_ref, reason)
            return
        try:
            self.hook.cancel_job(self.definition, self._known_ref)
        except Exception as error:  # noqa: BLE001 (the task ends anyhow)
            self.log.warning("The task ends, but %s was not canceled: %s", self._known_ref, error)
        else:
            self.log.warning("The task ends, so %s was canceled.", self._known_ref)

    def _store(self, context: Context) -> TaskStateStore[JobTaskState]:
        from airflow_provider_itwin.utils.job_state import STORE_KEY, JobTaskState
        from airflow_provider_itwin.utils.task_state import TaskStateStore

        # The inputs can contain secrets, so they are not part of what is stored.
        target = f"{self.definition.start} {self.itwin_conn_id}"
        return TaskStateStore(context, self.durable, target, JobTaskState, STORE_KEY)

    def _start_or_resume(self, context: Context) -> str:
        """Begin an attempt of the task: resume with the job of a previous attempt, or start one."""
        from airflow_provider_itwin.api.models.validation import checked_text
        from airflow_provider_itwin.utils.job_state import JobTaskState

        with airflow_exceptions():
            checked_text(self.itwin_conn_id, "itwin_conn_id")
            if not isinstance(self.inputs, Mapping):
                raise ITwinInputError(f"inputs must be a dict of inputs by name, not a {type(self.inputs).__name__}")
        self.inputs = self._take_secrets(self.inputs)
        store = self._store(context)
        now = time.time()
        state = store.load(now) or JobTaskState(now)
        if state.ref is not None:
            self.log.info("A previous attempt of this task started %s; resuming with this job", state.ref)
            self._publish(context, state.ref)
        else:
            state = self._start(context, store, state)
        if not self.wait_for_completion:
            return state.ref.job_id if state.ref else ""
        return self._wait(context, store, state)

    def _start(self, context: Context, store: TaskStateStore[JobTaskState], state: JobTaskState) -> JobTaskState:
        from dataclasses import replace

        def save(start: JobStart) -> None:
            store.save(replace(state, start=start))

        with airflow_exceptions():
            inputs = {**self.inputs, **self._secrets}
            started = self.hook.start_job(self.definition, inputs, start=state.start, save=save)
        if started.outcome == "created":
            self.log.info("Started %s", started.ref)
            metrics.job_started(started.ref.name)
        else:
            self.log.info("Using %s", started.ref)
            metrics.job_adopted(started.ref.name)
        state = replace(state, ref=started.ref, start=type(state.start)())
        store.save(state)
        self._publish(context, started.ref)
        return state

    def _publish(self, context: Context, ref: JobRef) -> None:
        self._known_ref = ref
        context["ti"].xcom_push(key=JOB_REF_KEY, value=ref.as_dict())

    def _wait(self, context: Context, store: TaskStateStore[JobTaskState], state: JobTaskState) -> str:
        """Wait on the worker, or defer the task."""
        from dataclasses import replace

        from airflow_provider_itwin.api.wait.job_wait import JobWaitSpec
        from airflow_provider_itwin.hooks.settings import outage_tolerance

        if state.ref is None:
            raise RuntimeError("The job to wait for is unknown")
        with airflow_exceptions():
            spec = JobWaitSpec(
                self.definition,
                state.ref,
                poll_interval=self.poll_interval,
                deadline=operator_deadline(self, state.asked_at),
                began=time.time(),
                outage_tolerance=outage_tolerance(),
                is_known=True,
            )
            if not self.deferrable:
                return self._finish(context, store, self._settled(self.hook.wait(spec)))
        result = self._poll(spec)
        if result.end is not None:
            return self._finish(context, store, self._settled(result))
        spec = replace(spec, seen=result.state is not None)
        deferred: str = self._defer_wait(spec, with_try_number(context, state.as_dict()))
        return deferred

    def _finish(self, context: Context, store: TaskStateStore[JobTaskState], result: JobWaitResult) -> str:
        from airflow_provider_itwin.api.wait.any_wait import WaitEnd

        raise_wait_error(result)
        if result.end is WaitEnd.DEADLINE:
            raise ITwinWaitTimeLimitError(job_timeout_text(result, _LIMITS))
        try:
            self._judge_job(context, result, ITwinJobFailedError)
        except ITwinJobFailedError:
            # A retry must start a new job.
            store.clear()
            raise
        return result.spec.ref.job_id

    def _after_failed_deferral(self, context: Context, failure: Exception) -> str:
        """Judge the job if it has ended all the same; else fail with the reason why the wait ended, which can be retried."""
        from airflow_provider_itwin.api.jobs.ref import JobRef
        from airflow_provider_itwin.api.wait.any_wait import WaitEnd
        from airflow_provider_itwin.api.wait.job_wait import JobWaitSpec

        instance = context["ti"]
        pushed = instance.xcom_pull(task_ids=instance.task_id, key=JOB_REF_KEY, map_indexes=instance.map_index)
        if not isinstance(pushed, Mapping):
            raise ITwinTransientError(deferral_failure_text(failure, _LIMITS))
        self._known_ref = JobRef.from_dict(pushed)
        result = self._poll(JobWaitSpec(self.definition, self._known_ref, began=time.time(), is_known=True))
        if result.end is not WaitEnd.FINISHED:
            kind = ITwinWaitTimeLimitError if is_deferral_timeout(failure) else ITwinTransientError
            raise kind(job_not_finished_text(result, failure, _LIMITS))
        self.log.warning("%s %s has ended meanwhile.", deferral_failure_text(failure, _LIMITS), self._known_ref)
        return self._finish(context, self._store(context), self._settled(result))
