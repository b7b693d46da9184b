from __future__ import annotations

from untrained.core.metric import Parts, proxy
from untrained.metrics._weights import over_mixers, saliency
from untrained.nn.probe import Probe


@proxy(needs="gradients")
def head_importance(probe: Probe) -> Parts:
    """How much each weight of the token mixers carries of the output.

    Formula: sum over the matrices W of the token mixers (attention or what stands in its place, with its
        output projection) of ||W * dR/dW||_1, R the sum of the logits
    Shapes:  tokens (B, T) -> logits (B, T, V) -> float; parts `layer1`, ...: the sums of the layers;
        `per_matrix`: the value divided by the number of matrices, the "normalized" of the authors
    Cost:    1 forward, 1 backward, shared with jacob_cov and synaptic_diversity
    Source:  Michel et al. 2019, arXiv:1905.10650; for BERT-like encoders Serianni and Kalita 2023 (ACL)
    Differs: the authors take the gradient of the sum of the top states. Those of a token behind a LayerNorm
        always add up to the same, so that gradient is rounding and nothing else: 400 million times smaller in
        double precision. The published values are rounding too. The authors' formula orders 60 encoders as
        published (rho 0.93, normalized 0.93), ours does not (-0.11, 0.32): the sum of the logits has a
        gradient, and that is another quantity. Dropout is off; the output projection counts too, and matrices
        with fewer than 128 outputs, which the authors leave out. A network without token mixers, such as a
        recurrent one, has no such score
    """
    return over_mixers(probe, saliency)
