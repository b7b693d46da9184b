"""What one score has right beyond another, pair by pair: how much, and how sure that is.

Of two rows whose truths differ a score has the order right (1), wrong (0) or does not tell (1/2). The gain of
a score over another is the mean of the difference over pairs; a tau gains twice that.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

RESAMPLES = 500
LEVEL = 0.95


def pair_gains(score: ArrayLike, other: ArrayLike, truth: ArrayLike) -> Floats:
    """(n, n): 1 where `score` has a pair right that `other` has wrong, -1 turned round, 1/2 with a tie."""
    s, o, t = (np.asarray(v, dtype=np.float64) for v in (score, other, truth))
    found: Floats = np.sign(_apart(t)) * (np.sign(_apart(s)) - np.sign(_apart(o))) / 2
    return found


def order_gain(
    score: ArrayLike, other: ArrayLike, truth: ArrayLike, groups: ArrayLike | None = None
) -> tuple[float, float]:
    """(gain, standard error) over the pairs of rows, of one group where groups are given.

    A pair counts once for each of its rows; the error is that of a mean over rows, doubled, as each row is
    in all of its pairs. (0, 0) without a pair.

    Source:  Hoeffding 1948, Annals of Mathematical Statistics 19, section 5: the first term of the variance
    """
    gains = pair_gains(score, other, truth)
    same = np.ones_like(gains, dtype=bool) if groups is None else _apart(np.asarray(groups, float)) == 0
    mates = same.sum(1) - 1
    rows = mates > 0
    if not rows.any():
        return 0.0, 0.0
    own = (gains * same).sum(1)[rows] / mates[rows]
    return float(own.mean()), 2 * float(own.std()) / math.sqrt(len(own))


class PairsGained:
    """Gains of one score over another, gathered over splits of the same networks that score other ones each.

    The interval is over networks: which of them the table happens to have, where quantiles over splits tell
    which were labelled. A pair counts as often as it was scored on.
    """

    def __init__(self, networks: int) -> None:
        self._gain, self._seen = np.zeros((networks, networks)), np.zeros((networks, networks))

    def add(self, rows: NDArray[np.int64], gains: Floats, counted: NDArray[np.bool_]) -> None:
        """`gains` (rows, rows) as `pair_gains` has them, of the pairs that are `counted`."""
        place = np.ix_(rows, rows)
        self._gain[place] += gains * counted
        self._seen[place] += counted

    def interval(self, *, seed: int = 0) -> tuple[float, float, float] | None:
        """(gain, low, high): the mean over pairs and its 95 % interval over networks; None without a pair.

        A resample in which no pair is left gains nothing.

        Source:  Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter 13
        """
        used = np.flatnonzero(self._seen.any(0))
        if not len(used):
            return None
        gain, seen = self._gain[np.ix_(used, used)], self._seen[np.ix_(used, used)]
        luck = np.random.default_rng(seed)
        times = luck.multinomial(len(used), np.full(len(used), 1 / len(used)), size=RESAMPLES).astype(float)
        more, pairs = (((times @ part) * times).sum(1) for part in (gain, seen))
        values = np.divide(more, pairs, out=np.zeros_like(more), where=pairs > 0)
        low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        return float(gain.sum() / seen.sum()), float(low), float(high)


def _apart(values: Floats) -> Floats:
    apart: Floats = values[:, None] - values
    return apart
