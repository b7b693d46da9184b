from __future__ import annotations

from torch import Tensor

from untrained.core.errors import MeasurementFailed
from untrained.core.metric import Parts, proxy
from untrained.metrics._layer_parts import by_layer, summed_over_taps
from untrained.metrics._spectrum import correlation, eigenvalues
from untrained.nn.probe import Probe

ROLES = ("mix", "ffn", "block")


@proxy(needs="mix ffn block")
def meco(probe: Probe, *, words: int = 32) -> Parts:
    """How far the features of the words of a sequence are from depending on each other.

    Formula: sum over features of the mean over sequences of the smallest eigenvalue of the Pearson
        correlation of the first `words` words, each a variable observed over the units. Features of a
        layer: output of the token mixer, hidden layers of the feed-forward part, output of the layer
    Shapes:  tokens (B, T) -> features (B, words, units) -> correlations (words, words) -> float; parts
        `layer1`, ...
    Cost:    1 forward, 1 eigen-decomposition of words x words a sequence and feature
    Source:  Jiang, Wang and Bie 2023 (MeCo), NeurIPS
    Differs: variables are channels over the pixels of one image there and words over units here: a text has
        fewer words than a layer has units, which would make the correlation of units singular and every
        score 0. Few words, as more of them than units give 0 too. Mean over the batch instead of one
        random input; the three features of a layer instead of every module, which counts containers
        several times. A recurrent cell shows its output only
    """
    layers = summed_over_taps(probe, ROLES, lambda x: _least(x[:, :words]))
    return Parts(sum(layers), by_layer(layers))


def _least(features: Tensor) -> float:
    """Mean over sequences of the smallest eigenvalue of the correlation of words (B, words, units)."""
    _, words, units = features.shape
    if not 2 <= words < units:
        raise MeasurementFailed(f"{words} words over {units} units: it takes 2 words or more, and more units")
    return sum(float(eigenvalues(correlation(rows))[0]) for rows in features) / len(features)
