from __future__ import annotations

from untrained.core.errors import MeasurementFailed
from untrained.core.metric import Parts, proxy
from untrained.metrics._layer_parts import by_layer
from untrained.nn.probe import Probe


@proxy(needs="attention")
def softmax_confidence(probe: Probe) -> Parts:
    """How much the most attentive head gives to a pair of words.

    Formula: sum over layers of the mean over (sequences, queries, keys) of the largest attention
        probability over the heads
    Shapes:  tokens (B, T) -> probabilities (B, heads, T, T) -> float; parts `mean` (over layers) and
        `layer1`, ..., counting only layers that attend
    Cost:    1 forward
    Source:  Serianni and Kalita 2023 (ACL), head softmax confidence
    Differs: layers whose operation is a Fourier or cosine transform compute no probabilities here and count
        nothing; in the authors' code they compute some, unused, and count. So of 60 encoders the published
        values order the 18 without a transform as ours do (rho 1.00; `mean`, their normalised, 1.00) and the
        others not (all: -0.01); counting the unused ones gives them all (1.00). Keys that a decoder hides
        have probability 0 in every head and stay in the mean. A recurrent cell has no attention
    """
    layers = [sum(float(p.detach().amax(1).mean()) for p in layer) for layer in probe.taps("attention")]
    if not layers:
        raise MeasurementFailed("no layer of this network computes attention probabilities")
    return Parts(sum(layers), {"mean": sum(layers) / len(layers), **by_layer(layers)})
