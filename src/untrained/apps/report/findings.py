"""What a report shows, gathered once as plain data, from a store or from a study in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from untrained.apps.report.best import SIZE, space_of
from untrained.apps.report.command import metric_name
from untrained.apps.report.counts import Counts, count
from untrained.core import registry
from untrained.core.effects import LEAST, ROWS, Effects, effects
from untrained.core.errors import UntrainedError
from untrained.core.metric import Better
from untrained.core.space import Space
from untrained.core.study import Question, Study, Trial
from untrained.core.traits import blocks
from untrained.studies.digest import Integers, undominated
from untrained.studies.overview import Overview, Points, summary
from untrained.studies.store import Store

SAID_BY_NAME = ("parameters",)  # units that the name of the value says already
BEST, FRONT = 10, 30  # architectures that are drawn: leaders, and of the front
Again = Callable[[Sequence[Trial], Question, Space | None], dict[str, "Spread"]]


@dataclass(frozen=True)
class Spread:
    """A value measured again, with other draws of weights and text window."""

    mean: float
    deviation: float
    """standard deviation over the draws"""
    draws: int


@dataclass
class Findings:
    """Everything that the figures of a search are drawn from."""

    study: Study | Overview
    name: str
    """of the study in its store"""
    counts: Counts
    points: Points
    sample: list[Trial]
    """of the good ones: all, or as many at random as effects are read off"""
    leaders: list[Trial]
    front: list[Trial]
    """of the front, as many as are drawn; empty for a single objective"""
    space: Space | None
    effects: Effects | None = None
    why_no_effects: str = ""
    spreads: dict[str, Spread] = field(default_factory=dict)
    """architecture id -> first objective over several draws"""

    @property
    def question(self) -> Question:
        return self.study.question

    @property
    def shown(self) -> list[Trial]:
        """The architectures that are drawn, each once: the best, then the front."""
        return list({t.architecture.id: t for t in [*self.leaders, *self.front]}.values())

    def sizes(self) -> list[tuple[Trial, float]]:
        """Parameters at paper scale of the sample, where they are recorded or known in closed form."""
        found = ((t, size(t, self.space)) for t in self.sample)
        return [(t, n) for t, n in found if n is not None]


def from_store(
    location: str | Path, *, study: str | None = None, again: Again | None = None, seed: int = 0
) -> Findings:
    """What a store says so far, also while somebody writes to it. Raises BadStore for what is none."""
    with Store(location, study=study) as log:
        found, points = summary(log, best=BEST, front=0)
        front = sampled(log, found.question, points, along(points.front))
        few = some(len(points.numbers), seed)
        sample = sampled(log, found.question, points, few)
    return gathered(found, found.study, points, sample, found.leaders, front, again, seed)


def along(front: Integers, most: int = FRONT) -> list[int]:
    """Rows of the front to draw: all, or `most` of them at equal distances, both ends included."""
    picked = np.linspace(0, len(front) - 1, min(len(front), most)).round().astype(int)
    found: list[int] = front[picked].tolist()
    return found


def sampled(log: Store, question: Question, points: Points, few: Sequence[int]) -> list[Trial]:
    """The trials of some rows. Of several draws of one architecture the score is their mean."""
    trials = log.trials(question, points.numbers[list(few)].tolist())
    return [_scored(t, points.scores[i].tolist()) for t, i in zip(trials, few, strict=True)]


def from_study(study: Study, *, again: Again | None = None, seed: int = 0, matter: bool = True) -> Findings:
    """The same of a study in memory; without `matter` nobody asks which choices matter."""
    good = study.distinct()
    goals = len(study.question.objectives)
    scores = np.array([t.scores for t in good], float).reshape(len(good), goals)
    points = Points(np.array([t.number for t in good], np.int64), scores, undominated(scores))
    front = [good[i] for i in along(points.front)]
    sample = [good[i] for i in some(len(good), seed)]
    return gathered(study, "", points, sample, good[:BEST], front, again, seed, matter=matter)


def size(trial: Trial, space: Space | None) -> float | None:
    """Parameters of an architecture, where that needs no network."""
    if SIZE in trial.values:
        return trial.values[SIZE]
    if space is None:
        return None
    counted = space.count(trial.architecture, scale="paper").get(SIZE)
    return None if counted is None else float(counted)


def unit_of(label: str) -> str:
    """The unit of a value, empty where its metric has none or is not installed."""
    name = metric_name(label)
    for kind in ("proxy", "cost"):
        if name in registry.names(kind) and "." not in label.partition(":")[0]:
            unit = _unit(kind, name)
            return "" if unit in SAID_BY_NAME else unit
    return ""


def _unit(kind: str, name: str) -> str:
    """As the plug-in's file says it: importing a metric takes torch, which pages do without."""
    if name in registry.files(kind):
        return str(registry.declared(kind, name).get("unit", ""))
    try:
        return str(registry.get(kind, name).unit)
    except UntrainedError:
        return ""


def own_value(score: float, better: Better) -> float:
    """A score as its metric tells it."""
    return score if better == "higher" else -score


def gathered(
    study: Study | Overview,
    name: str,
    points: Points,
    sample: list[Trial],
    leaders: list[Trial],
    front: list[Trial],
    again: Again | None = None,
    seed: int = 0,
    matter: bool = True,
) -> Findings:
    """The findings of what was read already; `sample` is what effects and sizes are read off."""
    space = space_of(study)
    several = len(study.question.objectives) > 1
    found = Findings(study, name, count(study), points, sample, leaders, front if several else [], space)
    if matter:
        found.effects, found.why_no_effects = _effects(sample, space, seed)
    if again is not None and leaders:
        found.spreads = again(leaders, study.question, space)
    return found


def _effects(sample: Sequence[Trial], space: Space | None, seed: int) -> tuple[Effects | None, str]:
    """What matters among the sample, or why that is not told."""
    if space is None:
        return None, "The package that has this space is not installed."
    if len(sample) < LEAST:
        return None, f"{len(sample)} good architectures are too few to tell; {LEAST} or more are needed."
    parts = blocks(space, [t.architecture for t in sample])
    if not parts:
        return None, "The good architectures are equal in every decision."
    return effects(parts, [t.score or 0.0 for t in sample], seed=seed), ""


def some(n: int, seed: int, most: int = ROWS) -> list[int]:
    """Which of n rows to look at closely, in their order."""
    picked = np.sort(np.random.default_rng(seed).permutation(n)[:most])
    found: list[int] = picked.tolist()
    return found


def _scored(trial: Trial, scores: list[float]) -> Trial:
    return replace(trial, score=scores[0], scores=tuple(scores))
