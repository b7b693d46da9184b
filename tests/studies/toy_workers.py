"""Evaluators that other processes can make, some of which die, hang or cannot start."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from toy_search import Toy

from untrained.core.architecture import Architecture
from untrained.core.errors import MissingExtra, UsageError
from untrained.core.strategy import make
from untrained.core.study import EventLog, Question, Study
from untrained.studies import store
from untrained.studies.events import Outcome
from untrained.studies.executors import Evaluate, Executor
from untrained.studies.executors.processes import Processes
from untrained.studies.run import run


def shine(arch: Architecture, fidelity: int | None = None, draw: int = 0) -> Outcome:
    """Takes a little longer for some, so that answers come in another order."""
    time.sleep((int(arch.id[:2], 16) % 4) / 1000)
    return Outcome("ok", {"shine": arch.layers + 1 / (1 + arch.width), "draw": float(draw)})


def good() -> Evaluate:
    return shine


def deadly() -> Evaluate:
    """Kills its process, or hangs, for two kinds of architecture in sixteen."""

    def evaluate(arch: Architecture, fidelity: int | None = None, draw: int = 0) -> Outcome:
        kind = int(arch.id[0], 16)
        if kind == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        if kind == 1:
            time.sleep(3600)
        return shine(arch)

    return evaluate


def stillborn() -> Evaluate:
    os._exit(7)


def poor() -> Evaluate:
    raise MissingExtra("this proxy", "unobtainium", "all")


def wrong() -> Evaluate:
    def evaluate(arch: Architecture, fidelity: int | None = None, draw: int = 0) -> Outcome:
        raise UsageError("the text has gone.\n  name another: --text FILE")

    return evaluate


def question(batch: int = 8, **changed: object) -> Question:
    strategy = "regularized_evolution:population=20,tournament=4"
    return Question("toy", (("shine", "higher"),), strategy=strategy, batch=batch, **changed)  # type: ignore[arg-type]


def search(
    log: EventLog, executor: Executor, trials: int, *, resume: bool = True, asked: Question | None = None
) -> Study:
    """Ends the executor's workers too."""
    asked = asked or question()
    try:
        return run(
            asked,
            strategy=make(asked.strategy, Toy()),
            executor=executor,
            log=log,
            trials=trials,
            resume=resume,
        )
    finally:
        executor.close()


def main(path: str, trials: str) -> None:
    """A search with two workers that prints every trial it reports; made to be killed."""
    store.BATCH, store.WAIT = 7, 0.05
    asked = question()
    executor = Processes(good, 2)
    with store.Store(Path(path), write=True) as log:
        run(
            asked,
            strategy=make(asked.strategy, Toy()),
            executor=executor,
            log=log,
            trials=int(trials),
            resume=True,
            progress=lambda done, total, trial: print(done, flush=True),
        )
    executor.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
