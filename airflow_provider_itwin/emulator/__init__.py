"""
An iTwin Platform on loopback, for developing and testing with no account and no network.

.. code-block:: python

    with Emulator(speed=60.0, scenario="demo") as emulator:
        ...  # talk to emulator.url as emulator.client_id, emulator.client_secret

It shares nothing with the client in this package, so that each can catch the other's mistakes. From a shell:
``itwin-emulator --help``.
"""

from airflow_provider_itwin.emulator.clock import Clock, ManualClock
from airflow_provider_itwin.emulator.core import Emulator
from airflow_provider_itwin.emulator.faults import Fault
from airflow_provider_itwin.emulator.journal import Journal, JournalEntry
from airflow_provider_itwin.emulator.oddities import Oddities
from airflow_provider_itwin.emulator.plans import FailingFile, RunError, RunPlan

__all__ = [
    "Clock",
    "Emulator",
    "FailingFile",
    "Fault",
    "Journal",
    "JournalEntry",
    "ManualClock",
    "Oddities",
    "RunError",
    "RunPlan",
]
