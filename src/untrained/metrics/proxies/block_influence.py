from __future__ import annotations

import math

from untrained.core.metric import Parts, proxy
from untrained.nn.pretrained.subnet import origin_of
from untrained.nn.probe import Probe


@proxy()
def block_influence(probe: Probe) -> Parts:
    """How much the layers that a sub-network of a pretrained decoder keeps turn the stream in the parent.

    Formula: sum over the layers that stay of 1 - mean over tokens of cos(what enters, what leaves), in the
        parent
    Shapes:  tokens (B, T), 16 x 128 unless told -> float; parts `layer1`, ... by layer of the parent, 0 where
        it is dropped
    Cost:    once for each text 1 forward of the parent, layer by layer; then a sum
    Source:  Men et al. 2024 (ShortGPT), arXiv:2403.03853
    Differs: it is made to choose layers, and so says nothing of widths: sub-networks with the same layers
        tie. No score for recurrent networks, nor for transformers that were not cut out of a parent
    """
    origin = origin_of(probe)
    seen = origin.statistics(probe.batch.tokens).layers
    stays = {k.layer for k in origin.cut.kept}
    sums = [float(layer.influence) if i in stays else 0.0 for i, layer in enumerate(seen)]
    return Parts(math.fsum(sums), {f"layer{i + 1}": s for i, s in enumerate(sums)})
