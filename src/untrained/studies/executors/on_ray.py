"""Measures on a Ray cluster, or on one that Ray starts on this machine."""

from __future__ import annotations

import logging
import socket
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from untrained.core.errors import MissingExtra, UntrainedError, UsageError
from untrained.core.strategy import Ask
from untrained.studies.events import Outcome
from untrained.studies.executors import Evaluate

LOCAL = "local"
PATIENCE = 10.0  # seconds that an address has to answer
STARTS = 20  # workers that may end before they were of use; nodes come and go
LIVES = 3  # workers that a trial may lose, by the death of a node or its own doing, before it has failed


@dataclass
class _Job:
    ticket: int
    ask: Ask
    deaths: int = 0
    since: float = 0.0


class OnRay:
    """As many actors as workers; evaluator and text travel to each once.

    A node that is lost costs no trial: what it was at is measured elsewhere. A trial that takes its worker
    with it three times, or longer than the time limit, has failed.
    """

    def __init__(
        self,
        make: Callable[[], Evaluate],
        address: str,
        *,
        workers: int | None = None,
        time_limit: float | None = None,
    ) -> None:
        """`address` is `local`, `auto`, `host:port` or `ray://host:port`; `workers` the CPUs it has, else.

        Raises UsageError where nobody answers, MissingExtra where Ray is not installed.
        """
        if workers is not None and workers < 1:
            raise UsageError(f"workers={workers}; take 1 or more")
        if time_limit is not None and not time_limit > 0:
            raise UsageError(f"a time limit of {time_limit} s; take more than 0")
        try:
            import ray
        except ModuleNotFoundError:
            raise MissingExtra("--ray", "ray", "ray") from None
        _knock(address)
        self._ray, self._limit = ray, time_limit
        self._ours = not ray.is_initialized()
        if self._ours:
            _connect(ray, address, workers)
        resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        self.slots = workers or max(1, int(resources.get("CPU", 1)))
        self._make = ray.put(make)
        self._kind = ray.remote(num_cpus=1, max_restarts=0)(_Actor)
        self._idle: list[Any] = []
        self._coming: dict[Any, Any] = {}  # actors by the promise that they are there
        self._busy: dict[Any, tuple[Any, _Job]] = {}
        self._queue: deque[_Job] = deque()
        self._done: deque[tuple[int, Outcome]] = deque()
        self._made = self._stillborn = 0

    def submit(self, ticket: int, ask: Ask) -> None:
        self._queue.append(_Job(ticket, ask))
        self._deal()

    def wait(self) -> tuple[int, Outcome]:
        while not self._done:
            self._deal()
            self._listen()
        return self._done.popleft()

    def close(self) -> None:
        if not self._ray.is_initialized():
            return
        for actor in [*self._idle, *self._coming.values(), *(actor for actor, _ in self._busy.values())]:
            with suppress(Exception):  # one that has died cannot be ended
                self._ray.kill(actor)
        self._idle, self._coming, self._busy = [], {}, {}
        self._queue.clear()
        if self._ours:
            self._ray.shutdown()

    def _deal(self) -> None:
        """Only to workers that are there: one that waits for a lost node's processor may never come."""
        while self._queue and self._idle:
            actor, job = self._idle.pop(), self._queue.popleft()
            job.since = time.monotonic()
            self._busy[actor.measure.remote(job.ask)] = (actor, job)
        for _ in range(min(len(self._queue), self.slots - self._made)):
            new: Any = self._kind.remote(self._make)
            self._coming[new.there.remote()] = new
            self._made += 1

    def _listen(self) -> None:
        patience = None
        if self._limit is not None and self._busy:
            first = min(job.since for _, job in self._busy.values())
            patience = max(0.01, first + self._limit - time.monotonic())
        ready, _ = self._ray.wait([*self._busy, *self._coming], num_returns=1, timeout=patience)
        for answer in ready:
            if answer in self._coming:
                self._arrived(answer)
                continue
            actor, job = self._busy.pop(answer)
            try:
                self._done.append((job.ticket, self._outcome(self._ray.get(answer))))
                self._idle.append(actor)
            except self._ray.exceptions.RayError as error:
                self._lost(actor, job, error)
        if self._limit is not None and not ready:
            self._end_late()

    def _arrived(self, promise: Any) -> None:
        actor = self._coming.pop(promise)
        try:
            self._ray.get(promise)
            self._idle.append(actor)
        except self._ray.exceptions.RayError as error:
            self._made -= 1
            self._stillborn += 1
            if self._stillborn >= STARTS:
                raise UntrainedError(
                    f"{STARTS} workers of the Ray cluster ended before their first trial"
                    f" ({type(error).__name__}: {error}).\n  is this package installed on every node?"
                ) from None

    @staticmethod
    def _outcome(found: Outcome | tuple[str, str]) -> Outcome:
        if isinstance(found, Outcome):
            return found
        kind, said = found
        raise (UsageError if kind == "usage" else UntrainedError)(said)

    def _lost(self, actor: Any, job: _Job, error: Exception) -> None:
        """A worker has died: somebody else measures what it was at, unless that seems to be the cause."""
        with suppress(Exception):
            self._ray.kill(actor)
        self._made -= 1
        job.deaths += 1
        if job.deaths < LIVES:
            self._queue.appendleft(job)
        else:
            said = f"{LIVES} workers died of it ({type(error).__name__})"
            self._done.append((job.ticket, Outcome("failed", {}, said)))

    def _end_late(self) -> None:
        now = time.monotonic()
        for answer, (actor, job) in list(self._busy.items()):
            if self._limit is not None and now - job.since > self._limit:
                del self._busy[answer]
                self._ray.kill(actor)
                self._made -= 1
                said = f"it took longer than the limit of {self._limit:g} s"
                self._done.append((job.ticket, Outcome("failed", {}, said)))


class _Actor:
    """What runs on the cluster: one evaluator, made once."""

    def __init__(self, make: Callable[[], Evaluate]) -> None:
        self.make = make
        self.evaluate: Evaluate | None = None

    def there(self) -> None:
        """Answers as soon as the worker has a place."""

    def measure(self, ask: Ask) -> Outcome | tuple[str, str]:
        """The outcome, or what has to be raised, as (kind, words): our errors may not survive the journey."""
        try:
            if self.evaluate is None:
                self.evaluate = self.make()
            return self.evaluate(ask.architecture, ask.fidelity, ask.draw)
        except UsageError as error:
            return "usage", str(error)
        except UntrainedError as error:
            return "failed", str(error)


def _knock(address: str) -> None:
    """Raises UsageError where nobody listens: Ray itself would try for minutes."""
    if address in (LOCAL, "auto"):
        return
    try:
        parts = urlsplit(address if "://" in address else f"ray://{address}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or not port:
        raise UsageError(
            f"{address!r} is no address of a Ray cluster.\n"
            "  write --ray local, --ray auto, or --ray HOST:PORT"
        )
    try:
        socket.create_connection((host, port), PATIENCE).close()
    except OSError as error:
        raise UsageError(
            f"no Ray cluster answers at {address} ({error}).\n"
            "  start one there: ray start --head, or stay on this machine: --ray local"
        ) from None


def _connect(ray: Any, address: str, workers: int | None) -> None:
    here = {"num_cpus": workers, "include_dashboard": False} if address == LOCAL else {}
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **here)
    except Exception as error:  # whatever Ray raises, this is the one thing that we asked of it
        raise UsageError(
            f"Ray does not start at {address} ({type(error).__name__}: {error}).\n"
            "  is a cluster there, of the same Ray and Python? or take processes: --workers 2"
        ) from None
