"""The users of the browser tests: an admin, a viewer, one who may read no task instances, and four who may read one DAG."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager

if TYPE_CHECKING:
    from pathlib import Path

ROLES = {
    "ada": "admin",
    "vera": "viewer",
    "nora": "viewer",
    "nina": "viewer",
    "mona": "viewer",
    "rita": "viewer",
    "sven": "viewer",
}
"""Role by user; the auth manager below denies nora the task instances, and nina, mona, rita and sven all DAGs but one."""

ADMIN, VIEWER, RESTRICTED, NIGHT_READER, MANY_READER, REFRESH_READER, STEPS_READER = ROLES

_ONLY_DAG = {
    NIGHT_READER: "nightly_sync",
    MANY_READER: "weekly_sync",
    REFRESH_READER: "hourly_sync",
    STEPS_READER: "steps",
}

_DENIED = {DagAccessEntity.TASK_INSTANCE, DagAccessEntity.TASK_LOGS, DagAccessEntity.XCOM}


def password_of(user: str) -> str:
    """Return the password of a user."""
    return f"{user}-of-the-tests"


def environment_of_users(home: Path) -> dict[str, str]:
    """Return the environment variables that define the users of the Airflow in `home`."""
    passwords = home / "passwords.json"
    passwords.write_text(json.dumps({user: password_of(user) for user in ROLES}))
    return {
        "AIRFLOW__CORE__AUTH_MANAGER": f"{__name__}.{UsersAuthManager.__name__}",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{user}:{role}" for user, role in ROLES.items()),
    }


class UsersAuthManager(SimpleAuthManager):
    """The simple auth manager, with users who have fewer permissions than any role."""

    def is_authorized_dag(self, *, user: Any, access_entity: Any = None, details: Any = None, **others: Any) -> bool:
        """Deny one user the task instances, their logs and their XComs, and others all DAGs but one."""
        if user.get_name() == RESTRICTED and access_entity in _DENIED:
            return False
        dag_id = details.id if details else None
        if dag_id is not None and dag_id != _ONLY_DAG.get(user.get_name(), dag_id):
            return False
        return super().is_authorized_dag(user=user, access_entity=access_entity, details=details, **others)
