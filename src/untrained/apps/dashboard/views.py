"""The report's figures for a study that still grows: thinned here, so that no page holds a million points."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress
from urllib.parse import urlencode

import numpy as np

from untrained.apps.dashboard.live import FRONT, Live
from untrained.apps.report.best import space_of, value, value_names
from untrained.apps.report.counts import count
from untrained.apps.report.figures.axes import Axis, wide
from untrained.apps.report.figures.marks import figure, two_lines
from untrained.apps.report.figures.plot import Point, plot
from untrained.apps.report.figures.thin import thinned
from untrained.apps.report.figures.views import failures, importance, pareto, progress
from untrained.apps.report.findings import unit_of
from untrained.apps.report.html import effect_rows, importance_said, size_figure
from untrained.apps.report.table import number
from untrained.core.errors import UntrainedError
from untrained.studies.digest import Floats, Integers

DOTS = 1_500  # points of a plot


def figures(live: Live) -> dict[str, str]:
    """Name -> HTML of every figure that a study has by now; kept until it has changed."""
    return live.kept("figures", lambda: _figures(live))


def prepare(studies: Iterable[Live], seconds: float = 10.0) -> None:
    """Makes what a first look would wait for: modules are loaded, points ordered. Ends after that time."""
    start = time.monotonic()
    for live in studies:
        if live.question is None or time.monotonic() - start > seconds:
            continue
        with suppress(UntrainedError):
            figures(live)
            live.kept("deep", lambda: _deep(live))  # noqa: B023 - done within the turn
            leaders(live)


def address(page: str, **query: object) -> str:
    """Where a page of ours is."""
    return f"/{page}?{urlencode({k: str(v) for k, v in query.items()})}"


def axis(live: Live, k: int, values: Floats) -> Axis:
    """The axis of an objective, with its unit and direction."""
    assert live.question is not None
    name, better = live.question.objectives[k]
    return Axis(name, unit_of(name), better, log=wide(values[:: max(1, len(values) // 1000)].tolist()))


def leaders(live: Live) -> tuple[list[str], list[list[str]]]:
    """Names of the values, and a row for each of the best few: number of the trial, id, values."""
    found = live.overview()
    space = space_of(found)
    told = {n: [value(t, n, space) for t in found.leaders] for n in value_names(found.question)}
    told = {n: column for n, column in told.items() if any(v is not None for v in column)}
    rows = [
        [str(t.number), t.architecture.id, *(number(column[i], 6) for column in told.values())]
        for i, t in enumerate(found.leaders)
    ]
    return list(told), rows


def climb(live: Live) -> list[tuple[int, float]]:
    """(trial, value) of the trials that were better than all before."""
    numbers, values = live.climb()
    return list(zip(numbers.tolist(), values.tolist(), strict=True))


def front_points(live: Live, most: int = FRONT) -> tuple[list[Point], int]:
    """The front by the first two objectives as links, and how many it has."""
    points = live.points()
    shown = points.front[:most]
    return _points(live, points.numbers[shown], _values(live, points.scores[shown])), len(points.front)


def overlay(one: Live, other: Live) -> list[str]:
    """The climbs of two studies over the trials in one plot, if both ask for the same; else none."""
    assert one.question is not None
    assert other.question is not None
    lines = [_climbing(live) for live in (one, other)]
    if one.question.objectives[0] != other.question.objectives[0] or not all(lines):
        return []
    y = axis(one, 0, np.array([v for line in lines for _, v in line]))
    said = f"best {y.name} by trial, of {one.name} and of {other.name}"
    body = plot((), Axis("trial"), y, line=lines[0], second=lines[1], steps=True, said=said)
    legend = two_lines(one.name, other.name)
    return [
        figure(
            "The best so far", body, said="Level lines, and a step where a better one came.", legend=legend
        )
    ]


def _climbing(live: Live) -> list[tuple[float, float]]:
    """The steps of the best value, up to the last trial."""
    steps: list[tuple[float, float]] = [(float(n), v) for n, v in climb(live)]
    return [*steps, (float(max(live.trials - 1, 0)), steps[-1][1])] if steps else []


def _figures(live: Live) -> dict[str, str]:
    assert live.question is not None
    counted = count(live.overview())
    found = {"failures": failures(counted.clauses, counted.reasons, counted.trials)}
    if not len(live.points().numbers):
        return found
    if len(live.question.objectives) > 1:
        found["pareto"] = _pareto(live)
    found["progress"] = _progress(live)
    return found


def deep_figures(live: Live) -> dict[str, str]:
    """The figures that need the architectures themselves: size, and which choices matter."""
    return live.kept("deep", lambda: _deep(live), meanwhile={})


def _deep(live: Live) -> dict[str, str]:
    assert live.question is not None
    if not len(live.points().numbers):
        return {}
    found = live.findings()
    size = size_figure(found, lambda t: address("trial", study=live.name, number=t.number))
    if found.effects is None:
        return {"size": size, "importance": figure("Which choices matter", "", said=found.why_no_effects)}
    said = importance_said(found.effects, live.question.objectives[0][0])
    return {"size": size, "importance": importance(effect_rows(found.effects), said=said)}


def _pareto(live: Live) -> str:
    points = live.points()
    values = _values(live, points.scores)
    y, x = values[:, 0], values[:, 1]
    kept = thinned(x, y, DOTS)
    front, _ = front_points(live)
    dots = _points(live, points.numbers[kept], values[kept])
    return pareto(dots, front, axis(live, 1, x), axis(live, 0, y), drawn_of=len(points.numbers))


def _progress(live: Live) -> str:
    """Some of all trials, and every one that was better than all before it."""
    assert live.question is not None
    _, numbers, values = live.digest.measured()
    kept = thinned(numbers, values[:, 0], DOTS)
    rises = np.searchsorted(numbers, live.climb()[0])
    shown = np.unique(np.r_[kept, rises, len(numbers) - 1])
    scores = list(zip(numbers[shown].tolist(), values[shown, 0].tolist(), strict=True))
    better = live.question.objectives[0][1]
    return progress(scores, axis(live, 0, values[:, 0]), better=better, drawn_of=len(numbers))


def _points(live: Live, numbers: Integers, values: Floats) -> list[Point]:
    """Points of a plot, the second objective across, the first one up; a click leads to it."""
    ids, known, _ = live.digest.measured()
    names = ids[np.searchsorted(known, numbers)]
    return [
        Point(x, y, f"{name:016x}", address("trial", study=live.name, number=n), f"trial {n:,}")
        for n, name, (y, x, *_) in zip(numbers.tolist(), names.tolist(), values.tolist(), strict=True)
    ]


def _values(live: Live, scores: Floats) -> Floats:
    """Scores in the metrics' own directions."""
    assert live.question is not None
    higher = [better == "higher" for _, better in live.question.objectives]
    return np.where(higher, scores, -scores)
