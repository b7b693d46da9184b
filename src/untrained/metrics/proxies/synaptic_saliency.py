from __future__ import annotations

import torch

from untrained.core.metric import proxy
from untrained.nn.probe import Probe


@proxy(needs="hidden gradients weights")
def synaptic_saliency(probe: Probe) -> float:
    """How much each weight of the body carries of the output.

    Formula: sum over the matrices W of ||W * dL/dW||_1, L = sum of the output
    Shapes:  tokens (B, T) -> output (B, T, D) -> float
    Cost:    1 forward, 1 backward
    Source:  Tanaka et al. 2020, arXiv:2006.05467, as changed by Serianni and Kalita 2023 (ACL): real
        text and signed weights
    Differs: every matrix of a cell. The authors leave out the first one of each linear block, which
        depends on the order in which its inputs are written down and so is no property of the network.
        Their published values fit L = sum of the output (1.00 times them, median of 19 cells), not
        |output|^2 / 2. Of encoders they sum over the feed-forward part only, and the values are rounding:
        their formula orders as published the 42 of 60 encoders that have a transform (rho 0.96, normalized
        0.98; ours 0.77) and not the other 18 (0.20), where arithmetic of another machine decides
    Worth:   of recurrent networks. A transformer that ends in a layer norm has a constant sum of outputs, so
        its gradient is rounding and this says nothing; snip starts from the loss instead
    """
    pairs = zip(probe.weights(), probe.gradients(), strict=True)
    return sum((float((w.detach() * g).abs().sum(dtype=torch.float64)) for w, g in pairs), start=0.0)
