"""What Airflow discovers about this provider."""

from __future__ import annotations

import logging
from typing import Any

log = logging.getLogger(__name__)

_ASSET_URIS = [
    {
        "schemes": ["itwin"],
        "handler": "airflow_provider_itwin.assets.sanitize_uri",
        "factory": "airflow_provider_itwin.assets.create_asset",
        "to_openlineage_converter": "airflow_provider_itwin.assets.convert_asset_to_openlineage",
    }
]


def get_provider_info() -> dict[str, Any]:
    """
    Describe the provider to Airflow (entry point ``apache_airflow_provider``).

    An exception here would stop every command and every server of Airflow. So any fault costs what the provider adds only.
    """
    described = {
        "package-name": "airflow-provider-itwin",
        "name": "iTwin",
        "description": "Run Bentley iTwin synchronizations, and wait for them without holding a worker.",
    }
    try:
        return described | _features()
    except Exception as error:  # noqa: BLE001 (whatever it is, Airflow has to start)
        log.error("Airflow works without airflow-provider-itwin: %s: %s", type(error).__name__, error)  # noqa: TRY400
        return described


def _features() -> dict[str, Any]:
    import copy

    from airflow_provider_itwin.hooks.connection_form import BEHAVIOUR, FIELDS
    from airflow_provider_itwin.version_compat import AIRFLOW_V_3_0_PLUS

    return {
        "integrations": [
            {
                "integration-name": "Bentley iTwin Platform",
                "external-doc-url": "https://developer.bentley.com/apis/synchronization/",
                "tags": ["service"],
            }
        ],
        "hooks": [
            {
                "integration-name": "Bentley iTwin Platform",
                "python-modules": ["airflow_provider_itwin.hooks.itwin"],
            }
        ],
        "operators": [
            {
                "integration-name": "Bentley iTwin Platform",
                "python-modules": ["airflow_provider_itwin.operators.itwin"],
            }
        ],
        "sensors": [
            {
                "integration-name": "Bentley iTwin Platform",
                "python-modules": ["airflow_provider_itwin.sensors.itwin"],
            }
        ],
        "triggers": [
            {
                "integration-name": "Bentley iTwin Platform",
                "python-modules": ["airflow_provider_itwin.triggers.itwin"],
            }
        ],
        "connection-types": [
            {
                "connection-type": "itwin",
                "hook-name": "iTwin",
                "hook-class-name": "airflow_provider_itwin.hooks.itwin.ITwinHook",
                "ui-field-behaviour": copy.deepcopy(BEHAVIOUR),
                "conn-fields": copy.deepcopy(FIELDS),
            }
        ],
        "asset-uris" if AIRFLOW_V_3_0_PLUS else "dataset-uris": _ASSET_URIS,
        "extra-links": ["airflow_provider_itwin.links.ITwinRunLink", "airflow_provider_itwin.links.ITwinIModelLink"],
        "config": {
            "itwin": {
                "description": "How this provider talks to the iTwin Platform.",
                "options": {
                    "requests_per_minute": {
                        "description": (
                            "Requests that one process sends to the API in any minute at most, for each account; 0 for no\n"
                            "limit. An account of the Community tier is allowed 500 over all its processes, one of the\n"
                            "Standard and Premium tiers 5000. When there is more to ask, all runs are polled less often.\n"
                        ),
                        "version_added": "0.1.0",
                        "type": "float",
                        "example": "4000",
                        "default": "500",
                    },
                    "requests_per_hour": {
                        "description": (
                            "The same for any hour. An account of the Community tier is allowed 5000; the Standard and Premium\n"
                            "tiers have no such limit, so set 0 there.\n"
                        ),
                        "version_added": "0.1.0",
                        "type": "float",
                        "example": "0",
                        "default": "5000",
                    },
                    "outage_tolerance": {
                        "description": (
                            "How long a wait for a run rides out trouble (network errors, 5xx, 429, unreadable answers)\n"
                            "without one good answer before the task fails, in seconds.\n"
                        ),
                        "version_added": "0.1.0",
                        "type": "float",
                        "example": "900",
                        "default": "900",
                    },
                },
            },
        },
    }
