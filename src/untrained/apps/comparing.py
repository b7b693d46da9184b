"""Strategies against each other on a table whose truth is known."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import numpy as np
import numpy.typing as npt

from untrained.core import registry
from untrained.core.architecture import Architecture
from untrained.core.benchmark import Benchmark, Row, Target
from untrained.core.errors import BadData, UnknownName, UsageError
from untrained.core.space import Space
from untrained.core.statistics import bootstrap
from untrained.core.strategy import Ask, make
from untrained.core.study import Question
from untrained.core.tabular import Tabular
from untrained.studies import events
from untrained.studies.events import Outcome

RANDOM = "random_search"
FREE = 200  # cheaper looks that a strategy has for each true one, lest it never come to the point
SHOWN = (0.1, 0.25, 0.5, 1.0)  # shares of the budget at which the regret is told

Floats = npt.NDArray[np.float64]
Cheap = Mapping[str, Mapping[Architecture, float]]
Progress = Callable[[int, int], None]


def strategies_by_name(names: str | Sequence[str], fidelities: int) -> list[str]:
    """The names; `all` stands for every strategy that can do with that many cheaper metrics."""
    typed = [names] if isinstance(names, str) else list(names)
    known = registry.names("strategy")
    able = [n for n in known if registry.get("strategy", n).needs_fidelities <= fidelities]
    return list(dict.fromkeys(name for t in typed for name in (able if t == "all" else [t])))


@dataclass
class Comparison:
    """What `compare` found: one record a strategy, best first, and the curves behind it."""

    benchmark: Benchmark
    target: Target
    records: list[dict[str, Any]]
    curves: dict[str, Floats]
    """strategy -> (runs, budget): the best truth found so far, in the target's own unit"""
    notes: list[str] = field(default_factory=list)


