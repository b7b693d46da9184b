"""Several scores as one, by rank and without labels: what a network is worth among the candidates at hand.

Rows are candidates, columns are proxies turned so that higher is better, NaN where a proxy has no number.
A rank counts from the worst: 1 to n, equal scores sharing their mean rank. Every aggregate is higher for
better and invariant to whatever leaves the order of each column alone.

- `mean_rank`: mean over proxies of rank / n; 1 is first by all of them.
- `log_rank`: sum over proxies of ln(rank / n); 0 is first by all. The logarithm falls steeply at the bottom,
  so one bad rank costs more than one good rank gains: it asks for networks that no proxy objects to.
- `borda`: share of the duels with other candidates that are won, over proxies that score both, ties half.

What has no number is the worst by that proxy in the two sums of ranks, for a network without one has mostly
exploded or does not look at its input; it shares the lowest ranks with its like. A proxy that fails on
every candidate gives all of them one rank and changes no order. In `borda` it holds no duel instead, and
says nothing: take that where proxies do not apply to some networks, and not in a search, which would
find those that are scored by their best proxy alone. Without gaps `borda` and `mean_rank` give one order.

Source:  log_rank: Lee and Ham 2024 (AZ-NAS), arXiv:2403.19232; borda: de Borda 1781
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from untrained.core.errors import UnknownName

Floats = NDArray[np.float64]

COMBINATIONS = ("mean_rank", "log_rank", "borda")


def checked(how: str) -> str:
    """The name of a combination; raises UnknownName for any other."""
    if how not in COMBINATIONS:
        raise UnknownName("combination", how, COMBINATIONS, more="untrained rank --help")
    return how


def aggregate(how: str, goodness: ArrayLike) -> Floats:
    """(n, proxies) -> (n,), higher for better; NaN for a candidate that no proxy scores.

    Raises UnknownName for another `how`, ValueError for an array that has not two dimensions.
    """
    scores = np.asarray(goodness, dtype=np.float64)
    if scores.ndim != 2 or scores.shape[1] == 0:
        raise ValueError(f"goodness must be (candidates, proxies), its shape is {scores.shape}.")
    missing = np.isnan(scores)
    return _combined(checked(how), _ranks(scores), missing)


class Arriving:
    """The aggregate of candidates that come one by one; all are ranked again whenever one arrives.

    A newcomer moves each earlier one by a whole rank, half a rank or none, so that its arrival takes one
    look at each and no sorting.
    """

    def __init__(self, how: str, proxies: int) -> None:
        """Raises UnknownName or, for less than one proxy, ValueError."""
        if proxies < 1:
            raise ValueError(f"proxies={proxies}; an aggregate takes 1 or more.")
        self.how, self.count = checked(how), 0
        self._scores = np.empty((16, proxies))
        self._ranks = np.empty((16, proxies))

    def __len__(self) -> int:
        return self.count

    def add(self, goodness: ArrayLike) -> None:
        """One more candidate: one score a proxy, higher for better, NaN for none; ValueError for others."""
        new = np.asarray(goodness, dtype=np.float64)
        if new.shape != self._scores.shape[1:]:
            raise ValueError(f"one score a proxy: {self._scores.shape[1]} of them, not {new.shape}.")
        n = self.count
        if n == len(self._scores):
            self._scores, self._ranks = (np.concatenate([a, a]) for a in (self._scores, self._ranks))
        old, none = self._scores[:n], np.isnan(self._scores[:n])
        tied = np.where(np.isnan(new), none, old == new)
        above = np.where(np.isnan(new), ~none, old > new)  # NaN is above nothing
        self._ranks[:n] += above + 0.5 * tied
        ties = tied.sum(0)
        self._ranks[n] = n - above.sum(0) - ties + (ties + 2) / 2  # below it, and the mean place of its like
        self._scores[n] = new
        self.count += 1

    def scores(self) -> Floats:
        """The aggregate of each, in the order in which they came; as `aggregate` of all at once."""
        n = self.count
        return _combined(self.how, self._ranks[:n], np.isnan(self._scores[:n]))


def _ranks(scores: Floats) -> Floats:
    """Ranks from 1, the worst, down each column; equal scores share their mean rank, NaN is below all."""
    found = np.empty(scores.shape)
    for j, column in enumerate(scores.T):
        none = np.isnan(column)
        _, place, counts = np.unique(column[~none], return_inverse=True, return_counts=True)
        found[none, j] = (none.sum() + 1) / 2
        found[~none, j] = none.sum() + (np.cumsum(counts) - (counts - 1) / 2)[place]
    return found


def _combined(how: str, ranks: Floats, missing: NDArray[np.bool_]) -> Floats:
    n = len(ranks)
    if how == "mean_rank":
        found = ranks.mean(1) / n if n else np.empty(0)
    elif how == "log_rank":
        found = np.log(ranks / n).sum(1)
    else:
        gaps = missing.sum(0)
        won = np.where(missing, 0.0, ranks - gaps - 1).sum(1)
        held = np.where(missing, 0.0, n - gaps - 1.0).sum(1)
        found = np.divide(won, held, out=np.full(n, 0.5), where=held > 0)  # alone: neither won nor lost
    return np.where(missing.all(1), np.nan, found)
