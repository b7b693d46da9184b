"""One study as the page shows it: read on where the last reading ended, and kept as plain arrays."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt

from untrained.apps.report.findings import Findings, gathered, sampled, some
from untrained.core.errors import UntrainedError
from untrained.core.study import Question, Trial
from untrained.studies import control
from untrained.studies.control import Status
from untrained.studies.digest import Digest, Floats, Integers, undominated
from untrained.studies.overview import Overview, Points, summed
from untrained.studies.store import NoStudy, Store
from untrained.studies.stream import trial

BEST = 10  # architectures read of the best
SHOWN = 30  # marked in the plot against size, of the front
SAMPLE = 1_500  # looked at for effects and sizes
FRONT = 200  # and of the front
WINDOW = 30.0  # seconds over which the rate is taken
SLOW = 0.3  # seconds from which on a view is made aside
PATIENT = 8.0  # a view is made anew after so many times what it took,
OLD = 10.0  # or so many seconds

VERSIONS = count(1)  # no study has one that another had before it under the same name

T = TypeVar("T")


class Live:
    """A study of a store that somebody may be writing to. Its methods may be called from several threads."""

    def __init__(self, location: str | Path, name: str) -> None:
        self.location, self.name = location, name
        self.question: Question | None = None
        self.digest = Digest()
        self.status = Status(running=False, wanted=None)
        self.version = 0
        """another one for whatever a page would show otherwise"""
        self._begun: tuple[Question, dict[int, Any]] | None = None
        self._pace: deque[tuple[float, int]] = deque()
        self._lock = threading.RLock()
        self._views: dict[str, tuple[int, float, float, Any]] = {}
        """name -> version, when made, seconds that it took, what came of it"""
        self._making: set[str] = set()

    def read_on(self) -> None:
        """Takes in what was written since. Raises BadStore where the store cannot be read."""
        with Store(self.location, study=self.name) as log, self._lock:
            try:
                question = log.question()
            except NoStudy:
                return
            begun = question, log.bodies([0])
            if self._begun is not None and self._begun[1] and begun != self._begun:  # deleted and begun anew
                self.digest, self._views = Digest(), {}
            before = self.question, self.digest.events, self.status
            self.question, self._begun = question, begun
            log.read_on(question, self.digest)
            self.status = control.status(log)
            if before != (question, self.digest.events, self.status):
                self.version = next(VERSIONS)
            self._note_pace()

    @property
    def trials(self) -> int:
        return self.digest.trials

    @property
    def rate(self) -> float | None:
        """Trials a second of late; None while nothing comes."""
        if not self.status.running or len(self._pace) < 2:
            return None
        (start, first), (end, last) = self._pace[0], self._pace[-1]
        return (last - first) / (end - start) if last > first and end > start else None

    @property
    def left(self) -> float | None:
        """Seconds to the end of the search at this rate."""
        rate, wanted = self.rate, self.status.wanted
        return None if rate is None or wanted is None else max(wanted - self.trials, 0) / rate

    def points(self) -> Points:
        """All distinct architectures, in order; found once a version, or less often where that is slow."""

        def find() -> Points:
            assert self.question is not None
            with self._lock:
                numbers, scores = self.digest.points(self.question)
            return Points(numbers, scores, undominated(scores))

        return self.kept("points", find)

    def climb(self) -> tuple[Integers, Floats]:
        """(numbers (S,), values (S,)) of the trials whose first objective was better than all before."""

        def find() -> tuple[Integers, Floats]:
            assert self.question is not None
            with self._lock:
                _, numbers, values = self.digest.measured()
            if not len(numbers):
                return numbers, np.empty(0)
            sign = 1.0 if self.question.objectives[0][1] == "higher" else -1.0
            best = np.maximum.accumulate(sign * values[:, 0])
            rises = np.flatnonzero(np.r_[True, best[1:] > best[:-1]])
            return numbers[rises], values[rises, 0]

        return self.kept("climb", find)

    def overview(self) -> Overview:
        """What the report is made of: the best few and the first of the front."""

        def find() -> Overview:
            assert self.question is not None
            points = self.points()
            with Store(self.location, study=self.name) as log:
                return summed(log, self.question, self.digest, points, best=BEST, front=FRONT)

        return self.kept("overview", find)

    def findings(self) -> Findings:
        """What the report's figures are drawn from; effects and sizes are those of some, drawn at random."""

        def find() -> Findings:
            assert self.question is not None
            points, seen = self.points(), self.overview()
            with Store(self.location, study=self.name) as log:
                sample = sampled(log, self.question, points, some(len(points.numbers), 0, SAMPLE))
            front = seen.points[:SHOWN]
            return gathered(seen, self.name, points, sample, seen.leaders, front)

        return self.kept("findings", find)

    def draws(self, architecture: str) -> list[int]:
        """Numbers of the trials that measured an architecture with the objectives, by its id."""
        with self._lock:
            ids, numbers, _ = self.digest.measured()
            found: list[int] = numbers[ids == np.uint64(int(architecture, 16))].tolist()
            return found

    def in_common(self, other: Live) -> int:
        """How many architectures both have measured with their objectives."""
        return len(np.intersect1d(self._ids(), other._ids(), assume_unique=True))

    def rank(self, number: int) -> int | None:
        """The place of an architecture, by the trial that first measured it; 1 is the best."""
        place = np.flatnonzero(self.points().numbers == number)
        return int(place[0]) + 1 if len(place) else None

    def read(self, numbers: Integers | list[int]) -> list[Trial]:
        """The trials of these numbers; none may be a repeat."""
        assert self.question is not None
        with Store(self.location, study=self.name) as log:
            return log.trials(self.question, [int(n) for n in numbers])

    def trial(self, number: int) -> Trial:
        """One trial, also a repeat; raises UsageError where there is none."""
        assert self.question is not None
        with Store(self.location, study=self.name) as log:
            return trial(log, self.question, number)

    def kept(self, name: str, make: Callable[[], T], *, meanwhile: T | None = None) -> T:
        """What `make` returns for the study as it is now.

        It is made anew only if the study has changed, and seldom if that takes long; a view that takes longer
        than `SLOW` is made anew aside, while the last one is shown. With `meanwhile` the first one is made
        aside too.
        """
        with self._lock:
            version, made, took, found = self._views.get(name, (0, 0.0, 0.0, None))
            there = name in self._views
            if there and (version == self.version or time.monotonic() - made < min(PATIENT * took, OLD)):
                return cast(T, found)
            if not there and meanwhile is not None:
                there, took, found = True, math.inf, meanwhile
            if there and took > SLOW:
                if name not in self._making:
                    self._making.add(name)
                    threading.Thread(target=self._remake, args=(name, make), daemon=True).start()
                return cast(T, found)
        return self._make(name, make)

    def is_behind(self, *names: str) -> bool:
        """Whether one of these views is not yet that of the study as it is now."""
        with self._lock:
            return any(self._views.get(n, (0,))[0] != self.version for n in names)

    def _make(self, name: str, make: Callable[[], T]) -> T:
        version, start = self.version, time.monotonic()
        fresh = make()
        end = time.monotonic()
        with self._lock:
            self._views[name] = version, end, end - start, fresh
        return fresh

    def _remake(self, name: str, make: Callable[[], object]) -> None:
        try:
            with suppress(UntrainedError):  # of a store that has vanished the last view stays
                self._make(name, make)
        finally:
            with self._lock:
                self._making.discard(name)

    def _ids(self) -> npt.NDArray[np.uint64]:
        def find() -> npt.NDArray[np.uint64]:
            with self._lock:
                ids = np.sort(self.digest.measured()[0])  # np.unique would hash them: 30 times slower
            return ids[np.r_[True, ids[1:] != ids[:-1]]] if len(ids) else ids

        return self.kept("ids", find)

    def _note_pace(self) -> None:
        now = time.monotonic()
        if not self.status.running:
            self._pace.clear()
            return
        self._pace.append((now, self.trials))
        while self._pace[0][0] < now - WINDOW:
            self._pace.popleft()
