"""The Redis keys of one test run, which have a prefix of their own and are deleted afterwards."""

from __future__ import annotations

import os

REDIS_URL = os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379/0")


def redis_error() -> str | None:
    """Return why Redis cannot be used; None if it can."""
    # Not at the top: the environment of Airflow 2.11 has no Redis client, and these tests are skipped there.
    import redis

    try:
        with redis.Redis.from_url(REDIS_URL, socket_connect_timeout=5) as client:
            client.ping()
    except redis.RedisError as error:
        return f"no Redis at {REDIS_URL}: {error}"
    return None


def delete_keys(prefix: str) -> int:
    """Delete all keys that begin with `prefix`; return their number."""
    import redis

    with redis.Redis.from_url(REDIS_URL, socket_connect_timeout=5) as client:
        return sum(int(client.delete(key)) for key in list(client.scan_iter(f"{prefix}*", count=1000)))
