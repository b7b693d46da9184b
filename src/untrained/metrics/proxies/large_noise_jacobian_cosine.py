from __future__ import annotations

from untrained.core.metric import proxy
from untrained.metrics._noise import change_under_large_noise
from untrained.metrics._spectrum import cosscore
from untrained.nn.probe import Probe


@proxy(needs="gradients")
def large_noise_jacobian_cosine(probe: Probe) -> float:
    """How little strong embedding noise changes the Jacobian cosine.

    Formula: 1 - |S(J) - S(J_10)|, S the score of jacobian_cosine and J_a the Jacobian with
        the embedding output e being e + a * var * n, var the variance of e
        over the batch, n ~ N(0, 1)
    Shapes:  tokens (B, T) -> J (B, T * E) -> float
    Cost:    2 forwards, 2 backwards
    Source:  Serianni and Kalita 2023 (ACL)
    Worth:   of recurrent networks. Of a transformer that ends in a layer norm it is rounding, as
        jacobian_cosine is: on our encoders (bench_encoder, after a fourth of the training that they have
        now) tau inside bands was 0.19 on one processor and 0.05 on another
    """
    return 1 - change_under_large_noise(probe, cosscore)
