from __future__ import annotations

from untrained.core.metric import proxy
from untrained.nn.probe import Probe


@proxy(needs="hidden gradients")
def hidden_synaptic_saliency(probe: Probe) -> float:
    """How much each hidden state carries of the output.

    Formula: sum of |h * dL/dh| over the states that enter each step of each layer, L = sum of the output
    Shapes:  tokens (B, T) -> states T x (B, H) per layer -> float
    Cost:    1 forward, 1 backward
    Source:  Serianni and Kalita 2023 (ACL)
    Differs: none known; the published values fit one backward pass (1.00 times it, median of 19 cells). A
        transformer carries no state from step to step, so it has no such score
    """
    return probe.hidden_saliency()
