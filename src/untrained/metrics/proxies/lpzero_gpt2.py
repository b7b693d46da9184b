from __future__ import annotations

import math

from torch import Tensor

from untrained.core.metric import Parts, proxy
from untrained.metrics._weights import output_axes
from untrained.nn.probe import Probe


@proxy(needs="gradients weights")
def lpzero_gpt2(probe: Probe) -> Parts:
    """How large weights are, and how flat their gradients: the formula that LPZero's search found for GPT-2.

    Formula: mean over matrices W of mean(W^2) + mean(softmax(dL/dW)^2), the softmax over the outputs of a
        matrix, L the mean cross-entropy. It was found with |mean| around W^2, which changes nothing.
        Gradients at the start are so small that the softmax is nearly 1 / outputs, and the second term
        1 / outputs^2: an order by initial scale and width
    Shapes:  matrices (out, in) and their gradients -> float; parts `weights`, `gradients`
    Cost:    1 forward, 1 backward
    Source:  Dong et al. 2024, arXiv:2410.04808
    Differs: their search compared it with perplexity as it is, so that its sign there is turned; here higher
        is better, as their formula is written
    Worth:   the wrong way round, as it falls with width. Kendall tau with the perplexity of 100 GPT-2 and 100
        Transformer-XL decoders on WikiText-103 -0.62 [-0.70, -0.53] and -0.77 [-0.82, -0.72] (parameters
        outside the embedding 0.85 and 0.86), 0.37 and 0.53 of the pairs of one size ordered rightly; with
        GLUE of 300 BERT-like encoders -0.20 [-0.27, -0.14], 0.46 of the pairs; with the final loss of 151
        cells on WikiText-2 0.08 [-0.07, 0.22], 0.42 of the pairs
    """
    weights = probe.weights()
    found = [
        (_mean_square(w.detach().double()), _mean_square(g.double().softmax(axis)))
        for w, g, axis in zip(weights, probe.loss_gradients(), output_axes(probe.model, weights), strict=True)
    ]
    size, flat = (math.fsum(column) / len(found) for column in zip(*found, strict=True))
    return Parts(size + flat, {"weights": size, "gradients": flat})


def _mean_square(x: Tensor) -> float:
    return float(x.square().mean())
