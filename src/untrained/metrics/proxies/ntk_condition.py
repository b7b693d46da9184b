from __future__ import annotations

import torch

from untrained.core.errors import MeasurementFailed
from untrained.core.metric import proxy
from untrained.metrics._samples import tangent_kernel
from untrained.nn.probe import Probe


@proxy(better="lower")
def ntk_condition(probe: Probe, *, samples: int = 32) -> float:
    """How unevenly fast the network can learn: the condition number of its tangent kernel.

    Formula: largest / smallest eigenvalue of Theta, Theta_ij = sum over the weights of df_i/dw * df_j/dw, f_i
        the sum of the logits of the word after sequence i
    Shapes:  tokens (n, T) -> gradients (n, weights) -> Theta (n, n) -> float, n = the first `samples`
        sequences
    Cost:    1 forward, 1 backward of n sequences, shared with label_gradient_alignment; without linear
        layers n of one sequence, once more for each 64 Mi numbers of gradients
    Source:  Chen et al. 2021, TE-NAS, arXiv:2102.11535
    Differs: a sample was an image with the sum of its class logits; here it is a text with the logits of the
        one word after it, as a sum over all tokens would mix as many predictions as the text has words. Of
        the weights the matrices of the body are taken. No magic number where Theta is singular: it fails
    """
    values = torch.linalg.eigvalsh(tangent_kernel(probe, samples))
    # What rounding of float32 gradients leaves of a null direction is no eigenvalue.
    if float(values[0]) <= 1e-12 * float(values[-1]):
        raise MeasurementFailed("the tangent kernel is singular: sequences have the same gradients")
    return float(values[-1] / values[0])
