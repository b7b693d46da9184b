"""A weighted sum of proxies whose weights are learned from a few real looks, then followed down its list."""

from __future__ import annotations

import math
from collections.abc import Iterator
from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from untrained.core.architecture import Architecture
from untrained.core.errors import UsageError
from untrained.core.space import Space
from untrained.core.strategy import Ask, Strategy, strategy
from untrained.strategies._inner import Crowd
from untrained.strategies._unseen import any_unseen

if TYPE_CHECKING:
    from untrained.core.study import Trial

Real = NDArray[np.float64]
Weights = tuple[float, ...]

DRAWN = 1_000  # weight vectors that an ask chooses from
WIDE = 1e3  # a proxy of one sign whose largest size is this many times its smallest is taken in logarithms
LENGTHS = (0.1, 0.2, 0.4, 0.8, 1.6)  # of the kernel; the one of largest likelihood is taken
NOISE = 1e-3  # of the process, in variances of what was seen


@strategy
class Robot(Strategy):
    """Learns which weighted sum of the cheaper metrics finds the best architecture of a random pool.

    `pool` random architectures are looked at by every cheaper metric. Then each of `queries` real looks goes
    to the top of the pool by some weights w in [-1, 1], one a metric: w is chosen by Bayesian optimisation
    of what the top by w is worth. After that the pool is gone down in the order of the best w.

    Each metric is scaled to 0 to 1 over the pool, in logarithms where it spans three orders of magnitude; a
    missing value counts 0. Equal results: the latest w. What a constraint turns away leaves the pool.

    Source:  He et al. 2024 (RoBoT), arXiv:2403.07591
    Differs: the first w gives every metric the weight 1, in its own direction; theirs is drawn. The process
             (Matern-5/2, length by likelihood) sees w scaled to length 1, as w and 2 w have one top; the
             upper confidence bound, `kappa` deviations above the mean, is taken over 1,000 random w, of
             which those whose top is known already are left out: no look is spent twice, where theirs
             repeat. Cheap looks count as trials. Once the pool is used up, random ones follow.
    """

    needs_fidelities = 2

    def __init__(self, space: Space, *, pool: int = 200, queries: int = 20, kappa: float = 2.0) -> None:
        super().__init__(space)
        if pool < 2 or queries < 1:
            raise UsageError(
                f"robot: pool={pool}, queries={queries} is too few.\n"
                "  take 2 or more and 1 or more, such as pool=200,queries=20"
            )
        if not (math.isfinite(kappa) and kappa >= 0):
            raise UsageError(f"robot: kappa={kappa} is not 0 or more.\n  take such as kappa=2")
        self.pool, self.queries, self.kappa = pool, queries, kappa
        size = space.size()
        self.listed = size is not None and size <= pool
        """whether the pool is the whole space"""
        self.crowd = Crowd()
        self.looked = 0
        self.scores: dict[Architecture, dict[int, float]] = {}
        """of the pool, in the order of telling: value by cheaper metric, NaN where it failed"""
        self.refused: set[str] = set()
        """ids of those that a constraint turned away"""
        self.known: dict[str, float | None] = {}
        """real score by id; None where there is none"""
        self.history: list[tuple[Weights, float | None]] = []
        """weights that were tried, and what their top was worth"""
        self._features: tuple[int, list[Architecture], Real] | None = None

    def ask(self, rng: Random, n: int = 1) -> list[Architecture | Ask]:
        chosen: list[Architecture | Ask] = []
        for due in self._stages(rng, n):
            chosen += self.crowd.pick(rng, due, n - len(chosen))
            if len(chosen) >= n:
                break
        return chosen

    def _stages(self, rng: Random, n: int) -> Iterator[list[Ask]]:
        """What is due, by stage; a batch that goes beyond one begins with the next."""
        if self.looked < self.pool:
            yield self._newcomers(rng, min(n, self.pool - self.looked))
        for level in range(1, self.fidelities):
            yield [Ask(a, level) for a, seen in self.scores.items() if level not in seen]
        archs, features = self._scaled()
        tops = list(self._tops(rng, archs, features)) if len(self.history) < self.queries else []
        yield tops
        taken = {ask.architecture for ask in tops}
        down = [Ask(arch) for arch in self._down(archs, features) if arch not in taken]
        yield down
        met = {ask.architecture.id for ask in (*tops, *down)}
        while True:
            arch = any_unseen(self.space, rng, self.known, self.refused, met)
            met.add(arch.id)
            yield [Ask(arch)]

    def tell(self, trial: Trial) -> None:
        arch, level = trial.architecture, trial.fidelity
        if trial.status == "rejected":
            self.refused.add(arch.id)
            self.scores.pop(arch, None)
            self._features = None
        if level is None:
            self.crowd.told(again=arch.id in self.known)
            if arch.id not in self.known:
                self.known[arch.id] = trial.score
                if weights := self._weights(trial.note):
                    self.history.append((weights, trial.score))
            return
        self.looked += level == 0
        again = level in self.scores.get(arch, {})
        self.crowd.told(again=again)
        # What comes late, from workers that were asked before the pool was full, adds to it.
        if not again and arch.id not in self.refused and (level == 0 or arch in self.scores):
            value = math.nan if trial.score is None else trial.score
            self.scores.setdefault(arch, {})[level] = value
            self._features = None

    # --- the pool ------------------------------------------------------------------------------------------

    def _newcomers(self, rng: Random, n: int) -> list[Ask]:
        """Architectures for the pool: what is left of a small space, else random ones."""
        told = {arch.id for arch in self.scores} | self.refused
        if self.listed:
            return [Ask(arch, 0) for arch in self.space.everything() if arch.id not in told]
        found: dict[str, Ask] = {}
        for _ in range(n):
            arch = any_unseen(self.space, rng, told, found)
            found.setdefault(arch.id, Ask(arch, 0))
        return list(found.values())

    def _scaled(self) -> tuple[list[Architecture], Real]:
        """The pool, and its metrics from 0 to 1, (architectures, metrics)."""
        if self._features is None or self._features[0] != self.fidelities:
            archs = list(self.scores)
            rows = [[self.scores[a].get(i, math.nan) for i in range(self.fidelities)] for a in archs]
            values = np.array(rows, dtype=np.float64).reshape(len(archs), self.fidelities)
            columns = [_unit(column) for column in values.T]
            self._features = self.fidelities, archs, np.stack(columns, 1)
        return self._features[1:]

    # --- the weights ---------------------------------------------------------------------------------------

    def _weights(self, note: Any) -> Weights | None:
        if isinstance(note, tuple) and len(note) == self.fidelities:
            return tuple(float(w) for w in note)
        return None

    def _tops(self, rng: Random, archs: list[Architecture], features: Real) -> Iterator[Ask]:
        """Tops of the pool that are not known yet, those of the most promising weights first."""
        if not archs:
            return
        drawn = [[rng.uniform(-1, 1) for _ in range(self.fidelities)] for _ in range(DRAWN)]
        tried = np.array([[1.0] * self.fidelities, *drawn])
        tops = (tried @ features.T).argmax(1)  # of equal ones the first of the pool
        if self.history:
            worth = self._bound(tried)
            order = np.argsort(-worth, kind="stable")
        else:
            order = np.arange(len(tried))  # nothing is known: equal weights, then any
        met: set[str] = set(self.known)
        for i in order.tolist():
            arch = archs[tops[i]]
            if arch.id not in met:
                met.add(arch.id)
                yield Ask(arch, note=tuple(tried[i].tolist()))

    def _bound(self, tried: Real) -> Real:
        """Upper confidence bound of what the top by each of these weights is worth, in deviations."""
        seen = [score for _, score in self.history if score is not None]
        worst = min(seen, default=0.0)
        y = np.array([worst if score is None else score for _, score in self.history])
        y = (y - y.mean()) / (y.std() or 1.0)
        mean, deviation = posterior(_directions([w for w, _ in self.history]), y, _directions(tried))
        bound: Real = mean + self.kappa * deviation
        return bound

    def _down(self, archs: list[Architecture], features: Real) -> Iterator[Architecture]:
        """The pool from the top by the best weights so far, without those that are known."""
        best: Weights = (1.0,) * self.fidelities
        worth = -math.inf
        for weights, score in self.history:
            if score is not None and score >= worth:
                best, worth = weights, score
        for i in np.argsort(-(features @ np.array(best)), kind="stable").tolist():
            if archs[i].id not in self.known:
                yield archs[i]


