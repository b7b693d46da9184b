"""The learning rate, step by step."""

from __future__ import annotations

import math

from untrained.core.recipe import Recipe


def rate(recipe: Recipe, step: int, steps: int) -> float:
    """The learning rate of update `step` (from 0) out of `steps`.

    Formula: peak * (s + 1) / (W + 1) for the W = round(warmup * steps) first ones, so that no update is
             wasted on a rate of 0; then, with p = (s - W) / (steps - W), peak times 1 (constant),
             1 - p (linear) or (1 + cos(pi p)) / 2 (cosine), between 1 and `floor`
    """
    warm = min(steps, round(recipe.warmup * steps))
    if step < warm:
        return recipe.peak_lr * (step + 1) / (warm + 1)
    done = min(1.0, (step - warm) / max(1, steps - warm))
    shape = {"constant": 1.0, "linear": 1 - done, "cosine": (1 + math.cos(math.pi * done)) / 2}
    return recipe.peak_lr * (recipe.floor + (1 - recipe.floor) * shape[recipe.schedule])
