"""The same work on many architectures, in this process or in several."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from untrained.apps.probing import Lab
from untrained.core.architecture import Architecture
from untrained.core.errors import UsageError
from untrained.core.metric import Measurement, Metric
from untrained.nn.numerics import quiet_numbers
from untrained.studies.executors.processes import begin_worker

Progress = Callable[[int, int], None]
Measured = dict[str, Measurement]

LONG = 20.0  # seconds of work left from which starting other processes pays
CHUNK = 4  # architectures a process takes at a time

_task: tuple[Lab, list[Metric], int] | None = None  # what this worker process was started for


def measure_all(
    lab: Lab,
    archs: Sequence[Architecture],
    metrics: Sequence[Metric],
    *,
    seeds: int = 1,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Iterator[Measured]:
    """Measurements of each architecture, in their order; equal ones are measured once.

    Without `workers` the first few are measured here, and the other cores join in where much is left.
    The numbers do not depend on it: each network is scored by one thread from its own seed.
    """
    if workers is not None and workers < 1:
        raise UsageError(f"workers={workers}; take 1 or more")
    distinct = list(dict.fromkeys(archs))
    found: dict[Architecture, Measured] = {}
    sent = 0
    for result in _results(lab, distinct, list(metrics), seeds, workers):
        found[distinct[len(found)]] = result
        if progress:
            progress(len(found), len(distinct))
        while sent < len(archs) and archs[sent] in found:
            yield found[archs[sent]]
            sent += 1


def _results(
    lab: Lab, archs: list[Architecture], metrics: list[Metric], seeds: int, workers: int | None
) -> Iterator[Measured]:
    here, start = 0, time.perf_counter()
    if workers in (None, 1):
        while here < len(archs):
            with quiet_numbers():  # not while the caller has the result, who may never come back
                found = lab.measure(archs[here], metrics, seeds)
            yield found
            here += 1
            left = (time.perf_counter() - start) / here * (len(archs) - here)
            if workers is None and here >= 3 and left > LONG and _cores() > 1 and _portable(metrics):
                break
    if here < len(archs):
        task = (lab, [m.label for m in metrics], seeds)
        with ProcessPoolExecutor(
            workers or _cores(), mp_context=get_context("spawn"), initializer=_begin, initargs=task
        ) as pool:
            yield from pool.map(_one, archs[here:], chunksize=CHUNK)


def _begin(lab: Lab, labels: list[str], seeds: int) -> None:
    from untrained.apps.probing import resolve

    begin_worker()
    global _task
    _task = (lab, resolve(labels), seeds)


def _one(arch: Architecture) -> Measured:
    assert _task is not None, "a worker was used before it was set up"
    lab, metrics, seeds = _task
    return lab.measure(arch, metrics, seeds)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _portable(metrics: list[Metric]) -> bool:
    """Whether another process can find every metric; one defined in a notebook exists here alone."""
    return all(m.function.__module__ != "__main__" for m in metrics)
