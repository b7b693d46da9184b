from __future__ import annotations

from untrained.core.metric import Parts, proxy
from untrained.metrics._weights import saliency, summed
from untrained.nn.probe import Probe


@proxy(needs="gradients")
def snip(probe: Probe) -> Parts:
    """How much the loss hangs on each weight's being there.

    Formula: sum over the matrices W of ||W * dL/dW||_1, L the mean cross-entropy in nats per token: |dL/dm|
        of a mask m = 1 on every weight
    Shapes:  tokens (B, T) -> logits (B, T, V) -> float; parts `layer1`, ...: the sums of the layers
    Cost:    1 forward, 1 backward, shared with grad_norm and plain
    Source:  Lee et al. 2019, arXiv:1810.02340; as a score of architectures Abdelfattah et al. 2021,
        arXiv:2101.08134
    Differs: the label is the next word of every token; of the weights the matrices of the body are taken
    """
    return summed(probe, saliency, probe.loss_gradients())
