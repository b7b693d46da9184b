"""The tree-structured Parzen estimator: options that good trials take more often than others."""

from __future__ import annotations

import math
from bisect import insort
from collections import deque
from collections.abc import Hashable, Iterator
from itertools import islice
from random import Random
from typing import TYPE_CHECKING

import numpy as np

from untrained.core.architecture import Architecture
from untrained.core.errors import UsageError
from untrained.core.space import Space
from untrained.core.strategy import Strategy, strategy
from untrained.strategies._decisions import Bins, Declared, Real, Whole, options_of, toward

if TYPE_CHECKING:
    from untrained.core.study import Trial

NEWEST = 25  # trials of full weight
TRIES = 50  # draws for an architecture that was not told yet, when no candidate is one
EXPLORED = 0.25  # share of fresh samples among the candidates of a space without declared choices

Row = tuple[tuple[int, float, int], Architecture, Whole]


@strategy
class Tpe(Strategy):
    """Draws candidates as the good trials are and takes the one that is least like the others.

    l(x) is how often the good trials, the best ceil(`share` n) but at most `most`, took the options of x, and
    g(x) how often the rest did; of `candidates` draws from l the largest l/g is asked for. The newest 25
    trials of the rest have weight 1, older ones less, down to 1/n. A per-layer decision is counted only in
    trials that had the layer.

    Source:  Bergstra et al. 2011, "Algorithms for Hyper-Parameter Optimization"; the defaults and the weights
             are those of Optuna's sampler, see also Watanabe 2023, arXiv:2304.11127
    Differs: a candidate is a whole architecture, and l/g the product over its decisions; an equal one is
             never asked for twice while others are found. A draw that is not valid gives way to a good trial
             that took over as much of it as validity allows. Weights fall with the number of a trial among
             all, not among the rest. A rejected trial ranks behind every scored one, by how far outside the
             constraint it was, and a failed one behind those. In a space without declared choices the
             options are eighths of each coordinate of its encoding, and candidates are mutations of good
             trials and fresh samples. Of several objectives it follows the first; of several fidelities
             the highest with `start` trials.
    """

    def __init__(
        self,
        space: Space,
        *,
        start: int = 10,
        share: float = 0.1,
        most: int = 25,
        candidates: int = 24,
        edits: int = 6,
        prior: float = 1.0,
    ) -> None:
        """`edits` is the number of candidates where choices are not declared, as each costs an edit there.

        `prior` is the weight, in trials, of an even spread over the options, in l and in g.
        """
        super().__init__(space)
        counted = {"start": start, "most": most, "candidates": candidates, "edits": edits}
        for name, count in counted.items():
            if count < 1:
                raise UsageError(
                    f"tpe: {name}={count} is not a number of trials.\n  take 1 or more: {name}=10"
                )
        if not 0 < share < 1:
            raise UsageError(
                f"tpe: {share=} is not a share of the trials.\n  take one between 0 and 1: share=0.1"
            )
        if not 0 < prior < math.inf:
            raise UsageError(f"tpe: {prior=} is not a weight.\n  take a number above 0: prior=1")
        self.start, self.share, self.most = start, share, most
        self.candidates, self.edits, self.prior = candidates, edits, prior
        self.options = options_of(space)
        self.counts: dict[int | None, Counts] = {}
        """by fidelity"""
        self.seen: set[Hashable] = set()
        """keys of what was told"""

    def ask(self, rng: Random, n: int = 1) -> list[Architecture]:
        enough = [level for level, counts in self.counts.items() if counts.told >= self.start]
        asked: dict[Hashable, Architecture] = {}
        for _ in range(n):
            if enough:
                counts = self.counts[max(enough, key=lambda level: math.inf if level is None else level)]
                drawn = self._drawn(counts, rng)
            else:
                drawn = (self.space.sample(rng) for _ in range(TRIES))
            for arch in islice(drawn, TRIES):
                key = self.options.key(arch)
                if key not in self.seen and key not in asked:
                    break
            asked[key if key not in asked else object()] = arch  # twice only where nothing else was found
        return list(asked.values())

    def tell(self, trial: Trial) -> None:
        if trial.same_as is not None:
            return  # its numbers were told before
        arch = trial.architecture
        places = self.options.places(arch)
        self.seen.add(self.options.key(arch, places))
        counts = self.counts.get(trial.fidelity)
        if counts is None:
            counts = self.counts[trial.fidelity] = Counts(self.options, self.share, self.most, self.prior)
        counts.tell(merit(trial), arch, places)

    # --- candidates, best first ------------------------------------------------------------------------

    def _drawn(self, counts: Counts, rng: Random) -> Iterator[Architecture]:
        if isinstance(self.options, Declared):
            yield from self._from_densities(self.options, counts, rng)
        else:
            yield from self._from_edits(counts, rng)
        arch = counts.good_one(rng)
        for _ in range(TRIES):  # all told: a walk away from a good one, until it meets something new
            arch = self.space.mutate(arch, rng)
            yield arch

    def _from_densities(self, options: Declared, counts: Counts, rng: Random) -> Iterator[Architecture]:
        cumulative, ratio = counts.densities()
        decisions = len(options.options)
        luck = uniforms(rng, self.candidates * decisions).reshape(self.candidates, decisions)
        picks = np.searchsorted(cumulative, luck + np.arange(decisions), side="right")
        # Rounding may carry a draw from the very end of a decision into its neighbour.
        picks = np.clip(picks, options.starts[:-1], options.starts[1:] - 1)  # (candidates, decisions)
        taken = options.taken(picks)
        worth = np.where(taken, ratio[picks], 0.0).sum(1)
        keys = np.where(taken, options.luck[picks], 0).sum(1).tolist()
        for i in np.argsort(-worth, kind="stable").tolist():
            if keys[i] in self.seen:
                continue  # before it is built
            arch = options.architecture(picks[i])
            if not self.space.valid(arch):
                arch = toward(self.space, options, counts.good_one(rng), arch)
                if not self.space.valid(arch):  # the good one is from elsewhere
                    continue
            yield arch

    def _from_edits(self, counts: Counts, rng: Random) -> Iterator[Architecture]:
        _, ratio = counts.densities()
        made = [
            self.space.sample(rng)
            if rng.random() < EXPLORED
            else self.space.mutate(counts.good_one(rng), rng)
            for _ in range(self.edits)
        ]
        yield from sorted(made, key=lambda arch: -float(ratio[self.options.places(arch)].sum()))


