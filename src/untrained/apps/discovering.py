"""Formulas that order a benchmark's networks, found by genetic programming on one half of them."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from untrained.apps._discover_evolution import Evolution
from untrained.apps._discover_judging import Judge
from untrained.apps._discover_log import Log
from untrained.apps._discover_networks import LEAST, VERSION, Side, opened
from untrained.apps._discover_report import Report
from untrained.apps.probing import resolve
from untrained.core.errors import UsageError
from untrained.core.files import write_whole
from untrained.core.formula import Formula
from untrained.core.metric import Metric

HAND_MADE = (
    "fading_memory",
    "hidden_covariance",
    "layered_memory",
    "gated_memory",
    "depth_width_rank",
    "rank_and_spread",
    "layers_then_width",
    "params_nonembedding",
)
BEST = 5  # formulas that are told
FORMAT = "untrained-discovery"

Progress = Callable[[int, int | None], None]
Names = str | Metric | Iterable[str | Metric]


@dataclass
class Discovery:
    """What was found: the best formulas, and how they do on networks that had no part in it."""

    formula: Formula
    records: list[dict[str, Any]]
    """one for each of the best formulas and benchmark"""
    verdict: str
    rate: float
    """formulas judged a second, 0 where all came from the log"""
    notes: list[str] = field(default_factory=list)

    def save(self, path: str | Path) -> None:
        """The best formula as a file that `--proxy` takes."""
        write_whole(Path(path), self.formula.to_json().rstrip("\n") + "\n")


def discover(
    benchmarks: str | Sequence[str],
    *,
    trials: int = 5_000,
    seed: int = 0,
    data: str | Path | None = None,
    log: str | Path | None = None,
    limit: int | None = None,
    rivals: Names = HAND_MADE,
    cache: str | Path | None = None,
    text: str | Path | None = None,
    scale: str = "probe",
    progress: Progress | None = None,
) -> Discovery:
    """A formula that orders the networks of some benchmarks, by the first truth of each.

    Genetic programming judges `trials` formulas by their mean tau-a over the benchmarks, less 0.002 a node,
    on the half of the architectures that has an even id. The other half is looked at when the search has
    ended, and compared there with the best of `rivals`: in each benchmark the one with the largest tau-a on
    the training half. `log` makes a run that was stopped go on with the same result, `cache` keeps what was
    seen of the networks, `limit` takes the first so many architectures of each benchmark. Raises BadData for
    a half with fewer than 6 networks, UsageError for bad numbers and for a log of another search.
    """
    if trials < 1:
        raise UsageError(f"trials={trials}; take 1 or more")
    if limit is not None and limit < 2 * LEAST:
        raise UsageError(f"limit={limit}; two halves take {2 * LEAST} networks or more")
    names = list(dict.fromkeys([benchmarks] if isinstance(benchmarks, str) else benchmarks))
    if not names:
        raise UsageError("no benchmark is named\n  see: untrained list benchmark")
    metrics, folder = resolve(rivals), None if cache is None else Path(cache).expanduser()
    fields = [opened(name, data, limit, text, scale) for name in names]
    for f in fields:
        f.check()
    total = sum(len(f.truths) for f in fields)
    done = 0

    def tick() -> None:
        nonlocal done
        done += 1
        if progress:
            progress(done, total)

    training = [f.side("training", metrics, folder, tick) for f in fields]
    judge = Judge(training)
    if not judge.sheet.matrices:
        raise UsageError("these networks show no input in common, so no formula serves all of them")
    evolution = Evolution(judge.sheet.inputs, seed)
    book = Log(None if log is None else Path(log).expanduser(), _header(names, seed, training))
    rate = _evolve(evolution, book, judge, trials, progress)
    if not evolution.alive:
        raise UsageError(f"none of {trials} formulas has a value on every network; take more trials")
    outside = [f.side("held-out", metrics, folder, tick) for f in fields]
    report = Report(fields, training, outside, [m.label for m in metrics])
    best = [j for j in evolution.alive if report.measurable(j.node)][:BEST]
    if not best:
        raise UsageError("no formula has a value on every held-out network; take more trials")
    records = [r for i, j in enumerate(best, 1) for r in report.records(i, j.node)]
    verdict = report.verdict(best[0].node)
    found = {
        "seed": seed,
        "trials": trials,
        "limit": limit,
        "scale": scale,
        "verdict": verdict,
        "benchmarks": [
            {k: r[k] for k in ("benchmark", "target", "tau_a_training", "tau_a_held_out")}
            for r in records
            if r["rank"] == 1
        ],
    }
    notes = [
        f"{book.count:,} formulas judged, {evolution.faulty:,} degenerate ones let go unmeasured, "
        f"{evolution.twins:,} ordered the networks like one before them.",
        *(n for f in fields for n in f.notes),
    ]
    return Discovery(Formula(best[0].node, found), records, verdict, rate, notes)


def _header(names: Sequence[str], seed: int, training: Sequence[Side]) -> dict[str, Any]:
    told = [[a.id, repr(float(q))] for s in training for a, q in zip(s.archs, s.quality, strict=True)]
    networks = hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]
    return {
        "format": FORMAT,
        "version": VERSION,
        "benchmarks": list(names),
        "seed": seed,
        "networks": networks,
    }


def _evolve(evolution: Evolution, book: Log, judge: Judge, trials: int, progress: Progress | None) -> float:
    """Judges `trials` formulas; the new ones a second."""
    new, start, replayed = 0, time.perf_counter(), 0.0
    while book.count < trials:
        brood = evolution.brood()[: trials - book.count]
        if not brood:
            break  # every formula of this size was seen
        judged, fresh = book.judge(brood, judge)
        evolution.learn(judged)
        new += fresh
        if not fresh:
            replayed = time.perf_counter() - start
        if progress:
            progress(book.count, trials)
    spent = time.perf_counter() - start - replayed
    return new / spent if new else 0.0
