"""Derivatives of what stands on the logits, some tokens at a time: all logits at once are the dearest tensor.

A decoder makes the logits of a token from the features of that token alone, so tokens can be taken apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

HELD = 2**22  # logits in memory at a time; what is freed at 16 MiB is used again, much larger is given back

Decode = Callable[[Tensor], Tensor]
Slope = tuple[Tensor, list[Tensor | None]]


def slope(
    decode: Decode,
    features: Tensor,
    targets: Tensor | None,
    weights: Sequence[Tensor],
    vocabulary: int,
) -> Slope:
    """d(top)/d(features), and / dW for the weights that the decoder itself has (None for the others).

    The top is the mean cross-entropy over all tokens, or the sum of the logits where `targets` is None.
    Shapes: features (B, T, D), targets (B, T) -> (B, T, D).
    """
    rows = torch.zeros_like(features.detach().flatten(0, 1))
    labels = None if targets is None else targets.flatten()
    own: list[Tensor | None] = [None] * len(weights)
    for part, piece in _pieces(features, vocabulary):
        with torch.enable_grad():
            logits = decode(piece)
        above = torch.ones_like(logits) if labels is None else _loss_slope(logits, labels[part], len(rows))
        found = torch.autograd.grad(logits, [piece, *weights], above, allow_unused=True)
        if found[0] is not None:
            rows[part] = found[0][0]
        for i, g in enumerate(found[1:]):
            before = own[i]
            own[i] = g if before is None else before if g is None else before + g
    return rows.view(features.shape), own


def bend(decode: Decode, features: Tensor, targets: Tensor, along: Tensor, vocabulary: int) -> Tensor:
    """The second derivative of the mean cross-entropy over the features, times a vector: (B, T, D)."""
    rows = torch.zeros_like(features.detach().flatten(0, 1))
    ways, labels = along.flatten(0, 1), targets.flatten()
    for part, piece in _pieces(features, vocabulary):
        with torch.enable_grad():
            loss = cross_entropy(decode(piece)[0], labels[part], reduction="sum") / len(rows)
            (first,) = torch.autograd.grad(loss, piece, create_graph=True)
            (second,) = torch.autograd.grad((first[0] * ways[part]).sum(), piece)
        rows[part] = second[0]
    return rows.view(features.shape)


def _pieces(features: Tensor, vocabulary: int) -> Iterator[tuple[slice, Tensor]]:
    """Neighbouring tokens (1, n, D), each a leaf of its own, with where they stand among all of them."""
    flat = features.detach().flatten(0, 1)
    step = max(1, HELD // max(1, vocabulary))
    for first in range(0, len(flat), step):
        where = slice(first, first + step)
        yield where, flat[where][None].requires_grad_()


def _loss_slope(logits: Tensor, labels: Tensor, tokens: int) -> Tensor:
    """(softmax - one-hot) / tokens, the derivative of the mean cross-entropy; (1, n, V)."""
    above = logits.detach().softmax(-1)
    above[0].scatter_add_(1, labels[:, None], above.new_full((len(labels), 1), -1.0))
    return above.div_(tokens)
