"""A search in progress: what happened, in order, and what can be read off it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from untrained.core.architecture import Architecture
from untrained.core.metric import Better


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
    version: str = ""
    """of this package"""


@dataclass(frozen=True)
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


class EventLog(Protocol):
    """Two verbs, whatever holds the log."""

    location: str
    """where it is, as errors and reports say it"""

    def append(self, kind: str, body: Mapping[str, Any]) -> None:
        """Adds an event at the end; durable after the next commit of the batch."""

    def events(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Every event as (kind, body), oldest first."""


class Study:
    """What a log says: the question, the trials, the best, the front."""

    def __init__(self, question: Question, trials: Iterable[Trial], store: str = "") -> None:
        self.question, self.trials, self.store = question, list(trials), store

    def distinct(self) -> list[Trial]:
        """Trials that were measured, each architecture once, best first by the first objective."""
        good = [t for t in self.trials if t.status == "ok" and t.same_as is None]
        return sorted(good, key=lambda t: (-(t.score or 0.0), t.number))

    @property
    def best(self) -> Architecture | None:
        """The best architecture by the first objective; None while no trial was good."""
        found = self.distinct()
        return found[0].architecture if found else None

    def front(self) -> list[Trial]:
        """Trials that no other beats in every objective, in the order of the first objective."""
        kept: list[Trial] = []
        # By all objectives, so that what beats a trial stands before it also where the first ones tie.
        for trial in sorted(self.distinct(), key=lambda t: t.scores, reverse=True):
            if not any(dominates(other.scores, trial.scores) for other in kept):
                kept.append(trial)
        return kept

    def table(self) -> list[dict[str, Any]]:
        """One flat record a trial, in the order in which they were asked for."""
        return [
            {"trial": t.number, "arch": t.architecture.id, "status": t.status, **t.values, "reason": t.reason}
            for t in self.trials
        ]


def dominates(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    """Whether `a` is at least as good everywhere and better somewhere (higher is better)."""
    return all(x >= y for x, y in zip(a, b, strict=True)) and a != b
