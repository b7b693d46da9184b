from __future__ import annotations

import math

from untrained.core.metric import Parts, proxy
from untrained.metrics._replacement import live_share, memory_score, replaced_tokens, shares
from untrained.nn.probe import Probe


@proxy(needs="block")
def layered_memory(probe: Probe) -> Parts:
    """Fading memory, asked of the first layer as well as of the last.

    Formula: sqrt(S_first * S_last) * live, S and live as in fading_memory, S_first from the outputs of the
        first layer and S_last from those of the last
    Shapes:  tokens (16, 25) and two copies -> outputs (48, 25, H) -> float; parts `first`, `last`, `live`
    Cost:    1 forward of 48 sequences of 25 words, shared with fading_memory
    Source:  ours
    Worth:   as fading_memory over all cells, a little better among the better half of them (NAS-Bench-NLP,
        cells with no part in its design: tau there 0.43 against 0.36 on WikiText-2, 0.49 against 0.39 on
        Penn Treebank). Every interval of the difference contains 0, and it was one of five candidates:
        a hypothesis, not a result; on our own cells (bench_rnn) 0.41 [0.19, 0.61] inside bands of one size,
        behind fading_memory (0.50)
    """
    seen = replaced_tokens(probe)
    first, last = memory_score(shares(seen, 0)), memory_score(shares(seen, -1))
    live = live_share(seen)
    return Parts(math.sqrt(first * last) * live, {"first": first, "last": last, "live": live})
