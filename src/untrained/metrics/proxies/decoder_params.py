from __future__ import annotations

from untrained.core.metric import Parts, proxy
from untrained.metrics._layer_parts import layer_parts, size
from untrained.nn.probe import Probe


@proxy(better="higher", unit="parameters")
def decoder_params(probe: Probe) -> Parts:
    """Number of parameters of the attention and feed-forward parts, embeddings excluded.

    Formula: sum over layers of the weights and biases of the mixer and of the feed-forward part, without
        norms
    Shapes:  none; in closed form where the space has one, else from the built network; parts `attention`
        and `feed_forward`. At every scale that of the whole network
    Cost:    no pass
    Source:  Javaheripi et al. 2022, arXiv:2203.02094
    Differs: none known. On a recurrent network the same question is answered by params_nonembedding
    """
    attention = float(
        probe.full_count("params_attention", lambda model: size(m for m, _ in layer_parts(model)))
    )
    feed_forward = float(probe.full_count("params_ffn", lambda model: size(f for _, f in layer_parts(model))))
    return Parts(attention + feed_forward, {"attention": attention, "feed_forward": feed_forward})
