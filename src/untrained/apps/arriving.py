"""Architectures ranked as they come: each is measured at once, and all are put in order again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from untrained.apps.probing import Lab
from untrained.apps.ranking import Ranking, check_combine, ranked
from untrained.core.aggregate import Arriving
from untrained.core.architecture import Architecture
from untrained.core.metric import Measurement, Metric
from untrained.nn.numerics import quiet_numbers


@dataclass(frozen=True)
class Arrival:
    """One architecture, and where it stands among those that have come so far."""

    count: int
    """how many have come, this one included"""
    architecture: Architecture
    measurements: dict[str, Measurement]
    rank: int | None
    """1 is the best; the same for equal ones; None without what decides the order"""
    combined: float | None
    """the aggregate of its ranks so far; None where none was asked for, or no metric has one"""


class Incoming:
    """A ranking that grows; whenever asked it is the one that all of them at once would have."""

    def __init__(
        self, lab: Lab, metrics: Sequence[Metric], combine: str | None = None, *, seeds: int = 1
    ) -> None:
        """Raises UnknownName for another combination, UsageError for one of a single metric."""
        self.lab, self.metrics, self.seeds = lab, list(metrics), seeds
        self.how = check_combine(combine, metrics)
        self.labels = [m.label for m in metrics] if self.how else [metrics[0].label]
        self._order = Arriving(self.how or "mean_rank", len(self.labels))
        self._archs: list[Architecture] = []
        self._known: dict[Architecture, dict[str, Measurement]] = {}

    def see(self, archs: Iterable[Architecture]) -> Iterator[Arrival]:
        """Measures each when it comes, equal ones once; InvalidArchitecture for one of another space."""
        with quiet_numbers():
            for arch in archs:
                if arch not in self._known:
                    self.lab.space.validate(arch)
                    self._known[arch] = self.lab.measure(arch, self.metrics, self.seeds)
                found = self._known[arch]
                self._archs.append(arch)
                self._order.add([found[n].goodness if found[n].ok else np.nan for n in self.labels])
                scores = self._order.scores()
                own = float(scores[-1])
                told = not np.isnan(own)
                rank = int((scores > own).sum()) + 1 if told else None
                combined = own if self.how and told else None
                yield Arrival(len(scores), arch, found, rank, combined)

    def best(self, most: int) -> list[Architecture]:
        """The first `most` that have what decides, best first; of equal ones the one that came first."""
        scores = self._order.scores()
        order = np.argsort(np.where(np.isnan(scores), np.inf, -scores), kind="stable")
        return [self._archs[i] for i in order[:most] if not np.isnan(scores[i])]

    def ranking(self) -> Ranking:
        """All that have come, as `rank` of them at once."""
        return ranked(self._archs, [self._known[a] for a in self._archs], self.metrics, self.how)
