from __future__ import annotations

import torch
from torch import Tensor

from untrained.core.metric import cost
from untrained.nn.probe import Probe

STEPS = 4  # tokens that are run


@cost(unit="bytes per token")
def activation_bytes(probe: Probe) -> float:
    """Memory that one token of a training step keeps until the backward pass.

    Formula: bytes of the distinct tensors that autograd saves in a forward pass, weights left out, over
        the number of tokens
    Shapes:  one sequence of 4 tokens
    Cost:    1 short forward
    Source:  torch.autograd.graph.saved_tensors_hooks
    """
    tokens = probe.batch.tokens[:1, :STEPS].clone()  # saved as a whole, so without the rest of the batch
    weights = {w.untyped_storage().data_ptr() for w in probe.model.parameters()}
    saved: dict[int, int] = {}
    kept: list[Tensor] = []  # an address is only unique while its tensor lives

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            saved[storage.data_ptr()] = storage.nbytes()
            kept.append(tensor)
        return tensor

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
        probe.model(tokens)
    return sum(saved.values()) / tokens.numel()
