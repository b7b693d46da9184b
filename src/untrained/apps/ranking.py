"""Architectures in order, with what they were measured at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from untrained.core.aggregate import aggregate, checked
from untrained.core.architecture import Architecture
from untrained.core.errors import UsageError
from untrained.core.frames import frame
from untrained.core.metric import Measurement, Metric
from untrained.core.shown import html


@dataclass(frozen=True)
class Place:
    """One architecture of a ranking."""

    architecture: Architecture
    measurements: dict[str, Measurement]
    """by metric as typed"""
    combined: float | None = None
    """the aggregate of its ranks, higher for better; None where none was asked for, or no metric has one"""


@dataclass(frozen=True)
class Ranking:
    """Architectures, best first by the first metric, or by the aggregate of all."""

    metrics: tuple[str, ...]
    places: tuple[Place, ...]
    combine: str = ""
    """which aggregate decides the order, as `untrained.core.aggregate` has them; empty for none"""

    def __iter__(self) -> Iterator[Place]:
        return iter(self.places)

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> Place:
        return self.places[index]

    @property
    def best(self) -> Architecture | None:
        """The first architecture; None where none could be measured."""
        top = self.places[0] if self.places else None
        return top.architecture if top and self.placed(top) else None

    def placed(self, place: Place) -> bool:
        """Whether it has what decides the order."""
        return place.combined is not None if self.combine else place.measurements[self.metrics[0]].ok

    def values(self, place: Place) -> dict[str, float | None]:
        """What stands beside it: the aggregate where there is one, then each metric's value."""
        first = {self.combine: place.combined} if self.combine else {}
        return {**first, **{m: place.measurements[m].value for m in self.metrics}}

    def _repr_html_(self) -> str | None:
        return html(self)

    def table(self) -> Any:
        """`records` for pandas where it is installed; see `untrained.core.frames`."""
        return frame(self.records())

    def records(self) -> list[dict[str, Any]]:
        """One flat record an architecture: rank, id, and each value (None where it failed)."""
        return [
            {"rank": i, "arch": p.architecture.id, **self.values(p)}
            for i, p in enumerate(self.places, start=1)
        ]

    def __str__(self) -> str:
        names = [*filter(None, [self.combine]), *self.metrics]
        lines = ["rank  arch              " + "  ".join(f"{m:>20}" for m in names)]
        for row in self.records():
            values = ("failed" if row[m] is None else f"{row[m]:.6g}" for m in names)
            lines.append(f"{row['rank']:>4}  {row['arch']}  " + "  ".join(f"{v:>20}" for v in values))
        return "\n".join(lines)


def check_combine(how: str | None, metrics: Sequence[object]) -> str:
    """The name of an aggregate, empty for none; UnknownName for another, UsageError for too few metrics."""
    if not how:
        return ""
    if len(metrics) < 2:
        raise UsageError(
            f"{checked(how)} combines the ranks of several metrics, and {len(metrics)} is named.\n"
            "  name two or more: --proxy fading_memory,layered_memory"
        )
    return checked(how)


def ranked(
    archs: Sequence[Architecture],
    results: Iterable[dict[str, Measurement]],
    metrics: Sequence[Metric],
    combine: str | None = None,
) -> Ranking:
    """Puts measured architectures in order; failed ones go last, and equal scores keep their order."""
    how = check_combine(combine, metrics)
    labels = tuple(m.label for m in metrics)
    measured = list(results)
    whole: list[float | None] = [None] * len(measured)
    if how and measured:
        goodness = [[r[name].goodness if r[name].ok else np.nan for name in labels] for r in measured]
        whole = [None if np.isnan(v) else float(v) for v in aggregate(how, goodness)]
    places = [Place(a, r, c) for a, r, c in zip(archs, measured, whole, strict=True)]

    def key(place: Place) -> tuple[bool, float]:
        if how:
            return (place.combined is None, -(place.combined or 0.0))
        m = place.measurements[labels[0]]
        return (not m.ok, -m.goodness if m.ok else 0.0)

    return Ranking(labels, tuple(sorted(places, key=key)), how)
