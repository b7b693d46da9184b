from __future__ import annotations

import torch
from torch import Tensor

from untrained.core.errors import MeasurementFailed
from untrained.core.metric import Parts, proxy
from untrained.metrics._layer_parts import by_layer
from untrained.nn.probe import Probe


@proxy(needs="activation preactivation")
def activation_distance(probe: Probe) -> float | Parts:
    """How alike the sequences of a batch, or the words of a sequence, switch the activations on and off.

    Formula: of a recurrent network ln |det K|, K_ij = number of activation outputs (units, steps, layers)
        that are positive for both sequences i and j, or for neither. Of a transformer the sum of all K_ij,
        K_ij = number of feed-forward units (all layers) that are positive for both words i and j of a
        sequence, or for neither; mean over sequences
    Shapes:  tokens (B, T) -> signs (B, all activations) -> K (B, B) -> float; of a transformer signs
        (B, T, all units) -> K (B, T, T) -> float, parts `layer1`, ...: the sums of the layers, and
        `per_activation`: the value divided by the number of feed-forward nonlinearities, the "normalized"
        of the authors
    Cost:    1 forward
    Source:  Mellor et al. 2021, arXiv:2006.04647; the sum, and both uses, Serianni and Kalita 2023 (ACL)
    Differs: one pass fills K where the authors' code has two, which adds a constant. The output of a
        sigmoid is always positive, so sigmoid nodes only add a constant to K, there as here. Of a
        transformer the authors look at one sequence only, with dropout on, and their plain
        published values count each activation once more for every layer that was scored before it. Counted
        once, ours orders 60 encoders as they do (rho 0.95; with their transforms, which are not orthonormal
        and have no residual, 0.99). `per_activation` differs by a few percent between networks, mostly by
        those transforms (-0.09; with theirs 0.94)
    Worth:   of recurrent networks. Of a transformer it grows with the number of units and hardly tells
        anything else; naswot has the determinant over sequences
    """
    if "preactivation" in probe.roles and "activation" not in probe.roles:
        return _over_words(probe)
    batch = probe.batch.shape[0]
    agree = torch.zeros(batch, batch, dtype=torch.float64, device=probe.device)
    for outputs in probe.taps("activation"):
        if outputs:
            # With signs +-1, agreements = (s s' + number of units) / 2: one product instead of two.
            signs = torch.cat([(a.detach() > 0).float() for a in outputs], 1).mul_(2).sub_(1)
            agree += (signs @ signs.T).double().add_(signs.shape[1]).div_(2)
    sign, value = torch.linalg.slogdet(agree)
    if float(sign) == 0.0 or not bool(torch.isfinite(value)):
        raise MeasurementFailed("two sequences switch every activation alike, so the determinant is 0")
    return float(value)


def _over_words(probe: Probe) -> Parts:
    layers = [[_agreements(x.detach()) for x in layer] for layer in probe.taps("preactivation")]
    totals = [sum(layer) for layer in layers]
    value = sum(totals)
    return Parts(value, {"per_activation": value / sum(map(len, layers)), **by_layer(totals)})


def _agreements(inputs: Tensor) -> float:
    """Inputs of a nonlinearity (B, T, units) -> agreements of all pairs of words, mean over sequences.

    A unit that is on for n of T words has n^2 + (T - n)^2 of them. The nonlinearities keep the sign.
    """
    on = (inputs > 0).sum(1).double()
    pairs = on.square() + (inputs.shape[1] - on).square()
    return float(pairs.sum(1).mean())
