"""AdamW with weight decay where it belongs."""

from __future__ import annotations

import torch
from torch import nn

from untrained.core.recipe import Recipe

Named = dict[str, nn.Parameter]


def trainable(model: nn.Module) -> Named:
    """The weights that are trained, each once, by the first of its names."""
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


def decayed(model: nn.Module) -> tuple[list[str], list[str]]:
    """Names of weights with decay (matrices), and without: vectors, and tables of tokens and positions."""
    tables = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
    # Our recurrent models hold their table bare.
    tables |= {id(p) for p in model.parameters() if p is getattr(model, "embedding", None)}
    weights = trainable(model)
    without = [n for n, p in weights.items() if p.dim() < 2 or id(p) in tables]
    return [n for n in weights if n not in set(without)], without


def adamw(model: nn.Module, recipe: Recipe) -> torch.optim.AdamW:
    """The optimizer of a recipe; its learning rate is set step by step."""
    weights = trainable(model)
    groups = [
        {"params": [weights[n] for n in names], "weight_decay": decay}
        for names, decay in zip(decayed(model), (recipe.weight_decay, 0.0), strict=True)
        if names
    ]
    return torch.optim.AdamW(groups, lr=recipe.peak_lr, betas=(recipe.beta1, recipe.beta2), fused=True)
