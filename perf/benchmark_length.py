"""Whether the order of one of our tables hangs on how long its networks were trained.

    python perf/benchmark_length.py bench_rnn --data DIR [--times 0.5] [--networks 12] [--workers 2]

Trains the networks with the smallest ids (ids are hashes) of those that ended, by the recipe of the table
with so many times its updates, and prints both losses of each and how well the two orders agree: over all,
inside bands, and of the pairs that are more than the gap of the table apart in both. Half the updates are a
schedule of their own, which ends: half of a cosine schedule has not begun to.
"""

from __future__ import annotations

import argparse
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np
import torch

from benchmark_rates import loss, times
from untrained.apps.making.corpus import corpus
from untrained.apps.making.families import family
from untrained.apps.making.plan import Job, plan
from untrained.apps.making.worth import worths
from untrained.apps.noise import Real
from untrained.benchmarks import SHIPPED
from untrained.core import registry
from untrained.core.bands import tau_in_bands
from untrained.core.benchmark import Benchmark
from untrained.core.runs import parsed
from untrained.core.statistics import kendall_tau


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("family")
    ask.add_argument("--data")
    ask.add_argument("--times", type=float, default=0.5)
    ask.add_argument("--networks", type=int, default=12)
    ask.add_argument("--workers", type=int, default=2)
    asked = ask.parse_args()
    made: type[Benchmark] = registry.get("benchmark", asked.family)
    _, runs = parsed(asked.family, made.space, SHIPPED / made.files[0].name)
    table = {run.key: run.loss for run in runs if run.loss is not None}
    jobs = [job for job in plan(family(asked.family)) if job.seed == 0 and job.key in table]
    jobs = sorted(jobs, key=lambda job: job.arch.id)[: asked.networks]
    train = partial(trained, asked.family, asked.data, asked.times)
    found = []
    with ProcessPoolExecutor(asked.workers, multiprocessing.get_context("spawn")) as pool:
        for job, value in zip(jobs, pool.map(train, jobs), strict=True):
            found.append(value)
            print(f"{job.arch.id} {job.band}: {table[job.key]:.3f}, then {value:.3f}", flush=True)
    ended, gap = np.isfinite(found), made.targets[0].gap  # a training that diverged has no place in an order
    shipped, other = np.array([table[job.key] for job in jobs])[ended], np.array(found)[ended]
    bands = np.array([job.band for job in jobs])[ended]
    print(f"left out because they diverged: {len(jobs) - len(other)}")
    print(f"Kendall's tau of the two orders: {kendall_tau(shipped, other):.2f} ({len(other)} networks)")
    print(f"inside bands: {tau_in_bands(shipped, other, bands):.2f}")
    print(
        "of pairs further apart in both than {:g} nats, ordered alike: {:.2f} of {}".format(
            gap, *alike(shipped, other, gap)
        )
    )
    retest = worths(runs)[-1].retest
    print(f"equal trainings agree inside bands by {'?' if retest is None else f'{retest:.2f}'}")


def alike(one: Real, other: Real, gap: float) -> tuple[float, int]:
    """Share of the pairs that are apart in both orders and stand alike, and how many such pairs there are."""
    first, second = (np.subtract.outer(v, v)[np.triu_indices(len(v), 1)] for v in (one, other))
    apart = (abs(first) > gap) & (abs(second) > gap)
    return float((np.sign(first) == np.sign(second))[apart].mean()), int(apart.sum())


def trained(name: str, data: str | None, more: float, job: Job) -> float:
    """The loss of a network after so many times the updates."""
    torch.set_num_threads(1)
    made = family(name)
    return loss(times(made, more), job, corpus(made.texts, data))


if __name__ == "__main__":
    main()