class Counts:
    """How often the good trials and the others took each option; `tell` costs the same at any age."""

    def __init__(self, options: Declared | Bins, share: float, most: int, prior: float) -> None:
        self.starts, self.share, self.most = options.starts, share, most
        self.sizes: Whole = np.diff(self.starts)
        self.even: Real = np.repeat(prior / self.sizes, self.sizes)
        self.told = 0
        self.ranked: list[Row] = []
        """the best `most`, best first; who falls out of these never comes back"""
        self.good, self.recent, self.old, self.ages = np.zeros((4, int(self.starts[-1])), np.int64)
        """per option: good trials; others among the newest; older others; sum of these's numbers"""
        self.newest: deque[Row] = deque()
        self._made_at = -1
        self._made: tuple[Real, Real] = (self.even, self.even)

    def tell(self, worth: tuple[int, float], arch: Architecture, places: Whole) -> None:
        size = self._size()
        row: Row = ((-worth[0], -worth[1], self.told), arch, places)
        self.told += 1
        self.newest.append(row)
        if len(self.newest) > NEWEST:
            self._grow_old(self.newest.popleft(), size)
        insort(self.ranked, row, key=_rank)
        grown = self._size()
        is_good = grown <= len(self.ranked) and row[0] <= self.ranked[grown - 1][0]
        if is_good:
            self.good[places] += 1
            if grown == size:
                self._move(self.ranked[size], -1)
        else:
            self._add_other(row, 1)
            if grown > size:
                self._move(self.ranked[size], 1)
        del self.ranked[self.most :]

    def good_one(self, rng: Random) -> Architecture:
        return self.ranked[int(rng.random() * self._size())][1]

    def densities(self) -> tuple[Real, Real]:
        """(running sum of l, which rises by 1 a decision; log l - log g), one number an option each."""
        if self._made_at != self.told:
            n = self.told
            # Weight of an older trial: 1/n for the first, rising evenly to 1 for the last before the newest.
            rise = (1 - 1 / n) / max(1, n - NEWEST - 1)
            others = self.recent + self.old / n + rise * self.ages
            good, rest = (self._spread(self.even + counts) for counts in (self.good, others))
            self._made = np.cumsum(good), np.log(good) - np.log(rest)
            self._made_at = n
        return self._made

    def _spread(self, counts: Real) -> Real:
        """Shares within each decision."""
        sums = np.add.reduceat(counts, self.starts[:-1])
        shares: Real = counts / np.repeat(sums, self.sizes)
        return shares

    def _size(self) -> int:
        """How many trials are good."""
        return min(self.most, math.ceil(self.share * self.told))

    def _grow_old(self, row: Row, good: int) -> None:
        """A trial leaves the newest; only others have a weight that changes."""
        if not (good and row[0] <= self.ranked[good - 1][0]):
            (_, _, number), _, places = row
            self.recent[places] -= 1
            self.old[places] += 1
            self.ages[places] += number

    def _move(self, row: Row, step: int) -> None:
        """From the others to the good (1), or back (-1)."""
        self.good[row[2]] += step
        self._add_other(row, -step)

    def _add_other(self, row: Row, step: int) -> None:
        (_, _, number), _, places = row
        if number >= self.told - NEWEST:
            self.recent[places] += step
        else:
            self.old[places] += step
            self.ages[places] += step * number


def merit(trial: Trial) -> tuple[int, float]:
    """Higher is better: scored trials, then rejected ones from the nearest miss on, then failed ones."""
    if trial.score is not None:
        return 2, trial.score
    return (1, -trial.violation) if trial.status == "rejected" else (0, 0.0)


def uniforms(rng: Random, count: int) -> Real:
    """Numbers from [0, 1), in steps of 2^-32."""
    return np.frombuffer(rng.randbytes(4 * count), "<u4") * 2.0**-32


def _rank(row: Row) -> tuple[int, float, int]:
    return row[0]
