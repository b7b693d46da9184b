"""What label noise leaves of a perfect score, told by networks that were trained more than once."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from untrained.apps.labelled import Known
from untrained.core.statistics import hard_pairs, kendall_tau, tau_better_half

Real = npt.NDArray[np.float64]

LEAST = 5  # repetitions from which a noise is told
DRAWS = 200


@dataclass(frozen=True)
class Ceiling:
    """How well the true quality of networks, their mean over endless trainings, agrees with labels."""

    networks: int
    """that were trained more than once"""
    noise: float
    """standard deviation of one training, in the unit of the quality"""
    retest: float
    """Kendall's tau between the first and the second training of these networks"""
    tau: float
    tau_low: float
    """2.5 % quantile over simulated tables; `tau_high` is the 97.5 % one"""
    tau_high: float
    tau_better_half: float
    hard_pairs: float | None


def ceiling(known: Known) -> Ceiling | None:
    """None where fewer than five trainings are repetitions: what the noise allows is then not known.

    The table is taken for the truth after its values were drawn together to the variance that a truth
    without noise has, and noise is added again: differences of twins from their mean, drawn at random, the
    same for good and bad networks, less where a label is the mean of several trainings.
    """
    twice = [t for t in known.trainings if len(t) > 1]
    free = sum(len(t) - 1 for t in twice)
    if free < LEAST:
        return None
    off = np.concatenate([(np.array(t) - np.mean(t)) * math.sqrt(len(t) / (len(t) - 1)) for t in twice])
    noise = math.sqrt(sum(float(((np.array(t) - np.mean(t)) ** 2).sum()) for t in twice) / free)
    rows = np.flatnonzero(np.isfinite(known.quality))
    quality = known.quality[rows]
    share = 1 / np.sqrt([max(1, len(known.trainings[i])) for i in rows])
    spread = float(quality.var())
    kept = max(0.0, 1 - noise**2 * float((share**2).mean()) / spread) if spread else 0.0
    true = quality.mean() + math.sqrt(kept) * (quality - quality.mean())
    luck = np.random.default_rng(0)
    found = []
    for _ in range(DRAWS):
        seen = true + share * luck.choice(off, len(rows))
        pairs = None
        if known.size is not None:
            pairs = hard_pairs(true, seen, known.size[rows], min_gap=known.gap)[0]
        found.append(
            (kendall_tau(true, seen), tau_better_half(true, seen), math.nan if pairs is None else pairs)
        )
    table = np.array(found)
    low, high = np.quantile(table[:, 0], [0.025, 0.975])
    pairs_known = np.isfinite(table[:, 2])
    return Ceiling(
        networks=len(twice),
        noise=noise,
        retest=kendall_tau([t[0] for t in twice], [t[1] for t in twice]),
        tau=float(table[:, 0].mean()),
        tau_low=float(low),
        tau_high=float(high),
        tau_better_half=float(table[:, 1].mean()),
        hard_pairs=float(table[pairs_known, 2].mean()) if pairs_known.any() else None,
    )
