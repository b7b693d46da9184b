"""A copy of a network that is free to be changed, while its weights stay one and the same."""

from __future__ import annotations

from copy import deepcopy
from typing import TypeVar

import torch
from torch import nn

M = TypeVar("M", bound=nn.Module)
WIDE = (torch.float32, torch.float64)


def shadow(module: M) -> M:
    """The same tree of modules around the same weights, in evaluation mode.

    Hooks, flags and configuration are its own. Half-precision weights are copied in float32.
    """
    wide = widened(module)
    if wide is not module:
        return wide.eval()
    tensors = (*module.parameters(), *module.buffers())
    copy: M = deepcopy(module, {id(t): t for t in tensors})  # a memo of what is copied already
    return copy.eval()


def widened(module: M) -> M:
    """The module itself; where it has half-precision weights, a copy in float32."""
    half = any(w.is_floating_point() and w.dtype not in WIDE for w in module.parameters())
    return deepcopy(module).float() if half else module
