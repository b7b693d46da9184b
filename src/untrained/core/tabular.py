"""A space of a table's architectures alone, so that a search can only ask for what was trained."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from random import Random
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from untrained.core.architecture import Architecture
from untrained.core.errors import BadData, InvalidArchitecture
from untrained.core.space import Choice, Graph, Space

if TYPE_CHECKING:
    import torch

Floats = npt.NDArray[np.float64]
NEAR = 8  # neighbours that an architecture has at least


class Tabular(Space):
    """Some architectures of another space, each joined to those that its encoding is nearest to.

    A sample of a table is not closed under mutation: what is one edit away was hardly ever trained. So a
    neighbour is one of the `NEAR` nearest by the Euclidean distance of the other space's encodings, each
    coordinate over its range, and both ways: who is a neighbour of mine has me as a neighbour. Crossover
    gives the one that is nearest to a random mixture of two encodings.
    """

    def __init__(self, base: Space, architectures: Iterable[Architecture]) -> None:
        """Raises BadData for fewer than three different ones."""
        self.base = base
        self.name = base.name  # type: ignore[misc]  # what its architectures say
        self.members = tuple(dict.fromkeys(architectures))
        if len(self.members) < 3:
            raise BadData(f"a table of {len(self.members)} different architectures is nothing to search in")
        self._place = {arch: i for i, arch in enumerate(self.members)}
        self._codes = _scaled(np.array([base.encode(arch) for arch in self.members]))
        self._near = self._joined()

    def declared(self) -> dict[str, Choice]:  # type: ignore[override]
        """None: which decisions go together is for the table to say."""
        return {}

    def sample(self, rng: Random) -> Architecture:
        return rng.choice(self.members)

    def mutate(self, arch: Architecture, rng: Random) -> Architecture:
        return self.members[rng.choice(self._near[self._place[arch]])]

    def crossover(self, a: Architecture, b: Architecture, rng: Random) -> Architecture:
        pairs = zip(self._of(a).tolist(), self._of(b).tolist(), strict=True)
        mixed = np.array([rng.choice(pair) for pair in pairs])
        return self.members[int(np.argmin(((self._codes - mixed) ** 2).sum(1)))]

    def neighbours(self, arch: Architecture) -> Iterator[Architecture]:
        """Nearest first."""
        return (self.members[i] for i in self._near[self._place[arch]])

    def everything(self) -> Iterator[Architecture]:
        return iter(self.members)

    def size(self) -> int:
        return len(self.members)

    def validate(self, arch: Architecture) -> None:
        """Raises InvalidArchitecture for what is not in the table."""
        if arch not in self._place:
            raise InvalidArchitecture(f"{arch.id} is not among the {len(self.members)} of the table")

    def encode(self, arch: Architecture) -> list[float]:
        return self.base.encode(arch)

    def graph(self, arch: Architecture) -> Graph:
        return self.base.graph(arch)

    def count(self, arch: Architecture, *, scale: str = "paper") -> dict[str, int]:
        return self.base.count(arch, scale=scale)

    def build(
        self, arch: Architecture, *, scale: str = "paper", generator: torch.Generator | None = None
    ) -> torch.nn.Module:
        return self.base.build(arch, scale=scale, generator=generator)

    def _of(self, arch: Architecture) -> Floats:
        found: Floats = self._codes[self._place[arch]]
        return found

    def _joined(self) -> list[list[int]]:
        """Each one's neighbours, nearest first; in memory for one row of distances at a time."""
        joined: list[dict[int, float]] = [{} for _ in self.members]
        for i, code in enumerate(self._codes):
            far = ((self._codes - code) ** 2).sum(1)
            far[i] = np.inf
            for j in np.argsort(far, kind="stable")[:NEAR].tolist():
                joined[i][j] = joined[j][i] = float(far[j])
        return [sorted(near, key=lambda j, near=near: (near[j], j)) for near in joined]  # type: ignore[misc]


def _scaled(codes: Floats) -> Floats:
    """Each coordinate from 0 to 1 over the table; one that never changes is 0."""
    low, span = codes.min(0), np.ptp(codes, axis=0)
    scaled: Floats = (codes - low) / np.where(span == 0, 1.0, span)
    return scaled
