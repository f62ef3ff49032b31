"""What one test run keeps in Redis: all of it under a prefix of its own, and gone afterwards."""

from __future__ import annotations

import os

REDIS_URL = os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379/0")


def trouble_with_redis() -> str | None:
    """Say why Redis cannot be used; None if it can."""
    # Not at the top: the environment of Airflow 2.11, which leaves these tests out, has no Celery and no client of Redis.
    import redis

    try:
        with redis.Redis.from_url(REDIS_URL, socket_connect_timeout=5) as client:
            client.ping()
    except redis.RedisError as error:
        return f"no Redis at {REDIS_URL}: {error}"
    return None


def forget_keys(prefix: str) -> int:
    """Delete all keys that begin with `prefix`; their number."""
    import redis

    with redis.Redis.from_url(REDIS_URL, socket_connect_timeout=5) as client:
        return sum(int(client.delete(key)) for key in list(client.scan_iter(f"{prefix}*", count=1000)))
