from __future__ import annotations

import math

from untrained.core.metric import Parts, proxy
from untrained.metrics._rank_terms import reach, size_and_rank, spread
from untrained.nn.probe import Probe


@proxy(needs="preactivation")
def rank_spread_reach(probe: Probe) -> Parts:
    """rank_and_spread, and how far one token reaches into later states.

    Formula: rank_and_spread + 0.25 ln(pt); pt = mean over 8 sequences and the positions after 16 of
        ||h' - h|| / ||h||, h the top state in layer norm, h' the same with token 16 replaced by the one
        half a vocabulary away
    Shapes:  tokens (8, T) and a copy -> states (8, T, D) -> float; parts `embedding_rank`, `spread`, `reach`.
        Depth, width, rank and N are those of the whole network at every scale; PR and pt are those of the
        network that is run, at probe scale one of 1,024 channels or fewer
    Cost:    2 forwards (one is of 8 sequences), no gradients
    Source:  ours
    Worth:   as for depth_width_rank, tau and pairs of one size: GPT-2 0.91 and 0.84, Transformer-XL 0.91 and
        0.82 to 0.83. 300 BERT-like encoders, two draws on WikiText-2: tau-a 0.72 and 0.76 to 0.79 of 2,063
        pairs (depth before width 0.68 and 0.68, N 0.54 and 0.64); on the text that Python ships 0.72 and
        0.73, a single draw 0.70 to 0.73. So take a real text and two draws or more. The encoders were read
        as trained, with plain attention; with the operations that their recipes name it is 0.71 and
        0.68. The weights matter little: from 0.2 to 0.4 for ln N and from 0.1 to 0.25 for the others, tau
        moves by under 0.01 and the pairs by 0.02; the fourth root of N * spread * reach does as well. The lag
        rule of fading_memory does not carry over to transformers. Position 16 is a lucky one: with the mean
        over positions 8, 16, 32 and 48 the pairs fall from 0.74 to 0.77 to 0.72 to 0.73 (150 encoders, one
        draw); rank_and_reuse does better there, without a draw. Not for recurrent networks, which have
        no feed-forward layers. On our own networks of one size, made afterwards (bench_decoder and
        bench_encoder): tau inside bands 0.16 [-0.01, 0.32] and 0.19 [-0.04, 0.38], where all parameters have
        0.48 and those of attention 0.46 (docs/verdict.md)
    """
    value, parts = size_and_rank(probe)
    directions, moved = spread(probe), reach(probe)
    value += 0.25 * (math.log(directions) + math.log(moved))
    return Parts(value, {**parts, "spread": directions, "reach": moved})
