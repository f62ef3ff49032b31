"""
An emulated iTwin Platform on loopback: develop and test clients with no account and no network.

.. code-block:: python

    with Emulator(speed=60.0, scenario="demo") as emulator:
        ...  # connect to emulator.url as emulator.client_id with emulator.client_secret

From a shell: ``itwin-emulator --help``. In tests: the fixtures of ``itwin_emulator.pytest_plugin``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from itwin_emulator.domain.clock import Clock, ManualClock
    from itwin_emulator.domain.job_plans import JobError, JobMessage, JobPlan
    from itwin_emulator.domain.quirks import Quirks
    from itwin_emulator.domain.run_plans import FailingFile, RunError, RunPlan
    from itwin_emulator.emulator import Emulator
    from itwin_emulator.http.faults import Fault
    from itwin_emulator.http.request_log import LoggedRequest, RequestLog

__version__ = "0.1.0"

__all__ = [
    "Clock",
    "Emulator",
    "FailingFile",
    "Fault",
    "JobError",
    "JobMessage",
    "JobPlan",
    "LoggedRequest",
    "ManualClock",
    "Quirks",
    "RequestLog",
    "RunError",
    "RunPlan",
]

_MODULES = {
    "Clock": "domain.clock",
    "Emulator": "emulator",
    "FailingFile": "domain.run_plans",
    "Fault": "http.faults",
    "JobError": "domain.job_plans",
    "JobMessage": "domain.job_plans",
    "JobPlan": "domain.job_plans",
    "LoggedRequest": "http.request_log",
    "ManualClock": "domain.clock",
    "Quirks": "domain.quirks",
    "RequestLog": "http.request_log",
    "RunError": "domain.run_plans",
    "RunPlan": "domain.run_plans",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use: pytest imports this package in every session, to load its plugin."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    return value
