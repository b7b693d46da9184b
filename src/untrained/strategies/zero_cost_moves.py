"""Of several steps that a strategy might take, the one that a cheap metric likes best."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

from untrained.core.errors import UsageError
from untrained.core.space import Space
from untrained.core.strategy import Ask, Strategy, strategy
from untrained.strategies._inner import Crowd, make_inner, proposals, worth

if TYPE_CHECKING:
    from untrained.core.architecture import Architecture
    from untrained.core.study import Trial


@strategy
class ZeroCostMoves(Strategy):
    """Scores `pool` proposals of another strategy by the cheapest metric; the best meets the objective.

    A share of `random` of the trials of the real objective are proposals without a cheap look.

    Source:  Abdelfattah et al. 2021, arXiv:2101.08134
    Differs: candidates are proposals of the strategy `inner` (for evolution: children of the winners of
             `pool` tournaments), where theirs are the neighbours of one parent, of which some of our
             spaces have hundreds. The cheap looks count as trials. What a constraint turns away does not
             go on; what has no cheap score does where none of its round has one.
             In a batch the next round begins before the winner of the last one is known.
    """

    needs_fidelities = 1

    def __init__(
        self, space: Space, *, pool: int = 20, random: float = 0.25, inner: str = "regularized_evolution"
    ) -> None:
        super().__init__(space)
        if pool < 1:
            raise UsageError(f"zero_cost_moves: pool={pool} leaves no choice.\n  take pool=1 or more")
        if not 0 <= random <= 1:
            raise UsageError(f"zero_cost_moves: random={random} is no share.\n  take random=0 to random=1")
        self.pool, self.random = pool, random
        self.inner = make_inner(self.name, inner, space)
        self.crowd = Crowd()
        self.looked = 0  # cheap trials of this round
        self.best: tuple[float, Architecture, Any] | None = None
        """score, who, and what the inner strategy noted on it: the best of this round"""
        self.due: dict[str, tuple[Architecture, Any]] = {}
        """by id, the best of earlier rounds that have not met the objective"""
        self.known: set[str] = set()
        self.met: set[str] = set()
        """ids of those that have met the objective"""

    def ask(self, rng: Random, n: int = 1) -> list[Ask]:
        asks = [Ask(arch, note=note) for arch, note in self.crowd.pick(rng, self.due.values(), n)]
        if len(asks) == n:
            return asks
        cheap, looks = self.looked, []
        for _ in range(n - len(asks)):
            # The choice falls where a round begins, so that the share does not depend on the pool.
            looks.append(bool(cheap % self.pool) or rng.random() >= self.random)
            cheap += looks[-1]
        new = proposals(self.name, self.inner, rng, len(looks), self.known)
        return asks + [
            Ask(ask.architecture, 0 if look else None, note=ask.note)
            for ask, look in zip(new, looks, strict=True)
        ]

    def tell(self, trial: Trial) -> None:
        who = trial.architecture
        self.known.add(who.id)
        if trial.fidelity is None:
            again = who.id in self.met
            self.crowd.told(again=again)
            self.met.add(who.id)
            self.due.pop(who.id, None)
            if not again:
                self.inner.tell(trial)
            return
        self.looked += 1
        value = worth(trial)
        new = value is not None and who.id not in self.met and who.id not in self.due
        if value is not None and new and (self.best is None or value > self.best[0]):
            self.best = (value, who, trial.note)
        if self.looked == self.pool:
            if self.best is not None:
                self.due[self.best[1].id] = self.best[1:]
            self.looked, self.best = 0, None
