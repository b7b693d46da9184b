"""Who dominates whom, for a whole population at once. Higher is better everywhere."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Real = NDArray[np.float64]
Whole = NDArray[np.int64]


def fronts(scores: Real) -> Whole:
    """0 for rows that no other dominates, 1 for those that only such rows dominate, and so on.

    (rows, objectives) -> (rows,). One row dominates another if it is at least as good everywhere and better
    somewhere. Time and memory are quadratic in the rows, except with one objective.
    """
    if scores.shape[1] == 1:
        return np.unique(-scores[:, 0], return_inverse=True)[1].astype(np.int64)
    as_good = np.ones((len(scores), len(scores)), np.bool_)  # [i, j]: row i against row j
    better = np.zeros_like(as_good)
    for column in scores.T:
        as_good &= column[:, None] >= column
        better |= column[:, None] > column
    dominates = as_good & better
    above = dominates.sum(0)
    front: Whole = np.full(len(scores), -1)
    level = 0
    while (here := (above == 0) & (front < 0)).any():
        front[here] = level
        above -= dominates[here].sum(0)
        level += 1
    return front


def crowding(scores: Real, front: Whole) -> Real:
    """How far the neighbours within its front are from each row: (rows, objectives), (rows,) -> (rows,).

    The sum over objectives of the distance between the next worse and the next better row, as a share of the
    front's range; infinite for the two ends.
    """
    distance = np.zeros(len(scores))
    if not len(scores):
        return distance
    for column in scores.T:
        column = column / max(1.0, np.abs(column).max())  # no difference of two finite scores overflows
        order = np.lexsort((column, front))
        value, level = column[order], front[order]
        first = np.append(True, level[1:] != level[:-1])
        last = np.append(first[1:], True)
        span = (value[last] - value[first])[level]
        around = np.append(value[1:], 0.0) - np.append(0.0, value[:-1])
        share = np.divide(around, span, out=np.zeros_like(around), where=span > 0)
        distance[order] += np.where(first | last, np.inf, share)
    return distance
