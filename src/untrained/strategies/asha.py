"""Successive halving that never waits for a rung to be full."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import replace
from heapq import heappop, heappush, heappushpop, nlargest
from random import Random
from typing import TYPE_CHECKING, Any

from untrained.core.space import Space
from untrained.core.strategy import Ask, Strategy, strategy
from untrained.strategies._brackets import check_eta
from untrained.strategies._inner import Crowd, make_inner, noted, proposals, worth

if TYPE_CHECKING:
    from untrained.core.architecture import Architecture
    from untrained.core.study import Trial

Place = tuple[float, int, "Architecture", Any]
"""score, minus the number of the trial, who, and what the inner strategy noted on it"""


class Rung:
    """Those that were told here; which of them are among the best 1/eta is known at any time.

    Two heaps: the best 1/eta with the worst of them in front, and the rest with the best in front.
    """

    def __init__(self, eta: int) -> None:
        self.eta, self.told = eta, 0
        self.top: list[Place] = []
        self.rest: list[tuple[float, int, Place]] = []
        self.due: dict[str, Place] = {}
        """by id, the ones at the top that were not promoted"""

    def take(self, place: Place | None, above: Container[str]) -> None:
        """One more; `above` are those that the next rung knows. None: one that is here already."""
        self.told += 1
        if place is not None:
            if self.top and place[:2] > self.top[0][:2]:
                out = heappushpop(self.top, place)
                self._rise(place, above)
                self.due.pop(out[2].id, None)
                place = out
            heappush(self.rest, (-place[0], -place[1], place))
        while self.told // self.eta > len(self.top) and self.rest:
            best = heappop(self.rest)[2]
            heappush(self.top, best)
            self._rise(best, above)

    def _rise(self, place: Place, above: Container[str]) -> None:
        if place[2].id not in above:
            self.due[place[2].id] = place


@strategy
class Asha(Strategy):
    """Promotes an architecture to the next dearer metric as soon as it is in the best 1/eta of its rung.

    Where nobody is to be promoted, a new one is scored by the cheapest metric. Highest rungs first.

    Source:  Li et al. 2020, arXiv:1810.05934
    Differs: rungs are the cheaper metrics of the question and at last its objectives, where the paper
             trains eta times longer. What a constraint turns away is not counted in its rung. What failed
             is the worst there, and goes on only where too few are better. New ones come from the
             strategy `inner`, which is told of the real objective alone. With asynchronous workers
             nobody says what is under way: where promotions are told twice, the next ones are drawn at
             random from those due, and in part put off.
    """

    needs_fidelities = 1

    def __init__(self, space: Space, *, eta: int = 3, inner: str = "random_search") -> None:
        super().__init__(space)
        check_eta(self.name, eta)
        self.eta, self.inner = eta, make_inner(self.name, inner, space)
        self.crowd = Crowd()
        self.rungs: dict[int, Rung] = {}
        self.known: dict[int, set[str]] = {}
        """by rung, the ids of those told"""

    def ask(self, rng: Random, n: int = 1) -> list[Ask]:
        asks: list[Ask] = []
        for k in sorted(self.rungs, reverse=True):
            lacking, due = n - len(asks), self.rungs[k].due
            if lacking and due:
                enough = lacking if not self.crowd.size else len(due)
                best = nlargest(enough, due.values(), key=lambda place: place[:2])
                asks += [
                    Ask(arch, self._fidelity(k + 1), note=(True, note))
                    for _, _, arch, note in self.crowd.pick(rng, best, lacking)
                ]
        if lacking := n - len(asks):
            asks += [
                Ask(new.architecture, self._fidelity(0), note=(False, new.note))
                for new in proposals(self.name, self.inner, rng, lacking, self.known.get(0, ()))
            ]
        return asks

    def tell(self, trial: Trial) -> None:
        k = self.fidelities if trial.fidelity is None else trial.fidelity
        known, who = self.known.setdefault(k, set()), trial.architecture
        promoted, note = noted(trial.note)
        again, value = who.id in known, worth(trial)
        known.add(who.id)
        if promoted:
            self.crowd.told(again=again)
        if k - 1 in self.rungs:
            self.rungs[k - 1].due.pop(who.id, None)
        if trial.fidelity is None:
            if not again:
                self.inner.tell(replace(trial, note=note))
        elif again and not promoted:
            self._loosen(k)
        elif value is not None and not again:
            self.rungs.setdefault(k, Rung(self.eta)).take((value, -trial.number, who, note), self._above(k))

    def _loosen(self, k: int) -> None:
        """A newcomer that is known says that the space has no more: somewhere the next best may rise."""
        while k in self.rungs and not (self.rungs[k].rest or self.rungs[k].due):
            k += 1
        if k in self.rungs:
            self.rungs[k].take(None, self._above(k))

    def _above(self, k: int) -> set[str]:
        return self.known.setdefault(k + 1, set())

    def _fidelity(self, rung: int) -> int | None:
        return rung if rung < self.fidelities else None
