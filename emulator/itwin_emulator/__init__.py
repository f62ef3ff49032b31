"""
An iTwin Platform on loopback, for developing and testing with no account and no network.

.. code-block:: python

    with Emulator(speed=60.0, scenario="demo") as emulator:
        ...  # talk to emulator.url as emulator.client_id, emulator.client_secret

It shares nothing with the client in this package, so that each can catch the other's mistakes. From a shell:
``itwin-emulator --help``.
"""

from itwin_emulator.domain.clock import Clock, ManualClock
from itwin_emulator.domain.quirks import Oddities
from itwin_emulator.domain.run_plans import FailingFile, RunError, RunPlan
from itwin_emulator.emulator import Emulator
from itwin_emulator.http.faults import Fault
from itwin_emulator.http.request_log import Journal, JournalEntry

__version__ = "0.1.0"

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
