from __future__ import annotations

import math

from untrained.core.metric import Parts, proxy
from untrained.metrics._layer_parts import by_layer
from untrained.nn.probe import Probe


@proxy(needs="mix")
def lpzero_bert(probe: Probe) -> Parts:
    """How large what the token mixers put out is: the formula that LPZero's search found for BERT.

    Formula: mean over layers of mean(mix^2), mix what a layer's mixer adds to the stream. It was found as
        the layer mean of mean((-mix)^2) + logsoftmax(||activation||_F); the softmax of one number is 1, so
        the second half is 0 in every network
    Shapes:  mix (B, T, D) a layer -> float; parts `layer1`, ...
    Cost:    1 forward
    Source:  Dong et al. 2024, arXiv:2410.04808
    Differs: the authors take the outputs of the linear maps inside the mixer, of which their hooks collect
        the queries, in networks of one width; here the output of the whole mixer. A recurrent network has
        no mixer
    Worth:   Kendall tau with GLUE of 300 BERT-like encoders 0.11 [0.03, 0.19], rho 0.17 (number of layers
        before width 0.79 and 0.92); with the perplexity of 100 GPT-2 and 100 Transformer-XL decoders on
        WikiText-103 0.36 [0.23, 0.49] and 0.25 [0.12, 0.37] (parameters outside the embedding 0.85 and
        0.86); 0.50, 0.40 and 0.43 of the pairs of one size ordered rightly, where a coin has 0.5
    """
    layers = [
        math.fsum(float(x.detach().double().square().mean()) for x in tensors) / len(tensors)
        for tensors in probe.taps("mix")
    ]
    return Parts(math.fsum(layers) / len(layers), by_layer(layers))
