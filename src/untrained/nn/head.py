"""Derivatives of what stands on the logits, some tokens at a time: all logits at once are the dearest tensor.

A decoder makes the logits of a token from the features of that token alone, so tokens can be taken apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

HELD = 2**18  # logits in memory at a time, small enough to stay in the cache of a core
TOKENS = 128  # that a piece has at least, whatever the vocabulary: products of thin matrices are slow

Decode = Callable[[Tensor], Tensor]


class Slope(NamedTuple):
    """Derivatives of what stands on the logits."""

    features: Tensor
    """over the features, of their shape"""
    weights: list[Tensor | None]
    """over each weight that was asked for; None where the decoder does not have it"""
    top: Tensor
    """what was differentiated, a scalar"""


def slope(
    decode: Decode,
    features: Tensor,
    targets: Tensor | None,
    weights: Sequence[Tensor],
    vocabulary: int,
    *,
    over: int = 0,
) -> Slope:
    """Derivatives of the mean cross-entropy over all tokens, or of the sum of the logits without `targets`.

    With `over` it is the sum of the cross-entropies over that number, where the tokens are some of more.
    Shapes: features (B, T, D), targets (B, T).
    """
    rows = torch.zeros_like(features.detach().flatten(0, 1))
    labels = None if targets is None else targets.flatten()
    own: list[Tensor | None] = [None] * len(weights)
    top = rows.new_zeros((), dtype=torch.promote_types(rows.dtype, torch.float32))
    for part, piece in _pieces(features, vocabulary):
        with torch.enable_grad():
            logits = decode(piece)
        if labels is None:
            above = torch.ones_like(logits)
            top += logits.detach().sum()
        else:
            lost, above = _loss_slope(logits.detach(), labels[part], over or len(rows))
            top += lost
        found = torch.autograd.grad(logits, [piece, *weights], above, allow_unused=True)
        if found[0] is not None:
            rows[part] = found[0][0]
        for i, g in enumerate(found[1:]):
            if g is not None:
                before = own[i]
                own[i] = (torch.zeros_like(g) if before is None else before).add_(g)
    return Slope(rows.view(features.shape), own, top)


def told_loss(
    decode: Decode, features: Tensor, targets: Tensor, weights: Sequence[Tensor], vocabulary: int
) -> Tensor:
    """Cross-entropy summed over tokens: features (N, D), targets (N,) -> (), which can be derived once.

    `weights` are those of the model; the decoder's among them are found. Derivatives are taken on the way
    forward, piece by piece, so that no more logits are ever held than a piece has.
    """
    if torch.is_grad_enabled():
        return _ToldLoss.apply(decode, targets, vocabulary, features, *weights)  # type: ignore[no-any-return,no-untyped-call]
    parts = [
        cross_entropy(_exact(decode(features[None, part])[0]), targets[part], reduction="sum")
        for part in _parts(features, vocabulary)
    ]
    return torch.stack(parts).sum() if parts else features.new_zeros(())


class _ToldLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, decode: Decode, targets: Tensor, vocabulary: int, features: Tensor, *weights: Tensor
    ) -> Tensor:
        found = slope(decode, features[None], targets, weights, vocabulary, over=1)
        ctx.found = [found.features[0], *found.weights]
        return found.top

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, above: Tensor) -> tuple[Tensor | None, ...]:
        return None, None, None, *(None if g is None else (g * above).to(g.dtype) for g in ctx.found)


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
    for part in _parts(flat, vocabulary):
        yield part, flat[part][None].requires_grad_()


def _parts(rows: Tensor, vocabulary: int) -> Iterator[slice]:
    step = max(TOKENS, HELD // max(1, vocabulary))
    return (slice(first, first + step) for first in range(0, len(rows), step))


def _exact(logits: Tensor) -> Tensor:
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def _loss_slope(logits: Tensor, labels: Tensor, tokens: int) -> tuple[Tensor, Tensor]:
    """Summed cross-entropy / tokens: (), and its derivative, (softmax - one-hot) / tokens: (1, n, V)."""
    exact = _exact(logits)
    above = exact.softmax(-1)
    # The largest logit tells the normaliser: its probability is never near 0, so its logarithm is exact.
    normaliser = exact.amax(-1) - above.amax(-1).log()
    lost = (normaliser - exact.gather(-1, labels[None, :, None])[..., 0]).sum() / tokens
    above[0].scatter_add_(1, labels[:, None], above.new_full((len(labels), 1), -1.0))
    return lost, above.div_(tokens).to(logits.dtype)
