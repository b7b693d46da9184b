from __future__ import annotations

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from untrained.core.metric import cost
from untrained.nn.probe import Probe

STEPS = 4  # tokens that are run; matrix products per token are the same at every step of a recurrent net
IN_PLACE = torch.ops.aten.addmm_, torch.ops.aten.baddbmm_  # products that torch's counter does not know


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
    tokens = probe.batch.tokens[:1, :STEPS]
    counter = FlopCounterMode(display=False, custom_mapping=dict.fromkeys(IN_PLACE, _in_place))
    with torch.no_grad(), counter:
        model(tokens)
    return counter.get_total_flops() // tokens.numel()


def _in_place(_: torch.Size, a: torch.Size, b: torch.Size, **more: object) -> int:
    """(..., n, k) times (..., k, m)"""
    return 2 * a.numel() * b[-1]
