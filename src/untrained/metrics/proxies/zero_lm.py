from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from untrained.core.errors import MeasurementFailed, UsageError
from untrained.core.metric import Parts, proxy
from untrained.metrics._layer_parts import layer_parts
from untrained.nn.probe import Probe


@proxy()
def zero_lm(probe: Probe, *, statistic: str = "nuclear", balance: float = 0.5) -> Parts:
    """How large the weight matrices of attention and of the feed-forward layers are, by singular values.

    Formula: b * sum over matrices W of the token mixers of C(W) + (1 - b) * the same sum over those of the
        feed-forward layers; b = `balance`, s the singular values of W, p = s / sum s. C by `statistic`:
        `nuclear` sum s; `log_nuclear` ln sum s; `frobenius` sqrt(sum s^2); `spectral_entropy` -sum p ln p
    Shapes:  matrices (out, in) -> min(out, in) singular values -> float; parts `attention` and
        `feed_forward`, the two sums before they are weighed
    Cost:    no pass, the singular values of every matrix
    Source:  after Chen et al. 2025 (ZeroLM), arXiv:2503.18646
    Differs: a reading, not a copy. Attention and feed-forward apart, singular values of the initial
        weights, and a balance between the two are theirs; which statistic, and how they find the balance
        without labels, we could read nowhere. To give both an equal say without labels, rank a pool by
        `zero_lm:balance=1` and `zero_lm:balance=0` and combine the ranks. A matrix is what the network
        holds: queries, keys and values in one where it has them in one. At probe scale it is the narrow
        network's. A recurrent cell has no attention to part from the rest, so it has no such score
    Worth:   a measure of size, and no better than one. Tau over all rows at hand, nothing fitted to them:
        LiteTransformerSearch on WikiText-103, 100 GPT-2 0.80 (parameters without embedding 0.85), 100
        Transformer-XL 0.86 (0.86); mean GLUE of 300 BERT-like encoders 0.62 (0.45; by tau-a, depth before
        width 0.68). Equal say by mean_rank: 0.80, 0.85, 0.65. Attention alone: 0.84, 0.85, 0.57; feed-forward
        alone: 0.75, 0.84, 0.51. Other statistics: frobenius 0.63, 0.75, 0.64; log_nuclear and
        spectral_entropy 0.54 to 0.60
    """
    if statistic not in STATISTICS:
        known = ", ".join(STATISTICS)
        raise UsageError(f"zero_lm: statistic={statistic} is not known.\n  take one of: {known}")
    if not 0 <= balance <= 1:
        raise UsageError(f"zero_lm: balance={balance} is the share of attention, from 0 to 1")
    spectra = probe.once("zero_lm", lambda: _spectra(probe))
    attention, feed_forward = (math.fsum(map(STATISTICS[statistic], of)) for of in spectra)
    whole = balance * attention + (1 - balance) * feed_forward
    return Parts(whole, {"attention": attention, "feed_forward": feed_forward})


def _spectra(probe: Probe) -> tuple[list[Tensor], list[Tensor]]:
    """Singular values of each matrix of the token mixers, and of each of the feed-forward layers."""
    layers = layer_parts(probe.model)
    ours = {id(w) for w in probe.weights()}
    found: list[list[Tensor]] = []
    for side in zip(*layers, strict=True):
        matrices = {id(w): w for part in side for w in part.parameters() if w.dim() == 2 and id(w) in ours}
        found.append([_singular(w.detach().double()) for w in matrices.values()])
    attention, feed_forward = found
    if any(float(s.sum()) == 0 for s in (*attention, *feed_forward)):
        raise MeasurementFailed("a weight matrix is 0 throughout: it has no spectrum before training")
    return attention, feed_forward


def _singular(matrix: Tensor) -> Tensor:
    """Singular values by the smaller Gram matrix: in half the time, and true to 1e-8 of the largest."""
    narrow = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    values: Tensor = torch.linalg.eigvalsh(narrow @ narrow.T)
    return values.clamp(min=0.0).sqrt()


def _entropy(s: Tensor) -> float:
    p = s / s.sum()
    return float(torch.special.entr(p).sum())


STATISTICS: dict[str, Callable[[Tensor], float]] = {
    "nuclear": lambda s: float(s.sum()),
    "log_nuclear": lambda s: math.log(float(s.sum())),
    "frobenius": lambda s: float(s.norm()),
    "spectral_entropy": _entropy,
}
