"""What label noise leaves of a perfect score, told by networks that were trained more than once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from untrained.apps.labelled import NONE, Known
from untrained.core.statistics import hard_pairs, kendall_tau, tau_better_half

Real = npt.NDArray[np.float64]

LEAST = 5  # repetitions from which a noise is told
NEAR = 10  # differences of twins, at least, from which the noise of one network is drawn
DRAWS = 200
NORMAL = 1.4826  # from the median size of a normal number to its standard deviation


@dataclass(frozen=True)
class Ceiling:
    """How well the true quality of networks, their mean over endless trainings, agrees with labels."""

    networks: int
    """that were trained more than once"""
    noise: float
    """of one training, in the unit of the quality: 1.4826 median deviations, so that failures hardly count"""
    retest: float
    """Kendall's tau between the first and the second training of these networks"""
    prior: float | None
    """Kendall's tau of the prior with the first training of the same networks"""
    tau: float
    tau_low: float
    """2.5 % quantile over simulated tables; `tau_high` is the 97.5 % one"""
    tau_high: float
    tau_better_half: float
    hard_pairs: float | None


def ceiling(known: Known) -> Ceiling | None:
    """That of a table to learn from; see `told_by`."""
    prior = None if known.prior == NONE else known.codes[:, 0]
    return told_by(known.trainings, known.quality, size=known.size, gap=known.gap, prior=prior)


def told_by(
    trainings: Sequence[Sequence[float]],
    quality: Real,
    *,
    size: Real | None = None,
    gap: float = 0.01,
    prior: Real | None = None,
) -> Ceiling | None:
    """The ceiling of a table, from the qualities of each training of each network, and their means.

    None where fewer than five trainings are repetitions: what the noise allows is then not known.

    The table is taken for the truth after its values were drawn together to the spread that a truth without
    noise has, and noise is added again: differences of twins from their mean, drawn from the quarter of them
    that is nearest in quality, less where a label is the mean of several trainings. All networks are taken
    to be as noisy as twins of their quality; where twins are unlike the others, trust `retest` against
    `prior`, which compare like with like.
    """
    rows = [i for i, t in enumerate(trainings) if len(t) > 1]
    if sum(len(trainings[i]) - 1 for i in rows) < LEAST:
        return None
    twins = [np.array(trainings[i]) for i in rows]
    level = np.concatenate([np.full(len(t), t.mean()) for t in twins])
    off = np.concatenate([(t - t.mean()) * math.sqrt(len(t) / (len(t) - 1)) for t in twins])
    share = 1 / np.sqrt([max(1, len(t)) for t in trainings])
    simulated, number = _simulated(quality, share, level, off, size, gap), len(rows)
    low, high = np.quantile(simulated[:, 0], [0.025, 0.975])
    first, second = (np.array([t[k] for t in twins]) for k in (0, 1))
    pairs = simulated[np.isfinite(simulated[:, 2]), 2]
    return Ceiling(
        networks=number,
        noise=_spread(off),
        retest=kendall_tau(first, second) if number > 1 else 0.0,
        prior=None if prior is None or number < 2 else kendall_tau(prior[rows], first),
        tau=float(simulated[:, 0].mean()),
        tau_low=float(low),
        tau_high=float(high),
        tau_better_half=float(simulated[:, 1].mean()),
        hard_pairs=float(pairs.mean()) if len(pairs) else None,
    )


def _simulated(quality: Real, share: Real, level: Real, off: Real, size: Real | None, gap: float) -> Real:
    """(draws, 3): tau, tau in the better half and share of hard pairs of the truth, by noisy labels."""
    rows = np.flatnonzero(np.isfinite(quality))
    quality, share = quality[rows], share[rows]
    size = None if size is None else size[rows]
    spread = _spread(quality - np.median(quality))
    noise = _spread(off) * math.sqrt(float((share**2).mean()))
    kept = math.sqrt(max(0.0, 1 - (noise / spread) ** 2)) if spread else 1.0
    true = np.median(quality) + kept * (quality - np.median(quality))
    nearest = np.argsort(abs(level - quality[:, None]), axis=1)[:, : max(NEAR, len(off) // 4)]
    luck, found = np.random.default_rng(0), []
    for _ in range(DRAWS):
        drawn = luck.integers(nearest.shape[1], size=len(rows))
        seen = true + share * off[nearest[np.arange(len(rows)), drawn]]
        pairs = None if size is None else hard_pairs(true, seen, size, min_gap=gap)[0]
        found.append(
            (kendall_tau(true, seen), tau_better_half(true, seen), math.nan if pairs is None else pairs)
        )
    return np.array(found)


def _spread(deviations: Real) -> float:
    return NORMAL * float(np.median(abs(deviations)))
