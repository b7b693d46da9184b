from __future__ import annotations

import numpy as np

from untrained.core.metric import Parts, proxy
from untrained.metrics._layer_parts import by_layer
from untrained.metrics._signs import packed, patterns, signs
from untrained.nn.probe import Probe


@proxy(needs="preactivation activation")
def linear_regions(probe: Probe) -> Parts:
    """In how many ways the words of a batch, each in its context, switch the units of the network.

    Formula: number of distinct sign patterns; a word's pattern holds the signs of all units of all layers
        at its place: before the nonlinearity of feed-forward layers, or after that of recurrent cells
    Shapes:  tokens (B, T) -> signs (B * T, units) -> float, at most B * T; parts `layer1`, ...: the same of
        one layer alone
    Cost:    1 forward
    Source:  Chen, Gong and Wang 2021 (TE-NAS), ICLR
    Differs: a sample is a random image there and a word in its context here, real text; a whole sequence
        would be a region of its own always. With GELU, SiLU or tanh the network is not piecewise linear
        and the pattern only says on which side of 0 each unit is
    Worth:   tells nothing about transformers of usual width, where every word in another context has a
        pattern of its own: twelve random decoders with 2 or 4 layers of 64 to 256 channels all score
        1,021 of 1,024 words, and so does each of their layers. It differs between recurrent cells
    """
    layers = [packed(on.flatten(0, 1)) for on in signs(probe)]
    each = [float(len(patterns(rows))) for rows in layers]
    return Parts(float(len(patterns(np.concatenate(layers, 1)))), by_layer(each))
