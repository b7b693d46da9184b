from __future__ import annotations

from untrained.core.metric import proxy
from untrained.metrics._noise import jacobian_score
from untrained.metrics._spectrum import cosscore
from untrained.nn.probe import Probe


@proxy(needs="gradients")
def jacobian_cosine(probe: Probe) -> float:
    """How far apart the directions of the input gradients of different sequences are.

    Formula: 1 - sum over i != j of |cos(J_i, J_j)|^(1/20) / (2 (B^2 - B)), J_i the rows of
        J = d(sum of the output)/d(embedding output); from 0.5 (all parallel) to 1
    Shapes:  tokens (B, T) -> J (B, T * E) -> float
    Cost:    1 forward, 1 backward
    Source:  Serianni and Kalita 2023 (ACL)
    Differs: of encoders the authors take the gradient of the table of positions, channel by channel, of which
        rounding makes all: followed so, their values come back (rho 0.78, 60 encoders; 0.94 for the 42 that
        have a transform); ours are others (0.32)
    Worth:   of recurrent networks. A transformer that ends in a layer norm has a constant sum of outputs, so
        its gradient is rounding and this says nothing; jacob_cov starts from the logits instead
    """
    return jacobian_score(probe, cosscore)
