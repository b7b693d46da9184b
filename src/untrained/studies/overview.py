"""A study without its trials: what a list of studies, or a page about one, needs of a million of them."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from untrained.core.architecture import Architecture
from untrained.core.shown import html
from untrained.core.study import Question, Trial
from untrained.studies.digest import Digest, Floats, Integers, undominated
from untrained.studies.store import NoStudy, Store, names


@dataclass(frozen=True)
class Overview:
    """What a study came to; `load` gives the same with all its trials, which takes longer and more room."""

    study: str
    """its name in the store"""
    store: str
    question: Question
    trials: int
    repeats: int
    """trials of what an earlier one had shown"""
    counts: Counter[tuple[str, str | None]]
    """(status, reason) -> trials that are no repeats, in the order in which they were first seen"""
    leaders: list[Trial]
    """the first of `Study.distinct()`"""
    points: list[Trial]
    """the first of `Study.front()`"""
    front_size: int
    """how many there are on the whole front"""

    def _repr_html_(self) -> str | None:
        return html(self)

    @property
    def best(self) -> Architecture | None:
        """The best architecture by the first objective; None while no trial was good."""
        return self.leaders[0].architecture if self.leaders else None


@dataclass(frozen=True)
class Points:
    """Every architecture that was measured, as numbers alone; best first by the first objective."""

    numbers: Integers
    """(N,) the trial of each"""
    scores: Floats
    """(N, objectives) turned so that higher is better"""
    front: Integers
    """which rows no other beats in every objective"""


def overview(
    location: str | Path, *, study: str | None = None, best: int = 10, front: int | None = None
) -> Overview:
    """What a study came to, in time and memory for the notes on it and the few trials that are shown.

    `best` (1 or more) and `front` say how many trials of each to read; None: all. Equal to what `load`
    gives for the same store, trial by trial.
    """
    with Store(location, study=study) as log:
        return summary(log, best=best, front=front)[0]


def summary(log: Store, *, best: int = 10, front: int | None = None) -> tuple[Overview, Points]:
    """What `overview` gives for an open store, and the points that it was read off."""
    question, found = log.digest()
    numbers, scores = found.points(question)
    points = Points(numbers, scores, undominated(scores))
    return summed(log, question, found, points, best=best, front=front), points


def summed(
    log: Store, question: Question, found: Digest, points: Points, *, best: int, front: int | None
) -> Overview:
    """The overview of a digest whose points are known."""
    shown = points.front[:front]
    leaders = points.numbers[: max(best, 1)], points.scores[: max(best, 1)]
    return Overview(
        log.study,
        log.location,
        question,
        found.trials,
        found.repeats,
        Counter(found.counts),
        _trials(log, question, *leaders),
        _trials(log, question, points.numbers[shown], points.scores[shown]),
        len(points.front),
    )


def overviews(location: str | Path) -> list[Overview]:
    """Every study of a store that holds a question, with its best trial and without its front."""
    found = []
    for name in names(location):
        with suppress(NoStudy):
            found.append(overview(location, study=name, best=1, front=0))
    return found


def _trials(log: Store, question: Question, numbers: Integers, scores: Floats) -> list[Trial]:
    """The trials with these scores, which are means where there were several draws."""
    trials = log.trials(question, numbers.tolist())
    return [
        replace(trial, score=row[0], scores=tuple(row))
        for trial, row in zip(trials, scores.tolist(), strict=True)
    ]
