from __future__ import annotations

import torch
from torch import Tensor

from untrained.core.metric import Parts, proxy
from untrained.metrics._weights import summed
from untrained.nn.probe import Probe


@proxy(needs="gradients")
def plain(probe: Probe) -> Parts:
    """How much the loss would change if every weight were scaled up a little.

    Formula: sum over the matrices W of sum W * dL/dW, signed, L the mean cross-entropy in nats per token
    Shapes:  tokens (B, T) -> logits (B, T, V) -> float; parts `layer1`, ...: the sums of the layers
    Cost:    1 forward, 1 backward, shared with grad_norm and snip
    Source:  Abdelfattah et al. 2021, arXiv:2101.08134
    Differs: the label is the next word of every token; of the weights the matrices of the body are taken
    """
    return summed(probe, _product, probe.loss_gradients())


def _product(weight: Tensor, gradient: Tensor) -> float:
    # Terms of both signs almost cancel, so they are multiplied in double precision.
    return float(torch.dot(weight.flatten().double(), gradient.flatten().double()))
