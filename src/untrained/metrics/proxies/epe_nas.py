from __future__ import annotations

from itertools import combinations

from untrained.core.errors import MeasurementFailed
from untrained.core.metric import proxy
from untrained.metrics._samples import frequency_classes
from untrained.metrics._spectrum import K, correlation
from untrained.nn.probe import Probe

ROWS = 2_048  # tokens that are compared at most; their correlations take ROWS^2 numbers
MANY = 100  # classes above which their sums are compared with each other


@proxy(needs="gradients")
def epe_nas(probe: Probe, *, classes: int = 10) -> float:
    """How differently the network treats inputs that are followed by words of one class.

    Formula: sum over the classes of |E_c|, E_c = sum over the pairs of rows of class c of ln(|correlation| +
        k), k = 1e-5; rows: the gradient of the sum of the logits with respect to the embedding of one token.
        With more than 100 classes sum over the pairs of classes of |E_c / n_c - E_d / n_d| / classes
    Shapes:  tokens (B, T) -> rows (B * T, E), at most 2,048 of them -> float
    Cost:    1 forward, 1 backward, shared with jacob_cov, and the correlations of the rows of each class
    Source:  Lopes et al. 2021, arXiv:2102.08099
    Differs: a row was an image and its class one of a few labels. Here a row is a token and its class how
        frequent the next word is: equal shares of the text, from the most frequent words to the rarest. With
        the word itself as its class most classes would have a single row, whose correlation with itself says
        nothing; frequency is what a language model learns first. Of an encoder, which sees the next word, the
        classes are the same
    """
    if classes < 1:
        raise MeasurementFailed(f"cannot sort words into {classes} classes")
    onto, _ = probe.logit_gradients()
    rows = onto.flatten(0, 1)[:ROWS]
    labels = frequency_classes(probe.batch.targets, classes).flatten()[:ROWS]
    sums, sizes = [], []
    for label in range(classes):
        own = rows[labels == label]
        if not len(own):
            continue
        sums.append(float((correlation(own).abs() + K).log().sum()))
        sizes.append(len(own))
    if len(sums) <= MANY:
        return sum(abs(s) for s in sums)
    means = [s / n for s, n in zip(sums, sizes, strict=True)]
    return sum(abs(a - b) for a, b in combinations(means, 2)) / len(means)
