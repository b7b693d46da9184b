"""Independent draws: what every other strategy has to beat."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from untrained.core.strategy import Strategy, strategy

if TYPE_CHECKING:
    from untrained.core.architecture import Architecture
    from untrained.core.study import Trial


@strategy
class RandomSearch(Strategy):
    """Draws architectures one by one from the space, whatever the earlier ones were worth.

    Source: Li and Talwalkar 2019, arXiv:1902.07638
    """

    def ask(self, rng: Random, n: int = 1) -> list[Architecture]:
        return [self.space.sample(rng) for _ in range(n)]

    def tell(self, trial: Trial) -> None:
        """Learns nothing."""
