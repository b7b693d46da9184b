from __future__ import annotations

import torch

from untrained.core.metric import Parts, proxy
from untrained.metrics._samples import loss_samples
from untrained.metrics._weights import totalled
from untrained.nn.probe import Probe


@proxy()
def grad_sign(probe: Probe) -> Parts:
    """How well the sequences agree on the way in which each weight should move.

    Formula: sum over the weights of |sum over sequences b of sign(dL_b/dw)|, L_b the mean cross-entropy of
        sequence b in nats per token
    Shapes:  tokens (B, T) -> signs (B, weights) -> float; parts `layer1`, ...: the sums of the layers
    Cost:    1 forward, 1 backward, shared with fisher and zico; without linear layers B of one sequence
    Source:  Zhang and Jia 2022, arXiv:2110.08616
    Differs: a sample is a sequence with all its next words, where it was an image with one label: weights of
        a language model are moved by whole sequences. Of the weights the matrices of the body are taken. At
        most B times their number, so it is size first of all. A gradient that is 0 but for rounding has the
        sign of the rounding
    """
    signs = loss_samples(probe).signs
    return totalled(probe, [float(s.abs().sum(dtype=torch.float64)) for s in signs])
