from __future__ import annotations

import torch

from untrained.core.errors import MeasurementFailed
from untrained.core.metric import proxy
from untrained.metrics._signs import sequence_signs
from untrained.nn.probe import Probe


@proxy(needs="preactivation")
def naswot(probe: Probe) -> float:
    """How differently the sequences of a batch switch the feed-forward units on and off.

    Formula: ln det K, K_ij = number of inputs of feed-forward nonlinearities (units, words, layers) that
        are positive for both sequences i and j, or for neither
    Shapes:  tokens (B, T) -> signs (B, all units at all words) -> K (B, B) -> float
    Cost:    1 forward
    Source:  Mellor et al. 2021, arXiv:2006.04647
    Differs: a sample is an image there and a sequence here. Not a word: words of a sequence see each
        other, and where two sequences begin alike a decoder has equal signs, so that a determinant over
        words would be 0 for every decoder. GELU and SiLU gates change their sign where ReLU does. A
        recurrent cell has no feed-forward part; the same score of its activations is activation_distance
    """
    if "preactivation" not in probe.roles and "activation" in probe.roles:
        raise MeasurementFailed("on a recurrent network this is activation_distance; ask for that")
    probe.require("preactivation")
    batch = probe.batch.shape[0]
    agree = torch.zeros(batch, batch, dtype=torch.float64, device=probe.device)
    for on in sequence_signs(probe):
        # With signs +-1, agreements = (s s' + number of units) / 2: one product instead of two.
        s = on.float().mul_(2).sub_(1)
        agree += (s @ s.T).double().add_(s.shape[1]).div_(2)
    sign, value = torch.linalg.slogdet(agree)
    if float(sign) <= 0 or not bool(torch.isfinite(value)):
        raise MeasurementFailed("two sequences switch every unit alike, so the determinant is 0")
    return float(value)
