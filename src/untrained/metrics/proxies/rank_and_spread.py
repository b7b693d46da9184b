from __future__ import annotations

import math

from untrained.core.metric import Parts, proxy
from untrained.metrics._rank_terms import size_and_rank, spread
from untrained.nn.probe import Probe


@proxy(needs="preactivation")
def rank_and_spread(probe: Probe) -> Parts:
    """depth_width_rank, and in how many directions the feed-forward layers see the text spread.

    Formula: depth_width_rank + 0.25 ln(sum over layers of PR); PR = tr(S)^2 / ||S||_F^2, S the covariance
        over 512 tokens of a layer's first feed-forward units before their nonlinearity
    Shapes:  preactivation (B, T, F) a layer -> (512, F) -> float; parts `embedding_rank`, `spread`. Depth,
        width, rank and N are those of the whole network at every scale; PR is that of the network that is
        run, at probe scale one of 1,024 channels or fewer
    Cost:    1 forward, one 512 x 512 product a layer
    Source:  ours
    Worth:   as for depth_width_rank, tau and pairs of one size: GPT-2 0.91 and 0.84, Transformer-XL 0.92 and
        0.80 to 0.82. Among BERT-like encoders it depends on the initialisation: tau-a 0.71 and 0.66 to 0.70
        of the pairs with matrices N(0, 1/fan-in), 0.72 and 0.74 with N(0, 0.02^2). Not for recurrent
        networks, which have no feed-forward layers. On our own networks of one size, made afterwards
        (bench_decoder and bench_encoder): tau inside bands 0.17 [-0.01, 0.34] and 0.33 [0.06, 0.54], where
        all parameters have 0.48 and those of attention 0.46 (docs/verdict.md)
    """
    value, parts = size_and_rank(probe)
    directions = spread(probe)
    return Parts(value + 0.25 * math.log(directions), {**parts, "spread": directions})
