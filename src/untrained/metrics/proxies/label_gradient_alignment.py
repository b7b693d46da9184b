from __future__ import annotations

from untrained.core.errors import MeasurementFailed
from untrained.core.metric import proxy
from untrained.metrics._samples import frequency_classes, tangent_kernel
from untrained.nn.probe import Probe


@proxy()
def label_gradient_alignment(probe: Probe, *, samples: int = 32, classes: int = 4) -> float:
    """Whether sequences with alike next words also have alike gradients.

    Formula: correlation over all i, j of Theta_ij and L_ij; Theta_ij = sum over the weights of df_i/dw *
        df_j/dw, f_i the sum of the logits of the word after sequence i; L_ij = 1 where these words are of one
        class, else 0
    Shapes:  tokens (n, T) -> gradients (n, weights) -> Theta (n, n) -> float, n = the first `samples`
        sequences
    Cost:    1 forward, 1 backward of n sequences, shared with ntk_condition; without linear layers n of one
        sequence, once more for each 64 Mi numbers of gradients
    Source:  Mok et al. 2022, arXiv:2203.14577, who take it after a few epochs of training
    Differs: before any training. A sample was an image with its label; here it is a text, its class how
        frequent the word after it is (equal shares of the batch's words): with the word itself as its class
        hardly two of the samples would have the same one
    """
    kernel = tangent_kernel(probe, samples)
    labels = frequency_classes(probe.batch.targets, classes)[: len(kernel), -1]
    alike = (labels[:, None] == labels).double()
    a, b = alike - alike.mean(), kernel - kernel.mean()
    length = float(a.norm() * b.norm())
    if length == 0.0:
        raise MeasurementFailed("the words after the sequences are all of one class, or all gradients are 0")
    return float((a * b).sum()) / length
