"""The metadata of this provider for Airflow."""

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
    Return the metadata of this provider (entry point ``apache_airflow_provider``).

    An exception here would stop every command and every server of Airflow. So after an error, only the features are missing.
    """
    info = {
        "package-name": "airflow-provider-itwin",
        "name": "iTwin",
        "description": "Run Bentley iTwin synchronizations, and wait for them without holding a worker.",
    }
    try:
        return info | _features()
    except Exception as error:  # noqa: BLE001 (Airflow must start in any case)
        log.error("airflow-provider-itwin is not available: %s: %s", type(error).__name__, error)  # noqa: TRY400
        return info


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
                "python-modules": [
                    "airflow_provider_itwin.operators.itwin",
                    "airflow_provider_itwin.operators.named_version",
                    "airflow_provider_itwin.operators.download",
                    "airflow_provider_itwin.operators.upload",
                    "airflow_provider_itwin.operators.jobs",
                    "airflow_provider_itwin.jobs.changed_elements",
                    "airflow_provider_itwin.jobs.grouping_and_mapping",
                    "airflow_provider_itwin.jobs.reality",
                    "airflow_provider_itwin.jobs.transformations",
                ],
            }
        ],
        "sensors": [
            {
                "integration-name": "Bentley iTwin Platform",
                "python-modules": ["airflow_provider_itwin.sensors.itwin", "airflow_provider_itwin.sensors.jobs"],
            }
        ],
        "triggers": [
            {
                "integration-name": "Bentley iTwin Platform",
                "python-modules": ["airflow_provider_itwin.triggers.itwin", "airflow_provider_itwin.triggers.jobs"],
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
                "description": "Requests of this provider to the iTwin Platform.",
                "options": {
                    "requests_per_minute": {
                        "description": (
                            "Requests to the API in any minute, at most, for each account and process; 0: no limit.\n"
                            "The limit of an account over all processes is 500 in the Community tier, and 5000 in the\n"
                            "Standard and Premium tiers. When the limit is reached, all runs are polled less often.\n"
                        ),
                        "version_added": "0.1.0",
                        "type": "float",
                        "example": "4000",
                        "default": "500",
                    },
                    "requests_per_hour": {
                        "description": (
                            "Requests to the API in any hour, at most, for each account and process; 0: no limit. The limit\n"
                            "of an account is 5000 in the Community tier; the Standard and Premium tiers have none.\n"
                        ),
                        "version_added": "0.1.0",
                        "type": "float",
                        "example": "0",
                        "default": "5000",
                    },
                    "outage_tolerance": {
                        "description": (
                            "Seconds for which a wait for a run retries after errors (network errors, 5xx, 429, invalid\n"
                            "responses) without a good response before the task fails.\n"
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
