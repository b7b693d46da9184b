from __future__ import annotations

import torch

from untrained.core.metric import Parts, proxy
from untrained.metrics._subnets import cut_sum
from untrained.nn.probe import Probe

NONE = torch.zeros(0)


@proxy(better="lower")
def flap(probe: Probe) -> Parts:
    """How much fluctuation a sub-network of a pretrained decoder loses: what a bias could not make up for.

    Formula: sum over the input channels j that are cut, of the matrices that lead attention and MLP back into
        the stream, of var(x_j) ||W_j||^2, the variance over the tokens of the calibration text in the parent
    Shapes:  tokens (B, T), 16 x 128 unless told -> float; parts `layer1`, ... by layer of the parent
    Cost:    once for each text 1 forward of the parent, layer by layer; then sums
    Source:  An et al. 2024 (FLAP), arXiv:2312.11983: the metric WIFV
    Differs: the authors standardise the metric within a layer and cut the least of all layers; here layers
        count as they are, so that the sum is the squared error of the outputs if channels were independent
        and replaced by their means. No score for recurrent networks, nor for transformers that were not cut
        out of a parent
    """
    return cut_sum(probe, lambda s: (s.fluctuation_heads, NONE, s.fluctuation_inner))
