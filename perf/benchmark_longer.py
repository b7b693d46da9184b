"""Whether the order of one of our tables would be another one after longer training.

    python perf/benchmark_longer.py bench_rnn --data DIR [--times 3] [--networks 12] [--workers 2]

Trains the networks with the smallest ids (ids are hashes) of those that ended, by the recipe of the table
with so many times its updates, and prints both losses of each and how well the two orders agree.
"""

from __future__ import annotations

import argparse
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import torch

from benchmark_rates import loss, times
from untrained.apps.making.corpus import corpus
from untrained.apps.making.families import family
from untrained.apps.making.plan import Job, plan
from untrained.benchmarks import SHIPPED
from untrained.core import registry
from untrained.core.benchmark import Benchmark
from untrained.core.runs import parsed
from untrained.core.statistics import kendall_tau


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("family")
    ask.add_argument("--data")
    ask.add_argument("--times", type=int, default=3)
    ask.add_argument("--networks", type=int, default=12)
    ask.add_argument("--workers", type=int, default=2)
    asked = ask.parse_args()
    made: type[Benchmark] = registry.get("benchmark", asked.family)
    _, runs = parsed(asked.family, made.space, SHIPPED / made.files[0].name)
    table = {run.key: run.loss for run in runs if run.loss is not None}
    jobs = [job for job in plan(family(asked.family)) if job.seed == 0 and job.key in table]
    jobs = sorted(jobs, key=lambda job: job.arch.id)[: asked.networks]
    train = partial(longer, asked.family, asked.data, asked.times)
    found = []
    with ProcessPoolExecutor(asked.workers, multiprocessing.get_context("spawn")) as pool:
        for job, value in zip(jobs, pool.map(train, jobs), strict=True):
            found.append(value)
            print(f"{job.arch.id} {job.band}: {table[job.key]:.3f}, then {value:.3f}", flush=True)
    short = [table[job.key] for job in jobs]
    print(f"Kendall's tau of the two orders: {kendall_tau(short, found):.2f} ({len(jobs)} networks)")


def longer(name: str, data: str | None, more: int, job: Job) -> float:
    """The loss of a network after so many times the updates."""
    torch.set_num_threads(1)
    made = family(name)
    return loss(times(made, more), job, corpus(made.texts, data))


if __name__ == "__main__":
    main()
