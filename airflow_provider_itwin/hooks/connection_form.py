"""
The form of an iTwin connection: which fields it has, what they mean, and what stands in them.

Airflow 3.2 and newer read it from the provider's metadata; for older ones the hook makes widgets of the same description.
Values of the extra fields come back as the form left them: a text, a number, empty, or null.
"""

from __future__ import annotations

import copy
import logging
from typing import Any

log = logging.getLogger(__name__)

BEHAVIOUR: dict[str, Any] = {
    # The test button of Airflow 3.3.1 and 3.3.2 works for no connection whose port is empty, so it has to be there.
    "hidden-fields": ["schema"],
    "relabeling": {"host": "API host", "login": "Client id", "password": "Client secret"},
    "placeholders": {
        "host": "https://api.bentley.com (if empty), or http://127.0.0.1:8899",
        "login": "service-..., from https://developer.bentley.com",
        "password": "the secret that belongs to the client id",
        "port": "443; without a port, Airflow 3.3.1 and 3.3.2 test nothing",
        "extra": '{"issuer_url": "https://ims.bentley.com", "scope": "itwin-platform"}',
    },
}

FIELDS: dict[str, Any] = {
    "issuer_url": {
        "label": "Token issuer",
        "description": (
            "Who issues the access tokens. Leave it empty for Bentley's own hosts, whose issuers are known, and for an emulator."
        ),
        "schema": {"type": ["string", "null"], "examples": ["https://ims.bentley.com", "https://qa-ims.bentley.com"]},
    },
    "scope": {
        "label": "Scope",
        "description": "What a token is asked for.",
        "schema": {"type": ["string", "null"], "default": "itwin-platform"},
    },
    "token": {
        "label": "Access token",
        "description": (
            "A ready token in place of client id and secret, to try things out: it cannot be renewed when it expires."
        ),
        "schema": {"type": ["string", "null"], "format": "password"},
    },
    "timeout": {
        "label": "Request timeout",
        "description": "Seconds that one request may take.",
        "schema": {"type": ["number", "null"], "default": 60, "minimum": 1, "maximum": 600},
    },
    "verify": {
        "label": "Verify TLS",
        "description": "The path of a CA bundle, or false to verify nothing; empty for the usual authorities.",
        "schema": {"type": ["string", "null"]},
    },
    "proxies": {
        "label": "Proxies",
        "description": 'A JSON object with the proxy for each scheme, such as {"https": "http://proxy:3128"}.',
        "schema": {"type": ["object", "null"]},
    },
    "portal_url": {
        "label": "Portal",
        "description": (
            "Where tasks link to, with {itwin_id}, {imodel_id}, {connection_id} and {run_id} in it; "
            "empty for the portal of Bentley's own hosts."
        ),
        "schema": {"type": ["string", "null"]},
    },
}

# An older form would turn an object, or a false, into a text when somebody opens and saves it; there they stay in Extra.
_BY_HAND_ON_OLDER_AIRFLOWS = ("verify", "proxies")


def behaviour() -> dict[str, Any]:
    """Give labels and placeholders of the usual fields, in the words of the hook methods."""
    return {name.replace("-", "_"): copy.deepcopy(value) for name, value in BEHAVIOUR.items()}


def widgets() -> dict[str, Any]:
    """
    Make the extra fields for the forms of Airflow 2.11 to 3.1, by name.

    With any other exception than that of a missing package, Airflow would not know the connection type at all.
    """
    try:
        return _widgets()
    except ImportError:
        raise
    except Exception as error:  # noqa: BLE001 (whatever it is, the usual fields are there)
        log.error("The form of iTwin connections lacks its extra fields: %s: %s", type(error).__name__, error)  # noqa: TRY400
        return {}


def _widgets() -> dict[str, Any]:
    from flask_appbuilder.fieldwidgets import BS3TextFieldWidget  # type: ignore[import-not-found,unused-ignore]
    from flask_babel import lazy_gettext  # type: ignore[import-not-found,unused-ignore]
    from wtforms import IntegerField, PasswordField, StringField  # type: ignore[import-untyped,unused-ignore]
    from wtforms.validators import Optional  # type: ignore[import-untyped,unused-ignore]

    made: dict[str, Any] = {}
    for name, field in FIELDS.items():
        if name in _BY_HAND_ON_OLDER_AIRFLOWS:
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

    from airflow_provider_itwin.version_compat import AIRFLOW_VERSION

    if AIRFLOW_VERSION >= (3, 0):
        return BS3PasswordFieldWidget()
    from airflow.www.views import SENSITIVE_FIELD_PLACEHOLDER  # type: ignore[import-not-found,unused-ignore]

    class KeepingSecretWidget(BS3PasswordFieldWidget):  # type: ignore[misc,unused-ignore]
        """Shows what stands for a secret that is left as it is; an empty field would have Airflow drop it."""

        def __call__(self, field: Any, **settings: Any) -> Any:
            return super().__call__(field, **settings, value=SENSITIVE_FIELD_PLACEHOLDER if field.data else "")

    return KeepingSecretWidget(hide_value=False)
