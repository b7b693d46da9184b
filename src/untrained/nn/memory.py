"""What a decoder keeps of the tokens before these, so that the next ones cost a step and not a sequence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Memory:
    """The keys and values of earlier tokens, where the new ones stand, and which of all are padding."""

    places: Tensor
    """(B, T): positions of the new tokens"""
    seen: int = 0
    """tokens before them, padding included"""
    shown: Tensor | None = None
    """(B, seen + T): False for padding; None where there is none"""
    keep: Callable[[int, Tensor, Tensor], tuple[Tensor, Tensor]] = lambda layer, key, value: (key, value)
    """takes a layer's new keys and values (B, heads, T, d), gives all of them (B, heads, seen + T, d)"""

    def mask(self, queries: int, keys: int, span: int | None = None) -> Tensor:
        """True where the last `queries` of `keys` tokens may look: (T, keys), with padding (B, 1, T, keys).

        Every token sees itself, padding too, as a softmax over nothing has no value.
        """
        step = torch.arange(keys, device=self.places.device)
        apart = step[keys - queries :, None] - step
        near = apart >= 0 if span is None else (apart >= 0) & (apart < span)
        if self.shown is None:
            return near
        return (near & self.shown[:, None, None, :]) | (apart == 0)
