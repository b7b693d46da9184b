from __future__ import annotations

import torch

from untrained.core.errors import MeasurementFailed
from untrained.core.metric import proxy
from untrained.metrics._replacement import replaced_tokens
from untrained.nn.probe import Probe


@proxy(needs="block")
def lag0_gain(probe: Probe) -> float:
    """How strongly the present word moves the output, before any memory.

    Formula: sqrt(E * mean |dh|^2 / mean |de|^2), dh the change of the top state and de that of the
        embedding (E wide) at the step where a word is replaced; for a linear cell the Frobenius norm of
        d(output)/d(embedding) at lag 0
    Shapes:  tokens (16, 25) and two copies -> states (48, 25, H) -> float
    Cost:    1 forward, shared with fading_memory
    Source:  ours
    Worth:   on cells trained to the end (NAS-Bench-NLP) tau 0.38 with the loss, but negative among the better
        half; on 40 cells trained by us for three epochs 0.65, far ahead of every memory score. By these it
        tells who learns the bigram part fast, not who ends well. On our own cells (bench_rnn, 11 passes over
        a small text) the best of 36 scores, not surely: 0.55 [0.39, 0.70] inside bands of one size, 0.18
        among the better half; of the 17 that learned hardly more than how frequent words are, 15 have 0,
        their output being blind to the present word, and without those 17 it has 0.43 [0.17, 0.65],
        fading_memory 0.37. It does not keep away from those that diverge
    """
    seen = replaced_tokens(probe)
    top = seen.base[-1]
    moved = torch.cat([(layers[-1][:, 0] - top[:, p]).double() for p, layers in seen.changed.items()])
    cause = torch.cat([d.double() for d in seen.embedding_moved.values()])
    if not bool(cause.any()):
        raise MeasurementFailed("every replaced word equals the one before: the text repeats itself")
    ratio = moved.square().sum() / cause.square().sum()
    return float((cause.shape[1] * ratio).sqrt())
