"""Whether the order of one of our tables hangs on how long its networks were trained.

    python perf/benchmark_length.py bench_rnn --data DIR [--times 0.5] [--networks 12] [--workers 2]
    python perf/benchmark_length.py bench_rnn --against TABLE
    python perf/benchmark_length.py bench_rnn --half

Trains the networks with the smallest ids (ids are hashes) of those that ended, by the recipe of the table
with so many times its updates, and prints both losses of each and how well the two orders agree: over all,
inside bands, and of the pairs that are more than the gap of the table (--gap) apart in both. Half the updates
are a schedule of their own, which ends: half of a cosine schedule has not begun to.

With --against and --half nothing is trained, and every network is compared: with its loss in another table
(`git show 21c133d:src/untrained/benchmarks/tables/bench_rnn.jsonl > TABLE` is one of an earlier release), or
with that after half of the tokens.
"""

from __future__ import annotations

import argparse
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from benchmark_rates import loss, times
from untrained.apps.making.corpus import corpus
from untrained.apps.making.families import family
from untrained.apps.making.plan import Job, plan
from untrained.apps.making.worth import released, worths
from untrained.apps.noise import Real
from untrained.core import registry
from untrained.core.bands import tau_in_bands
from untrained.core.benchmark import Benchmark
from untrained.core.runs import Run, parsed
from untrained.core.statistics import kendall_tau


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("family")
    ask.add_argument("--data")
    instead = ask.add_mutually_exclusive_group()
    instead.add_argument("--against", type=Path, metavar="TABLE")
    instead.add_argument("--half", action="store_true")
    ask.add_argument("--times", type=float, default=0.5)
    ask.add_argument("--networks", type=int, default=12)
    ask.add_argument("--workers", type=int, default=2)
    ask.add_argument("--gap", type=float)
    asked = ask.parse_args()
    made: type[Benchmark] = registry.get("benchmark", asked.family)
    runs = released(asked.family)
    ended = sorted((r for r in runs if r.seed == 0 and r.loss is not None), key=lambda r: r.arch.id)
    if asked.against:
        known = {r.key: r.loss for r in parsed(asked.family, made.space, asked.against, torn=True)[1]}
        ended = [r for r in ended if r.key in known]
        found = [inf if (value := known[r.key]) is None else value for r in ended]
    elif asked.half:
        found = [r.after(2) for r in ended]
    else:
        ended = ended[: asked.networks]
        found = again(asked.family, asked.data, asked.times, ended, asked.workers)
    gap = made.targets[0].gap if asked.gap is None else asked.gap
    both = np.isfinite(found)  # a training that diverged has no place in an order
    shipped, other = np.array([r.loss for r in ended], dtype=float)[both], np.array(found)[both]
    bands = np.array([r.band for r in ended])[both]
    print(f"left out because they diverged: {len(ended) - len(other)}")
    print(f"the table's loss less the other, median: {np.median(shipped - other):+.3f} nats")
    print(f"Kendall's tau of the two orders: {kendall_tau(shipped, other):.2f} ({len(other)} networks)")
    print(f"inside bands: {tau_in_bands(shipped, other, bands):.2f}")
    for where, groups in (("", np.zeros(len(other))), (" of one band", bands)):
        share, pairs = alike(shipped, other, gap, groups)
        print(
            f"of pairs{where} further apart in both than {gap:g} nats, ordered alike: {share:.2f} of {pairs}"
        )
    retest = worths(runs)[-1].retest
    print(f"equal trainings agree inside bands by {'?' if retest is None else f'{retest:.2f}'}")


def again(name: str, data: str | None, more: float, runs: Sequence[Run], workers: int) -> list[float]:
    """The losses of some networks after so many times the updates, printed as they come."""
    jobs = {job.key: job for job in plan(family(name))}
    train, found = partial(trained, name, data, more), []
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        for run, value in zip(runs, pool.map(train, [jobs[r.key] for r in runs]), strict=True):
            found.append(value)
            print(f"{run.arch.id} {run.band}: {run.loss:.3f}, then {value:.3f}", flush=True)
    return found


def alike(one: Real, other: Real, gap: float, groups: npt.NDArray[Any]) -> tuple[float, int]:
    """Of the pairs of a group that are apart in both orders: the share that stands alike, and the number."""
    i, j = np.triu_indices(len(one), 1)
    first, second = one[i] - one[j], other[i] - other[j]
    apart = (groups[i] == groups[j]) & (abs(first) > gap) & (abs(second) > gap)
    return float((np.sign(first) == np.sign(second))[apart].mean()), int(apart.sum())


def trained(name: str, data: str | None, more: float, job: Job) -> float:
    """The loss of a network after so many times the updates."""
    torch.set_num_threads(1)
    made = family(name)
    return loss(times(made, more), job, corpus(made.texts, data))


if __name__ == "__main__":
    main()
