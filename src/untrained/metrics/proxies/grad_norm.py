from __future__ import annotations

from untrained.core.metric import Parts, proxy
from untrained.metrics._weights import summed
from untrained.nn.probe import Probe


@proxy(needs="gradients")
def grad_norm(probe: Probe) -> Parts:
    """How long the loss gradients are, one length for each weight matrix.

    Formula: sum over the matrices W of ||dL/dW||_2, L the mean cross-entropy in nats per token
    Shapes:  tokens (B, T) -> logits (B, T, V) -> float; parts `layer1`, ...: the sums of the layers
    Cost:    1 forward, 1 backward, shared with snip and plain
    Source:  Abdelfattah et al. 2021, arXiv:2101.08134
    Differs: their weights are those of the convolutions and linear layers of an image classifier and their
        loss is one label an image; here it is the next word of every token, and the weights are the matrices
        of the body: the embedding and a decoder tied to it would drown them. An encoder sees the word that it
        is to predict, which without training it cannot use
    """
    return summed(probe, lambda w, g: float(g.norm()), probe.loss_gradients())
