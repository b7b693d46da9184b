"""Scores of the Jacobian with and without embedding noise; shared by the noised proxies."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import Tensor

from untrained.core.errors import MeasurementFailed
from untrained.core.metric import Parts
from untrained.nn.probe import Probe

NOISES = SMALL, LARGE, VERY_LARGE = 0.1, 10.0, 100.0

Score = Callable[[Tensor], float]


def jacobian_score(probe: Probe, score: Score, noise: float = 0.0) -> float:
    """S(J_a), made once per probe, as several proxies ask for it."""
    if probe.batch.shape[0] < 2:
        raise MeasurementFailed(
            "compares sequences with each other: needs at least 2 sequences, the batch has 1"
        )
    return probe.once(f"{score.__name__} at noise {noise}", lambda: score(probe.jacobian(noise, NOISES)))


def change_under_large_noise(probe: Probe, score: Score) -> float:
    """|S(J) - S(J_10)|"""
    return abs(jacobian_score(probe, score) - jacobian_score(probe, score, LARGE))


def product_under_noise(probe: Probe, score: Score) -> Parts:
    """S(J) * S(J_0.1) * S(J_10) * S(J_100), with the four factors as parts."""
    names = {"clean": 0.0, "small": SMALL, "large": LARGE, "very_large": VERY_LARGE}
    factors = {name: jacobian_score(probe, score, noise) for name, noise in names.items()}
    return Parts(math.prod(factors.values()), factors)
