"""A network of ours with a linear head for labels."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from untrained.core.errors import UsageError


class Classifier(nn.Module):
    """Mean of the features of a text's tokens, then a linear map to the labels.

    The head is drawn N(0, 0.02^2), its bias is 0. `fill` stands for padding, which has the id -1.
    """

    def __init__(
        self, body: nn.Module, labels: int, *, fill: int = 0, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        if not hasattr(body, "embed") or not hasattr(body, "encode"):
            raise UsageError(
                f"{type(body).__name__} gives no features to tell labels from.\n"
                "  give it: embed(tokens) -> (B, T, E) and encode(embedded) -> (B, T, D);"
                " see untrained.nn.taps"
            )
        self.body, self.fill = body, fill
        self.vocabulary: Any = getattr(body, "vocabulary", None)
        self.positions: Any = getattr(body, "positions", None)
        with torch.no_grad():
            width = body.eval().encode(body.embed(torch.zeros(1, 1, dtype=torch.long))).shape[-1]  # type: ignore[operator]
        self.head = nn.Linear(width, labels, device="meta").to_empty(device="cpu")
        nn.init.normal_(self.head.weight, std=0.02, generator=generator)
        nn.init.zeros_(self.head.bias)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T), -1 where there is no token -> (B, labels)"""
        there = tokens >= 0
        features = self.body.encode(self.body.embed(tokens.masked_fill(~there, self.fill)))  # type: ignore[operator]
        weight = there[..., None].to(features.dtype)
        pooled = (features * weight).sum(1) / weight.sum(1).clamp(min=1)
        return self.head(pooled)  # type: ignore[no-any-return]
