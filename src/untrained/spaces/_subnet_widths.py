"""The sizes that layers of a sub-network may have, and what they cost."""

from __future__ import annotations

import math
from collections.abc import Sequence

from untrained.nn.pretrained.families import Geometry


class Widths:
    """Options of a layer, in rising order, and the costs of a choice of them."""

    def __init__(
        self, geometry: Geometry, *, align: int, narrowest: float, shortest: float, whole: bool
    ) -> None:
        """`whole`: heads go group by group with their key/value head, instead of some from every group."""
        self.geometry, self.whole = geometry, whole
        step = geometry.per_group if whole else geometry.kv_heads
        least = max(1, math.ceil(narrowest * geometry.heads / step))
        self.heads = tuple(range(least * step, geometry.heads + 1, step))
        first = max(align, math.ceil(narrowest * geometry.inner / align) * align)
        inner = [*range(first, geometry.inner + 1, align), geometry.inner]
        self.inner = tuple(sorted({i for i in inner if i <= geometry.inner}))
        self.fewest = max(1, math.ceil(shortest * geometry.layers))
        self._cost: dict[tuple[int, int], int] = {}

    def kv(self, heads: int) -> int:
        """Key/value heads that go with so many heads."""
        return heads // self.geometry.per_group if self.whole else self.geometry.kv_heads

    def layer(self, heads: int, inner: int) -> int:
        """Parameters of a layer; 0 where it is dropped."""
        if not heads:
            return 0
        if (heads, inner) not in self._cost:
            self._cost[heads, inner] = self.geometry.layer_params(heads, self.kv(heads), inner)
        return self._cost[heads, inner]

    def params(self, heads: Sequence[int], inner: Sequence[int]) -> int:
        """Of the whole sub-network, tables and head included."""
        return self.geometry.outside + sum(map(self.layer, heads, inner))

    @property
    def least(self) -> int:
        """Parameters of the smallest sub-network."""
        return self.geometry.outside + self.fewest * self.layer(self.heads[0], self.inner[0])

    @property
    def most(self) -> int:
        """Parameters of the largest one: the parent."""
        return self.geometry.params

    def costs(self, heads: Sequence[int], inner: Sequence[int], length: int) -> dict[str, int]:
        """Parameters by place; FLOP per token of a sequence of that length."""
        g = self.geometry
        sizes = [(h, self.kv(h), i) for h, i in zip(heads, inner, strict=True) if h]
        whole = sum(g.layer_params(*s) for s in sizes)
        matrices = sum(g.matrix_params(*s) for s in sizes)
        products = sum(4 * length * h * g.head for h, _, _ in sizes)  # queries x keys, weights x values
        return {
            "params": g.outside + whole,
            "params_nonembedding": g.outside + whole - g.embedding,
            "flops": 2 * (matrices + g.vocabulary * g.width) + products,
        }
