"""The smallest part of a space that the best architectures of a table lie in.

Options are left out one by one, the one first whose loss costs fewest of the best and most of the rest. An
option goes only where so few of the best have it that chance would hardly do that (hypergeometric, 5 % shared
by all that are looked at), so that a table without any order is not narrowed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from untrained.core.architecture import Architecture
from untrained.core.space import Space

Rows = npt.NDArray[np.bool_]

CHANCE = 0.05  # that an option goes although it does not matter, all together
LOSE = 0.05  # of the best that may be lost


@dataclass(frozen=True)
class Part:
    """What is left of a space."""

    dropped: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    """decision -> options that are left out; of one that is taken for each layer, in every layer"""
    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """decision or trait that is one number -> least and most"""

    def __bool__(self) -> bool:
        return bool(self.dropped or self.bounds)

    def holds(self, traits: Mapping[str, Any]) -> bool:
        """Whether an architecture with these traits is left."""
        for name, gone in self.dropped.items():
            if any(
                v == traits[name] or (isinstance(traits[name], tuple) and v in traits[name]) for v in gone
            ):
                return False
        return all(low <= traits[name] <= high for name, (low, high) in self.bounds.items())

    def options(self, space: Space) -> dict[str, tuple[Any, ...]]:
        """The options that the space's decisions still have; only of those that lost some and kept some."""
        slots, left = space.declared(), {}
        for name, gone in self.dropped.items():
            left[name] = tuple(o for o in slots[name].options if o not in gone)
        for name, (low, high) in self.bounds.items():
            if name in slots:
                left[name] = tuple(o for o in slots[name].options if low <= o <= high)
        return {n: o for n, o in left.items() if o and len(o) < len(slots[n].options)}

    def limits(self, space: Space) -> dict[str, tuple[float, float]]:
        """The bounds of traits that are no decisions with options."""
        slots = space.declared()
        return {name: ends for name, ends in self.bounds.items() if name not in slots}


@dataclass(frozen=True)
class _Cut:
    """One thing that may be left out, and the rows that go with it."""

    name: str
    gone: Rows
    option: Any = None
    ends: tuple[float, float] | None = None
    chance: float = 0.0
    """below which it is sure"""


def best(quality: npt.NDArray[np.float64], keep: float) -> Rows:
    """Which are among the best share `keep`, those equal to the last of them included."""
    count = max(1, math.ceil(round(keep * len(quality), 9)))
    found: Rows = quality >= np.sort(quality)[-count]
    return found


def narrow(
    space: Space,
    archs: Sequence[Architecture],
    quality: npt.NDArray[np.float64],
    names: Sequence[str],
    *,
    keep: float,
    lose: float = LOSE,
) -> Part:
    """The part of `space` that holds all but a share `lose` of the best share `keep` of `archs`.

    Only decisions (or traits) in `names` are touched: those that are one number by their least and most, the
    others by their options.
    """
    good = best(quality, keep)
    traits = [space.traits(a) for a in archs]
    bounds = {n: (-math.inf, math.inf) for n in names if all(_is_number(row[n]) for row in traits)}
    slots = space.declared()
    options = {n: list(slots[n].options) for n in names if n in slots and n not in bounds}
    inside = np.ones(len(archs), bool)
    may_go = math.floor(lose * good.sum() + 1e-9)
    while True:
        cuts = [c for n in options for c in _option_cuts(n, options[n], traits)]
        cuts += [c for n in bounds for c in _end_cuts(n, bounds[n], traits)]
        cut = _next(
            [_shared(c, cuts, len(names)) for c in cuts], inside, good, may_go - int(good[~inside].sum())
        )
        if cut is None:
            break
        inside &= ~cut.gone
        if cut.ends is None:
            options[cut.name].remove(cut.option)
        else:
            bounds[cut.name] = cut.ends
    dropped = {n: tuple(o for o in slots[n].options if o not in left) for n, left in options.items()}
    told = {n: [row[n] for row, i in zip(traits, inside, strict=True) if i] for n in bounds}
    ends = {
        n: (float(min(told[n])), float(max(told[n]))) for n, e in bounds.items() if e != (-math.inf, math.inf)
    }
    return Part({n: gone for n, gone in dropped.items() if gone}, ends)


def _option_cuts(name: str, left: Sequence[Any], traits: Sequence[Mapping[str, Any]]) -> list[_Cut]:
    """Each option that may go; the last one stays."""
    found = []
    for option in left if len(left) > 1 else []:
        has = [
            option == row[name] or (isinstance(row[name], tuple) and option in row[name]) for row in traits
        ]
        found.append(_Cut(name, np.array(has, bool), option))
    return found


def _end_cuts(name: str, ends: tuple[float, float], traits: Sequence[Mapping[str, Any]]) -> list[_Cut]:
    """Each value that may become the most, or the least."""
    low, high = ends
    values = np.array([row[name] for row in traits], float)
    between = np.unique(values[(values >= low) & (values <= high)]).tolist()
    found = [_Cut(name, values > v, ends=(low, v)) for v in between[:-1]]
    return found + [_Cut(name, values < v, ends=(v, high)) for v in between[1:]]


def _shared(cut: _Cut, cuts: Sequence[_Cut], names: int) -> _Cut:
    """The cut with its share of the chance: equal for all decisions, and then for all cuts of one."""
    alike = sum(other.name == cut.name for other in cuts)
    return replace(cut, chance=CHANCE / (names * alike))


def _next(cuts: Sequence[_Cut], inside: Rows, good: Rows, may_go: int) -> _Cut | None:
    """The cut that costs fewest of the best, of those the one that removes most; None if none is sure."""
    total, of_best = int(inside.sum()), int((inside & good).sum())
    sure: list[tuple[int, int, int]] = []
    for i, cut in enumerate(cuts):
        gone = inside & cut.gone
        out, lost = int(gone.sum()), int((gone & good).sum())
        allowed = out > 0 and lost <= may_go and lost < of_best
        if allowed and _at_most(lost, total, out, of_best) < cut.chance:
            sure.append((lost, -out, i))
    return cuts[min(sure)[2]] if sure else None


def _at_most(lost: int, total: int, out: int, of_best: int) -> float:
    """Chance that at most `lost` of `of_best` fall among `out` of `total`."""
    ways = math.comb(total, of_best)
    found = sum(math.comb(out, k) * math.comb(total - out, of_best - k) for k in range(lost + 1))
    return found / ways


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
