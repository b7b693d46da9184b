"""What the trees of `mcts` have in common: places, and which one is worth the next visit."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping
from random import Random
from typing import TYPE_CHECKING, Protocol, TypeVar

from untrained.core.architecture import Architecture
from untrained.core.strategy import Ask

if TYPE_CHECKING:
    from untrained.core.study import Trial


Busy = dict[int, int]
"""`id` of a place -> visits that were asked for in the same batch and not told yet"""


class Tree(Protocol):
    """Where trials belong, and where the next one should go."""

    def ask(self, rng: Random, busy: Busy, *known: Container[str]) -> Architecture | Ask:
        """An architecture that is in none of the containers, if some tries find one; adds to `busy`."""

    def grow(self, trial: Trial) -> None:
        """Makes a place for it."""

    def credit(self, arch: Architecture, reward: float) -> None:
        """A visit worth so much, for every place on the way to it."""

    def forget(self) -> None:
        """Takes back every visit; the places stay."""


class Node:
    """A place in a tree: how often trials went through it, and what they were worth together."""

    __slots__ = ("mean", "rarity", "total", "visits")

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Takes back every visit."""
        self.visits, self.total = 0, 0.0
        self.mean, self.rarity = 0.0, math.inf  # total / visits and 1 / sqrt(visits), read far more often

    def credit(self, reward: float, visits: int = 1) -> None:
        """Visits that were worth so much together."""
        self.visits += visits
        self.total += reward
        self.mean, self.rarity = self.total / self.visits, 1 / math.sqrt(self.visits)


N = TypeVar("N", bound=Node)


def curiosity(above: int, c: float) -> float:
    """What UCB1 divides by the root of a child's visits: c sqrt(2 ln N), N visits of its parent."""
    return c * math.sqrt(2 * math.log(above))


def pick(parent: Node, children: Mapping[int, N], c: float, rng: Random, busy: Busy) -> tuple[int, N]:
    """The child of highest UCB1, ties broken by luck; visits that are under way count as worth nothing."""
    more = curiosity(parent.visits + busy.get(id(parent), 0), c)
    top, found = -math.inf, list[tuple[int, N]]()
    for item in children.items():
        child = item[1]
        if busy and (under_way := busy.get(id(child))):
            visits = child.visits + under_way
            value = child.total / visits + more / math.sqrt(visits)
        else:
            value = child.mean + more * child.rarity
        if value > top:
            top, found = value, [item]
        elif value == top:
            found.append(item)
    chosen = found[0] if len(found) == 1 else rng.choice(found)
    busy[id(chosen[1])] = busy.get(id(chosen[1]), 0) + 1
    return chosen
