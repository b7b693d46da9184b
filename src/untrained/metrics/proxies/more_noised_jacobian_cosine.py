from __future__ import annotations

from untrained.core.metric import Parts, proxy
from untrained.metrics._noise import product_under_noise
from untrained.metrics._spectrum import cosscore
from untrained.nn.probe import Probe


@proxy(needs="gradients")
def more_noised_jacobian_cosine(probe: Probe) -> Parts:
    """The Jacobian cosine without noise and under three strengths of it, multiplied.

    Formula: S(J) * S(J_0.1) * S(J_10) * S(J_100), S the score of jacobian_cosine and J_a the
        Jacobian with the embedding output e being e + a * var * n, var the variance of e
        over the batch, n ~ N(0, 1)
    Shapes:  tokens (B, T) -> J (B, T * E) -> float; parts: the four factors
    Cost:    4 forwards, 4 backwards
    Source:  Serianni and Kalita 2023 (ACL)
    Worth:   of recurrent networks. Of a transformer that ends in a layer norm it is rounding, as
        jacobian_cosine is
    """
    return product_under_noise(probe, cosscore)
