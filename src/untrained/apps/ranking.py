"""Architectures in order, with what they were measured at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from untrained.core.architecture import Architecture
from untrained.core.metric import Measurement, Metric


@dataclass(frozen=True)
class Place:
    """One architecture of a ranking."""

    architecture: Architecture
    measurements: dict[str, Measurement]
    """by metric as typed"""


@dataclass(frozen=True)
class Ranking:
    """Architectures, best first by the first metric."""

    metrics: tuple[str, ...]
    places: tuple[Place, ...]

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
        return top.architecture if top and top.measurements[self.metrics[0]].ok else None

    def table(self) -> list[dict[str, Any]]:
        """One flat record an architecture: rank, id, and each metric's value (None where it failed)."""
        return [
            {"rank": i, "arch": p.architecture.id, **{m: p.measurements[m].value for m in self.metrics}}
            for i, p in enumerate(self.places, start=1)
        ]

    def __str__(self) -> str:
        lines = ["rank  arch              " + "  ".join(f"{m:>20}" for m in self.metrics)]
        for row in self.table():
            values = ("failed" if row[m] is None else f"{row[m]:.6g}" for m in self.metrics)
            lines.append(f"{row['rank']:>4}  {row['arch']}  " + "  ".join(f"{v:>20}" for v in values))
        return "\n".join(lines)


def ranked(
    archs: Sequence[Architecture], results: Iterable[dict[str, Measurement]], metrics: Sequence[Metric]
) -> Ranking:
    """Puts measured architectures in order; failed ones go last, and equal scores keep their order."""
    places = [Place(a, r) for a, r in zip(archs, results, strict=True)]
    first = metrics[0].label

    def key(place: Place) -> tuple[bool, float]:
        m = place.measurements[first]
        return (not m.ok, -m.goodness if m.ok else 0.0)

    return Ranking(tuple(m.label for m in metrics), tuple(sorted(places, key=key)))
