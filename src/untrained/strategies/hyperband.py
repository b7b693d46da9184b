"""Successive halving with every trade between how many and how close a look."""

from __future__ import annotations

from untrained.core.space import Space
from untrained.core.strategy import strategy
from untrained.strategies._brackets import Brackets, Plan


@strategy
class Hyperband(Brackets):
    """Brackets of successive halving, from many that begin at the cheapest metric to few at the objective.

    With s_max cheaper metrics, the bracket s = s_max, ..., 0 begins with ceil((s_max + 1) / (s + 1) eta^s)
    architectures at the metric s_max - s and keeps 1/eta at each next one.

    Source:  Li et al. 2018, arXiv:1603.06560
    Differs: rungs are the cheaper metrics of the question and at last its objectives, where the paper
             trains eta times longer. After the last bracket the first one comes again, and the next one
             begins early where a batch or the workers would have to wait.
             What a constraint turns away takes no place in a first rung, so that drawing goes on. What
             failed there is the worst, and goes on only where too few are better. Those that enter come
             from the strategy `inner`, which is told of the real objective alone.
    """

    def __init__(self, space: Space, *, eta: int = 3, inner: str = "random_search") -> None:
        super().__init__(space, eta=eta, inner=inner)

    def plans(self) -> list[Plan]:
        last = self.fidelities
        return [Plan(last - s, self._sizes(s)) for s in range(last, -1, -1)]

    def _sizes(self, s: int) -> tuple[int, ...]:
        first = -(-(self.fidelities + 1) * self.eta**s // (s + 1))  # rounded up
        return tuple(first // self.eta**i for i in range(s + 1))
