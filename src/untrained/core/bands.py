"""How well a score orders architectures of one size: only pairs inside a band count.

Conventions are those of `statistics`: in score and quality higher is better, one value an architecture.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from untrained.core.resampling import (
    Floats,
    PairedTest,
    check_draws,
    checked,
    clusters_of,
    how_often,
    quantiles,
    tested,
    within,
)


def tau_in_bands(
    score: ArrayLike, quality: ArrayLike, bands: ArrayLike, clusters: ArrayLike | None = None
) -> float:
    """Concordant less discordant pairs inside bands, as a share of those with different quality.

    Rows of one cluster (trainings of one architecture) make no pair. A tie in score is no agreement, as in
    tau-a. 0.0 where there is no pair.
    """
    right, pairs = _pairs(score, quality, bands, clusters)
    return float(right.sum() / pairs.sum()) if pairs.any() else 0.0


def bootstrap_in_bands(
    score: ArrayLike,
    quality: ArrayLike,
    bands: ArrayLike,
    clusters: ArrayLike | None = None,
    *,
    draws: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[float, float]:
    """Percentile interval of `tau_in_bands` under resampling of the architectures."""
    check_draws(draws, level)
    right, pairs = _pairs(score, quality, bands, clusters)
    return quantiles(_shares(right, pairs, clusters_of(clusters, len(pairs)), draws, seed), level)


def paired_in_bands(
    score_a: ArrayLike,
    score_b: ArrayLike,
    quality: ArrayLike,
    bands: ArrayLike,
    clusters: ArrayLike | None = None,
    *,
    draws: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> PairedTest:
    """`tau_in_bands` of the one score minus that of the other, on the same resamples."""
    check_draws(draws, level)
    mine, pairs = _pairs(score_a, quality, bands, clusters)
    other, _ = _pairs(score_b, quality, bands, clusters)
    values = _shares(mine - other, pairs, clusters_of(clusters, len(pairs)), draws, seed)
    whole = float((mine - other).sum() / pairs.sum()) if pairs.any() else 0.0
    return tested(whole, values, level)


def _pairs(
    score: ArrayLike, quality: ArrayLike, bands: ArrayLike, clusters: ArrayLike | None
) -> tuple[Floats, Floats]:
    """+1, 0 or -1 for how a pair is ordered; 1 for the pairs that count."""
    s, q = checked(score=score, quality=quality)
    band, own = np.asarray(bands), clusters_of(clusters, len(s))
    if band.shape != s.shape:
        raise ValueError(f"bands needs one name for each of the {len(s)} architectures.")
    apart = np.sign(q[:, None] - q)
    pairs = (band[:, None] == band) & (own[:, None] != own) & (apart != 0)
    right = np.where(pairs, np.sign(s[:, None] - s) * apart, 0.0)
    return right, pairs.astype(np.float64)


def _shares(right: Floats, pairs: Floats, clusters: np.ndarray, draws: int, seed: int) -> Floats:
    often = how_often(clusters, draws, seed)
    net, all_ = within(often, right), within(often, pairs)
    found: Floats = np.divide(net, all_, out=np.zeros_like(net), where=all_ > 0)
    return found
