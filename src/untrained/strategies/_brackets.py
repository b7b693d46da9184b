"""Rungs that are filled, then thinned out: what successive halving and Hyperband share."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter, deque
from collections.abc import Container, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import count
from random import Random
from typing import TYPE_CHECKING, Any

from untrained.core.errors import UsageError
from untrained.core.space import Space
from untrained.core.strategy import Ask, Strategy
from untrained.strategies._inner import Crowd, make_inner, noted, proposals, worth

if TYPE_CHECKING:
    from untrained.core.architecture import Architecture
    from untrained.core.study import Trial

Entrant = tuple["Architecture", Any]
"""an architecture and what the inner strategy noted on it"""


def check_eta(owner: str, eta: int) -> None:
    if eta < 2:
        raise UsageError(f"{owner}: eta={eta} keeps everything.\n  take eta=2 or more, such as eta=3")


@dataclass(frozen=True)
class Plan:
    """A bracket before it begins."""

    entry: int
    """the rung at which it begins; rung k is the k-th fidelity, the last one the objectives"""
    sizes: tuple[int, ...]
    """how many there are at each rung from there on"""


@dataclass
class Bracket:
    """A bracket under way."""

    plan: Plan
    step: int = 0
    """rungs that it has climbed"""
    places: list[tuple[float, int, Entrant]] = field(default_factory=list)
    """(score, minus the order of arrival, who) of those told at this rung"""
    waiting: dict[str, Entrant] = field(default_factory=dict)
    """by id, best first: promoted to this rung and not told yet"""
    repeated: set[str] = field(default_factory=set)
    """ids of those that entered although they were known, where the space has no more"""

    @property
    def rung(self) -> int:
        return self.plan.entry + self.step

    @property
    def room(self) -> int:
        """How many may still enter."""
        return 0 if self.step else self.plan.sizes[0] - len(self.places)

    @property
    def over(self) -> bool:
        return self.step == len(self.plan.sizes)

    def take(self, value: float, entrant: Entrant) -> None:
        self.places.append((value, -len(self.places), entrant))

    def climb(self, through: Container[str]) -> list[Entrant]:
        """Goes a rung up; the best of the one below, each once.

        Those that are `through` and have entered again make room for others.
        """
        self.step += 1
        kept: dict[str, Entrant] = {}
        if not self.over:
            for _, _, entrant in sorted(self.places, key=lambda place: place[:2], reverse=True):
                who = entrant[0].id
                if len(kept) < self.plan.sizes[self.step] and not (who in self.repeated and who in through):
                    kept.setdefault(who, entrant)
        self.places = []
        return list(kept.values())


class Brackets(Strategy):
    """Goes through the brackets of `plans` again and again.

    In a batch that is larger than what a rung still lacks, the next bracket begins. All state follows from
    what is told: who enters is told with the flag False in its note, who was promoted with True.
    """

    needs_fidelities = 1

    def __init__(self, space: Space, *, eta: int, inner: str) -> None:
        super().__init__(space)
        check_eta(self.name, eta)
        self.eta, self.inner = eta, make_inner(self.name, inner, space)
        self.crowd = Crowd()
        self.opened = 0
        self.open: deque[Bracket] = deque()
        self.known: dict[int, dict[str, float | None]] = {}
        """by rung and id, what `worth` said"""

    @abstractmethod
    def plans(self) -> list[Plan]:
        """The brackets of one round, in their order."""

    @cached_property
    def round(self) -> list[Plan]:
        return self.plans()  # once, when the number of fidelities is known

    def ask(self, rng: Random, n: int = 1) -> list[Ask]:
        asks: list[Ask] = []
        entering: Counter[int] = Counter()
        for bracket in self._ahead():
            lacking = n - len(asks) - entering.total()
            if lacking == 0:
                break
            if bracket.step == 0:
                entering[bracket.rung] += min(bracket.room, lacking)
            else:
                asks += [
                    Ask(arch, self._fidelity(bracket.rung), note=(True, note))
                    for arch, note in self.crowd.pick(rng, bracket.waiting.values(), lacking)
                ]
        for rung, number in entering.items():
            fidelity = self._fidelity(rung)
            known = self.known.get(rung, {}), {a.architecture.id for a in asks if a.fidelity == fidelity}
            asks += [
                Ask(new.architecture, fidelity, note=(False, new.note))
                for new in proposals(self.name, self.inner, rng, number, *known)
            ]
        return asks

    def tell(self, trial: Trial) -> None:
        rung = self.fidelities if trial.fidelity is None else trial.fidelity
        known = self.known.setdefault(rung, {})
        promoted, note = noted(trial.note)
        again, value = trial.architecture.id in known, worth(trial)
        known[trial.architecture.id] = value
        if promoted:
            self.crowd.told(again=again)
        if trial.fidelity is None and not (promoted and again):
            self.inner.tell(replace(trial, note=note))
        if not promoted and value is not None:
            bracket = self._entered(rung)
            if bracket is not None:
                bracket.take(value, (trial.architecture, note))
                if again:
                    bracket.repeated.add(trial.architecture.id)
        for bracket in self.open:
            if bracket.step and bracket.rung == rung:
                entrant = bracket.waiting.pop(trial.architecture.id, None)
                if entrant is not None and value is not None:
                    bracket.take(value, entrant)
            self._advance(bracket)
        self.open = deque(b for b in self.open if not b.over)

    def _fidelity(self, rung: int) -> int | None:
        return rung if rung < self.fidelities else None

    def _ahead(self) -> Iterator[Bracket]:
        """Brackets in the order in which they are to be filled: those under way, then new ones."""
        yield from self.open
        for i in count(self.opened):
            yield self._bracket(i)

    def _bracket(self, i: int) -> Bracket:
        return Bracket(self.round[i % len(self.round)])

    def _entered(self, rung: int) -> Bracket | None:
        """The first bracket that begins at this rung and has room."""
        if all(plan.entry != rung for plan in self.round):
            return None
        for bracket in self.open:
            if bracket.rung == rung and bracket.room:
                return bracket
        while True:
            self.open.append(self._bracket(self.opened))
            self.opened += 1
            if self.open[-1].rung == rung:
                return self.open[-1]

    def _advance(self, bracket: Bracket) -> None:
        """Climbs as far as nothing is lacking."""
        while not (bracket.over or bracket.room or bracket.waiting):
            promoted = bracket.climb(self.known.get(self.fidelities, ()))
            if bracket.over:
                return
            known = self.known.get(bracket.rung, {})
            for entrant in promoted:
                if entrant[0].id not in known:
                    bracket.waiting[entrant[0].id] = entrant
                elif (value := known[entrant[0].id]) is not None:
                    bracket.take(value, entrant)  # it was here before, in another bracket
