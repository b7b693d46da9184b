"""Drawing sub-networks inside a parameter window: a draw is brought into it by steps of single widths."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator
from random import Random

from untrained.core.errors import UsageError
from untrained.spaces._subnet_widths import Widths

Lists = tuple[list[int], list[int]]
"""heads and channels by layer, 0 in both where a layer is dropped"""
SPREAD = 0.15  # standard deviation of a width around the mean width, as a share of the parent's
STRENGTH = 0.3  # ... and of a mutation, as in TraceNAS
ROUNDS = 4  # passes over all widths to get into the window


class Draws:
    """Samples, mutants and children of a window."""

    def __init__(self, widths: Widths, low: int, high: int) -> None:
        self.widths, self.low, self.high = widths, low, high
        self._check()
        self.depths = [
            k
            for k in range(widths.fewest, widths.geometry.layers + 1)
            if self._least(k) <= high and self._most(k) >= low
        ]
        if not self.depths:
            raise UsageError(f"llm_subnet: no number of layers goes with {low:,} to {high:,} parameters")

    def _least(self, depth: int) -> int:
        w = self.widths
        return w.geometry.outside + depth * w.layer(w.heads[0], w.inner[0])

    def _most(self, depth: int) -> int:
        w = self.widths
        return w.geometry.outside + depth * w.layer(w.heads[-1], w.inner[-1])

    def _check(self) -> None:
        least, most = self.widths.least, self.widths.most
        if self.low > self.high:
            raise UsageError(f"llm_subnet: low={self.low:,} is above high={self.high:,} parameters")
        if self.high < least:
            raise UsageError(
                f"llm_subnet: {self.high:,} parameters cannot be reached; the smallest sub-network here has"
                f" {least:,} ({least / most:.3f} of the parent)\n"
                "  ask for that, or let layers go further: shortest=..., narrowest=..."
            )
        if self.low > most:
            raise UsageError(f"llm_subnet: low={self.low:,}, and the parent has {most:,} parameters")

    # --- draws -------------------------------------------------------------------------------------

    def sample(self, rng: Random) -> Lists | None:
        w, layers = self.widths, self.widths.geometry.layers
        depth = rng.choice(self.depths)
        kept = set(rng.sample(range(layers), depth))
        offsets = [(rng.gauss(0, SPREAD), rng.gauss(0, SPREAD)) for _ in range(layers)]
        low, high = max(self.low, self._least(depth)), min(self.high, self._most(depth))
        goal = rng.uniform(low, high)

        def at(mean: float) -> Lists:
            heads = [self._near(w.heads, mean + a) if i in kept else 0 for i, (a, _) in enumerate(offsets)]
            inner = [self._near(w.inner, mean + b) if i in kept else 0 for i, (_, b) in enumerate(offsets)]
            return heads, inner

        under, over = -1.0, 2.0
        for _ in range(24):
            middle = (under + over) / 2
            under, over = (middle, over) if w.params(*at(middle)) < goal else (under, middle)
        return self.fit(*at(over), rng)

    def mutate(self, heads: list[int], inner: list[int], rng: Random) -> Lists | None:
        kept = [i for i, h in enumerate(heads) if h]
        gone = [i for i, h in enumerate(heads) if not h]
        moves = ["heads", "inner", "inner"]
        moves += ["drop"] if len(kept) > self.widths.fewest else []
        moves += ["restore"] if gone else []
        moves += ["swap"] if gone else []
        move = rng.choice(moves)
        if move in ("drop", "swap"):
            i = rng.choice(kept)
            size = (heads[i], inner[i])
            heads[i] = inner[i] = 0
            if move == "swap":
                j = rng.choice(gone)
                heads[j], inner[j] = size
        elif move == "restore":
            i, like = rng.choice(gone), rng.choice(kept)
            heads[i], inner[i] = heads[like], inner[like]
        else:
            i = rng.choice(kept)
            values, options = (heads, self.widths.heads) if move == "heads" else (inner, self.widths.inner)
            values[i] = self._near(options, values[i] / options[-1] + rng.gauss(0, STRENGTH))
        return self.fit(heads, inner, rng)

    def crossover(self, a: Lists, b: Lists, rng: Random) -> Lists | None:
        point = rng.randrange(1, max(2, self.widths.geometry.layers))
        first, second = (a, b) if rng.random() < 0.5 else (b, a)
        heads = first[0][:point] + second[0][point:]
        inner = first[1][:point] + second[1][point:]
        if sum(h > 0 for h in heads) < self.widths.fewest:
            return None
        return self.fit(heads, inner, rng)

    def fit(self, heads: list[int], inner: list[int], rng: Random) -> Lists | None:
        """The same with as few widths changed as it takes to be in the window; None where that fails."""
        for _ in range(ROUNDS):
            places = [(kind, i) for i, h in enumerate(heads) if h for kind in ("heads", "inner")]
            rng.shuffle(places)
            for kind, i in places:
                off = self._off(heads, inner)
                if off == 0:
                    return heads, inner
                self._towards(heads, inner, kind, i, off)
        return (heads, inner) if self._off(heads, inner) == 0 else None

    def _off(self, heads: list[int], inner: list[int]) -> int:
        """Parameters too many, or too few as a negative number."""
        size = self.widths.params(heads, inner)
        return max(0, size - self.high) + min(0, size - self.low)

    def _towards(self, heads: list[int], inner: list[int], kind: str, i: int, off: int) -> None:
        """One width moved by as many options as it takes, or as there are."""
        values, options = (heads, self.widths.heads) if kind == "heads" else (inner, self.widths.inner)
        place = options.index(values[i])
        other = place - 1 if off > 0 else place + 1
        if not 0 <= other < len(options):
            return
        layer = self.widths.layer
        now = layer(heads[i], inner[i])
        values[i] = options[other]
        step = abs(layer(heads[i], inner[i]) - now)
        steps = max(1, math.ceil(abs(off) / step))
        goal = place - steps if off > 0 else place + steps
        values[i] = options[min(max(goal, 0), len(options) - 1)]

    # --- fixed ones --------------------------------------------------------------------------------

    def uniform(self) -> Lists:
        """All layers alike, heads and channels cut as evenly as the window lets them be.

        Raises UsageError where no such sub-network is in the window.
        """
        w, layers = self.widths, self.widths.geometry.layers
        found: list[tuple[float, Lists]] = []
        for heads in w.heads:
            below = [i for i in w.inner if w.params([heads] * layers, [i] * layers) <= self.high]
            if not below:
                continue
            lists = self._trimmed([heads] * layers, [below[-1]] * layers)
            if self._off(*lists) == 0:
                found.append((abs(heads / w.heads[-1] - below[-1] / w.inner[-1]), lists))
        if not found:
            raise UsageError(
                f"llm_subnet: with all layers alike none has {self.low:,} to {self.high:,} parameters"
            )
        return min(found, key=lambda pair: pair[0])[1]

    def _trimmed(self, heads: list[int], inner: list[int]) -> Lists:
        """Channels added layer by layer from the first, while there is room in the window."""
        w = self.widths
        for i in range(len(inner)):
            if w.params(heads, inner) >= self.low:
                break
            place = w.inner.index(inner[i])
            if place + 1 < len(w.inner):
                bigger = [*inner[:i], w.inner[place + 1], *inner[i + 1 :]]
                inner = bigger if w.params(heads, bigger) <= self.high else inner
        return heads, inner

    def steps(self, heads: list[int], inner: list[int]) -> Iterator[Lists]:
        """Single steps, drops and returns of layers, and steps that another layer takes back."""
        kept = [i for i, h in enumerate(heads) if h]
        singles = [(k, i, d) for i in kept for k in ("heads", "inner") for d in (-1, 1)]
        for move in singles:
            if (made := self._stepped(heads, inner, move)) is not None:
                yield made
                kind, i, by = move
                after = kept[(kept.index(i) + 1) % len(kept)]
                if after != i and (both := self._stepped(*made, (kind, after, -by))) is not None:
                    yield both
        for i in range(len(heads)):
            changed = [*heads], [*inner]
            changed[0][i] = 0 if heads[i] else self.widths.heads[-1]
            changed[1][i] = 0 if heads[i] else self.widths.inner[-1]
            yield changed

    def _stepped(self, heads: list[int], inner: list[int], move: tuple[str, int, int]) -> Lists | None:
        kind, i, by = move
        changed = [*heads], [*inner]
        values, options = (
            (changed[0], self.widths.heads) if kind == "heads" else (changed[1], self.widths.inner)
        )
        place = options.index(values[i]) + by
        if not 0 <= place < len(options):
            return None
        values[i] = options[place]
        return changed

    @staticmethod
    def _near(options: tuple[int, ...], share: float) -> int:
        """The option nearest to a share of the largest one."""
        goal = share * options[-1]
        place = bisect_left(options, goal)
        around = options[max(0, place - 1) : place + 1] or options[-1:]
        return min(around, key=lambda o: abs(o - goal))
