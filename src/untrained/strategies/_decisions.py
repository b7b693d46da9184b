"""Architectures as numbered options in one row, for strategies that count them or learn from them.

Every decision of a space has a stretch of the row, one number an option; a per-layer decision has one
stretch for each layer that there can be. An architecture is the numbers of the options that it took, so
that a layer which it has not takes none.
"""

from __future__ import annotations

from collections.abc import Hashable
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from untrained.core.architecture import Architecture
from untrained.core.space import Space

Whole = NDArray[np.int64]
Real = NDArray[np.float64]

BINS = 8
SAMPLES = 64


def options_of(space: Space) -> Declared | Bins:
    return Declared(space) if space.declared() else Bins(space)


class Declared:
    """The options of a declared space; decisions that others repeat over come first."""

    def __init__(self, space: Space) -> None:
        slots = space.declared()
        self.space = space.name
        self.single = [name for name, slot in slots.items() if not slot.per]
        self.lists = {name: slot.per for name, slot in slots.items() if slot.per}
        self.options: list[tuple[Any, ...]] = []
        """of each decision"""
        self.stretches: dict[str, list[int]] = {}
        """name -> its decisions, one a layer for a list"""
        for name in (*self.single, *self.lists):
            slot = slots[name]
            times = max(slots[slot.per].options) if slot.per else 1
            self.stretches[name] = list(range(len(self.options), len(self.options) + times))
            self.options += [slot.options] * times
        sizes = [len(options) for options in self.options]
        self.starts: Whole = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        """number of the first option of each decision, and one past the last option at the end"""
        self._number = {
            name: [
                {option: int(self.starts[d]) + i for i, option in enumerate(self.options[d])}
                for d in self.stretches[name]
            ]
            for name in self.stretches
        }
        draw = Random("keys")
        self.luck: Whole = np.array([draw.getrandbits(62) for _ in range(self.starts[-1])], np.int64)
        """a number an option; their sum, which may overflow, is an architecture's key"""
        # A decision is taken where its owner's option, a number of layers, is above its layer. One that is
        # always taken owns itself, with layer -1 and options that count as 0.
        self._owner: Whole = np.arange(len(sizes))
        self._layer: Whole = np.full(len(sizes), -1)
        self._amount: Whole = np.zeros(int(self.starts[-1]), np.int64)
        for name, per in self.lists.items():
            (owner,) = self.stretches[per]
            for layer, d in enumerate(self.stretches[name]):
                self._owner[d], self._layer[d] = owner, layer
            self._amount[self.starts[owner] : self.starts[owner + 1]] = self.options[owner]

    def places(self, arch: Architecture) -> Whole:
        """Rising numbers; what no declaration has (a network from elsewhere) is left out."""
        found: list[int] = []
        given = dict(arch.choices)
        for name, numbers in self._number.items():
            values: Any = given.get(name, ()) if name in self.lists else (given.get(name),)
            for number, value in zip(numbers, values, strict=False):
                if value in number:
                    found.append(number[value])
        return np.array(found, np.int64)

    def key(self, arch: Architecture, places: Whole | None = None) -> Hashable:
        """A number that two architectures share with a probability of about 2^-62."""
        return int(self.luck[self.places(arch) if places is None else places].sum())

    def taken(self, picks: Whole) -> NDArray[np.bool_]:
        """Which decisions there are, for rows of picked option numbers: (rows, decisions) -> the same."""
        return self._amount[picks[:, self._owner]] > self._layer

    def architecture(self, pick: Whole) -> Architecture:
        """From one option number a decision; those of layers that there are not are left out."""
        chosen = [
            options[number]
            for options, number in zip(self.options, (pick - self.starts[:-1]).tolist(), strict=True)
        ]
        made = {name: chosen[self.stretches[name][0]] for name in self.single}
        for name, per in self.lists.items():
            first = self.stretches[name][0]
            made[name] = tuple(chosen[first : first + made[per]])
        return Architecture.of(self.space, **made)

    def one_hot(self, arch: Architecture) -> Real:
        """One number an option: 1 where it was taken, 0 elsewhere, so also in layers that there are not."""
        row = np.zeros(int(self.starts[-1]))
        row[self.places(arch)] = 1.0
        return row


class Bins:
    """The coordinates of `Space.encode`, each cut at the eighths of what samples of the space show.

    The cuts are the space's own: they come from samples drawn with luck that never changes.
    """

    def __init__(self, space: Space) -> None:
        self.space = space
        rng = Random("bins")
        rows = np.array([space.encode(space.sample(rng)) for _ in range(SAMPLES)])  # (samples, coordinates)
        eighths = np.arange(1, BINS) / BINS
        cuts = [np.unique(np.quantile(column, eighths, method="lower")) for column in rows.T]
        self._cuts: Real = np.full((len(cuts), BINS - 1), np.inf)
        for row, found in zip(self._cuts, cuts, strict=True):
            row[: len(found)] = found
        self.starts: Whole = np.concatenate([[0], np.cumsum([len(c) + 1 for c in cuts])]).astype(np.int64)

    def places(self, arch: Architecture) -> Whole:
        code: Real = np.array(self.space.encode(arch))
        found: Whole = (self._cuts < code[:, None]).sum(1) + self.starts[:-1]
        return found

    def key(self, arch: Architecture, places: Whole | None = None) -> Hashable:
        """The architecture itself: others may have the same places."""
        return arch


def toward(space: Space, options: Declared, base: Architecture, target: Architecture) -> Architecture:
    """`base` with as many decisions of `target` as go together: single ones first, then layer by layer.

    For spaces in which few combinations are valid, so that independent draws hardly ever are.
    """
    now, wanted = dict(base.choices), dict(target.choices)

    def accept(changes: dict[str, Any]) -> None:
        nonlocal now
        if any(now[name] != value for name, value in changes.items()):
            changed = now | changes
            if space.valid(Architecture.of(space.name, **changed)):
                now = changed

    for name in options.single:
        count, lists = wanted[name], [k for k, per in options.lists.items() if per == name]
        accept({name: count} | {k: _cycled(now[k], count) for k in lists})
    for owner in dict.fromkeys(options.lists.values()):
        lists = [k for k, per in options.lists.items() if per == owner]
        for i in range(min(now[owner], wanted[owner])):
            accept({k: (*now[k][:i], wanted[k][i], *now[k][i + 1 :]) for k in lists})
    return Architecture.of(space.name, **now)


def _cycled(values: tuple[Any, ...], count: int) -> tuple[Any, ...]:
    """The list cut to a length, or begun again until it has it."""
    return tuple(values[i % len(values)] for i in range(count))
