from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor

from untrained.core.errors import MeasurementFailed
from untrained.core.metric import Parts, proxy
from untrained.metrics._principal import variances
from untrained.metrics.costs.flops import flops
from untrained.nn.probe import Probe

EPS = 1e-8  # in the entropy, as in the authors' code
USE = 2_002  # this proxy's own luck


@proxy(needs="block gradients")
def az_nas(probe: Probe) -> Parts:
    """How rich the features of the layers are, how evenly gradients pass them, and how much they compute.

    Formula: ln E + ln F - ln(1 - T). E (expressivity) = sum over layers of -sum p ln(p + 1e-8), p the
        eigenvalues, scaled to sum 1, of the covariance of the layer's outputs over all words.
        T (trainability, at most 0) = mean over layers of 2 - s - 1 / (s + 1e-6), s the largest singular
        value of A = g_in' g_out / N: g_out random +-1 at the layer's output, g_in what it becomes at the
        layer's input, N = words. F (complexity) = FLOPs a word
    Shapes:  tokens (B, T) -> features and gradients (B * T, D) per layer -> float; parts `expressivity`,
        `trainability`, `complexity`
    Cost:    1 forward, 1 backward through each layer, 1 eigen-decomposition and 1 svd of D x D a layer
    Source:  Lee and Ham 2024 (AZ-NAS), arXiv:2403.19232
    Differs: the paper adds ln(rank / candidates) of each part over a pool of candidates; one network has no
        rank, so the whole is ours: the parts' logarithms, each growing with its part. Their aggregate over
        a pool is there for any proxies: `untrained rank --combine log_rank`. Progressivity, the least growth
        of expressivity between stages of a convolutional network, is left out: a language model has one
        stage. Text instead of random images; the first layer's input is the embedding output. Each layer
        must read the very tensor that the one below wrote down; where a network writes a copy there is no
        score
    """
    run = probe.graph("block")
    features = [run.embedded, *(layer[-1] for layer in run.tape["block"])]
    expressivity = sum(_entropy(x) for x in features[1:])
    luck = probe.generator(USE)
    passed = [_passed(x, y, luck, i + 1) for i, (x, y) in enumerate(pairwise(features))]
    trainability = sum(2 - s - 1 / (s + 1e-6) for s in passed) / len(passed)
    complexity = float(flops.function(probe))  # type: ignore[arg-type]
    if expressivity <= 0:
        raise MeasurementFailed("every layer's output is the same for all words, so it has no spectrum")
    whole = math.log(expressivity) + math.log(complexity) - math.log(1 - trainability)
    parts = {"expressivity": expressivity, "trainability": trainability, "complexity": complexity}
    return Parts(whole, parts)


def _entropy(features: Tensor) -> float:
    spectrum = variances(features.detach().flatten(0, 1))
    p = spectrum / spectrum.sum().clamp(min=1e-300)
    return -float((p * (p + EPS).log()).sum())


def _passed(source: Tensor, output: Tensor, luck: torch.Generator, layer: int) -> float:
    """Largest singular value of the mean product of a layer's incoming and outgoing gradient."""
    above = (torch.randint(2, output.shape, generator=luck) * 2 - 1).to(output)
    (below,) = torch.autograd.grad(output, source, above, retain_graph=True, allow_unused=True)
    if below is None:
        raise MeasurementFailed(
            f"layer {layer} does not read the tensor that was written down for it: no gradient gets there"
        )
    mean = below.flatten(0, 1).T @ above.flatten(0, 1) / above[..., 0].numel()
    return float(torch.linalg.matrix_norm(mean.double(), 2))
