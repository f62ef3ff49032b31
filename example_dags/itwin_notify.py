"""
Send a message about each run, by mail and to the log of the task.

:func:`~airflow_provider_itwin.notifications.run_message` formats the run report as plain text, Markdown and HTML, for any Airflow
notifier. Use it as a macro in templates, or call it with the context in a callback. Here a callback prints the text. If
``ITWIN_NOTIFY_MAIL`` is set in the environment of Airflow, a mail is also sent to this address, with the Airflow connection
``smtp_default``.
"""

from __future__ import annotations

import os
from typing import Any

import pendulum
from airflow.providers.smtp.notifications.smtp import SmtpNotifier

from airflow_provider_itwin.notifications import run_message
from airflow_provider_itwin.operators.itwin import ITwinRunStorageConnectionOperator

try:
    from airflow.sdk import DAG, Param
except ImportError:  # Airflow 2
    from airflow.models import DAG, Param


def print_message(context: Any) -> None:
    """Print the message. Replace this with a call to your chat system."""
    print(run_message(context).text)


callbacks: list[Any] = [print_message]
if recipient := os.environ.get("ITWIN_NOTIFY_MAIL"):
    callbacks.append(
        SmtpNotifier(
            from_email="airflow@example.com",
            to=recipient,
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
        deferrable=True,
        timeout=6 * 60 * 60,
        on_success_callback=callbacks,
        on_failure_callback=callbacks,
    )
