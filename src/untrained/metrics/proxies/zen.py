from __future__ import annotations

import math

import torch

from untrained.core.errors import MeasurementFailed
from untrained.core.metric import proxy
from untrained.nn.probe import Probe

STEP = 0.01  # of the embedding's standard deviation
USE = 2_001  # this proxy's own luck


@proxy(needs="block")
def zen(probe: Probe) -> float:
    """How far a small random change of the embeddings moves the features.

    Formula: ln mean over sequences of sum |f(e + 0.01 s n) - f(e)| over words and units, f the output of
        the last layer before any final norm, e the embedding output, s its standard deviation over the
        batch, n ~ N(0, 1)
    Shapes:  tokens (B, T) -> features (B, T, D) -> float
    Cost:    2 forwards
    Source:  Lin et al. 2021 (Zen-NAS), ICCV
    Differs: the source adds sum ln(sigma) over batch norms, to give back the scale that they divide out. A
        language model has none, so nothing is added: layer norms stay in as what they are, part of the
        function at inference too. Weights as the network draws them, where theirs are drawn from N(0, 1)
        anew: without batch norm such weights make attention choose one word and recurrent states
        saturate. Text and noise of its scale instead of Gaussian images
    """
    clean = probe.taps("block")[-1][-1].detach()
    embedded = probe.forward().embedded.detach()
    noise = torch.randn(embedded.shape, generator=probe.generator(USE)).to(embedded)
    moved = probe.encode_embedded(embedded + STEP * embedded.std() * noise, ("block",)).tape["block"][-1][-1]
    change = float((moved - clean).double().abs().flatten(1).sum(1).mean())
    if change == 0:
        raise MeasurementFailed("the output does not depend on the input: a changed embedding moves nothing")
    return math.log(change)
