"""What a formula is worth on some halves of benchmarks."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from untrained.apps._discover_networks import Floats, Side
from untrained.core.formula import Node, Sheet, apply, canonical
from untrained.core.statistics import kendall_tau_a
from untrained.metrics.formulas import sheet

PARSIMONY = 0.002  # of tau-a, for each node
ROOM = 64  # grids of parts of formulas that are kept: 4 KiB each for every layer of every network


@dataclass(frozen=True)
class Judged:
    """A formula and what it is worth on the training half; `taus` are empty where it has no value."""

    node: Node
    taus: tuple[float, ...]
    digest: str
    """the order in which it puts the networks"""

    @property
    def fitness(self) -> float:
        return math.fsum(self.taus) / len(self.taus) - PARSIMONY * self.node.size if self.taus else -math.inf


class Judge:
    """Measures formulas on some sides at once."""

    def __init__(self, sides: Sequence[Side], room: int = ROOM) -> None:
        self.sheet: Sheet = sheet([x.shown for s in sides for x in s.looks], room=room)
        self.qualities = [s.quality for s in sides]
        self._cuts = np.cumsum([len(q) for q in self.qualities])[:-1]

    def values(self, node: Node) -> list[Floats] | None:
        """The formula's values by side; None where one is not finite."""
        found = self.sheet.value(node)
        if found.ndim == 0 or not np.isfinite(found).all():
            return None
        return np.split(found, self._cuts)

    def __call__(self, node: Node) -> Judged:
        """The formula, or its negative where that is the better one."""
        found = self.values(node)
        if found is None:
            return Judged(node, (), "")
        taus = [kendall_tau_a(v, q) for v, q in zip(found, self.qualities, strict=True)]
        whole = np.concatenate(found)
        if math.fsum(taus) < 0:
            taus, whole, node = [-t for t in taus], -whole, canonical(apply("neg", node))
        return Judged(node, tuple(taus), _order(whole))


def _order(values: Floats) -> str:
    """A name for the order that values give, equal for values that differ by rounding only."""
    fraction, power = np.frexp(values)
    rounded = np.ldexp(np.round(fraction * 2**20), power - 20)
    ranks = np.unique(rounded, return_inverse=True)[1].astype(np.int32)
    return hashlib.sha256(ranks.tobytes()).hexdigest()[:16]
