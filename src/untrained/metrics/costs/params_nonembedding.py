from __future__ import annotations

from torch import nn

from untrained.core.metric import cost
from untrained.nn.probe import Probe


@cost(unit="parameters")
def params_nonembedding(probe: Probe) -> float:
    """Number of parameters without the token embedding, and without a decoder that is tied to it.

    Formula: params - size of the embedding table - size of the bias of a tied decoder
    Shapes:  none; in closed form where the space has one, else from the built network
    Cost:    microseconds in closed form, else building the network
    Source:  definition; for decoders as in Javaheripi et al. 2022, arXiv:2203.02094
    """
    return float(probe.count("params_nonembedding", without_embedding))


def without_embedding(model: nn.Module) -> int:
    """Parameters of a built network that are not its embedding's or head's."""
    outside = {id(w) for w in getattr(model, "embedding_parameters", list)()}
    outside |= {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
    return sum(w.numel() for w in model.parameters() if id(w) not in outside)
