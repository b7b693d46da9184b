from __future__ import annotations

from untrained.core.metric import proxy
from untrained.nn.probe import Probe


@proxy()
def l2_norm(probe: Probe) -> float:
    """Summed length of the weight matrices of the body.

    Formula: sum over matrices W of ||W||_2, the root of the sum of its squares
    Shapes:  matrices (out, in) -> float
    Cost:    no pass
    Source:  Abdelfattah et al. 2021, arXiv:2101.08134
    Differs: convolutions and linear maps there; here the linear maps of the layers, without the embedding
        and the head, or all matrices of a recurrent cell
    """
    return sum((float(w.detach().double().norm()) for w in probe.weights()), start=0.0)
