"""Tables to learn from: architectures with a truth, and what is known of them before training."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random

import numpy as np
import numpy.typing as npt

from untrained.apps.featuring import FeatureTable, tabulate
from untrained.apps.parallel import Progress, measure_all
from untrained.apps.probing import Lab
from untrained.core.architecture import Architecture
from untrained.core.benchmark import Benchmark, Row, Target
from untrained.core.errors import BadData, UnknownName, UsageError
from untrained.core.metric import metric
from untrained.core.predictor import half_range

Real = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

KINDS = ("encoding", "statistics", "both")
NONE = "none"  # as a prior
SIZE = "params_nonembedding"
PRIORS = {"rnn_cell": "gated_memory"}  # by space; of the others, which are transformers:
PRIOR = "rank_and_reuse"


@dataclass
class Known:
    """Architectures, each once, with what is known of them before and after training."""

    ids: list[str]
    keys: list[str]
    codes: Real
    """(architectures, features); where there is a prior, it is the first column, higher better"""
    label: Real
    """quality that may be learned from, NaN where it is not known"""
    quality: Real
    """quality to be predicted, NaN where it is not known"""
    size: Real | None = None
    prior: str = NONE
    gap: float = 0.01
    notes: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    """of the columns of `codes`"""
    carried: bool = False
    """whether labels are those of another table"""
    trainings: list[list[float]] = field(default_factory=list)
    """qualities of each architecture, one a training run; empty where single runs are not known"""


def from_benchmark(
    benchmark: Benchmark,
    rows: Sequence[Row],
    lab: Lab,
    *,
    target: str | None = None,
    learn: str | None = None,
    kind: str = "both",
    prior: str | None = None,
    fresh: int = 0,
    seed: int = 0,
    measured: Callable[[Sequence[Architecture]], FeatureTable] | None = None,
    progress: Progress | None = None,
) -> Known:
    """A benchmark's architectures; twins become one, with the mean of their truths.

    `target` is the truth to predict (the first one), `learn` the one that labels are taken from (the same).
    `fresh` architectures of the space, without truth, are added.
    """
    check_kind(kind)
    goal, source = _goal(benchmark, target), _goal(benchmark, learn or target)
    by_arch: dict[Architecture, list[Row]] = {}
    for row in rows:
        if row.architecture is not None:
            by_arch.setdefault(row.architecture, []).append(row)
    if not by_arch:
        raise BadData(f"{benchmark.name}: no row has an architecture, so nothing can be learned from it")
    luck = Random(seed)
    while fresh > 0:
        by_arch.setdefault(lab.space.sample(luck), [])
        fresh -= 1
    archs = list(by_arch)
    name = PRIORS.get(lab.space.name, PRIOR) if prior is None else prior
    notes: list[str] = []
    columns: list[Real] = []
    names: list[str] = []
    if name != NONE:
        columns.append(_prior(lab, archs, name, notes, progress))
        names.append(name)
    if kind != "encoding":
        table = (measured or partial(tabulate, lab, seed=0, progress=progress))(archs)
        failed = sum(a.id in table.reasons for a in archs)
        if failed:
            notes.append(f"{failed} architectures have no statistics; each counts as the median there")
        told, values = table.matrix([a.id for a in archs])
        columns.append(values)
        names += told
    if kind != "statistics":
        codes = np.array([lab.space.encode(a) for a in archs], dtype=np.float64)
        columns.append(codes)
        names += [f"{lab.space.name}[{k}]" for k in range(codes.shape[1])]
    sizes = [lab.measure(a, [metric(SIZE)])[SIZE].value for a in archs]
    twins = sum(len(found) > 1 for found in by_arch.values())
    if twins:
        notes.append(f"{twins} architectures were trained more than once; each counts once, with its mean")
    trainings = [_qualities(found, goal) for found in by_arch.values()]
    return Known(
        ids=[a.id for a in archs],
        keys=[found[0].key if found else "" for found in by_arch.values()],
        codes=np.column_stack(columns),
        label=np.array([_mean(found, source) for found in by_arch.values()]),
        quality=np.array([_mean(found, goal) for found in by_arch.values()]),
        size=None if None in sizes else np.array(sizes, dtype=np.float64),
        prior=name,
        gap=goal.gap,
        notes=notes,
        names=names,
        trainings=trainings,
    )


def fitted_on(source: Known, goal: Known) -> Known:
    """The architectures of both: labels are those of `source`, and what is to be predicted is in `goal`.

    Learned from are the columns that both have, in each table less its median and over half the range of its
    middle 68 %: what is large in the one may be small in the other, and a prior has its own scale in each.
    An architecture of both may be scored on, and is then not labelled. Raises UsageError where they share
    nothing but the prior.
    """
    shared = [n for n in goal.names if n in source.names]
    if not set(shared) - {goal.prior}:
        raise UsageError(
            "the two tables have no feature in common, so nothing carries over.\n  add: --features statistics"
        )
    keys = dict(zip(goal.ids, goal.keys, strict=True)) | dict(zip(source.ids, source.keys, strict=True))
    first, second = ({i: k for k, i in enumerate(t.ids)} for t in (source, goal))

    def column(name: str) -> Real:
        a, b = (_placed(t.codes[:, t.names.index(name)]) for t in (source, goal))
        return np.array([b[second[i]] if i in second else a[first[i]] for i in keys])

    def of(values: Real, places: dict[str, int]) -> Real:
        return np.array([values[places[i]] if i in places else math.nan for i in keys])

    size = None if goal.size is None else np.nan_to_num(of(goal.size, second), nan=1.0)
    return Known(
        ids=list(keys),
        keys=list(keys.values()),
        codes=np.column_stack([column(n) for n in shared]),
        label=of(source.label, first),
        quality=of(goal.quality, second),
        size=size,
        prior=goal.prior,
        gap=goal.gap,
        notes=[f"learned from the {len(shared)} columns that both tables have", *goal.notes],
        names=shared,
        carried=True,
        trainings=[goal.trainings[second[i]] if i in second else [] for i in keys] if goal.trainings else [],
    )


def _placed(column: Real) -> Real:
    found: Real = (column - np.median(column)) / half_range(column[:, None])[0]
    return found


def _goal(benchmark: Benchmark, name: str | None) -> Target:
    if name is None:
        return benchmark.targets[0]
    found = next((t for t in benchmark.targets if t.name == name), None)
    if found is None:
        known = [t.name for t in benchmark.targets]
        raise UnknownName("truth", name, known, more=f"untrained show {benchmark.name}")
    return found


def _qualities(rows: Sequence[Row], goal: Target) -> list[float]:
    """One a training; none where one of them diverged."""
    found = [goal.quality(r.truth[goal.name]) for r in rows if goal.name in r.truth]
    return found if all(map(math.isfinite, found)) else []


def _mean(rows: Sequence[Row], goal: Target) -> float:
    """Of the qualities of twins; NaN where none is known or one diverged."""
    found = _qualities(rows, goal)
    return math.fsum(found) / len(found) if found else math.nan


def _prior(
    lab: Lab, archs: Sequence[Architecture], name: str, notes: list[str], progress: Progress | None
) -> Real:
    """Goodness of each; one without a number counts as the worst."""
    asked = metric(name)
    found = [m[asked.label] for m in measure_all(lab, archs, [asked], workers=1, progress=progress)]
    good = [m.goodness for m in found if m.ok]
    if not good:
        raise UsageError(f"the prior {name} has no number for any architecture: {found[0].reason}")
    if len(good) < len(found):
        notes.append(f"{len(found) - len(good)} architectures have no {name}; they count as its worst")
    return np.array([m.goodness if m.ok else min(good) for m in found])


def check_kind(kind: str) -> None:
    """Raises UnknownName for features that do not exist."""
    if kind not in KINDS:
        raise UnknownName("kind of features", kind, KINDS, more="untrained calibrate --help")
