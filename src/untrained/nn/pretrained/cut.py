"""What stays of each layer, and the tensors of the parent that this leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from untrained.nn.pretrained.families import Family, Geometry, TensorOf, names

Get = Callable[[str], Tensor]


@dataclass(frozen=True)
class Kept:
    """What stays of one layer, as rising numbers."""

    layer: int
    """in the parent"""
    heads: tuple[int, ...]
    kv_heads: tuple[int, ...]
    inner: tuple[int, ...]
    """channels of the feed-forward hidden layer"""


@dataclass(frozen=True)
class Cut:
    """What stays of a decoder: its layers in order."""

    geometry: Geometry
    kept: tuple[Kept, ...]

    @property
    def whole(self) -> bool:
        """Whether nothing has been cut."""
        g = self.geometry
        full = (g.heads, g.kv_heads, g.inner)
        sizes = [(len(k.heads), len(k.kv_heads), len(k.inner)) for k in self.kept]
        return sizes == [full] * g.layers


def chosen(kept: Kept, letter: str, geometry: Geometry) -> Tensor | None:
    """The indices that stay along an axis of that letter; None where all do, as they cannot be cut."""
    head = geometry.head
    if letter == "I":
        return torch.tensor(kept.inner)
    if letter == "Q":
        return _channels(kept.heads, head)
    if letter == "K":
        return _channels(kept.kv_heads, head)
    if letter == "B":  # [q of all heads, k of all, v of all]
        own = _channels(kept.heads, head)
        block = geometry.heads * head
        return torch.cat([own, own + block, own + 2 * block])
    if letter == "N":  # [q, k, v of head 0, q, k, v of head 1, ...]
        return _channels(kept.heads, 3 * head)
    return None


def sliced(tensor: Tensor, of: TensorOf, kept: Kept, geometry: Geometry) -> Tensor:
    """What stays of a tensor of a layer."""
    for axis, letter in enumerate(of.axes):
        index = chosen(kept, letter, geometry)
        if index is not None and len(index) < tensor.shape[axis]:
            tensor = tensor.index_select(axis, index.to(tensor.device))
    return tensor.contiguous()


def cut_tensors(
    family: Family, cut: Cut, get: Get, rest: Sequence[str]
) -> Iterator[tuple[str, Callable[[], Tensor]]]:
    """(name in the sub-network, function that makes the tensor), one after another.

    `rest` are the tensors outside layers, which stay as they are.
    """
    for name in rest:
        yield name, lambda name=name: get(name)  # type: ignore[misc]
    for place, kept in enumerate(cut.kept):
        old = names(family, kept.layer, cut.geometry.layer)
        new = names(family, place, cut.geometry.layer)
        for (source, of), (target, _) in zip(old, new, strict=True):

            def make(source: str = source, of: TensorOf = of, kept: Kept = kept) -> Tensor:
                return sliced(get(source), of, kept, cut.geometry)

            yield target, make


def _channels(heads: Sequence[int], width: int) -> Tensor:
    """The channels of some heads that lie one after another."""
    return (torch.tensor(heads)[:, None] * width + torch.arange(width)).flatten()
