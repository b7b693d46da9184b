"""What label noise leaves of a perfect score, told by networks that were trained more than once."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from untrained.apps.labelled import NONE, Known
from untrained.apps.noise import Noise, Real
from untrained.core.statistics import hard_pairs, kendall_tau, tau_better_half

LEAST = 5  # repetitions from which a noise is told
DRAWS = 200


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
    noise = Noise.of(trainings)
    if noise is None or sum(len(trainings[i]) - 1 for i in rows) < LEAST:
        return None
    share = 1 / np.sqrt([max(1, len(t)) for t in trainings])
    simulated = _simulated(quality, share, noise, size, gap)
    low, high = np.quantile(simulated[:, 0], [0.025, 0.975])
    first, second = (np.array([trainings[i][k] for i in rows]) for k in (0, 1))
    pairs = simulated[np.isfinite(simulated[:, 2]), 2]
    return Ceiling(
        networks=len(rows),
        noise=noise.size,
        retest=kendall_tau(first, second) if len(rows) > 1 else 0.0,
        prior=None if prior is None or len(rows) < 2 else kendall_tau(prior[rows], first),
        tau=float(simulated[:, 0].mean()),
        tau_low=float(low),
        tau_high=float(high),
        tau_better_half=float(simulated[:, 1].mean()),
        hard_pairs=float(pairs.mean()) if len(pairs) else None,
    )


def _simulated(quality: Real, share: Real, noise: Noise, size: Real | None, gap: float) -> Real:
    """(draws, 3): tau, tau in the better half and share of hard pairs of the truth, by noisy labels."""
    rows = np.flatnonzero(np.isfinite(quality))
    quality, share = quality[rows], share[rows]
    size = None if size is None else size[rows]
    true, found = noise.truth(quality, share), []
    for luck in itertools.islice(noise.draws(quality, np.random.default_rng(0)), DRAWS):
        seen = true + share * luck
        pairs = None if size is None else hard_pairs(true, seen, size, min_gap=gap)[0]
        found.append(
            (kendall_tau(true, seen), tau_better_half(true, seen), math.nan if pairs is None else pairs)
        )
    return np.array(found)
