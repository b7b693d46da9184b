"""Trains what a benchmark lacks, several networks at once, and keeps each row as soon as it is known."""

from __future__ import annotations

import multiprocessing
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from time import perf_counter

from untrained.apps.making.corpus import corpus, described
from untrained.apps.making.families import Family, family
from untrained.apps.making.plan import Job, plan
from untrained.apps.making.store import Store
from untrained.apps.probing import check_device
from untrained.core.errors import UntrainedError, UsageError
from untrained.core.runs import Run
from untrained.studies.executors.processes import begin_worker

Progress = Callable[[int, int, Run], None]
"""called with (runs that are there, runs in all, the newest)"""


@dataclass(frozen=True)
class Task:
    """What every training has in common."""

    family: Family
    parts: Path
    """where trainings are kept that have not ended"""
    data: str | None
    device: str


_task: Task | None = None  # what this worker process was started for


def make(
    benchmark: str,
    *,
    store: str | Path,
    data: str | Path | None = None,
    resume: bool = False,
    only: Collection[str] = (),
    limit: int | None = None,
    minutes: float | None = None,
    workers: int = 1,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Store:
    """Trains the networks of a benchmark of ours that `store` does not have yet, and returns the store.

    `data` is the folder with the text. `only` names architectures by their ids; `limit` ends after so many
    new rows, `minutes` begins none after that time. A run that is stopped goes on with `resume=True`, the
    networks that were in training from their last examination. A training that diverges is a row as well.
    """
    if workers < 1:
        raise UsageError(f"workers={workers}; take 1 or more")
    check_device(device)
    made = family(benchmark)
    jobs = plan(made)
    if unknown := set(only) - {job.arch.id for job in jobs}:
        raise UsageError(
            f"{benchmark} has no network {min(unknown)}\n  its networks: untrained make-benchmark"
            f" {benchmark} --plan"
        )
    corpus(made.texts, data)  # says now whether the text is there
    path = Path(store).expanduser()
    design = {**made.design(), **described(made.texts)}
    kept = Store(path, benchmark, made.space.partition(":")[0], design, resume=resume)
    have = {run.key for run in kept.runs}
    wanted = [job for job in jobs if not only or job.arch.id in only]
    left = [job for job in wanted if job.key not in have][:limit]
    parts = path.with_name(f".{path.name}.parts")
    task = Task(made, parts, None if data is None else str(data), device)
    for run in _trained(task, _until(left, minutes), workers):
        kept.add(run)
        shutil.rmtree(place(parts, run.key), ignore_errors=True)
        if progress is not None:
            progress(len(kept.runs), len(jobs), run)
    if not any(parts.glob("*")):
        shutil.rmtree(parts, ignore_errors=True)
    return kept


def _until(jobs: Iterable[Job], minutes: float | None) -> Iterator[Job]:
    """The jobs that are begun in that time."""
    start = perf_counter()
    for job in jobs:
        if minutes is not None and perf_counter() - start >= 60 * minutes:
            return
        yield job


def _trained(task: Task, jobs: Iterator[Job], workers: int) -> Iterator[Run]:
    """The runs as they end; one worker is this process."""
    if workers == 1:
        yield from (_run(task, job) for job in jobs)
        return
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=spawn, initializer=_begin, initargs=(task,)) as pool:
        running: set[Future[Run]] = {pool.submit(_one, job) for job in islice(jobs, workers)}
        processes = list(pool._processes.values())
        try:
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    running |= {pool.submit(_one, job) for job in islice(jobs, 1)}
                    yield future.result()
        except BrokenProcessPool:
            raise UntrainedError(
                "a training process was ended from outside; the rows before are safe.\n"
                "  is there memory for so many at once? go on: the same command with --resume --workers 1"
            ) from None
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in processes:
                process.kill()  # what it has done since its last examination is done again
            raise


def place(parts: Path, key: tuple[str, int]) -> Path:
    """Where a training that has not ended is kept."""
    return parts / f"{key[0]}-{key[1]}"


def _begin(task: Task) -> None:
    begin_worker()
    global _task
    _task = task


def _one(job: Job) -> Run:
    assert _task is not None, "a worker was used before it was set up"
    return _run(_task, job)


def _run(task: Task, job: Job) -> Run:
    from untrained.apps.making.running import run  # torch: the plan needs none of it

    return run(
        task.family, job, corpus(task.family.texts, task.data), place(task.parts, job.key), task.device
    )
