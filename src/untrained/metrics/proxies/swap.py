from __future__ import annotations

from torch import Tensor

from untrained.core.errors import MeasurementFailed
from untrained.core.metric import Parts, proxy
from untrained.metrics._layer_parts import by_layer
from untrained.metrics._signs import Bytes, packed, patterns, signs
from untrained.nn.probe import Probe


@proxy(needs="preactivation activation")
def swap(probe: Probe, *, words: int = 16) -> Parts:
    """In how many ways the neurons of the network tell pieces of text apart.

    Formula: number of distinct neuron patterns; a neuron is a unit at a place in a piece of `words` words,
        its pattern the signs that it has over all pieces of the batch
    Shapes:  tokens (B, T) -> signs (words * units, B * T / words) -> float; parts `layer1`, ...: the same
        of one layer alone
    Cost:    1 forward
    Source:  Peng et al. 2024 (SWAP-NAS), arXiv:2403.04161
    Differs: a sample is an image there and a piece of text here, and a neuron is a unit at a word where
        theirs is a channel at a pixel. N samples allow 2^N patterns, so whole sequences, of which a batch
        has few, would give every network the same score; with single words nearly every unit has a
        pattern of its own, and the score would count units. Values of other batches do not compare. GELU,
        SiLU and, in recurrent cells, tanh units count as on where positive; a sigmoid always is. Without
        the optional factor that favours a given size
    Worth:   mostly a count of feed-forward units: on random decoders with 2 or 4 layers of 64 or 256
        channels and 8 sequences of 64 words, 89 to 100 % of the neurons have a pattern of their own
    """
    layers = [patterns(_neurons(on, words)) for on in signs(probe)]
    return Parts(float(len(set.union(*layers))), by_layer(float(len(found)) for found in layers))


def _neurons(on: Tensor, words: int) -> Bytes:
    """(B, T, units) -> one row a neuron, one bit a piece; words that fill no piece are left out."""
    words = min(words, on.shape[1])
    pieces = on[:, : on.shape[1] // words * words].reshape(-1, words * on.shape[2])  # (pieces, neurons)
    if len(pieces) < 2:
        raise MeasurementFailed("needs at least 2 pieces of text to compare, the batch has 1")
    return packed(pieces.T)
