"""Whether one sample is larger than another by its ranks, exactly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from math import comb

import numpy as np
from numpy.typing import NDArray


def p_greater(a: Sequence[float], b: Sequence[float]) -> float:
    """One-sided Mann-Whitney test: how likely a U at least this large is if `a` and `b` are alike.

    Formula: U = pairs in which a is larger + half the pairs that are equal; its share among all ways to
    deal the pooled numbers to two samples of these sizes. Exact, also where numbers are equal.
    """
    return _p(a, b, _twice_u(a, b))


def order(a: Sequence[float], b: Sequence[float], alpha: float) -> int:
    """1 where `a` is larger at that level, which is below a half, -1 where `b` is, else 0."""
    twice, pairs = _twice_u(a, b), len(a) * len(b)
    if twice > pairs:
        return int(_p(a, b, twice) <= alpha)
    return -int(_p(b, a, 2 * pairs - twice) <= alpha)


def _twice_u(a: Sequence[float], b: Sequence[float]) -> int:
    return sum(2 * (x > y) + (x == y) for x in a for y in b)


def _p(a: Sequence[float], b: Sequence[float], twice_u: int) -> float:
    counts = Counter((*a, *b))
    return float(_tail(len(a), tuple(counts[value] for value in sorted(counts)))[twice_u])


@lru_cache(maxsize=512)
def _tail(n: int, groups: tuple[int, ...]) -> NDArray[np.float64]:
    """P(2 U >= u) for every u, where `n` of the pooled numbers are dealt to the first sample.

    `groups` says how many of the pooled numbers are equal, from the smallest number up.
    """
    others = sum(groups) - n
    ways = np.zeros((n + 1, 2 * n * others + 1))  # (dealt to the first sample, 2 U)
    ways[0, 0] = 1.0
    below = 0
    for size in groups:
        more = np.zeros_like(ways)
        for dealt in range(min(n, below) + 1):
            for taken in range(min(size, n - dealt) + 1):
                # each beats the others' lower ones, and halves its pairs with the others' equal ones
                shift = taken * (2 * (below - dealt) + size - taken)
                if shift < ways.shape[1]:
                    row = ways[dealt, : ways.shape[1] - shift]
                    more[dealt + taken, shift:] += comb(size, taken) * row
        ways, below = more, below + size
    return np.asarray(np.cumsum(ways[n][::-1])[::-1] / comb(below, n))
