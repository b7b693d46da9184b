from __future__ import annotations

from untrained.core.metric import proxy
from untrained.metrics._noise import change_under_large_noise
from untrained.metrics._spectrum import eigscore
from untrained.nn.probe import Probe


@proxy(better="lower", needs="gradients")
def large_noise_jacobian_covariance(probe: Probe) -> float:
    """How much strong embedding noise changes the Jacobian covariance.

    Formula: |S(J) - S(J_10)|, S the score of jacobian_covariance and J_a the Jacobian with
        the embedding output e being e + a * var * n, var the variance of e
        over the batch, n ~ N(0, 1)
    Shapes:  tokens (B, T) -> J (B, T * E) -> float
    Cost:    2 forwards, 2 backwards
    Source:  Serianni and Kalita 2023 (ACL)
    Differs: none from the published values; the formula that goes with them has 1 - |...|, which turns
        the direction and nothing else
    Worth:   of recurrent networks. Of a transformer that ends in a layer norm it is rounding, as
        jacobian_covariance is
    """
    return change_under_large_noise(probe, eigscore)
