"""Resamples of architectures, and what they say of a number: intervals and paired tests."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

# Pairs compared at one time; keeps the memory at some 10 MB whatever the number of rows is.
BLOCK = 300_000


@dataclass(frozen=True)
class PairedTest:
    """One score against another on the same architectures."""

    difference: float
    """statistic of the one minus that of the other"""
    low: float
    """lower end of its bootstrap interval"""
    high: float
    """upper end of the same interval"""
    p: float
    """two-sided: how rarely the resamples cross 0 if there is no difference; never 0, see `paired_test`"""


def checked(**arrays: ArrayLike) -> tuple[Floats, ...]:
    """The arrays as float columns of one length; ValueError, in the caller's words, where they are not."""
    columns = {name: np.asarray(values, dtype=np.float64) for name, values in arrays.items()}
    for name, column in columns.items():
        if column.ndim != 1:
            raise ValueError(f"{name} must be one-dimensional, its shape is {column.shape}.")
        if np.isnan(column).any():
            where = int(np.flatnonzero(np.isnan(column))[0])
            raise ValueError(f"{name} is NaN at position {where}; leave failed measurements out first.")
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        said = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        raise ValueError(f"the arrays must be equally long, one value per architecture: {said}.")
    if (n := min(lengths.values(), default=0)) < 2:
        raise ValueError(f"at least 2 architectures are needed to compare, got {n}.")
    return tuple(columns.values())


def check_draws(draws: int, level: float) -> None:
    if draws < 1 or not 0 < level < 1:
        raise ValueError(f"draws must be at least 1 and level between 0 and 1, got {draws} and {level}.")


def clusters_of(labels: ArrayLike | None, rows: int) -> NDArray[Any]:
    """The cluster of each row; its own for each where no labels are given."""
    found = np.arange(rows) if labels is None else np.asarray(labels)
    if found.shape != (rows,):
        raise ValueError(f"clusters needs one label for each of the {rows} architectures.")
    return found


def tested(difference: float, values: Floats, level: float) -> PairedTest:
    """The difference with what its resamples say of it."""
    low, high = quantiles(values, level)
    rarer = int(min(np.count_nonzero(values <= 0), np.count_nonzero(values >= 0)))
    return PairedTest(difference, low, high, min(1.0, 2 * (1 + rarer) / (len(values) + 1)))


def quantiles(values: Floats, level: float) -> tuple[float, float]:
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def resamples(labels: NDArray[Any], draws: int, seed: int) -> Iterator[NDArray[np.intp]]:
    """Row numbers of each resample: as many clusters as there are, with replacement, every row of each."""
    _, cluster, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    if len(sizes) < 2:
        raise ValueError("a bootstrap needs at least 2 clusters; with one, every resample is the same.")
    by_cluster = np.argsort(cluster, kind="stable")
    starts = np.cumsum(sizes) - sizes  # where each cluster begins in by_cluster
    rng = np.random.default_rng(seed)
    for _ in range(draws):
        picked = rng.integers(len(sizes), size=len(sizes))
        taken = sizes[picked]
        before = np.cumsum(taken) - taken  # rows laid down by the clusters picked earlier
        yield by_cluster[np.repeat(starts[picked] - before, taken) + np.arange(taken.sum())]


def how_often(labels: NDArray[Any], draws: int, seed: int) -> Floats:
    """How often each row is in each resample, (draws, rows)."""
    cluster = np.unique(labels, return_inverse=True)[1].astype(np.int64)
    return _times_of(cluster.tobytes(), draws, seed)


@lru_cache(maxsize=4)
def _times_of(cluster: bytes, draws: int, seed: int) -> Floats:
    """One table of proxies has one set of resamples, and asks for it for each of them."""
    labels = np.frombuffer(cluster, np.int64)
    times = np.empty((draws, len(labels)))
    for i, drawn in enumerate(resamples(labels, draws, seed)):
        times[i] = np.bincount(drawn, minlength=len(labels))
    return times


def within(times: Floats, pairs: Floats) -> Floats:
    """The sum of `pairs` (rows, rows) over the ordered pairs of rows in each resample."""
    blocks = np.array_split(times, math.ceil(times.size / BLOCK))
    return np.concatenate([((block @ pairs) * block).sum(1) for block in blocks])
