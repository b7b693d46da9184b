from __future__ import annotations

from untrained.core.metric import proxy
from untrained.metrics._noise import jacobian_score
from untrained.metrics._spectrum import eigscore
from untrained.nn.probe import Probe


@proxy(needs="gradients")
def jacobian_covariance(probe: Probe) -> float:
    """How independent the input gradients of different sequences are.

    Formula: -sum_i [ln(v_i + k) + 1/(v_i + k)], k = 1e-5, v the eigenvalues of the B x B Pearson
        correlation of the rows of J = d(sum of the output)/d(embedding output)
    Shapes:  tokens (B, T) -> J (B, T * E) -> float
    Cost:    1 forward, 1 backward
    Source:  Mellor et al. 2021, arXiv:2006.04647; for recurrent cells Serianni and Kalita 2023 (ACL)
    Differs: the published values are no property of the cells: they lie between -71.15 and -71.03 and are
        the same, to the last digit, for all cells with the same number of parameters, so no right
        implementation agrees with them. The published noised variants do fit this formula. Of encoders the
        authors take the gradient of the table of positions, channel by channel, of which rounding makes all:
        followed so, their values come back (rho 0.86, 60 encoders); ours are others (0.13)
    Worth:   of recurrent networks. A transformer that ends in a layer norm has a constant sum of outputs, so
        its gradient is rounding and this says nothing; jacob_cov starts from the logits instead
    """
    return jacobian_score(probe, eigscore)
