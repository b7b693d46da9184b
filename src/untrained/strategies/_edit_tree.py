"""Architectures as a tree of edits: below each one stand its mutations that were tried."""

from __future__ import annotations

import math
from collections.abc import Container
from random import Random
from typing import TYPE_CHECKING

from untrained.core.architecture import Architecture
from untrained.core.space import Space
from untrained.core.strategy import Ask
from untrained.strategies._branches import Busy, Node, pick
from untrained.strategies._unseen import any_unseen, unseen

if TYPE_CHECKING:
    from untrained.core.study import Trial

EDITS = 8  # tries to draw a new mutation
WIDENING = 1 / 3


class Known(Node):
    """An architecture that was told, and those that were made of it."""

    __slots__ = ("above", "arch", "children")

    def __init__(self, arch: Architecture | None = None, above: Known | None = None) -> None:
        super().__init__()
        self.arch, self.above = arch, above
        self.children: dict[int, Known] = {}


class EditTree:
    """Random draws stand below the root. A place opens one child more as its visits grow.

    After v visits it may have ceil(v^WIDENING) children (progressive widening); the children that there are
    share the other visits by UCB1. The note of an ask is the id of the architecture that it was made of.
    """

    def __init__(self, space: Space, *, c: float) -> None:
        self.space, self.c = space, c
        self.root = Known()
        self.places: dict[str, Known] = {}

    def ask(self, rng: Random, busy: Busy, *known: Container[str]) -> Architecture | Ask:
        node = self.root
        while len(node.children) >= wide(node.visits + busy.get(id(node), 0)):
            _, node = pick(node, node.children, self.c, rng, busy)
        busy[id(node)] = busy.get(id(node), 0) + 1
        parent = node.arch
        if parent is not None:
            found = unseen(lambda: self.space.mutate(parent, rng), EDITS, *known)
            if found is not None:
                return Ask(found, note=parent.id)
        return any_unseen(self.space, rng, *known)

    def grow(self, trial: Trial) -> None:
        arch = trial.architecture
        if arch.id not in self.places:
            note = trial.note if isinstance(trial.note, str) else ""
            above = self.places.get(note, self.root)
            self.places[arch.id] = above.children[len(above.children)] = Known(arch, above)

    def credit(self, arch: Architecture, reward: float) -> None:
        node: Known | None = self.places[arch.id]
        while node is not None:
            node.credit(reward)
            node = node.above

    def forget(self) -> None:
        for node in (self.root, *self.places.values()):
            node.forget()


def wide(visits: int) -> int:
    """How many children a place may have after so many visits."""
    return max(1, math.ceil(math.pow(visits, WIDENING)))
