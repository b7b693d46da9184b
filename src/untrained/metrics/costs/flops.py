from __future__ import annotations

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from untrained.core.metric import cost
from untrained.nn.probe import Probe

STEPS = 4  # tokens that are run; matrix products per token are the same at every step of a recurrent net


@cost(unit="FLOP per token")
def flops(probe: Probe) -> float:
    """Floating-point operations of the matrix products of one forward pass, for one token.

    Formula: 2 * multiply-adds of all matrix products, decoder included where there is one
    Shapes:  one sequence; in closed form where the space has one, else counted while running 4 tokens
    Cost:    microseconds in closed form, else 1 short forward
    Source:  torch.utils.flop_counter; elementwise operations are not counted
    """
    return float(probe.count("flops", lambda model: _counted(probe, model)))


def _counted(probe: Probe, model: nn.Module) -> int:
    counter, tokens = FlopCounterMode(display=False), probe.batch.tokens[:1, :STEPS]
    with torch.no_grad(), counter:
        model(tokens)
    return counter.get_total_flops() // tokens.numel()
