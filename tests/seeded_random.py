"""Reproducible randomness: the environment variable TEST_SEED sets the seed."""

from __future__ import annotations

import os
from random import Random


def seed() -> int:
    """Return the seed of all generators."""
    return int(os.environ.get("TEST_SEED", "1"))


def seeded_random(name: str) -> Random:
    """Return the random generator for one purpose; it is independent of all others."""
    return Random(f"{seed()} {name}")
