from __future__ import annotations

from untrained.core.metric import proxy
from untrained.metrics._layer_parts import layer_parts, size
from untrained.nn.probe import Probe


@proxy(better="higher", unit="parameters")
def params_attention(probe: Probe) -> float:
    """Number of parameters of the token mixers.

    Formula: sum over layers of the weights and biases of the mixer: queries, keys, values and output of
        attention, or the maps of what stands in its place; without norms
    Shapes:  none; in closed form where the space has one, else from the built network. At every scale that
        of the whole network
    Cost:    no pass
    Source:  definition; as a score Javaheripi et al. 2022, arXiv:2203.02094
    Differs: none known. A recurrent cell does not separate mixing from the rest, so it has no such number
    """
    return float(probe.full_count("params_attention", lambda model: size(m for m, _ in layer_parts(model))))
