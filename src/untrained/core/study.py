"""A search in progress: what happened, in order, and what can be read off it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from untrained.core.architecture import Architecture
from untrained.core.frames import frame
from untrained.core.metric import Better
from untrained.core.shown import html


@dataclass(frozen=True)
class Question:
    """What a search was asked, complete enough to ask it again; the first event of every log."""

    space: str
    objectives: tuple[tuple[str, Better], ...]
    """(label of a metric, or `label.part`; direction); the first decides what `best` is"""
    where: str = ""
    strategy: str = "regularized_evolution"
    """as typed, with its options"""
    seed: int = 0
    scale: str = "probe"
    """size at which proxies build the network; costs are always those at paper scale"""
    text: str = ""
    """SHA-256 of the text that the proxies read; empty for the one that Python ships"""
    also: tuple[str, ...] = ()
    """metrics measured for the record, without a say in the search"""
    fidelities: tuple[tuple[str, Better], ...] = ()
    """cheaper metrics that a strategy may look at first, cheapest first; (label, direction)"""
    batch: int = 1
    """architectures that are asked for at once; all are told before the next are asked for"""
    synchronous: bool = True
    """False: asked for one by one as workers fall idle, so that the order depends on timing"""
    version: str = ""
    """of this package"""


@dataclass(frozen=True, slots=True)  # a study holds a million
class Trial:
    """One architecture that was asked for, and what became of it."""

    number: int
    architecture: Architecture
    status: str
    """`ok`, `rejected` (a constraint said no) or `failed` (no number; `reason` says why)"""
    values: Mapping[str, float] = field(default_factory=dict)
    """metric as typed -> value, in the metric's own direction"""
    score: float | None = None
    """first objective turned so that higher is better; None unless ok"""
    scores: tuple[float, ...] = ()
    """all objectives turned so that higher is better; empty unless ok"""
    reason: str | None = None
    """why there is no score; where the status is `ok`, which metric of `also` has no number, and why"""
    same_as: int | None = None
    """number of the earlier trial of an equal architecture, whose numbers these are"""
    fidelity: int | None = None
    """which of the question's cheaper metrics `score` is; None: the first objective"""
    draw: int = 0
    """which draw of weights and text"""
    note: Any = None
    """what the strategy wrote on it when it asked"""
    violation: float = 0.0
    """how far outside the constraint, summed over the clauses that were tested; 0 unless rejected"""


class EventLog(Protocol):
    """Two verbs, whatever holds the log."""

    location: str
    """where it is, as errors and reports say it"""

    def append(self, kind: str, body: Mapping[str, Any]) -> None:
        """Adds an event at the end; durable after the next commit of the batch."""

    def flush(self) -> None:
        """Makes everything durable that was added."""

    @property
    def safe(self) -> int:
        """How many events are durable."""

    def events(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Every event as (kind, body), oldest first."""


class Study:
    """What a log says: the question, the trials, the best, the front."""

    def __init__(self, question: Question, trials: Iterable[Trial], store: str = "") -> None:
        self.question, self.trials, self.store = question, list(trials), store

    def distinct(self) -> list[Trial]:
        """Trials that were measured, each architecture once, best first by the first objective.

        Where one was measured in several draws, its scores are their means.
        """
        drawn: dict[str, list[Trial]] = {}
        for trial in self.trials:
            if trial.status == "ok" and trial.same_as is None and trial.fidelity is None:
                drawn.setdefault(trial.architecture.id, []).append(trial)
        good = [trials[0] if len(trials) == 1 else _mean(trials) for trials in drawn.values()]
        return sorted(good, key=lambda t: (-(t.score or 0.0), t.number))

    @property
    def best(self) -> Architecture | None:
        """The best architecture by the first objective; None while no trial was good."""
        found = self.distinct()
        return found[0].architecture if found else None

    def front(self) -> list[Trial]:
        """Trials that no other beats in every objective, in the order of the first objective."""
        kept: list[Trial] = []
        points: set[tuple[float, ...]] = set()  # of a constant proxy there is one, for all trials
        beaten: set[tuple[float, ...]] = set()
        # By all objectives, so that what beats a trial stands before it also where the first ones tie.
        for trial in sorted(self.distinct(), key=lambda t: t.scores, reverse=True):
            scores = trial.scores
            if scores not in points and scores not in beaten:
                (beaten if any(dominates(p, scores) for p in points) else points).add(scores)
            if scores in points:
                kept.append(trial)
        return kept

    def _repr_html_(self) -> str | None:
        return html(self)

    def table(self) -> Any:
        """`records` for pandas where it is installed; see `untrained.core.frames`."""
        return frame(self.records())

    def records(self) -> list[dict[str, Any]]:
        """One flat record a trial, in the order in which they were asked for."""
        return [
            {
                "trial": t.number,
                "arch": t.architecture.id,
                "status": t.status,
                "fidelity": t.fidelity,
                "draw": t.draw,
                **t.values,
                "reason": t.reason,
            }
            for t in self.trials
        ]


def _mean(draws: list[Trial]) -> Trial:
    scores = tuple(math.fsum(column) / len(draws) for column in zip(*(t.scores for t in draws), strict=True))
    return replace(draws[0], score=scores[0], scores=scores)


def dominates(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    """Whether `a` is at least as good everywhere and better somewhere (higher is better)."""
    return all(x >= y for x, y in zip(a, b, strict=True)) and a != b
