"""Scores of the Jacobian with and without embedding noise; shared by the noised proxies."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from untrained.core.metric import Parts
from untrained.nn.probe import Probe

SMALL, LARGE, VERY_LARGE = 0.1, 10.0, 100.0


def change_under_large_noise(probe: Probe, score: Callable[[Tensor], float]) -> float:
    """|S(J) - S(J_10)|"""
    return abs(score(probe.jacobian()) - score(probe.jacobian(LARGE)))


def product_under_noise(probe: Probe, score: Callable[[Tensor], float]) -> Parts:
    """S(J) * S(J_0.1) * S(J_10) * S(J_100), with the four factors as parts."""
    names = {"clean": 0.0, "small": SMALL, "large": LARGE, "very_large": VERY_LARGE}
    factors = {name: score(probe.jacobian(noise)) for name, noise in names.items()}
    product = 1.0
    for factor in factors.values():
        product *= factor
    return Parts(product, factors)
