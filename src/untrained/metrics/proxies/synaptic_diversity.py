from __future__ import annotations

import torch
from torch import Tensor

from untrained.core.errors import MeasurementFailed
from untrained.core.metric import Parts, proxy
from untrained.metrics._weights import over_mixers
from untrained.nn.probe import Probe


@proxy(needs="gradients")
def synaptic_diversity(probe: Probe) -> Parts:
    """How many directions the token mixers use, in their weights and in their gradients.

    Formula: sum over the matrices W of the token mixers (attention or what stands in its place, with its
        output projection) of nuc(W) * nuc(dR/dW), nuc the sum of the singular values, R the sum of the logits
    Shapes:  tokens (B, T) -> logits (B, T, V) -> float; parts `layer1`, ...: the sums of the layers;
        `per_matrix`: the value divided by the number of matrices, the "normalized" of the authors
    Cost:    1 forward, 1 backward, shared with jacob_cov, and the singular values of two matrices each
    Source:  Zhou et al. 2022, arXiv:2203.12217; for BERT-like encoders Serianni and Kalita 2023 (ACL)
    Differs: the authors take the gradient of the sum of the top states. Those of a token behind a LayerNorm
        always add up to the same, so that gradient is rounding and nothing else: 400 million times smaller in
        double precision. The published values are rounding too. The authors' formula orders 60 encoders as
        published (rho 0.98, normalized 0.96), ours does not (-0.03, 0.65): the sum of the logits has a
        gradient, and that is another quantity. Dropout is off. A network without token mixers, such as a
        recurrent one, has no such score
    """
    return over_mixers(probe, _diversity)


def _diversity(weight: Tensor, gradient: Tensor) -> float:
    if not bool(torch.isfinite(gradient).all()):
        raise MeasurementFailed("the network explodes: its gradients are infinite or not a number")
    return float(torch.linalg.svdvals(weight).sum() * torch.linalg.svdvals(gradient).sum())
