"""Evolution in which the oldest dies, not the worst."""

from __future__ import annotations

from collections import deque
from random import Random
from typing import TYPE_CHECKING

from untrained.core.errors import UsageError
from untrained.core.space import Space
from untrained.core.strategy import Strategy, strategy

if TYPE_CHECKING:
    from untrained.core.architecture import Architecture
    from untrained.core.study import Trial


@strategy
class RegularizedEvolution(Strategy):
    """Mutates the winner of a random tournament; each child replaces the oldest of the population.

    Source:  Real et al. 2019, arXiv:1802.01548, algorithm 1
    Differs: trials without a score take a turn but no place. A network that was turned away or failed
             is no parent, and it pushes nobody out, so that hard constraints do not empty the
             population. The first `population` trials are random, as published; where fewer than
             `tournament` of them were good, drawing goes on until there are that many.
             A child equal to an earlier architecture is told again with its old score and takes a new
             place, as the paper's re-evaluation would give it.
    """

    def __init__(self, space: Space, *, population: int = 50, tournament: int = 10) -> None:
        super().__init__(space)
        if not 1 <= tournament <= population:
            raise UsageError(
                f"regularized_evolution: a tournament of {tournament} in a population of {population}.\n"
                "  take 1 <= tournament <= population, such as population=50,tournament=10"
            )
        self.population, self.tournament = population, tournament
        self.told = 0
        self.alive: deque[tuple[float, Architecture]] = deque(maxlen=population)

    def ask(self, rng: Random, n: int = 1) -> list[Architecture]:
        if self.told < self.population or len(self.alive) < self.tournament:
            return [self.space.sample(rng) for _ in range(n)]
        return [self.space.mutate(self._winner(rng), rng) for _ in range(n)]

    def tell(self, trial: Trial) -> None:
        self.told += 1
        if trial.score is not None:
            self.alive.append((trial.score, trial.architecture))  # the oldest falls out at the other end

    def _winner(self, rng: Random) -> Architecture:
        # One may be drawn twice: in algorithm 1, "the element stays in the population".
        rivals = [rng.choice(self.alive) for _ in range(self.tournament)]
        return max(rivals, key=lambda pair: pair[0])[1]
