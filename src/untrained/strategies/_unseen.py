"""Not proposing what was told before, within a bounded number of tries."""

from __future__ import annotations

from collections.abc import Callable, Container
from random import Random

from untrained.core.architecture import Architecture
from untrained.core.space import Space

SAMPLES = 50  # random draws before a space counts as used up


def unseen(
    draw: Callable[[], Architecture | None], tries: int, *known: Container[str]
) -> Architecture | None:
    """The first of some draws whose id is in none of the containers; None where all are."""
    for _ in range(tries):
        arch = draw()
        if arch is not None and not any(arch.id in ids for ids in known):
            return arch
    return None


def any_unseen(space: Space, rng: Random, *known: Container[str]) -> Architecture:
    """A random architecture that is in none of the containers; any, where so many draws found none."""
    return unseen(lambda: space.sample(rng), SAMPLES, *known) or space.sample(rng)