def _unit(column: Real) -> Real:
    """From 0 to 1 over what is there; 0 where nothing is, or where all are equal."""
    there = np.isfinite(column)
    values = column[there]
    sizes = np.abs(values)
    one_sign = len(values) > 0 and sizes.min() > 0 and (np.sign(values) == np.sign(values[0])).all()
    if one_sign and sizes.max() > WIDE * sizes.min():
        values = np.sign(values) * np.log(sizes)  # the order stays, also below 0
    found = np.zeros(len(column))
    if len(values) and (span := values.max() - values.min()) > 0:
        found[there] = (values - values.min()) / span
    return found


def _directions(weights: Any) -> Real:
    """Each vector at length 1; that of no length as it is."""
    rows = np.asarray(weights, dtype=np.float64)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: Real = rows / np.where(length > 0, length, 1.0)
    return unit


def posterior(x: Real, y: Real, new: Real) -> tuple[Real, Real]:
    """Mean and standard deviation at `new` (m, d) of a Gaussian process of mean 0 and variance 1.

    Of the lengths of its Matern-5/2 kernel the one under which `y` (n,) at `x` (n, d) is likeliest.
    """
    best: tuple[float, float, Any] | None = None
    for length in LENGTHS:
        root = np.linalg.cholesky(_matern(x, x, length) + NOISE * np.eye(len(x)))
        pulled = np.linalg.solve(root, y)
        likelihood = -0.5 * float(pulled @ pulled) - float(np.log(np.diag(root)).sum())
        if best is None or likelihood > best[0]:
            best = likelihood, length, (root, pulled)
    assert best is not None
    _, length, (root, pulled) = best
    across = np.linalg.solve(root, _matern(x, new, length))  # (n, m)
    spread = np.sqrt(np.clip(1.0 - (across**2).sum(0), 0.0, None))
    return across.T @ pulled, spread


def _matern(a: Real, b: Real, length: float) -> Real:
    """Matern-5/2 of the Euclidean distance: (1 + r + r^2 / 3) e^-r with r = sqrt(5) d / length."""
    square = ((a[:, None] - b[None]) ** 2).sum(-1)
    r = np.sqrt(5.0 * square) / length
    kernel: Real = (1 + r + r**2 / 3) * np.exp(-r)
    return kernel
