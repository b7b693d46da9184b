from __future__ import annotations

from untrained.core.errors import MeasurementFailed
from untrained.core.metric import proxy
from untrained.metrics._spectrum import eigscore
from untrained.nn.probe import Probe


@proxy(needs="gradients")
def jacob_cov(probe: Probe) -> float:
    """How independent the input gradients of different sequences are, taken from the logits.

    Formula: -sum_i [ln(v_i + k) + 1/(v_i + k)], k = 1e-5, v the eigenvalues of the B x B Pearson correlation
        of the rows of J = d(sum of the logits)/d(embedding output)
    Shapes:  tokens (B, T) -> J (B, T * E) -> float
    Cost:    1 forward, 1 backward, shared with epe_nas, synaptic_diversity and head_importance
    Source:  Mellor et al. 2021, arXiv:2006.04647, and Abdelfattah et al. 2021, arXiv:2101.08134; for language
        models LiteTransformerSearch, Javaheripi et al. 2022, arXiv:2203.02094
    Differs: LiteTransformerSearch sums the logits with random weights, the image code with ones, as here:
        rows of the decoder are random themselves. It is not jacobian_covariance, which sums the top states:
        those of a token behind a LayerNorm always add up to the same, so there its J is rounding and nothing
        else
    """
    if probe.batch.shape[0] < 2:
        raise MeasurementFailed("compares sequences with each other: needs at least 2, the batch has 1")
    onto, _ = probe.logit_gradients()
    return eigscore(onto.flatten(1))
