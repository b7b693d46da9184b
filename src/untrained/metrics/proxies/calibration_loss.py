from __future__ import annotations

import math

from untrained.core.errors import MeasurementFailed
from untrained.core.metric import Parts, proxy
from untrained.metrics._subnets import loss
from untrained.nn.pretrained.subnet import subnet_of
from untrained.nn.probe import Probe


@proxy(better="lower", unit="nats per token")
def calibration_loss(probe: Probe) -> Parts:
    """How well a sub-network of a pretrained decoder predicts a text before anything is trained again.

    Formula: mean cross-entropy of the next token over the calibration text
    Shapes:  tokens (B, T), 16 x 128 unless told -> logits (B, T, V) -> float; part `perplexity`, its
        exponential
    Cost:    1 forward of the sub-network
    Source:  definition
    Differs: none known. No score for recurrent networks, nor for transformers that were not cut out of a
        parent
    Worth:   on 40 sub-networks of each of three decoders of 1 M parameters, tau with perplexity on another
        text 0.84 to 0.90, and 0.61 to 0.67 after a short training (docs/pruning.md)
    """
    found = loss(subnet_of(probe), probe.batch)
    if found > 700:
        raise MeasurementFailed(f"the loss is {found:.0f} nats per token")
    return Parts(found, {"perplexity": math.exp(found)})
