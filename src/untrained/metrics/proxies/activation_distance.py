from __future__ import annotations

import torch

from untrained.core.errors import MeasurementFailed
from untrained.core.metric import proxy
from untrained.nn.probe import Probe


@proxy(needs="activation")
def activation_distance(probe: Probe) -> float:
    """How differently the sequences of a batch switch the activations on and off.

    Formula: ln |det K|, K_ij = number of activation outputs (units, steps, layers) that are positive for
        both sequences i and j, or for neither
    Shapes:  tokens (B, T) -> signs (B, all activations) -> K (B, B) -> float
    Cost:    1 forward
    Source:  Mellor et al. 2021, arXiv:2006.04647; for recurrent cells Serianni and Kalita 2023 (ACL)
    Differs: one pass fills K where the authors' code has two, which adds a constant. The output of a
        sigmoid is always positive, so sigmoid nodes only add a constant to K, there as here
    """
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
