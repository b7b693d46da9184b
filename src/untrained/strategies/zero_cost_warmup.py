"""A look at many by a cheap metric, so that the search begins with good ones."""

from __future__ import annotations

from heapq import heappush, heappushpop
from random import Random
from typing import TYPE_CHECKING

from untrained.core.errors import UsageError
from untrained.core.space import Space
from untrained.core.strategy import Ask, Strategy, strategy
from untrained.strategies._inner import Crowd, make_inner, worth
from untrained.strategies._unseen import any_unseen

if TYPE_CHECKING:
    from untrained.core.architecture import Architecture
    from untrained.core.study import Trial


@strategy
class ZeroCostWarmup(Strategy):
    """Scores `pool` random architectures by the cheapest metric; another strategy begins with the best.

    The best `start` of them are scored by the real objective and told to the strategy `inner`, which goes
    on alone. Give it room for them: regularized_evolution takes them for its first population.

    Source:  Abdelfattah et al. 2021, arXiv:2101.08134
    Differs: `pool` and `start` are the user's, where their notebook scores 3,000 and begins with 64. The
             cheap looks count as trials. What a constraint turns away is not begun with; what has no
             cheap score only where there are too few others. A batch that goes beyond the pool adds to it.
    """

    needs_fidelities = 1

    def __init__(
        self, space: Space, *, pool: int = 1000, start: int = 50, inner: str = "regularized_evolution"
    ) -> None:
        super().__init__(space)
        if not 1 <= start <= pool:
            raise UsageError(
                f"zero_cost_warmup: start={start} out of pool={pool}.\n"
                "  take 1 <= start <= pool, such as pool=1000,start=50"
            )
        self.pool, self.start = pool, start
        self.inner = make_inner(self.name, inner, space)
        self.crowd = Crowd()
        self.looked = 0
        self.begun = False
        self.seen: set[str] = set()
        """ids of those looked at, until the search begins"""
        self.best: list[tuple[float, int, Architecture]] = []
        """(score, minus the number, who), a heap with the worst in front"""

    def ask(self, rng: Random, n: int = 1) -> list[Architecture | Ask]:
        if self.looked < self.pool:
            return list(self._new(rng, n))
        due = sorted(self.best, key=lambda place: place[:2], reverse=True) if self.best else []
        first: list[Architecture | Ask] = [Ask(arch) for _, _, arch in self.crowd.pick(rng, due, n)]
        return first + list(self.inner.ask(rng, n - len(first))) if len(first) < n else first

    def tell(self, trial: Trial) -> None:
        if trial.fidelity is None:
            self._begin(trial)
            self.inner.tell(trial)
            return
        self.looked += 1
        value = worth(trial)
        if self.begun or value is None or trial.architecture.id in self.seen:
            return
        self.seen.add(trial.architecture.id)
        place = (value, -trial.number, trial.architecture)
        if len(self.best) < self.start:
            heappush(self.best, place)
        else:
            heappushpop(self.best, place)

    def _begin(self, trial: Trial) -> None:
        self.begun, self.seen = True, set()
        left = [place for place in self.best if place[2].id != trial.architecture.id]
        if self.best:
            self.crowd.told(again=len(left) == len(self.best))
        self.best = left

    def _new(self, rng: Random, n: int) -> list[Ask]:
        found: set[str] = set()
        asks = []
        for _ in range(n):
            arch = any_unseen(self.space, rng, self.seen, found)
            found.add(arch.id)
            asks.append(Ask(arch, 0))
        return asks
