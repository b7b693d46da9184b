from __future__ import annotations

from untrained.core.metric import Parts, proxy
from untrained.metrics._samples import loss_samples
from untrained.metrics._weights import totalled
from untrained.nn.probe import Probe


@proxy()
def fisher(probe: Probe) -> Parts:
    """How much the loss would change if single channels were taken away.

    Formula: sum over the matrices W and their output channels c of fan-in * mean_b q_bc^2 / 2, with q_bc =
        sum_t a_btc dL/da_btc, a = x W^T the output of the matrix, L the mean cross-entropy of the batch in
        nats per token
    Shapes:  tokens (B, T) -> q (B, channels) a matrix -> float; parts `layer1`, ...: the sums of the layers
    Cost:    1 forward, 1 backward, shared with grad_sign and zico; without linear layers B of one sequence
    Source:  Theis et al. 2018, arXiv:1801.05787, and Turner et al. 2020, arXiv:1906.04113; as a score of
        architectures Abdelfattah et al. 2021, arXiv:2101.08134
    Differs: what the sum over the places of an image was is the sum over the tokens of a sequence, and the
        channel is the last axis; the public code takes axis 1, which would be the token. Computed as q_bc =
        sum over the inputs of W * g_b, g_b the gradient of sequence b, which is the same. A bias is no part
        of a (transformers draw it as 0); in a cell the matrices that meet in one node count one by one.
        fan-in is there because the authors give a channel's value to each of its weights
    """
    channels = loss_samples(probe).channels
    batch = probe.batch.shape[0]  # L is a mean over sequences, so each has 1/B of it
    fans = [w.numel() / c.shape[1] for w, c in zip(probe.weights(), channels, strict=True)]
    terms = [
        fan * float((c / batch).square().mean(0).sum()) / 2 for fan, c in zip(fans, channels, strict=True)
    ]
    return totalled(probe, terms)
