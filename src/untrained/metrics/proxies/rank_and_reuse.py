from __future__ import annotations

import math

from untrained.core.metric import Parts, proxy
from untrained.metrics._layer_parts import layer_parts, size
from untrained.metrics._rank_terms import mean_reuse, shape_terms
from untrained.nn.probe import Probe


@proxy()
def rank_and_reuse(probe: Probe) -> Parts:
    """depth_width_rank, where a parameter counts once for every layer that builds on it.

    Formula: ln L + ln d + ln er + ln(N k) / 4; L, d, er and N as in depth_width_rank; k = sum over the layers
        l = 1..L of (L - l + 1) N_l / sum of N_l, N_l the parameters of the mixer and the feed-forward part of
        layer l: the mean number of layers from a parameter's own to the top. Four lengths, each counted
        once: N k is the number of pairs (parameter, layer that builds on it), a box of L x L x d x d for
        equal layers, and its fourth root the side of that box
    Shapes:  none: it reads the shape, no weight and no text, so that no draw moves it; parts `embedding_rank`
        (er), `reuse` (k). L, d, er and N are those of the whole network at every scale; k is that of the
        network that is built, where all layers shrink alike
    Cost:    no forward; less than 1 ms once the network is there
    Source:  ours
    Worth:   tau and share of the pairs of one size ordered rightly, as for depth_width_rank. The factor k was
        found on one half of 300 BERT-like encoders and of 100 decoders a set (some 200 formulas tried), and
        seen once on the other half, as the first of three formulas written down before. That half: encoders,
        tau-a 0.72 and 0.73 [0.64, 0.81] of 412 pairs when read as trained, 0.72 and 0.79 as declared (depth
        before width 0.69 and 0.65, 0.69 and 0.78; N 0.54 and 0.62, 0.45 and 0.45); GPT-2 0.89 and 0.91,
        Transformer-XL 0.93 and 0.83, of 32 and 36 pairs. All at hand: encoders 0.73 and 0.77, 0.73 and 0.81;
        GPT-2 0.91 and 0.84, Transformer-XL 0.92 and 0.82. Less depth_width_rank, on all encoders as trained:
        tau-a +0.024 [0.013, 0.037], pairs +0.09 [0.06, 0.13]; on decoders every interval contains 0. Among
        the better half of the encoders it is no better than depth before width (tau-b 0.55 and 0.70, which
        ties flatter). What it sees in the encoders: a deep feed-forward part helps in the first layer, hardly
        in the last. From 0.1 to 1/3 the weight of ln(N k) moves tau by 0.01 and no pairs of encoders; 1/2
        costs 0.02 of tau on GPT-2. Not for recurrent networks: see rank_reuse_memory. On our own networks of
        one size, made afterwards (bench_decoder and bench_encoder): tau inside bands 0.17 [-0.00, 0.33] and
        0.40 [0.13, 0.59], where all parameters have 0.48 and those of attention 0.46 (docs/verdict.md)
    """
    lengths, inside, rank = shape_terms(probe)
    reuse = mean_reuse([size(parts) for parts in layer_parts(probe.model)])
    return Parts(lengths + math.log(inside * reuse) / 4, {"embedding_rank": rank, "reuse": reuse})
