"""What proxies look at, named by role and not by class.

A network that can be probed has three stages, `embed`, `encode` and `decode`, and writes what it computes
onto a tape that it is handed.

Roles:
    hidden      the recurrent state that enters each step: T tensors (B, H) a layer
    activation  the output of each nonlinearity, at each step
    block       the output of each layer: one tensor (B, T, D)
    state       all that a recurrent layer carries into each step, so that it can be started there
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Protocol

import torch
from torch import Tensor


class Tape:
    """What a network wrote down in one forward pass, by role and layer."""

    def __init__(self, roles: Iterable[str] = ()) -> None:
        self.roles = frozenset(roles)
        self._written: dict[str, dict[int, list[Tensor]]] = {role: defaultdict(list) for role in self.roles}

    def wants(self, role: str) -> bool:
        return role in self.roles

    def add(self, role: str, layer: int, *tensors: Tensor) -> None:
        """Writes tensors of a role that is wanted; others are let go."""
        if role in self.roles:
            self._written[role][layer].extend(tensors)

    def __getitem__(self, role: str) -> list[list[Tensor]]:
        """One list a layer, each in the order in which it was written."""
        return [tensors for _, tensors in sorted(self._written[role].items())]


class Tapped(Protocol):
    """A network that can be probed."""

    roles: tuple[str, ...]
    vocabulary: int

    def embed(self, tokens: Tensor) -> Tensor:
        """(B, T) -> (B, T, E)"""

    def encode(self, embedded: Tensor, tape: Tape | None = None) -> Tensor:
        """(B, T, E) -> (B, T, D)"""

    def saliency_weights(self) -> list[torch.nn.Parameter]:
        """Weight matrices of the body, without biases and without the embedding."""
