"""Monte Carlo tree search."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from random import Random
from typing import TYPE_CHECKING

from untrained.core.architecture import Architecture
from untrained.core.errors import UsageError
from untrained.core.space import Space
from untrained.core.strategy import Ask, Strategy, strategy
from untrained.strategies._branches import Tree
from untrained.strategies._decision_tree import DecisionTree
from untrained.strategies._edit_tree import EditTree

if TYPE_CHECKING:
    from untrained.core.study import Trial


@strategy
class Mcts(Strategy):
    """Decides step by step, each time for the branch whose trials were good or few.

    `c` weighs few against good: a branch is worth its mean + c sqrt(2 ln N / n), after n of the N visits of
    the place before it. With `bisect`, a choice among more than two numbers in order is made by halves, so
    that numbers that are near each other share what was learned.

    Source:  Negrinho and Gordon 2017, arXiv:1704.08792; negrinho/deep_architect_legacy
    Differs: a trial is worth the share of trials that it is no worse than, from 0 to 1, so that units and
             outliers do not matter; without a score it is worth 0. These shares are counted anew when the
             trials have doubled, and c is 0.1 where the authors take 1. Trials of a batch that are under
             way count as visits worth nothing. What is decided for each layer is decided layer by layer.
             Rollouts are draws of `Space.sample` with the path's decisions in them. What was told before
             is not proposed again: such a path is drawn on anew, then from further up.
             A space that declares no decisions has no such tree: there the branches are edits. Random draws
             stand below the root and mutations below what they were made of, one more as visits grow
             (progressive widening), so that any space that can mutate can be searched
    """

    def __init__(self, space: Space, *, c: float = 0.1, bisect: bool = True) -> None:
        super().__init__(space)
        if not 0 <= c < float("inf"):
            raise UsageError(f"mcts: c={c}; take 0 or more, such as c=0.1")
        self.tree: Tree = (
            DecisionTree(space, c=c, bisect=bisect) if space.declared() else EditTree(space, c=c)
        )
        self._told: set[str] = set()
        self._past: list[tuple[Architecture, float | None]] = []
        self._scale: list[float] = []
        """scores in order, as of the last doubling"""

    def ask(self, rng: Random, n: int = 1) -> list[Architecture | Ask]:
        asked: set[str] = set()
        busy: dict[int, int] = {}
        found: list[Architecture | Ask] = []
        for _ in range(n):
            found.append(self.tree.ask(rng, busy, self._told, asked))
            asked.add(Ask.of(found[-1]).architecture.id)
        return found

    def tell(self, trial: Trial) -> None:
        self._told.add(trial.architecture.id)
        self._past.append((trial.architecture, trial.score))
        self.tree.grow(trial)
        if len(self._past) & (len(self._past) - 1):
            self.tree.credit(trial.architecture, self._worth(trial.score))
        else:
            self._count_anew()

    def _worth(self, score: float | None) -> float:
        """The share of scores that this one is no worse than; equal ones count half."""
        if score is None:
            return 0.0
        if not self._scale:
            return 0.5
        return (bisect_left(self._scale, score) + bisect_right(self._scale, score)) / (2 * len(self._scale))

    def _count_anew(self) -> None:
        self._scale = sorted(score for _, score in self._past if score is not None)
        self.tree.forget()
        for arch, score in self._past:
            self.tree.credit(arch, self._worth(score))
