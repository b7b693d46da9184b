"""Many at first sight, a third of them at the second, and so on to the real objective."""

from __future__ import annotations

from untrained.core.errors import UsageError
from untrained.core.space import Space
from untrained.core.strategy import strategy
from untrained.strategies._brackets import Brackets, Plan


@strategy
class SuccessiveHalving(Brackets):
    """Scores `start` architectures by the cheapest metric and the best 1/eta by each dearer one in turn.

    Source:  Jamieson and Talwalkar 2016, arXiv:1502.07943
    Differs: rungs are the cheaper metrics of the question and at last its objectives, where the paper
             trains longer; a rung keeps 1/eta, where the paper keeps half. When a bracket is through the
             next one begins, and already before where a batch or the workers would have to wait.
             What a constraint turns away takes no place in the first rung, so that drawing goes on. What
             failed there is the worst, and goes on only where too few are better. Those that enter come
             from the strategy `inner`, which is told of the real objective alone.
    """

    def __init__(self, space: Space, *, start: int = 81, eta: int = 3, inner: str = "random_search") -> None:
        if start < 1:
            raise UsageError(f"successive_halving: start={start} begins with nobody.\n  take start=81")
        super().__init__(space, eta=eta, inner=inner)
        self.start = start

    def plans(self) -> list[Plan]:
        sizes = (max(1, self.start // self.eta**k) for k in range(self.fidelities + 1))
        return [Plan(0, tuple(sizes))]
