"""Workers: the same result for any number of them; what dies, hangs or cannot start is said."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
import toy_workers
from toy_search import Toy, rows
from toy_workers import deadly, good, poor, question, search, stillborn, wrong

from untrained.core.errors import UntrainedError, UsageError
from untrained.core.strategy import Ask
from untrained.core.study import Study
from untrained.studies.executors import Executor
from untrained.studies.executors.here import Here
from untrained.studies.executors.processes import Processes
from untrained.studies.store import Store, load

TRIALS = 150


def kept(path: Path, executor: Executor, trials: int = TRIALS) -> Study:
    with Store(path, write=True) as log:
        return search(log, executor, trials)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "whole.db"
    kept(path, Here(toy_workers.shine))
    return path


@pytest.mark.parametrize("workers", [1, 3])
def test_any_number_of_workers_writes_the_same_rows(tmp_path: Path, whole: Path, workers: int) -> None:
    kept(tmp_path / "s.db", Processes(good, workers))
    assert rows(tmp_path / "s.db") == rows(whole)


def test_a_run_may_go_on_with_another_number_of_workers(tmp_path: Path, whole: Path) -> None:
    for trials, executor in [
        (3, Here(toy_workers.shine)),
        (61, Processes(good, 2)),
        (TRIALS, Here(toy_workers.shine)),
    ]:
        kept(tmp_path / "s.db", executor, trials)
    assert rows(tmp_path / "s.db") == rows(whole)


def test_a_worker_that_dies_or_hangs_costs_one_trial(tmp_path: Path) -> None:
    study = kept(tmp_path / "s.db", Processes(deadly, 2, time_limit=0.5), 60)
    kinds = {t.number: int(t.architecture.id[0], 16) for t in study.trials}
    failed = {t.number: t.reason or "" for t in study.trials if t.status == "failed"}
    assert set(failed) == {n for n, kind in kinds.items() if kind < 2}
    assert {kinds[n] for n in failed} == {0, 1}  # both kinds came up
    for number, reason in failed.items():
        said = "killed (SIGKILL), perhaps for want of memory" if kinds[number] == 0 else "the limit of 0.5 s"
        assert said in reason


@pytest.mark.parametrize(
    ("make", "kind", "said"),
    [
        (stillborn, UntrainedError, "3 worker processes in a row .* exit code 7"),
        (poor, UsageError, "needs unobtainium"),
        (wrong, UsageError, "the text has gone"),
    ],
)
def test_what_no_worker_can_mend_ends_the_search(
    tmp_path: Path, make: Callable[[], object], kind: type[Exception], said: str
) -> None:
    with pytest.raises(kind, match=f"(?s){said}"):
        kept(tmp_path / "s.db", Processes(make, 2))  # type: ignore[arg-type]


def test_no_process_is_left_behind() -> None:
    executor = Processes(good, 2)
    executor.submit(0, Ask(Toy().sample(Random(0))))
    executor.wait()
    pids = children(os.getpid())
    assert len([p for p in pids if _alive(p)]) >= 2
    executor.close()
    executor.close()
    assert not any(_alive(w) for w in pids if w not in children(os.getpid()))
    assert len(children(os.getpid())) <= len(pids) - 2


@pytest.mark.parametrize("wrong_use", [{"workers": 0}, {"workers": 1, "time_limit": 0.0}])
def test_wrong_numbers_are_refused(wrong_use: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="take"):
        Processes(good, **wrong_use)  # type: ignore[arg-type]


def test_as_they_come_every_trial_is_told_once_and_kept(tmp_path: Path) -> None:
    asked = question(batch=1, synchronous=False)
    for trials in (40, 90):  # stopped and gone on with
        with Store(tmp_path / "s.db", write=True) as log:
            study = search(log, Processes(good, 2), trials, asked=asked)
    assert [t.number for t in study.trials] == list(range(90))
    assert load(tmp_path / "s.db").trials == study.trials
    measured = [t.architecture.id for t in study.trials if t.same_as is None]
    assert len(measured) == len(set(measured))
    assert all(t.values == study.trials[t.same_as].values for t in study.trials if t.same_as is not None)


def start(path: Path, trials: int) -> subprocess.Popen[str]:
    command = [sys.executable, toy_workers.__file__, str(path), str(trials)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def children(pid: int) -> list[int]:
    """Of a process, on Linux."""
    tasks = Path(f"/proc/{pid}/task")
    return [int(c) for t in tasks.iterdir() for c in (t / "children").read_text().split()]


def test_killed_at_random_moments_it_loses_nothing_it_reported(tmp_path: Path, whole: Path) -> None:
    """The main process dies; its workers end by themselves; the rest ends as if nothing had been."""
    moments, path, reported = Random(4), tmp_path / "s.db", 0
    for _ in range(8):
        process = start(path, TRIALS)
        assert process.stdout is not None
        line = process.stdout.readline()  # past its imports
        time.sleep(moments.uniform(0.0, 0.3))
        workers = children(process.pid)
        process.send_signal(signal.SIGKILL)
        said = (line + process.communicate(timeout=30)[0]).split()
        reported = max([reported, *map(int, said)])
        if said and path.exists():
            assert len(load(path).trials) >= reported
        deadline = time.monotonic() + 10
        while any(_alive(w) for w in workers):
            assert time.monotonic() < deadline, "a worker outlives its parent"
            time.sleep(0.05)
    start(path, TRIALS).communicate(timeout=120)
    assert rows(path) == rows(whole)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
