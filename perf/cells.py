"""What the scripts of this folder share: cells, the published metrics, and medians."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from random import Random

import untrained as ut
from untrained.apps.api import lab
from untrained.apps.probing import Lab
from untrained.core.metric import Metric

PUBLISHED = (
    "hidden_covariance",  # three published columns, one a layer
    "activation_distance",
    "synaptic_saliency",
    "hidden_synaptic_saliency",
    "jacobian_covariance",
    "jacobian_cosine",
    "large_noise_jacobian_covariance",
    "large_noise_jacobian_cosine",
    "more_noised_jacobian_covariance",
    "more_noised_jacobian_cosine",
)


def laboratory(scale: str) -> Lab:
    return lab("rnn_cell", scale=scale)


def random_cells(n: int) -> list[ut.Architecture]:
    """The first `n` distinct cells of the published generator."""
    space, found, seed = ut.space("rnn_cell"), {}, 0
    while len(found) < n:
        arch = space.sample(Random(seed))
        found[arch.id] = arch
        seed += 1
    return list(found.values())


def metrics(names: tuple[str, ...] = PUBLISHED) -> list[Metric]:
    return [ut.metric(name) for name in names]


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def side_by_side(works: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each work; rounds alternate, so that a noisy machine is noisy to all."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            times[name].append(seconds(work))
    return {name: statistics.median(found) for name, found in times.items()}
