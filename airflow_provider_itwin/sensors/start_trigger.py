"""How the scheduler starts a sensor in the triggerer, with no worker before the wait (Airflow 3.3 and newer)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_itwin.api.errors import ITwinInputError
from airflow_provider_itwin.utils.deferral import deferral_timeout
from airflow_provider_itwin.utils.stored_kwargs import KWARGS_VERSION

if TYPE_CHECKING:
    from airflow.triggers.base import StartTriggerArgs

_TRIGGER = "airflow_provider_itwin.triggers.itwin.ITwinRunTrigger"


def start_trigger_args(
    itwin_conn_id: str, spec: Mapping[str, Any], *, timeout: float, grace: float, ends_task: bool
) -> StartTriggerArgs:
    """
    Return the trigger with which the scheduler starts a task; the trigger renders its own templates.

    :param spec: what to wait for, as :class:`~airflow_provider_itwin.api.wait.models.WaitSpec` has it, with templates
    :param timeout: seconds that the task may take
    :param grace: seconds by which the scheduler's own timeout is later
    :param ends_task: whether the trigger ends the task when the run is a success
    """
    from airflow.triggers.base import StartTriggerArgs

    return StartTriggerArgs(
        trigger_cls=_TRIGGER,
        trigger_kwargs={
            "itwin_conn_id": itwin_conn_id,
            "spec": dict(spec),
            "timeout": timeout,
            "grace": grace,
            "ends_task": ends_task,
            "version": KWARGS_VERSION,
        },
        next_method="execute_complete",
        timeout=deferral_timeout(timeout, 0.0),
    )


def as_template(task: Any, value: Any, name: str) -> str | None:
    """
    Return a value as a template that Airflow's triggerer can render; it pulls XComs only by an explicit map index.

    :param task: the task that uses the value
    :param name: the parameter, for the error text
    :raises ITwinInputError: if the triggerer could not render it, or would pull another XCom than a worker does
    """
    if value is None or (isinstance(value, str) and ("xcom_pull" not in value or "map_indexes" in value)):
        return value
    source, key = getattr(value, "operator", None), getattr(value, "key", None)
    if source is None or key is None or getattr(source, "is_mapped", False):
        raise ITwinInputError(
            f"With start_from_trigger, {name} must be a str, a template, or the output of a task that is not mapped; "
            f"xcom_pull in a template needs map_indexes=-1. It is {value!r}"
        )
    group = source.get_closest_mapped_task_group()
    if group is not None and group is not task.get_closest_mapped_task_group():
        raise ITwinInputError(
            f"With start_from_trigger, {name} cannot be the output of task {source.task_id!r}: that task is in the mapped task "
            f"group {group.group_id!r} and this one is not, so there is an output for each map index. "
            "Remove start_from_trigger."
        )
    map_index = "-1" if group is None else "ti.map_index"
    return f"{{{{ ti.xcom_pull(task_ids={source.task_id!r}, key={key!r}, map_indexes={map_index}) }}}}"
