from __future__ import annotations

import math

import torch
from torch import Tensor

from untrained.core.errors import MeasurementFailed
from untrained.core.metric import Parts, proxy
from untrained.metrics._samples import BLOCK
from untrained.metrics._weights import totalled
from untrained.nn.probe import Probe


@proxy()
def zico(probe: Probe, *, batches: int = 4) -> Parts:
    """How large and how steady over batches the gradients are.

    Formula: sum over the matrices W of ln(sum over the weights with s > 0 of m / s), m the mean of |dL/dw|
        over the batches, s the standard deviation (of a population) of dL/dw
    Shapes:  tokens (B, T) -> gradients (batches, weights) -> float; parts `layer1`, ...: the sums of the
        layers
    Cost:    1 forward, 1 backward, shared with fisher and grad_sign
    Source:  Li et al. 2023, arXiv:2301.11300
    Differs: the batches are equal shares of the sequences of the one batch, the label is the next word of
        every token, and of the weights the matrices of the body are taken. Dropout is off, as its noise would
        stand in s. A matrix whose gradient is 0 or the same everywhere adds nothing, as in their code. They
        take 2 batches or more, here 4: with 2 the ratio m / s has so heavy a tail that rounding decides
        (float32 and float64 differ by 5e-3 on a decoder of 4 layers, with 4 batches by 3e-10)
    """
    sequences = probe.batch.shape[0]
    if not 2 <= batches <= sequences:
        raise MeasurementFailed(f"cannot make {batches} batches, 2 or more, of {sequences} sequences")
    each = sequences // batches
    products = probe.products()
    if products is None:
        return totalled(probe, _pass_by_pass(probe, batches, each))
    shares = [slice(each * i, each * (i + 1)) for i in range(batches)]
    sums = [_steadiness(torch.stack([p.gradient(s) / each for s in shares])) for p in products]
    return totalled(probe, [_term(total) for total in sums])


def _steadiness(gradients: Tensor) -> float:
    """Sum of m / s of the gradients of the batches, (batches, outputs, inputs)."""
    total = 0.0
    for some in torch.split(gradients.flatten(1), BLOCK, dim=1):
        wide = some.double()
        size = wide.abs().mean(0)
        total += _ratios(size, wide.sub_(wide.mean(0)).square_().mean(0).sqrt_())
    return total


def _pass_by_pass(probe: Probe, batches: int, each: int) -> list[float]:
    """The terms of the matrices, with the gradients of one batch in memory at a time."""
    total = [torch.zeros_like(w, dtype=torch.float64) for w in probe.weights()]
    size, squares = [torch.zeros_like(t) for t in total], [torch.zeros_like(t) for t in total]
    # Welford's update: the difference of two large sums would lose a small deviation.
    groups = probe.group_gradients(each, sequences=batches * each)
    for n, gradients in enumerate(groups, start=1):
        for i, g in enumerate(gradients):
            wide = g.double()
            off = wide - total[i]
            total[i] += off / n
            squares[i] += off * (wide - total[i])
            size[i] += wide.abs()
    pairs = zip(size, squares, strict=True)
    return [_term(_ratios(a / batches, (q / batches).sqrt())) for a, q in pairs]


def _ratios(mean: Tensor, deviation: Tensor) -> float:
    """Sum of m / s over the weights with s > 0."""
    return float(torch.where(deviation > 0, mean / deviation, 0.0).sum())


def _term(total: float) -> float:
    return math.log(total) if total else 0.0
