"""Climbing: to a better neighbour, again and again, and then from somewhere else."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import TYPE_CHECKING

from untrained.core.architecture import Architecture
from untrained.core.errors import UsageError
from untrained.core.space import Space
from untrained.core.strategy import Ask, Strategy, strategy
from untrained.strategies._unseen import any_unseen, unseen

if TYPE_CHECKING:
    from untrained.core.study import Trial

MUTATIONS = 3  # tries to draw a neighbour before all of them are listed
LISTED = 64  # neighbours looked at, after which they are listed at once
MOVES = ("first", "best")


@strategy
class LocalSearch(Strategy):
    """Moves from the best of some random draws to better neighbours until there is none; then starts anew.

    `start` is how many good random draws a climb begins with, `move` when it goes on: at the `first` better
    neighbour, or to the `best` one when all are known.

    Source:  White et al. 2020, arXiv:2005.02960; 10 random draws as in the code of naszilla
    Differs: neighbours come in random order. The first ones are drawn by `Space.mutate`, and all are listed
             only when those repeat themselves, as there may be thousands. What an earlier climb was told is
             not asked for again, so a climb ends where no new neighbour is better
    """

    def __init__(self, space: Space, *, start: int = 10, move: str = "first") -> None:
        super().__init__(space)
        if start < 1:
            raise UsageError(f"local_search: start={start}; take 1 or more, such as start=10")
        if move not in MOVES:
            raise UsageError(f"local_search: move={move!r}; take move=first or move=best")
        self.start, self.first = start, move == "first"
        self.turns = 0
        """how often the centre has changed"""
        self.centre: tuple[float, Architecture] | None = None
        """where the climb stands; None while it draws where to begin"""
        self.better: tuple[float, Architecture] | None = None
        """the best of the draws, or what is better than the centre"""
        self._drawn = 0  # good random draws since the last climb
        self._near = 0  # trials since the centre changed
        self._told: set[str] = set()
        self._listed: tuple[int, list[Architecture]] = (-1, [])  # neighbours, and at which turn

    # --- asking --------------------------------------------------------------------------------------

    def ask(self, rng: Random, n: int = 1) -> list[Architecture | Ask]:
        asked: set[str] = set()
        found: list[Architecture | Ask] = []
        draws = self._draws(rng, asked)
        while len(found) < n:
            ask = Ask.of(next(draws))
            asked.add(ask.architecture.id)
            found.append(ask)
        return found

    def _draws(self, rng: Random, asked: set[str]) -> Iterator[Architecture | Ask]:
        """New neighbours of the centre; then what comes after, with a note that there are no more."""
        note = None
        if self.centre is not None:
            yield from self._neighbours(self.centre[1], rng, asked)
            note = self.turns
            if self.better is not None:
                better = self.better[1]
                draw = unseen(lambda: self.space.mutate(better, rng), MUTATIONS, self._told, asked)
                while draw is not None:
                    yield Ask(draw, note=note)
                    draw = unseen(lambda: self.space.mutate(better, rng), MUTATIONS, self._told, asked)
        while True:
            yield Ask(any_unseen(self.space, rng, self._told, asked), note=note)

    def _neighbours(self, centre: Architecture, rng: Random, asked: set[str]) -> Iterator[Architecture]:
        """All that are new, in random order."""
        while self._near < LISTED:
            drawn = unseen(lambda: self.space.mutate(centre, rng), MUTATIONS, self._told, asked)
            if drawn is None:
                break
            yield drawn
        listed = self._all_neighbours(centre)
        while True:
            drawn = unseen(lambda: rng.choice(listed), MUTATIONS, self._told, asked) if listed else None
            if drawn is None:
                left = [a for a in listed if a.id not in self._told and a.id not in asked]
                if not left:
                    return
                drawn = rng.choice(left)
            yield drawn

    def _all_neighbours(self, centre: Architecture) -> list[Architecture]:
        if self._listed[0] != self.turns:
            self._listed = self.turns, list(self.space.neighbours(centre))
        return self._listed[1]

    # --- being told ----------------------------------------------------------------------------------

    def tell(self, trial: Trial) -> None:
        self._told.add(trial.architecture.id)
        self._near += 1
        if self.centre is not None and trial.note == self.turns:  # there were no more neighbours
            self._turn()
        if trial.score is None:
            return
        self._drawn += self.centre is None
        least = self.better or self.centre
        if least is None or trial.score > least[0]:
            self.better = trial.score, trial.architecture
        if self.better and (self.first if self.centre else self._drawn >= self.start):
            self._turn()

    def _turn(self) -> None:
        """Goes to what is better; where nothing is, begins anew."""
        self.turns += 1
        self.centre, self.better = self.better, None
        self._drawn = self._near = 0