def compare(
    benchmark: Benchmark,
    rows: Sequence[Row],
    space: Space,
    strategies: Sequence[str],
    *,
    budget: int,
    runs: int,
    target: str | None = None,
    cheap: Cheap | None = None,
    directions: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Lets every strategy look up `budget` truths, `runs` times, each run with luck of its own.

    What is looked up a second time counts again. Random search is always among them. `cheap` has values of
    cheaper metrics, cheapest first, for strategies that look twice; those looks are not counted. Where the
    table has every architecture of the space, the space's own operations are searched with, else those of
    `Tabular`. Raises UsageError for bad numbers, BadData for a table that is too small.
    """
    for name, number, least in (("budget", budget, 1), ("runs", runs, 2)):
        if number < least:
            raise UsageError(f"{name}={number}; take {least} or more")
    goal = _target(benchmark, target)
    truth = _truths(rows, goal)
    searched = _space(space, truth)
    names = list(dict.fromkeys([RANDOM, *strategies]))
    for name in names:
        make(name, searched, fidelities=len(cheap or {}))  # a wrong name is told before the work
    table = _Tabled(truth, _seconds(rows), cheap or {}, directions or {})
    found: dict[str, _Played] = {}
    for i, name in enumerate(names):
        found[name] = _Played(np.empty((runs, budget)), np.empty(runs))
        for run in range(runs):
            found[name].best[run], found[name].seconds[run] = table.played(name, searched, budget, run)
            if progress:
                progress(i * runs + run + 1, len(names) * runs)
    records = [_record(name, found, goal, truth) for name in names]
    records.sort(key=lambda r: r["regret"])
    curves = {
        name: np.array([[_back(goal, v) for v in run] for run in played.best])
        for name, played in found.items()
    }
    return Comparison(benchmark, goal, records, curves, _notes(searched, truth))


@dataclass
class _Played:
    """What one strategy did."""

    best: Floats
    """(runs, budget), the best quality so far"""
    seconds: Floats
    """(runs,), what training the different networks that it looked up took; NaN where that is not known"""


@dataclass
class _Tabled:
    """Measurements that are looked up."""

    truth: Mapping[Architecture, float]
    """in quality: higher is better"""
    seconds: Mapping[Architecture, float]
    cheap: Cheap
    directions: Mapping[str, str]

    def played(self, name: str, space: Space, budget: int, run: int) -> tuple[list[float], float]:
        """The best quality after each true look of one run, and the seconds of training looked up."""
        question = Question(
            space.name,
            (("truth", "higher"),),
            fidelities=tuple(
                (m, "higher" if self.directions.get(m) != "lower" else "lower") for m in self.cheap
            ),
        )
        strategy = make(name, space, fidelities=len(self.cheap))
        first: dict[events.Key, Any] = {}
        best: list[float] = []
        number = 0
        while len(best) < budget and number < budget * FREE:
            ask = Ask.of(strategy.ask(Random(f"{run}/{number}"), 1)[0])
            key = events.key(ask)
            if key in first:
                trial = events.repeat(number, first[key], ask.note)
            else:
                trial = first[key] = events.judge(question, number, ask, self._look(ask))
            strategy.tell(trial)
            number += 1
            if ask.fidelity is None:
                best.append(max(best[-1] if best else -math.inf, self.truth[ask.architecture]))
        if not best:
            raise UsageError(
                f"{name} looked {number:,} times and never at the truth; it is not for this table"
            )
        looked = {trial.architecture for trial in first.values() if trial.fidelity is None}
        spent = math.fsum(self.seconds.get(arch, math.nan) for arch in looked)
        return best + [best[-1]] * (budget - len(best)), spent

    def _look(self, ask: Ask) -> Outcome:
        if ask.fidelity is None:
            return Outcome("ok", {"truth": self.truth[ask.architecture]})
        name = list(self.cheap)[ask.fidelity]
        value = self.cheap[name].get(ask.architecture)
        return (
            Outcome("failed", {}, f"{name} has no number") if value is None else Outcome("ok", {name: value})
        )


def _target(benchmark: Benchmark, name: str | None) -> Target:
    if name is None:
        return benchmark.targets[0]
    for target in benchmark.targets:
        if target.name == name:
            return target
    known = [t.name for t in benchmark.targets]
    raise UnknownName("truth", name, known, more=f"untrained show {benchmark.name}")


def _truths(rows: Sequence[Row], target: Target) -> dict[Architecture, float]:
    """Quality by architecture, the mean over those that were trained more than once."""
    found: dict[Architecture, list[float]] = {}
    for row in rows:
        if row.architecture is not None and target.name in row.truth:
            found.setdefault(row.architecture, []).append(target.quality(row.truth[target.name]))
    if len(found) < 3:
        raise BadData(f"{len(found)} architectures of the table have a {target.name}: nothing to search in")
    return {arch: math.fsum(values) / len(values) for arch, values in found.items()}


def _space(space: Space, truth: Mapping[Architecture, float]) -> Space:
    size = space.size()
    if size is not None and size <= 10 * len(truth) and all(a in truth for a in space.everything()):
        return space
    return Tabular(space, truth)


def _seconds(rows: Sequence[Row]) -> dict[Architecture, float]:
    return {r.architecture: r.seconds for r in rows if r.architecture is not None and r.seconds is not None}


def _record(
    name: str, found: Mapping[str, _Played], target: Target, truth: Mapping[Architecture, float]
) -> dict[str, Any]:
    """Regret in the target's quality; improvement over what a random architecture is worth, in per cent."""
    best = max(truth.values())
    mine, theirs, spent = found[name].best, found[RANDOM].best, found[name].seconds
    budget = mine.shape[1]
    middle, low, high = _mean(best - mine[:, -1])
    difference, below, above = _mean(mine[:, -1] - theirs[:, -1])  # equal luck, run by run
    typical = _back(target, math.fsum(truth.values()) / len(truth))
    ends = np.array([_back(target, v) for v in mine[:, -1]])
    better = 1.0 if target.better == "higher" else -1.0
    gain, gain_low, gain_high = _mean(100 * better * (ends - typical) / abs(typical))
    return {
        "strategy": name,
        "target": target.name,
        "runs": len(mine),
        "budget": budget,
        "regret": middle,
        "regret_low": low,
        "regret_high": high,
        "regret_at": {
            str(at): float((best - mine[:, at - 1]).mean())
            for at in dict.fromkeys(max(1, round(share * budget)) for share in SHOWN)
        },
        "found": float(np.median(ends)),
        "minus_random": difference,
        "minus_random_low": below,
        "minus_random_high": above,
        "beats_random": None if name == RANDOM else bool(below > 0),
        "relative_improvement": gain,
        "relative_improvement_low": gain_low,
        "relative_improvement_high": gain_high,
        "simulated_hours": None if np.isnan(spent).any() else float(spent.mean() / 3600),
    }


def _mean(values: Floats) -> tuple[float, float, float]:
    """The mean and its 95 % bootstrap interval over runs."""
    low, high = bootstrap(lambda v: float(np.mean(v)), values)
    return float(values.mean()), low, high


def _back(target: Target, quality: float) -> float:
    """From the scale of `Target.quality` to the target's own unit."""
    value = quality if target.better == "higher" else -quality
    return math.exp(value) if target.log else value


def _notes(space: Space, truth: Mapping[Architecture, float]) -> list[str]:
    how = (
        "a neighbour is one of the nearest by encoding, as most of the space was never trained"
        if isinstance(space, Tabular)
        else "all of the space is in the table, and its own operations are searched with"
    )
    best = max(truth, key=lambda a: truth[a])
    return [f"{len(truth):,} different architectures; {how}.", f"The best one is {best.id}."]
