"""What a study came to, without its trials: a short note on every batch of events, written with it.

A note is one JSON object, so that a million trials are counted and compared without reading their bodies:

    events   how many events the batch has
    counts   [[status, reason or null, how many], ...] of the trials that were measured, oldest first
    repeats  how many trials were equal to an earlier one
    ids      ids of the architectures that may be on the front, 16 hex digits each, in one string
    numbers  the numbers of their trials
    values   one list for each objective, in the metric's own direction
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from untrained.core.study import Question

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def canonical(value: Any) -> str:
    """JSON as the log has it: sorted keys, no white space, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def note(events: Iterable[tuple[str, Mapping[str, Any]]], goals: Sequence[str]) -> str:
    """The note on a batch of (kind, body), as JSON; `goals` are the labels of the objectives."""
    length = repeats = 0
    counts: Counter[tuple[str, str | None]] = Counter()
    ids: list[str] = []
    numbers: list[int] = []
    values: list[list[float]] = [[] for _ in goals]
    for kind, body in events:
        length += 1
        if kind != "trial":
            continue
        if "same_as" in body:
            repeats += 1
            continue
        status = body.get("status", "")
        counts[status, body.get("reason")] += 1
        if status == "ok" and "fidelity" not in body:
            ids.append(hashlib.sha256(canonical(body["architecture"]).encode()).hexdigest()[:16])
            numbers.append(body["number"])
            for column, goal in zip(values, goals, strict=True):
                column.append(body["values"][goal])
    listed = [[status, reason, n] for (status, reason), n in counts.items()]
    return canonical(
        {
            "events": length,
            "counts": listed,
            "repeats": repeats,
            "ids": "".join(ids),
            "numbers": numbers,
            "values": values,
        }
    )


@dataclass
class Digest:
    """All notes of a study together."""

    events: int = 0
    repeats: int = 0
    counts: Counter[tuple[str, str | None]] = field(default_factory=Counter)
    """(status, reason) -> trials, without repeats, in the order in which they were first seen"""
    _ids: list[npt.NDArray[np.uint64]] = field(default_factory=list)
    _numbers: list[Integers] = field(default_factory=list)
    _values: list[Floats] = field(default_factory=list)

    @property
    def trials(self) -> int:
        return self.repeats + sum(self.counts.values())

    def add(self, notes: Sequence[Mapping[str, Any]], goals: int) -> None:
        """Takes further notes, in the order of the log. Raises ValueError or LookupError for what is none."""
        for one in notes:
            self.events += one["events"]
            self.repeats += one["repeats"]
            for status, reason, n in one["counts"]:
                self.counts[status, reason] += n
        numbers = np.array([n for one in notes for n in one["numbers"]], np.int64)
        columns = [[v for one in notes for v in one["values"][k]] for k in range(goals)]
        found = np.array(columns, np.float64).reshape(goals, len(numbers)).T
        ids = np.frombuffer(bytes.fromhex("".join(one["ids"] for one in notes)), ">u8")
        if len(ids) != len(numbers):
            raise ValueError("as many ids as numbers are needed")
        self._ids.append(ids.astype(np.uint64))
        self._numbers.append(numbers)
        self._values.append(found)

    def measured(self) -> tuple[npt.NDArray[np.uint64], Integers, Floats]:
        """(ids (M,), numbers (M,), values (M, K)) of the trials that may be on the front, in the log's order.

        Values are in the metrics' own directions.
        """
        if not self._numbers:
            return np.empty(0, np.uint64), np.empty(0, np.int64), np.empty((0, 0))
        if len(self._numbers) > 1:
            self._ids = [np.concatenate(self._ids)]
            self._numbers = [np.concatenate(self._numbers)]
            self._values = [np.concatenate(self._values)]
        return self._ids[0], self._numbers[0], self._values[0]

    def points(self, question: Question) -> tuple[Integers, Floats]:
        """(numbers (N,), scores (N, K)) as `Study.distinct` has them, best first by the first objective.

        Scores are turned so that higher is better. Several draws of one architecture are one point: the
        number of the first, the means of the scores.
        """
        ids, numbers, values = self.measured()
        if not len(numbers):
            return np.empty(0, np.int64), np.empty((0, len(question.objectives)))
        scores = np.where([better == "higher" for _, better in question.objectives], values, -values)
        order = np.lexsort((numbers, ids))
        ids, numbers, scores = ids[order], numbers[order], scores[order]
        starts = np.flatnonzero(np.r_[True, ids[1:] != ids[:-1]]) if len(ids) else np.empty(0, np.int64)
        ends = np.r_[starts[1:], len(ids)]
        means = scores[starts]
        for i in np.flatnonzero(ends - starts > 1).tolist():
            drawn = scores[starts[i] : ends[i]]
            means[i] = [math.fsum(column) / len(drawn) for column in drawn.T.tolist()]
        numbers = numbers[starts]
        order = np.lexsort((numbers, -means[:, 0]))
        return numbers[order], means[order]


def undominated(scores: Floats) -> Integers:
    """Rows (N, K) that no other row beats: at least as good everywhere and better somewhere.

    Indices, best first by the first column, then by the next; equal rows are all kept, in their order.
    """
    order = np.lexsort((np.arange(len(scores)), *(-scores.T[::-1])))
    if scores.shape[1] == 2:
        return order[_best_seconds(scores[order])]
    left, kept = order, []
    while len(left):
        best, rest = scores[left[0]], scores[left]
        equal = (rest == best).all(axis=1)
        kept.append(left[equal])
        left = left[(rest > best).any(axis=1)]
    return np.concatenate(kept) if kept else np.empty(0, np.int64)


def _best_seconds(ordered: Floats) -> npt.NDArray[np.bool_]:
    """Which rows (N, 2), best first, have a second value above all before them, or equal such a row."""
    first, second = ordered.T
    before = np.r_[-np.inf, np.maximum.accumulate(second)[:-1]] if len(second) else second
    rises = second > before
    # Rows equal to one that rose stand right behind it.
    leader = np.maximum.accumulate(np.where(rises, np.arange(len(second)), 0))
    same = (first == first[leader]) & (second == second[leader])
    kept: npt.NDArray[np.bool_] = rises | same
    return kept
