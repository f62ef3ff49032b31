"""
Tell people what a run did, by mail and in the task's log.

:func:`~airflow_provider_itwin.notifications.run_message` makes a message of the run report: as plain text, Markdown and HTML, for
any of Airflow's notifiers. In a template it is a macro; in a callback it is given the context. Here the callback prints the
text, and, if ``ITWIN_NOTIFY_MAIL`` names somebody in the environment of Airflow, a mail goes out by the Airflow connection
``smtp_default``.
"""

from __future__ import annotations

import os
from typing import Any

import pendulum
from airflow.providers.common.compat.sdk import DAG, Param
from airflow.providers.smtp.notifications.smtp import SmtpNotifier

from airflow_provider_itwin.notifications import run_message
from airflow_provider_itwin.operators.itwin import ITwinRunStorageConnectionOperator


def tell_the_log(context: Any) -> None:
    """Print the message; a stand-in for a chat that Airflow has no notifier for."""
    print(run_message(context).text)


tellers: list[Any] = [tell_the_log]
if somebody := os.environ.get("ITWIN_NOTIFY_MAIL"):
    tellers.append(
        SmtpNotifier(
            from_email="airflow@example.com",
            to=somebody,
            subject="[iTwin] {{ run_message().subject }}",
            html_content="{{ run_message().html }}",
        )
    )

with DAG(
    dag_id="itwin_notify",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    user_defined_macros={"run_message": run_message},
    params={
        "connection_id": Param(os.environ.get("ITWIN_CONNECTION_ID", "demo-partial-connection"), type="string"),
    },
    tags=["itwin", "example"],
    doc_md=__doc__,
):
    ITwinRunStorageConnectionOperator(
        task_id="synchronize",
        connection_id="{{ params.connection_id }}",
        wait_for_completion=True,
        deferrable=True,
        timeout=6 * 60 * 60,
        on_success_callback=tellers,
        on_failure_callback=tellers,
    )
