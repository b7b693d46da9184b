"""Genetic programming of formulas."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from untrained.apps._breeding import crossed, grown, mutated
from untrained.apps._discover_judging import Judged
from untrained.core.formula import Node, canonical, fault

POPULATION, BROOD, TOURNAMENT = 200, 50, 4
STRANGERS = 0.1  # share of a brood that has no parents


class Evolution:
    """Broods of formulas; each depends on the seed, its number and what was judged before it alone."""

    def __init__(self, inputs: Sequence[str], seed: int) -> None:
        self.inputs, self.seed = list(inputs), seed
        self.alive: list[Judged] = []
        self.keys: set[str] = set()
        self.orders: set[str] = set()
        self.generation = self.faulty = self.twins = 0

    def brood(self) -> list[Node]:
        """The next formulas to judge: canonical, none of them degenerate, none seen before."""
        rng = Random(f"{self.seed}/{self.generation}")
        self.generation += 1
        found: list[Node] = []
        for _ in range(200 * BROOD):
            node = canonical(self._child(rng))
            if node.key in self.keys:
                continue
            self.keys.add(node.key)
            if fault(node):
                self.faulty += 1
                continue
            found.append(node)
            if len(found) == BROOD:
                break
        return found

    def _child(self, rng: Random) -> Node:
        if len(self.alive) < POPULATION // 4 or rng.random() < STRANGERS:
            return grown("net", self.inputs, rng)
        mother = self._parent(rng)
        if rng.random() < 0.5:
            child = crossed(mother, self._parent(rng), rng)
            return mutated(child, self.inputs, rng) if rng.random() < 0.3 else child
        return mutated(mother, self.inputs, rng)

    def _parent(self, rng: Random) -> Node:
        return self.alive[min(rng.randrange(len(self.alive)) for _ in range(TOURNAMENT))].node

    def learn(self, judged: Sequence[Judged]) -> None:
        """The fittest of old and new stay; a formula that orders like one before it does not join."""
        for one in judged:
            if not one.taus:
                continue
            if one.digest in self.orders:
                self.twins += 1
                continue
            self.orders.add(one.digest)
            self.alive.append(one)
        self.alive.sort(key=lambda j: (-j.fitness, j.node.key))
        del self.alive[POPULATION:]
