"""What strategies around another one share: making it, and getting from it what is new."""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Iterator
from itertools import cycle, islice
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar

from untrained.core.errors import UsageError
from untrained.core.named import construct
from untrained.core.space import Space
from untrained.core.strategy import Ask, Strategy

if TYPE_CHECKING:
    from untrained.core.study import Trial

TRIES = 3  # rounds in which the inner strategy, then the space, may offer something new
MOST = 64.0  # workers that are reckoned with
FADES = 0.97  # what is left of a crowd when something is told once; tried on eight simulated workers

T = TypeVar("T")


def make_inner(owner: str, text: str, space: Space) -> Strategy:
    """The strategy inside another; raises UsageError for one that looks cheaply first itself."""
    found: Strategy = construct("strategy", text, space)
    if found.needs_fidelities:
        raise UsageError(
            f"{owner}: inner={text} looks cheaply first itself, which one of the two has to leave alone.\n"
            "  take one that does not: inner=random_search, inner=regularized_evolution"
        )
    return found


def proposals(owner: str, inner: Strategy, rng: Random, n: int, *known: Container[str]) -> list[Ask]:
    """`n` asks of the inner strategy, with its notes, whose ids differ and are in none of `known`.

    Where it offers too few, random ones stand in; where the space does not seem to hold more either,
    what the inner strategy offered last stands in although it is known.
    """
    found: dict[str, Ask] = {}
    offered: list[Ask] = []
    for attempt in range(TRIES):
        # Twice as many each time: some give the same first ones until they are told of them.
        offered = [Ask.of(a) for a in inner.ask(rng, (n - len(found)) << attempt)]
        for ask in offered:
            if ask.fidelity is not None or ask.draw:
                raise UsageError(
                    f"{owner}: the inner strategy {inner.name} draws several times itself.\n"
                    f"  put it outside: {inner.name}:inner=regularized_evolution"
                )
            if not any(ask.architecture.id in ids for ids in known):
                found.setdefault(ask.architecture.id, ask)
        if len(found) >= n:
            return list(found.values())[:n]
    for _ in range(TRIES * (n - len(found))):
        arch = inner.space.sample(rng)
        if not any(arch.id in ids for ids in known):
            found.setdefault(arch.id, Ask(arch))
    return list(islice((*found.values(), *islice(cycle(offered), n)), n))


def worth(trial: Trial) -> float | None:
    """The score; the lowest where a metric has failed, None where a constraint has said no.

    A failure may be that of the cheap metric alone, a rejection holds for good: what was turned away goes
    no further, and what has failed goes on where there is nothing better.
    """
    if trial.status == "rejected":
        return None
    return -math.inf if trial.score is None else trial.score


def noted(note: Any) -> tuple[bool, Any]:
    """A note that an outer strategy wrote: its own flag, and the note of the inner one."""
    if isinstance(note, tuple) and len(note) == 2 and isinstance(note[0], bool):
        return note
    return False, note


class Crowd:
    """How many are measured at a time, as far as it shows.

    Where workers are asked for one by one, `ask` does not know what is under way, and would ask for the
    one best again and again until it is told. What is told twice shows that: the more there is of it, the
    more `pick` leaves to chance. Told in order, or in whole batches, nothing is told twice, and the first
    ones are picked.
    """

    def __init__(self) -> None:
        self.size = 0.0

    def told(self, *, again: bool) -> None:
        self.size = min(self.size + 1.0, MOST) if again else self.size * FADES
        if self.size < 0.1:
            self.size = 0.0

    def pick(self, rng: Random, items: Iterable[T], n: int) -> list[T]:
        """At most `n` of the items, which are due in this order."""
        return list(self._drawn(rng, list(items), n) if self.size else islice(items, n))

    def _drawn(self, rng: Random, left: list[T], n: int) -> Iterator[T]:
        for _ in range(n):
            if rng.random() * (len(left) + self.size) < len(left):
                yield left.pop(rng.randrange(len(left)))
