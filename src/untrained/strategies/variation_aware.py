"""A proxy value is a random variable: a network is better when its draws are, not when one of them is."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from itertools import cycle
from math import comb
from random import Random
from typing import TYPE_CHECKING, Any

from untrained.core.errors import UsageError
from untrained.core.space import Space
from untrained.core.strategy import Ask, Strategy, strategy
from untrained.strategies._inner import Crowd, make_inner, noted, proposals
from untrained.strategies._rank_test import order

if TYPE_CHECKING:
    from untrained.core.study import Trial


@dataclass
class Rival:
    """A network and what it was worth in each draw of weights and text."""

    first: Trial
    note: Any
    draws: dict[int, tuple[float, ...] | None] = field(default_factory=dict)
    """by number of the draw, all objectives; None where that draw failed"""

    @property
    def scores(self) -> list[float]:
        """The first objective in each draw."""
        return [scores[0] for scores in self.draws.values() if scores]

    def mean(self) -> tuple[float, ...]:
        good = [scores for scores in self.draws.values() if scores]
        return tuple(math.fsum(column) / len(good) for column in zip(*good, strict=True))

    def missing(self) -> int:
        """The number of its next draw."""
        return next(d for d in range(len(self.draws) + 1) if d not in self.draws)

    def ask(self, draw: int) -> Ask:
        return Ask(self.first.architecture, None, draw, (False, self.note))


@strategy
class VariationAware(Strategy):
    """Draws each network's weights several times, and more often where its rank is in doubt.

    A network of the strategy `inner` gets `draws` draws and is compared with the best one so far by a
    one-sided Mann-Whitney U test at the level `alpha`. While neither is better, the one with fewer draws
    gets another, up to `most` each. `inner` is told once a network, of the mean of its draws.

    Source:  Rumiantsev and Coates 2025, arXiv:2502.19657
    Differs: the number of draws grows where the order is in doubt; alpha is that of each test, not of
             the whole sequence. Where doubt remains after `most` draws the best one so far stays, and
             `inner` is told of a score no higher than its own. The test reads the first objective.
             A network of which one draw fails has failed. Each draw counts as a trial.
    """

    def __init__(
        self,
        space: Space,
        *,
        draws: int = 3,
        most: int = 10,
        alpha: float = 0.05,
        inner: str = "regularized_evolution",
    ) -> None:
        super().__init__(space)
        if not 1 <= draws <= most:
            raise UsageError(
                f"variation_aware: draws={draws} with most={most}.\n"
                "  take 1 <= draws <= most, such as draws=3,most=10"
            )
        if not 0 < alpha < 0.5:
            raise UsageError(f"variation_aware: alpha={alpha} is no level.\n  take one such as alpha=0.05")
        if comb(2 * most, most) * alpha < 1:
            raise UsageError(
                f"variation_aware: with most={most} draws no order is ever sure at alpha={alpha}.\n"
                "  take more draws or a larger alpha, such as most=10,alpha=0.05"
            )
        self.draws, self.most, self.alpha = draws, most, alpha
        self.inner = make_inner(self.name, inner, space)
        self.crowd = Crowd()
        self.best: Rival | None = None
        self.open: dict[str, Rival] = {}
        """by id, those whose rank is not decided"""
        self.known: dict[str, tuple[float, ...] | None] = {}
        """by id, what the inner strategy was told; None too for those that are open"""

    def ask(self, rng: Random, n: int = 1) -> list[Ask]:
        asks = self.crowd.pick(rng, self._wanted(), n)
        if len(asks) == n:
            return asks
        new = proposals(self.name, self.inner, rng, -(-(n - len(asks)) // self.draws), self.known)
        for ask in new:
            if ask.architecture.id not in self.known:
                asks += [replace(ask, draw=draw, note=(False, ask.note)) for draw in range(self.draws)]
        for ask in cycle(new):  # only where the space has no more: `inner` is told again
            if len(asks) >= n:
                break
            asks.append(replace(ask, note=(True, ask.note)))
        return asks[:n]

    def tell(self, trial: Trial) -> None:
        if trial.fidelity is not None:
            return
        again, note = noted(trial.note)
        who = trial.architecture.id
        scores = () if trial.score is None else trial.scores or (trial.score,)
        if self.best is not None and who == self.best.first.architecture.id and not again:
            self.crowd.told(again=trial.draw in self.best.draws)
            self.best.draws[trial.draw] = scores or None
        elif who in self.open or who not in self.known:
            rival = self.open.setdefault(who, Rival(trial, note))
            self.crowd.told(again=trial.draw in rival.draws)
            rival.draws[trial.draw] = scores
            self.known[who] = None
            if not scores:
                del self.open[who]
                self.inner.tell(replace(trial, draw=0, note=note))
        elif again:
            told = self.known[who]
            score = told[0] if told else None
            self.inner.tell(replace(trial, score=score, scores=told or (), draw=0, note=note))
        elif trial.same_as is not None:
            self.crowd.told(again=True)  # decided meanwhile; a draw of its own says nothing of a crowd
        self._decide(trial.number)

    def _wanted(self) -> list[Ask]:
        """The draws that would help to decide."""
        wanted: dict[tuple[str, int], Ask] = {}
        for rival in self.open.values():
            if len(rival.draws) < self.draws:
                asks = [rival.ask(draw) for draw in range(self.draws) if draw not in rival.draws]
            else:
                behind = self._behind(rival)
                asks = [behind.ask(behind.missing())]
            wanted.update({(ask.architecture.id, ask.draw): ask for ask in asks})
        return list(wanted.values())

    def _behind(self, rival: Rival) -> Rival:
        """Of a rival and the best one so far, which gets the next draw."""
        if self.best is None or len(self.best.draws) >= min(self.most, len(rival.draws)):
            return rival
        return self.best

    def _decide(self, number: int) -> None:
        """Closes what can be closed; a new best one opens the question for all others again."""
        changed = True
        while changed:
            changed = False
            for who, rival in list(self.open.items()):
                if len(rival.draws) < self.draws:
                    continue
                verdict = self._verdict(rival)
                if verdict is None:
                    continue
                del self.open[who]
                scores = rival.mean()
                if verdict == "better":
                    self.best, changed = rival, True
                elif verdict == "tie" and self.best is not None:
                    scores = (min(scores[0], self.best.mean()[0]), *scores[1:])
                self.known[who] = scores
                told = replace(rival.first, number=number, score=scores[0], scores=scores)
                self.inner.tell(replace(told, draw=0, note=rival.note, same_as=None))

    def _verdict(self, rival: Rival) -> str | None:
        """`better` or `worse` than the best one so far, `tie` for good, None while more draws may tell."""
        if self.best is None:
            return "better"
        if found := order(rival.scores, self.best.scores, self.alpha):
            return "better" if found > 0 else "worse"
        return "tie" if min(len(rival.draws), len(self.best.draws)) >= self.most else None
