"""What a model learns from: a bounded number of told trials, and what they are worth to it."""

from __future__ import annotations

import math
from bisect import insort
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from untrained.core.study import dominates

if TYPE_CHECKING:
    from untrained.core.study import Trial

Real = NDArray[np.float64]

PARENTS = 10


class Past:
    """The best trials and the newest, half of `room` each; of several objectives, front and newest."""

    def __init__(self, room: int, every: int) -> None:
        self.half, self.every = max(1, room // 2), every
        self.told = 0
        self.best: list[Trial] = []
        """best first; with several objectives the front, oldest first, of which the newest `half` are kept"""
        self.newest: deque[Trial] = deque(maxlen=self.half)
        self.marked: tuple[int, list[Trial]] = (0, [])
        """(number told then, rows then) when a model was last due: after `every` more, and a tenth more"""
        self.stamp = 0
        """number told when the best last changed, or every `every`; what was the case then:"""
        self.origins: list[Trial] = []
        """where to go on from: the best, or, before anything was scored, the nearest misses"""

    def tell(self, trial: Trial) -> None:
        self.told += 1
        self.newest.append(trial)
        if (trial.score is not None and self._place(trial)) or self.told >= self.stamp + self.every:
            self.stamp, self.origins = self.told, self._parents()
        last = self.marked[0]
        if self.told >= last + max(self.every, last // 10):
            self.marked = self.told, self.rows()

    def _place(self, trial: Trial) -> bool:
        """Keeps it if it is good; returns whether the best changed."""
        if len(trial.scores) < 2:
            insort(self.best, trial, key=lambda t: -(t.score or 0.0))  # equal ones in order of telling
            del self.best[self.half :]
            return self.best[0] is trial
        if any(dominates(t.scores, trial.scores) for t in self.best):
            return False
        kept = [t for t in self.best if not dominates(trial.scores, t.scores)]
        self.best = [*kept, trial][-self.half :]
        return True

    def rows(self) -> list[Trial]:
        """Both kinds, each trial once, in order of number."""
        found = {t.number: t for t in (*self.best, *self.newest)}
        return [found[number] for number in sorted(found)]

    def _parents(self) -> list[Trial]:
        if not self.best:
            return sorted(self.newest, key=_missed)[:PARENTS]
        return self.best[:PARENTS] if len(self.best[0].scores) < 2 else self.best


def highest(pasts: Mapping[int | None, Past], start: int) -> Past | None:
    """That of the highest fidelity with `start` trials; None where none has as many."""
    enough = [level for level, past in pasts.items() if past.told >= start]
    if not enough:
        return None
    return pasts[max(enough, key=lambda level: math.inf if level is None else level)]


def targets(rows: list[Trial]) -> Real:
    """(trials, objectives), higher is better.

    A trial without a score has the worst of every objective that any of `rows` has. Where none has a score,
    the one objective is to miss the constraint by little; what failed misses as far as the farthest.
    """
    scored = [t.scores or (t.score,) for t in rows if t.score is not None]
    if scored:
        worst = np.array(scored, float).min(0)
        return np.array([(t.scores or (t.score,)) if t.score is not None else worst for t in rows], float)
    farthest = max((t.violation for t in rows), default=0.0)
    return np.array([[-t.violation if t.status == "rejected" else -farthest] for t in rows], float)


def standard(columns: Real) -> Real:
    """Each column less its mean, over its standard deviation; a constant one becomes zeros."""
    spread = columns.std(0)
    found: Real = (columns - columns.mean(0)) / np.where(spread > 0, spread, 1.0)
    return found


def _missed(trial: Trial) -> tuple[bool, float]:
    return trial.status != "rejected", trial.violation
