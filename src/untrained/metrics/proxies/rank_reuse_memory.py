from __future__ import annotations

import math
from statistics import fmean

from untrained.core.metric import Parts, proxy
from untrained.metrics._layer_parts import layer_parts, size
from untrained.metrics._rank_terms import mean_reuse, shape_terms
from untrained.metrics._replacement import live_share, memory_score, replaced_tokens, shares
from untrained.nn.probe import Probe

DEAD = 1e-6  # least memory, so that a network that keeps nothing has a score: the lowest


@proxy(needs="block")
def rank_reuse_memory(probe: Probe) -> Parts:
    """One score for transformers and recurrent cells: their lengths, feed-forward reuse and fading memory.

    Formula: ln L + ln d + ln er + ln(F k) / 4 + ln(max(S * live, 1e-6)); L, d and er as in depth_width_rank;
        F the feed-forward parameters, k their reuse as in rank_and_reuse; S the mean over the layers of the
        memory of fading_memory, live its share of used directions. A recurrent network has no feed-forward
        part, so no term F k; its er is the width of its embedding, its d that of its output
    Shapes:  tokens (16, 25) and two copies -> outputs (48, 25, D) a layer -> float; parts `shape` (the terms
        without memory), `memory` (S), `live`
    Cost:    1 forward of 48 sequences of 25 words, for transformers 3 of 16, shared with fading_memory
    Source:  ours
    Worth:   tau, for transformers with the share of the pairs of one size ordered rightly, seen once on the
        half of each set that had no part in its design (that of fading_memory itself had seen all cells): 62
        recurrent cells WikiText-2 0.73, Penn Treebank 0.64 (fading_memory 0.73 and 0.64); encoders as trained
        tau-a 0.72 and 0.76; GPT-2 0.89 and 0.91, Transformer-XL 0.93 and 0.83. All at hand: cells 0.71 and
        0.63; encoders 0.73 and 0.76 to 0.78 (as declared 0.72 and 0.81); GPT-2 0.91 and 0.83 to 0.84;
        Transformer-XL 0.90 to 0.91 and 0.81 to 0.82, over two to four draws on two texts. It holds for both,
        but each sees one part of it: cells of one size differ in memory alone, and among transformers memory
        varies little and gains nothing sure over rank_and_reuse. The parameters of a cell are left out
        because they mislead: tau -0.1 alone. Networks of different kinds were never compared. On our own
        networks of one size, made afterwards (bench_decoder and bench_encoder): tau inside bands 0.17 [0.00,
        0.33] and 0.36 [0.09, 0.57], where all parameters have 0.48 and those of attention 0.46
        (docs/verdict.md); on our own cells (bench_rnn) 0.40 [0.19, 0.60]
    """
    shape, seen = _shape(probe), replaced_tokens(probe)
    memory = fmean(memory_score(shares(seen, layer)) for layer in range(len(seen.base)))
    live = live_share(seen)
    parts = {"shape": shape, "memory": memory, "live": live}
    return Parts(shape + math.log(max(memory * live, DEAD)), parts)


def _shape(probe: Probe) -> float:
    """The terms that the shape alone decides."""
    if "hidden" in probe.roles:  # a recurrent network
        outputs = replaced_tokens(probe)
        entering = next(iter(outputs.embedding_moved.values()))
        return math.log(len(outputs.base) * outputs.base[-1].shape[-1] * entering.shape[-1])
    lengths, _, _ = shape_terms(probe)
    own = [size([fed]) for _, fed in layer_parts(probe.model)]
    fed = probe.full_count("params_ffn", lambda _: sum(own))
    return lengths + math.log(fed * mean_reuse(own)) / 4
