from __future__ import annotations

from untrained.core.metric import Parts, proxy
from untrained.metrics._subnets import kept_sum
from untrained.nn.probe import Probe


@proxy()
def weight_magnitude(probe: Probe) -> Parts:
    """How much weight a sub-network of a pretrained decoder keeps, whatever the text.

    Formula: sum of |W_ij| over the matrices of attention and MLP that stay
    Shapes:  none -> float; parts `layer1`, ... by layer of the parent
    Cost:    sums over what was counted once for the parent
    Source:  Han et al. 2015, arXiv:1506.02626, summed over what stays
    Differs: none known. No score for recurrent networks, nor for transformers that were not cut out of a
        parent
    """
    return kept_sum(probe, lambda s: (s.magnitude_heads, s.magnitude_kv, s.magnitude_inner))
