from __future__ import annotations

from untrained.core.metric import cost
from untrained.nn.probe import Probe


@cost(unit="parameters")
def params(probe: Probe) -> float:
    """Number of parameters, shared ones counted once.

    Formula: sum of the sizes of all parameter tensors
    Shapes:  none; in closed form where the space has one, else from the built network
    Cost:    microseconds in closed form, else building the network
    Source:  definition
    """
    return float(probe.count("params", lambda model: sum(w.numel() for w in model.parameters())))
