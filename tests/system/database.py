"""The metadata database of one deployment: new in PostgreSQL, SQLite where there is none."""

from __future__ import annotations

import os
import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg2  # type: ignore[import-untyped]
from psycopg2 import sql

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOST = os.environ.get("PGHOST", "127.0.0.1")
PORT = os.environ.get("PGPORT", "5432")
USER = os.environ.get("PGUSER", "postgres")


class NoPostgreSQLError(Exception):
    """CI needs PostgreSQL, and it is not available."""


@contextmanager
def metadata_database(home: Path) -> Iterator[str]:
    """Create an empty database, and drop it afterwards; yields its SQLAlchemy URL."""
    name = f"airflow_system_test_{os.getpid()}_{secrets.token_hex(4)}"
    try:
        _execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    except psycopg2.OperationalError as error:
        if os.environ.get("CI") == "true":
            raise NoPostgreSQLError(f"CI needs PostgreSQL at {HOST}:{PORT} as {USER}: {error}") from error
        yield f"sqlite:///{home / 'airflow.db'}"
        return
    try:
        yield f"postgresql+psycopg2://{USER}@{HOST}:{PORT}/{name}"
    finally:
        _execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def failure() -> str | None:
    """Return why PostgreSQL cannot be used; None if it can."""
    try:
        _execute(sql.SQL("SELECT 1"))
    except psycopg2.OperationalError as error:
        return f"no PostgreSQL at {HOST}:{PORT} as {USER}: {error}"
    return None


def _execute(statement: sql.Composed) -> None:
    # Not "with connection": it opens a transaction, in which no database can be created.
    connection = psycopg2.connect(host=HOST, port=PORT, user=USER, dbname="postgres", connect_timeout=5)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
    finally:
        connection.close()
