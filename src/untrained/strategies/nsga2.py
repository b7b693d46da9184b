"""Evolution towards a front of several objectives."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import numpy as np

from untrained.core.architecture import Architecture
from untrained.core.errors import UsageError
from untrained.core.space import Space
from untrained.core.strategy import Strategy, strategy
from untrained.strategies._pareto import crowding, fronts
from untrained.strategies._unseen import any_unseen

if TYPE_CHECKING:
    from untrained.core.study import Trial

STEPS = 20  # mutations of a child that was told before, until it is new


@strategy
class Nsga2(Strategy):
    """Crosses and mutates the winners of tournaments; the least dominated live on, then the loneliest.

    A generation ends with every `population`-th trial, wherever a batch ends. Then the best of parents and
    children together become the parents: those within the constraint before those outside it, the first by
    front and within a front by crowding distance, the others by how far they are outside. With one objective
    this is an elitist genetic algorithm. `crossover` is how often a child has two parents, `mutation` how
    often such a child is mutated as well; a child of one parent always is.

    Source:  Deb et al. 2002, IEEE Transactions on Evolutionary Computation 6(2), doi:10.1109/4235.996017
    Differs: `Space.crossover` and one step of `Space.mutate` in place of operators on numbers. Parents are
             fixed until the generation ends, whatever the batch. A child that was told before is mutated on
             until it is new, and no architecture is twice in the population. Children go before parents
             where both are equally good, so that the search can drift. What failed has no place
    """

    def __init__(
        self, space: Space, *, population: int = 100, crossover: float = 0.9, mutation: float = 0.6
    ) -> None:
        super().__init__(space)
        if population < 2:
            raise UsageError(f"nsga2: population={population}; take 2 or more, such as population=100")
        for name, share in (("crossover", crossover), ("mutation", mutation)):
            if not 0 <= share <= 1:
                raise UsageError(f"nsga2: {name}={share}; take a share from 0 to 1, such as {name}=0.5")
        self.population, self.crossover, self.mutation = population, crossover, mutation
        self.count = 0
        self.parents: list[Trial] = []
        """best first"""
        self.places: list[int] = []
        """of each parent, from 0; equal where neither is better"""
        self._children: list[Trial] = []
        self._members: set[str] = set()  # ids of parents and children
        self._told: set[str] = set()

    # --- asking --------------------------------------------------------------------------------------

    def ask(self, rng: Random, n: int = 1) -> list[Architecture]:
        asked: dict[str, None] = {}
        found: list[Architecture] = []
        for _ in range(n):
            found.append(self._new(rng, asked))
            asked[found[-1].id] = None
        return found

    def _new(self, rng: Random, asked: dict[str, None]) -> Architecture:
        if len(self.parents) < 2:
            return any_unseen(self.space, rng, self._told, asked)
        child = self._child(rng)
        for _ in range(STEPS):
            if child.id not in self._told and child.id not in asked:
                return child
            child = self.space.mutate(child, rng)
        return any_unseen(self.space, rng, self._told, asked)

    def _child(self, rng: Random) -> Architecture:
        mother = self._winner(rng)
        if rng.random() >= self.crossover:
            return self.space.mutate(mother, rng)
        child = self.space.crossover(mother, self._winner(rng), rng)
        return self.space.mutate(child, rng) if rng.random() < self.mutation else child

    def _winner(self, rng: Random) -> Architecture:
        one, other = rng.randrange(len(self.parents)), rng.randrange(len(self.parents))
        return self.parents[other if self.places[other] < self.places[one] else one].architecture

    # --- being told ----------------------------------------------------------------------------------

    def tell(self, trial: Trial) -> None:
        self.count += 1
        name = trial.architecture.id
        self._told.add(name)
        if name not in self._members and (trial.scores or trial.status == "rejected"):
            self._members.add(name)
            self._children.append(trial)
        if self.count % self.population == 0:
            self._select()

    def _select(self) -> None:
        """Makes parents of the best of parents and children."""
        everyone = self._children + self.parents
        objectives = max((len(t.scores) for t in everyone), default=0)
        # Fewer scores are those of a cheaper look, which have no place beside full ones.
        inside = [t for t in everyone if t.scores and len(t.scores) == objectives]
        outside = sorted((t for t in everyone if not t.scores), key=lambda t: t.violation)
        parents, places = _ordered(inside)
        violations = [t.violation for t in outside]
        steps = {v: len(inside) + i for i, v in enumerate(dict.fromkeys(violations))}
        self.parents = (parents + outside)[: self.population]
        self.places = (places + [steps[v] for v in violations])[: self.population]
        self._children, self._members = [], {t.architecture.id for t in self.parents}


def _ordered(trials: list[Trial]) -> tuple[list[Trial], list[int]]:
    """Best first, with the place of each: by front, then by crowding distance."""
    if not trials:
        return [], []
    scores = np.array([t.scores for t in trials])  # (trials, objectives)
    front = fronts(scores)
    distance = crowding(scores, front)
    order = np.lexsort((-distance, front))
    front, distance = front[order], distance[order]
    worse = (front[1:] != front[:-1]) | (distance[1:] != distance[:-1])
    return [trials[i] for i in order.tolist()], np.append(0, worse.cumsum()).tolist()
