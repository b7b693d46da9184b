from __future__ import annotations

from untrained.core.metric import Parts, proxy
from untrained.metrics._subnets import kept_sum
from untrained.nn.probe import Probe


@proxy()
def wanda(probe: Probe) -> Parts:
    """How much weight a sub-network of a pretrained decoder keeps, weighed by what it is applied to.

    Formula: sum of |W_ij| norm(x_j) over the matrices of attention and MLP that stay, norm(x_j) the length of
        input channel j over the tokens of the calibration text in the parent
    Shapes:  tokens (B, T), 16 x 128 unless told -> float; parts `layer1`, ... by layer of the parent
    Cost:    once for each text 1 forward of the parent, layer by layer; then sums
    Source:  Sun et al. 2023, arXiv:2306.11695, whose scores choose single weights of a row; summed over what
        stays
    Differs: a sum over layers as they are: one with large activations counts for more. No score for recurrent
        networks, nor for transformers that were not cut out of a parent
    """
    return kept_sum(probe, lambda s: (s.wanda_heads, s.wanda_kv, s.wanda_inner))
