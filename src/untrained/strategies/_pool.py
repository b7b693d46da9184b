"""Candidates for a model to choose from: edits of the best, fresh samples, and their codes."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass
from random import Random

import numpy as np
from numpy.typing import NDArray

from untrained.core.architecture import Architecture
from untrained.core.space import Space
from untrained.strategies._past import Past

Real = NDArray[np.float64]
Encode = Callable[[Architecture], Real]

FRESH = 0.2  # share of samples; the others are edits
TWICE = 0.3  # share of the edits that are edited once more
TRIES = 50


@dataclass
class Pool:
    """Candidates, none of which was told when they were made, each once."""

    archs: list[Architecture]
    codes: Real  # (candidates, features)

    def open(self, told: Container[Architecture]) -> list[int]:
        """Which of them are still to be told."""
        return [i for i, arch in enumerate(self.archs) if arch not in told]


class Pools:
    """The pool of now. It follows from what was told alone, so that no ask changes it.

    A new one is made once the best has changed or `every` trials were told. Its luck is drawn from their
    number: what differs from search to search is what was told.
    """

    def __init__(self, space: Space, encode: Encode, size: int) -> None:
        self.space, self.encode, self.size = space, encode, size
        self._made_for: tuple[Past, int] | None = None
        self._pool = Pool([], np.zeros((0, 0)))

    def now(self, past: Past, told: Container[Architecture]) -> Pool:
        if self._made_for != (past, past.stamp):
            self._pool = self._made(past, told, Random(f"pool/{past.stamp}"))
            self._made_for = past, past.stamp
        return self._pool

    def _made(self, past: Past, told: Container[Architecture], rng: Random) -> Pool:
        parents = [t.architecture for t in past.origins]
        found: dict[Architecture, None] = {}
        for _ in range(self.size):
            if rng.random() < FRESH:
                arch = self.space.sample(rng)
            else:
                arch = self.space.mutate(rng.choice(parents), rng)
                if rng.random() < TWICE:
                    arch = self.space.mutate(arch, rng)
            if arch not in told:
                found[arch] = None
        return Pool(list(found), np.array([self.encode(arch) for arch in found]))


def fill(
    space: Space, chosen: Iterable[Architecture], n: int, told: Container[Architecture], rng: Random
) -> list[Architecture]:
    """The chosen, and fresh samples up to `n`; equal ones only where many tries find no others."""
    asked = list(dict.fromkeys(chosen))
    while len(asked) < n:
        for _ in range(TRIES):
            arch = space.sample(rng)
            if arch not in told and arch not in asked:
                break
        asked.append(arch)
    return asked
