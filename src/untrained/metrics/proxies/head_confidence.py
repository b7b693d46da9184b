from __future__ import annotations

from untrained.core.errors import MeasurementFailed
from untrained.core.metric import Parts, proxy
from untrained.metrics._layer_parts import by_layer
from untrained.nn.probe import Probe


@proxy(needs="attention")
def head_confidence(probe: Probe) -> Parts:
    """How sure attention heads are of one word.

    Formula: sum over layers of the mean over (sequences, heads, queries) of the largest attention
        probability over the keys
    Shapes:  tokens (B, T) -> probabilities (B, heads, T, T) -> float; parts `mean` (over layers) and
        `layer1`, ..., counting only layers that attend
    Cost:    1 forward
    Source:  Serianni and Kalita 2023 (ACL)
    Differs: the authors take the largest value over the sequence of the outputs of the query, key and value
        maps, which are no probabilities; here those that the name speaks of. Their formula gives the
        published values (rho 0.99, 60 encoders), ours another order (0.83; `mean`, which they call
        normalised, 0.79). Theirs over the softmax, across heads, is softmax_confidence. In a decoder the
        first word can attend to itself only, which adds the same to every layer. A recurrent cell has no
        attention
    """
    layers = [sum(float(p.detach().amax(-1).mean()) for p in layer) for layer in probe.taps("attention")]
    if not layers:
        raise MeasurementFailed("no layer of this network computes attention probabilities")
    return Parts(sum(layers), {"mean": sum(layers) / len(layers), **by_layer(layers)})
