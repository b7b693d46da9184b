"""What a table is worth: whether the order has settled, and how much of it is noise."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from untrained.apps.noise import Noise, Real
from untrained.benchmarks import SHIPPED
from untrained.core import registry
from untrained.core.bands import tau_in_bands
from untrained.core.benchmark import Benchmark
from untrained.core.runs import Run, parsed

DRAWS = 500  # simulated repetitions
LEAST = 3  # networks that an order takes


@dataclass(frozen=True)
class Worth:
    """Of some runs: those of a band, or of all bands, where only pairs inside a band are compared."""

    name: str
    networks: int
    diverged: int
    """networks with no loss at the end"""
    low: float
    """smallest loss"""
    high: float
    spread: float
    """standard deviation of the losses inside bands"""
    settled: float
    """Kendall's tau of the order at half the tokens with that at the end, inside bands"""
    repeated: int
    """networks that ended with all of several seeds"""
    noise: float | None
    """standard deviation of one training's loss over seeds; robust, so that a rare failure hardly counts"""
    retest: float | None
    """Kendall's tau between two trainings of the repeated networks inside bands, mean over pairs of seeds"""
    retest_all: float | None
    """the same for all networks, simulated: the losses at hand, and the luck of twins drawn to them again"""


def released(name: str) -> list[Run]:
    """The trainings in that table of ours, as the package has it."""
    made: type[Benchmark] = registry.get("benchmark", name)
    return parsed(name, made.space, SHIPPED / made.files[0].name)[1]


def worths(runs: Sequence[Run]) -> list[Worth]:
    """One for each band, and one for all."""
    names = list(dict.fromkeys(r.band for r in runs))
    each = [worth(name, [r for r in runs if r.band == name]) for name in names]
    found = [w for w in each if w is not None]
    whole = worth("all", runs) if len(found) > 1 else None
    return [*found, *([whole] if whole else [])]


def worth(name: str, runs: Sequence[Run]) -> Worth | None:
    """None where fewer than three networks have a loss."""
    first = [r for r in runs if r.seed == 0]
    ended = [r for r in first if r.loss is not None]
    if len(ended) < LEAST:
        return None
    losses, bands = np.array([r.loss for r in ended], dtype=float), [r.band for r in ended]
    half = np.array([r.after(2) for r in ended])
    twins = _twins(runs)
    whole = max(map(len, twins.values()), default=0)
    complete = {name: t for name, t in twins.items() if len(t) == whole}
    noise = Noise.of(list(twins.values()))
    return Worth(
        name=name,
        networks=len(first),
        diverged=len(first) - len(ended),
        low=float(losses.min()),
        high=float(losses.max()),
        spread=_spread(losses, bands),
        settled=tau_in_bands(half, losses, bands),
        repeated=len(complete),
        noise=None if noise is None else noise.size,
        retest=_retest(complete, runs),
        retest_all=None if noise is None else _simulated(losses, bands, noise),
    )


def _twins(runs: Sequence[Run]) -> dict[str, list[float]]:
    """The losses of networks with several, by id, in the order of their seeds."""
    found: dict[str, list[float]] = {}
    for run in sorted(runs, key=lambda r: r.seed):
        if run.loss is not None:
            found.setdefault(run.arch.id, []).append(run.loss)
    return {name: losses for name, losses in found.items() if len(losses) > 1}


def _retest(complete: dict[str, list[float]], runs: Sequence[Run]) -> float | None:
    """From networks with equally many losses."""
    if len(complete) < LEAST:
        return None
    bands = {r.arch.id: r.band for r in runs}
    columns, band = np.array(list(complete.values())).T, [bands[n] for n in complete]
    pairs = itertools.combinations(columns, 2)
    return float(np.mean([tau_in_bands(one, two, band) for one, two in pairs]))


def _simulated(losses: Real, bands: Sequence[str], noise: Noise) -> float:
    """Of two trainings of all networks; the truth of a band is spread as its losses, less the noise."""
    true, band = losses.copy(), np.array(bands)
    for name in set(bands):
        true[band == name] = noise.truth(losses[band == name])
    luck = noise.draws(losses, np.random.default_rng(0))
    return float(np.mean([tau_in_bands(true + next(luck), true + next(luck), bands) for _ in range(DRAWS)]))


def _spread(losses: Real, bands: Sequence[str]) -> float:
    """Standard deviation from the mean of the band."""
    band = np.array(bands)
    off = np.concatenate([losses[band == name] - losses[band == name].mean() for name in set(bands)])
    return float(np.sqrt((off**2).sum() / max(1, len(off) - len(set(bands)))))
