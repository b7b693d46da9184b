"""BANANAS: an ensemble of small networks predicts, Thompson sampling chooses."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import log_ndtr, ndtr

from untrained.core.architecture import Architecture
from untrained.core.ensemble import Ensemble
from untrained.core.errors import UsageError
from untrained.core.space import Space
from untrained.core.strategy import Strategy, strategy
from untrained.strategies._decisions import Declared, Real
from untrained.strategies._past import Past, highest, targets
from untrained.strategies._pool import Pools, fill

if TYPE_CHECKING:
    from untrained.core.study import Trial

ACQUISITIONS = ("its", "ei", "ucb")
EI_SHARE = 5  # the published code divides the spread by this for expected improvement
UCB_FACTOR = 0.5


@strategy
class Bananas(Strategy):
    """Trains an ensemble of small networks on what was told and asks for the most promising candidate.

    Each member predicts the score; mean m and standard deviation s over the members decide.
    `acquisition` its, independent Thompson sampling: the largest draw from N(m, s^2), one draw a candidate;
    ei: the expected improvement on the best under N(m, (s/5)^2); ucb: the largest m + s / 2.

    Source:  White et al. 2019, arXiv:1910.11858, and its published code
    Differs: codes are one-hot choices and the space's encoding instead of paths in a cell; members have two
             hidden layers of 32 instead of ten of 20. 50 candidates are mutations of the ten best, some of
             them mutated twice, and fresh samples instead of 100 mutations of the best alone; none was told
             before. A pool is kept until the best changes or 10 trials were told, as the paper asks for 10
             from one pool. The ensemble learns from the best and the newest trials, `points` in all, and anew
             after 10 trials, later whenever there are a tenth more. A rejected or failed trial counts as
             the worst seen, or, while none has a score, as its distance from the constraint. Of several
             objectives it follows the first; of several fidelities it models the highest with `start`
             trials.
    """

    def __init__(
        self,
        space: Space,
        *,
        start: int = 10,
        members: int = 5,
        acquisition: str = "its",
        every: int = 10,
        points: int = 400,
        candidates: int = 50,
    ) -> None:
        """`every` is the number of trials between two trainings, at least."""
        super().__init__(space)
        counts = {"start": start, "every": every, "points": points, "candidates": candidates}
        for name, value in {**counts, "members": members}.items():
            least = 4 if name == "points" else 2 if name in ("members", "start") else 1
            if value < least:
                raise UsageError(f"bananas: {name}={value} is too few.\n  take {least} or more: {name}=10")
        if acquisition not in ACQUISITIONS:
            raise UsageError(
                f"bananas: there is no acquisition {acquisition!r}.\n"
                f"  take one of {', '.join(ACQUISITIONS)}: acquisition=its"
            )
        self.start, self.members, self.acquisition = start, members, acquisition
        self.every, self.points = every, points
        self.options = Declared(space) if space.declared() else None
        self.pools = Pools(space, self._code, candidates)
        self.pasts: dict[int | None, Past] = {}
        """by fidelity"""
        self.seen: set[Architecture] = set()
        self._trained: tuple[object, Ensemble | None] = (None, None)
        self._guessed: tuple[object, tuple[Real, Real]] = (None, (np.zeros(0), np.zeros(0)))

    def ask(self, rng: Random, n: int = 1) -> list[Architecture]:
        past = highest(self.pasts, self.start)
        chosen: list[Architecture] = []
        if past is not None and past.marked[1]:
            pool = self.pools.now(past, self.seen)
            open_ = pool.open(self.seen)
            if open_:
                mean, spread = (column[open_] for column in self._guesses(past, pool.codes))
                best = max((t.score for t in past.best[:1] if t.score is not None), default=float(mean.max()))
                worth = acquire(self.acquisition, mean, spread, best, rng)
                chosen = [pool.archs[open_[i]] for i in np.argsort(-worth, kind="stable")[:n].tolist()]
        return fill(self.space, chosen, n, self.seen, rng)

    def tell(self, trial: Trial) -> None:
        if trial.same_as is not None:
            return  # its numbers were told before
        self.seen.add(trial.architecture)
        self.pasts.setdefault(trial.fidelity, Past(self.points, self.every)).tell(trial)

    def _guesses(self, past: Past, codes: Real) -> tuple[Real, Real]:
        """Mean and spread of every candidate of the pool."""
        mark, rows = past.marked
        if self._trained[0] != (past, mark):
            known = np.array([self._code(trial.architecture) for trial in rows])
            made = Ensemble(known, targets(rows)[:, 0], members=self.members, seed=mark)
            self._trained = (past, mark), made
        ensemble = self._trained[1]
        assert ensemble is not None
        now = (past, mark, past.stamp)
        if self._guessed[0] != now:
            self._guessed = now, ensemble.predict(codes)
        return self._guessed[1]

    def _code(self, arch: Architecture) -> Real:
        code = np.array(self.space.encode(arch))
        return code if self.options is None else np.concatenate([code, self.options.one_hot(arch)])


def acquire(kind: str, mean: Real, spread: Real, best: float, rng: Random) -> Real:
    """What each candidate promises; higher is better."""
    if kind == "ucb":
        return mean + UCB_FACTOR * spread
    if kind == "its":
        luck = np.array([rng.gauss(0.0, 1.0) for _ in range(len(mean))])
        drawn: Real = mean + spread * luck
        return drawn
    scale = np.maximum(spread / EI_SHARE, 1e-12 * (1 + abs(best)))
    z = (mean - best) / scale
    density = np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi)
    improvement: Real = scale * (z * ndtr(z) + density)
    # Far below the best both terms vanish; there the logarithm of the chance still ranks.
    logs: Real = np.where(improvement > 1e-300, np.log(np.maximum(improvement, 1e-300)), log_ndtr(z) - 700)
    return logs
