"""Which heads and channels stay, when it is known how many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from untrained.nn.pretrained.cut import Kept
from untrained.nn.pretrained.families import Geometry
from untrained.nn.pretrained.statistics import LayerStatistics, Statistics


@dataclass(frozen=True)
class Size:
    """How much of a layer stays."""

    heads: int
    kv_heads: int
    inner: int


def kept(geometry: Geometry, sizes: Sequence[Size | None], statistics: Statistics | None) -> tuple[Kept, ...]:
    """The most important heads and channels of each layer; without statistics, where all stay, all.

    Query heads that share a key/value head stay or go in equal number in each group, as one grouped attention
    needs; groups that go are those with the least important heads.
    """
    found = []
    for layer, size in enumerate(sizes):
        if size is None:
            continue
        seen = None if statistics is None else statistics.layers[layer]
        heads, kv = _heads(geometry, size, seen)
        inner = _top(None if seen is None else seen.importance_inner, geometry.inner, size.inner)
        found.append(Kept(layer, heads, kv, inner))
    return tuple(found)


def _heads(
    geometry: Geometry, size: Size, seen: LayerStatistics | None
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    groups, each = geometry.kv_heads, size.heads // size.kv_heads
    worth = torch.zeros(geometry.heads) if seen is None else seen.importance_heads
    table = worth.view(groups, geometry.per_group)
    best = [_top(row, geometry.per_group, each) for row in table]
    sums = torch.stack([row[list(own)].sum() for row, own in zip(table, best, strict=True)])
    kv = _top(sums, groups, size.kv_heads)
    heads = tuple(g * geometry.per_group + h for g in kv for h in best[g])
    return heads, kv


def _top(worth: Tensor | None, of: int, n: int) -> tuple[int, ...]:
    """The numbers of the n most worthy, rising; of equal ones the first."""
    if worth is None:
        assert n == of
        return tuple(range(of))
    order = torch.argsort(worth, descending=True, stable=True)[:n]
    return tuple(sorted(int(i) for i in order))
