from __future__ import annotations

import torch
from torch import Tensor

from untrained.core.metric import Parts, proxy
from untrained.metrics._weights import summed
from untrained.nn.probe import Probe


@proxy(needs="gradients")
def grasp(probe: Probe) -> Parts:
    """How much each weight helps the gradient to stay large while the network is trained.

    Formula: -sum over the matrices W of sum W * (H g), g = dL/dW, H the Hessian of L over all of them, L the
        mean cross-entropy in nats per token, at temperature 1
    Shapes:  tokens (B, T) -> logits (B, T, V) -> float; parts `layer1`, ...: the sums of the layers
    Cost:    1 forward, 1 backward (shared with snip), and 1 backward with its own backward
    Source:  Wang et al. 2020, arXiv:2002.07376; as a score of architectures Abdelfattah et al. 2021,
        arXiv:2101.08134
    Differs: the label is the next word of every token; of the weights the matrices of the body are taken. The
        sign is theirs; LiteTransformerSearch turns it round
    """
    gradients = probe.loss_gradients()
    return summed(probe, _against, probe.loss_curvature(gradients))


def _against(weight: Tensor, curved: Tensor) -> float:
    # Terms of both signs almost cancel, so they are multiplied in double precision.
    return -float(torch.dot(weight.flatten().double(), curved.flatten().double()))
