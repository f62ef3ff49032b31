"""Who looks at Airflow in the browser: an admin, a viewer, and one who may see DAGs but nothing of what their tasks did."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager

if TYPE_CHECKING:
    from pathlib import Path

ROLES = {"ada": "admin", "vera": "viewer", "nora": "viewer"}
"""Person by person; nora is kept from what tasks did by the auth manager below."""

ADMIN, VIEWER, STRANGER = ROLES

_WITHHELD = {DagAccessEntity.TASK_INSTANCE, DagAccessEntity.TASK_LOGS, DagAccessEntity.XCOM}


def password_of(person: str) -> str:
    """Give the password of a person."""
    return f"{person}-of-the-tests"


def environment_of_users(home: Path) -> dict[str, str]:
    """Make the people known to an Airflow whose files are in `home`."""
    passwords = home / "passwords.json"
    passwords.write_text(json.dumps({person: password_of(person) for person in ROLES}))
    return {
        "AIRFLOW__CORE__AUTH_MANAGER": f"{__name__}.{UsersAuthManager.__name__}",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{person}:{role}" for person, role in ROLES.items()),
    }


class UsersAuthManager(SimpleAuthManager):
    """The simple auth manager, which knows roles only, with one person more who has fewer rights than any of them."""

    def is_authorized_dag(self, *, user: Any, access_entity: Any = None, **details: Any) -> bool:
        """Keep one person from task instances, their logs and their XComs."""
        if user.get_name() == STRANGER and access_entity in _WITHHELD:
            return False
        return super().is_authorized_dag(user=user, access_entity=access_entity, **details)
