"""What tests leave to chance: the same for the same seed, which the variable TEST_SEED chooses."""

from __future__ import annotations

import os
from random import Random


def seed() -> int:
    """Give the seed of all lots."""
    return int(os.environ.get("TEST_SEED", "1"))


def seeded_random(name: str) -> Random:
    """Give what is to be drawn from for one purpose; what others draw makes no difference to it."""
    return Random(f"{seed()} {name}")
