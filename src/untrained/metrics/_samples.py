"""What single sequences say: gradients one sequence at a time, and classes of the words they predict."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from untrained.core.errors import MeasurementFailed
from untrained.metrics._weights import output_axes
from untrained.nn.probe import Probe

BLOCK = 2**16  # columns that are multiplied at a time, so that they stay in the cache
HELD = 2**26  # numbers of per-sequence gradients that are in memory at a time (256 MiB)


@dataclass(frozen=True)
class LossSamples:
    """Of the loss gradients g_b of every sequence, what is left of them."""

    signs: list[Tensor]  # per weight matrix, its shape: sum over b of sign(g_b)
    channels: list[Tensor]  # per weight matrix (B, outputs): sum over the inputs of a channel of W * g_b


def loss_samples(probe: Probe) -> LossSamples:
    """Made once per probe: of one pass, or of one a sequence where that is not possible."""
    return probe.once("loss samples", lambda: _loss_samples(probe))


def _loss_samples(probe: Probe) -> LossSamples:
    weights = probe.weights()
    axes = output_axes(probe.model, weights)
    signs = [torch.zeros_like(w) for w in weights]
    channels: list[list[Tensor]] = [[] for _ in weights]
    for i, g in _one_by_one(probe):
        signs[i] += g.sign()
        channels[i].append((weights[i].detach() * g).sum(1 - axes[i], dtype=torch.float64))
    return LossSamples([s.detach() for s in signs], [torch.stack(c) for c in channels])


def _one_by_one(probe: Probe) -> Iterator[tuple[int, Tensor]]:
    """(which weight, its gradient of one sequence's loss), for each weight the sequences in order."""
    products = probe.products()
    if products is None:
        for gradients in probe.group_gradients(1):
            yield from enumerate(gradients)
        return
    for i, product in enumerate(products):
        for b in range(probe.batch.shape[0]):
            yield i, product.gradient(slice(b, b + 1))


def tangent_kernel(probe: Probe, samples: int) -> Tensor:
    """Theta_ij = <d f_i/dW, d f_j/dW> over the weight matrices, (n, n) in double precision.

    f_i is the sum of the logits of the word after sequence i. Weights are taken some at a time, so that
    memory is bounded whatever the size of the network. Where each sequence takes a pass of its own (see
    `Probe.products`), a larger network costs more passes.
    """
    return probe.once(f"tangent kernel of {samples}", lambda: _tangent_kernel(probe, samples))


def _tangent_kernel(probe: Probe, samples: int) -> Tensor:
    n = min(samples, probe.batch.shape[0])
    if n < 2:
        raise MeasurementFailed(f"compares sequences with each other: needs at least 2, and there is {n}")
    kernel = torch.zeros(n, n, dtype=torch.float64, device=probe.device)
    for rows in _tangents(probe, n):
        for columns in torch.split(rows, BLOCK, dim=1):
            wide = columns.double()
            kernel += wide @ wide.T
    if not bool(torch.isfinite(kernel).all()):
        raise MeasurementFailed("the network explodes: its gradients are infinite or not a number")
    return kernel


def _tangents(probe: Probe, n: int) -> Iterator[Tensor]:
    """Gradients of the sequences as rows, (n, some of the weights), until all weights had their turn."""
    products = probe.products("last", sequences=n)
    if products is None:
        for some in _chunks([w.numel() for w in probe.weights()], HELD // n):
            groups = probe.group_gradients(1, "last", sequences=n, weights=some)
            yield torch.stack([torch.cat([g.flatten() for g in gradients]) for gradients in groups])
        return
    for product, weight in zip(products, probe.weights(), strict=True):
        outputs, inputs = weight.shape
        step = max(1, BLOCK // inputs)
        for first in range(0, outputs, step):
            yield product.gradients(slice(first, first + step)).flatten(1)


def _chunks(sizes: list[int], most: int) -> list[slice]:
    """Neighbouring weights together as long as they hold at most so many numbers; at least one each."""
    chunks, first, held = [], 0, 0
    for i, size in enumerate(sizes):
        if i > first and held + size > most:
            chunks.append(slice(first, i))
            first, held = i, 0
        held += size
    return [*chunks, slice(first, len(sizes))]


def frequency_classes(words: Tensor, classes: int) -> Tensor:
    """A class for each word by how often it stands in the batch, 0 for the most frequent.

    Classes are equal shares of the text, not of the vocabulary: words in the order of their counts (of
    equal ones the smaller id first); a word belongs where the middle of its occurrences falls.
    """
    _, which, counts = torch.unique(words, return_inverse=True, return_counts=True)
    order = counts.argsort(descending=True, stable=True)
    middle = counts[order].cumsum(0) - counts[order] / 2
    share = torch.empty_like(middle)
    share[order] = middle / words.numel()
    return (classes * share).long()[which]
