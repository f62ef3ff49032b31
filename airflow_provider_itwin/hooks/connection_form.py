"""
The connection form of an iTwin connection.

Airflow 3.2 and newer read it from the provider metadata; for older versions the hook creates widgets from the same description.
The values of the extra fields are strings, numbers, empty or null.
"""

from __future__ import annotations

import copy
import logging
from typing import Any

from airflow_provider_itwin.version_compat import AIRFLOW_V_3_0_PLUS, sensitive_field_placeholder

log = logging.getLogger(__name__)

BEHAVIOUR: dict[str, Any] = {
    # Test in Airflow 3.3.1 and 3.3.2 fails if the port is empty, so the field cannot be hidden.
    "hidden-fields": ["schema"],
    "relabeling": {"host": "API host", "login": "Client id", "password": "Client secret"},
    "placeholders": {
        "host": "https://api.bentley.com (if empty), or http://127.0.0.1:8899",
        "login": "service-..., from https://developer.bentley.com",
        "password": "the secret of the client id",
        "port": "443 (required by Test on Airflow 3.3.1 and 3.3.2)",
        "extra": '{"issuer_url": "https://ims.bentley.com", "scope": "itwin-platform"}',
    },
}

FIELDS: dict[str, Any] = {
    "issuer_url": {
        "label": "Token issuer",
        "description": (
            "URL of the service that issues access tokens. Leave it empty for hosts of Bentley and for an emulator."
        ),
        "schema": {"type": ["string", "null"], "examples": ["https://ims.bentley.com", "https://qa-ims.bentley.com"]},
    },
    "scope": {
        "label": "Scope",
        "description": "OAuth scope to request.",
        "schema": {"type": ["string", "null"], "default": "itwin-platform"},
    },
    "token": {
        "label": "Access token",
        "description": ("An access token to use instead of client id and secret, for testing. It cannot be renewed."),
        "schema": {"type": ["string", "null"], "format": "password"},
    },
    "timeout": {
        "label": "Request timeout",
        "description": "Timeout of a request in seconds.",
        "schema": {"type": ["number", "null"], "default": 60, "minimum": 1, "maximum": 600},
    },
    "verify": {
        "label": "Verify TLS",
        "description": "Path of a CA bundle, or false for no verification; empty for the default authorities.",
        "schema": {"type": ["string", "null"]},
    },
    "proxies": {
        "label": "Proxies",
        "description": 'JSON object with a proxy for each scheme, such as {"https": "http://proxy:3128"}.',
        "schema": {"type": ["object", "null"]},
    },
    "portal_url": {
        "label": "Portal",
        "description": (
            "URL that tasks link to, which may contain {itwin_id}, {imodel_id}, {connection_id} and {run_id}; "
            "empty for the portal of Bentley."
        ),
        "schema": {"type": ["string", "null"]},
    },
}

# Before Airflow 3.2, the form converts objects and booleans to str when it is saved, so these stay in Extra.
_EXTRA_ONLY_BEFORE_3_2 = ("verify", "proxies")


def behaviour() -> dict[str, Any]:
    """Return labels and placeholders of the standard fields, as ``get_ui_field_behaviour`` must return them."""
    return {name.replace("-", "_"): copy.deepcopy(value) for name, value in BEHAVIOUR.items()}


def widgets() -> dict[str, Any]:
    """
    Return the widgets of the extra fields by name, for Airflow 2.11 to 3.1.

    :raises ImportError: if a package for forms is missing, which Airflow handles; after any other exception, Airflow would drop
        the connection type, so the extra fields are left out instead
    """
    try:
        return _widgets()
    except ImportError:
        raise
    except Exception as error:  # noqa: BLE001 (the standard fields remain)
        log.error("Cannot create the extra fields of the iTwin connection form: %s: %s", type(error).__name__, error)  # noqa: TRY400
        return {}


def _widgets() -> dict[str, Any]:
    from flask_appbuilder.fieldwidgets import BS3TextFieldWidget  # type: ignore[import-not-found,unused-ignore]
    from flask_babel import lazy_gettext  # type: ignore[import-not-found,unused-ignore]
    from wtforms import IntegerField, PasswordField, StringField  # type: ignore[import-untyped,unused-ignore]
    from wtforms.validators import Optional  # type: ignore[import-untyped,unused-ignore]

    made: dict[str, Any] = {}
    for name, field in FIELDS.items():
        if name in _EXTRA_ONLY_BEFORE_3_2:
            continue
        schema = field["schema"]
        secret = schema.get("format") == "password"
        kind = PasswordField if secret else IntegerField if "number" in schema["type"] else StringField
        made[name] = kind(
            lazy_gettext(field["label"]),
            validators=[Optional()],
            description=field["description"],
            default=schema.get("default"),
            widget=_secret_widget() if secret else BS3TextFieldWidget(),
        )
    return made


def _secret_widget() -> Any:
    from flask_appbuilder.fieldwidgets import BS3PasswordFieldWidget  # type: ignore[import-not-found,unused-ignore]

    if AIRFLOW_V_3_0_PLUS:
        return BS3PasswordFieldWidget()
    placeholder = sensitive_field_placeholder()

    class KeepingSecretWidget(BS3PasswordFieldWidget):  # type: ignore[misc,unused-ignore]
        """Shows a placeholder for an unchanged secret; Airflow would delete the secret if the field were empty."""

        def __call__(self, field: Any, **settings: Any) -> Any:
            return super().__call__(field, **settings, value=placeholder if field.data else "")

    return KeepingSecretWidget(hide_value=False)
