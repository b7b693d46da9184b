"""Measures in other processes of this machine; one that dies or hangs costs the trial it was at."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import connection, get_context, parent_process
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from traceback import format_exception

from untrained.core.errors import UntrainedError, UsageError
from untrained.core.strategy import Ask
from untrained.studies.events import Outcome
from untrained.studies.executors import Evaluate

STARTS = 3  # processes in a row that die before they are ready, after which the search ends
AHEAD = 2  # trials that a worker has at most: the one it is at and the next, so that it never waits for us
SPAWN = get_context("spawn")  # torch's threads do not survive a fork


@dataclass
class _Worker:
    process: SpawnProcess
    pipe: Connection
    ready: bool = False
    held: deque[tuple[int, Ask]] | None = None
    since: float = 0.0
    """when it began the first of what it holds"""

    @property
    def mine(self) -> deque[tuple[int, Ask]]:
        if self.held is None:
            self.held = deque()
        return self.held


class Processes:
    """`workers` processes, each with its own evaluator, made once by `make`."""

    def __init__(
        self, make: Callable[[], Evaluate], workers: int, *, time_limit: float | None = None
    ) -> None:
        """`make` travels to every process once, so it has to be picklable; `time_limit` is seconds a trial.

        Raises UsageError for fewer than one worker or a limit that is not above 0.
        """
        if workers < 1:
            raise UsageError(f"workers={workers}; take 1 or more")
        if time_limit is not None and not time_limit > 0:
            raise UsageError(f"a time limit of {time_limit} s; take more than 0")
        self.slots, self._make, self._limit = workers, make, time_limit
        self._queue: deque[tuple[int, Ask]] = deque()
        self._done: deque[tuple[int, Outcome]] = deque()
        self._stillborn = 0
        self._workers: list[_Worker] = []

    def submit(self, ticket: int, ask: Ask) -> None:
        self._queue.append((ticket, ask))
        while len(self._workers) < self.slots:
            self._workers.append(self._started())
        self._deal()

    def wait(self) -> tuple[int, Outcome]:
        while not self._done:
            self._deal()
            self._listen()
        return self._done.popleft()

    def close(self) -> None:
        self._queue.clear()
        for worker in self._workers:
            worker.process.kill()  # it holds nothing that is not in the log or asked for again
        for worker in self._workers:
            worker.process.join()
            worker.pipe.close()
        self._workers = []

    def _started(self) -> _Worker:
        ours, theirs = SPAWN.Pipe()
        process = SPAWN.Process(target=_work, args=(theirs, self._make), daemon=True)
        process.start()
        theirs.close()  # so that its death is the end of the pipe
        return _Worker(process, ours)

    def _deal(self) -> None:
        """One to every idle worker before a second to anyone."""
        for depth in range(AHEAD):
            for worker in self._workers:
                if self._queue and worker.ready and len(worker.mine) == depth:
                    ticket, ask = self._queue.popleft()
                    if not worker.mine:
                        worker.since = time.monotonic()
                    worker.mine.append((ticket, ask))
                    with suppress(OSError):  # it has died; `_listen` sees the end of its pipe
                        worker.pipe.send((ticket, ask))

    def _listen(self) -> None:
        """Takes what has arrived; waits for it no longer than until the next time limit."""
        patience = None
        if self._limit is not None:
            ends = [w.since + self._limit for w in self._workers if w.mine]
            patience = max(0.0, min(ends) - time.monotonic()) if ends else None
        heard = connection.wait([w.pipe for w in self._workers], patience)
        for worker in list(self._workers):
            if worker.pipe in heard:
                try:
                    self._take(worker, worker.pipe.recv())
                except (EOFError, OSError):
                    self._replace(worker, _death(worker.process))
            elif self._limit is not None and worker.mine and time.monotonic() - worker.since > self._limit:
                self._replace(worker, f"it took longer than the limit of {self._limit:g} s")

    def _take(self, worker: _Worker, message: tuple[int, Outcome | Exception] | None) -> None:
        if message is None:
            worker.ready, self._stillborn = True, 0
            return
        ticket, outcome = message
        if isinstance(outcome, Exception):
            raise outcome
        worker.mine.popleft()
        worker.since = time.monotonic()
        self._done.append((ticket, outcome))

    def _replace(self, worker: _Worker, reason: str) -> None:
        """A new process; the trial at which the old one ended has failed, the next one waits again."""
        worker.process.kill()
        worker.process.join()
        worker.pipe.close()
        if worker.mine:
            ticket, _ = worker.mine.popleft()
            self._done.append((ticket, Outcome("failed", {}, reason)))
            self._queue.extendleft(reversed(worker.mine))
        elif not worker.ready:
            self._stillborn += 1
            if self._stillborn >= STARTS:
                raise UntrainedError(
                    f"{STARTS} worker processes in a row ended before their first trial: {reason}.\n"
                    "  is there memory for that many? take fewer: --workers 1"
                )
        self._workers[self._workers.index(worker)] = self._started()


def _death(process: SpawnProcess) -> str:
    process.join()
    code = process.exitcode or 0
    if code >= 0:
        return f"the worker process ended with exit code {code}"
    said = f"the worker process was killed ({signal.Signals(-code).name})"
    return f"{said}, perhaps for want of memory" if -code == signal.SIGKILL else said


def _work(pipe: Connection, make: Callable[[], Evaluate]) -> None:
    """The life of a worker: one evaluator, then trial after trial."""
    begin_worker()
    try:
        evaluate = make()
        pipe.send(None)
        while True:
            ticket, ask = pipe.recv()
            pipe.send((ticket, evaluate(ask.architecture, ask.fidelity, ask.draw)))
    except (EOFError, OSError):
        return
    except Exception as error:  # plain, as an error with arguments of its own may not survive the journey
        kind = UsageError if isinstance(error, UsageError) else UntrainedError
        said = str(error) if isinstance(error, UntrainedError) else "".join(format_exception(error))
        pipe.send((-1, kind(said)))


def begin_worker() -> None:
    """What a process does first that works for another one: it leaves Ctrl-C to it, and ends with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A main process that is killed cannot end its workers; they end themselves."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
