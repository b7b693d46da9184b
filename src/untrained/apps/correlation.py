"""How well scores order a benchmark's networks, against the plain sizes."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from untrained.apps.ceiling import told_by
from untrained.apps.parallel import Progress, measure_all
from untrained.apps.probing import Lab, flat
from untrained.apps.ranking import check_combine
from untrained.core import registry
from untrained.core.aggregate import aggregate
from untrained.core.architecture import Architecture
from untrained.core.benchmark import Benchmark, Row, Target
from untrained.core.errors import BadData, UnknownName
from untrained.core.frames import frame
from untrained.core.metric import FORMULA, Metric, metric
from untrained.core.shown import html
from untrained.core.statistics import agreement, kendall_tau, kendall_tau_a, paired_bootstrap

PUBLISHED = "published:"
EVERY = ("...", "all", "*")  # as in published:all
SIZES = ("params", "params_nonembedding", "flops")
SIZE = "params_nonembedding"  # within 5 % of it, a pair is hard
DRAWS = 1_000  # bootstrap resamples; a fifth of it for tables of thousands

Columns = dict[str, list[float | None]]


@dataclass
class Correlation:
    """What `correlate` found: one record per (proxy, target), and the scores they rest on."""

    benchmark: Benchmark
    records: list[dict[str, Any]]
    rows: Sequence[Row]
    columns: Columns
    notes: list[str] = field(default_factory=list)

    def _repr_html_(self) -> str | None:
        return html(self)

    def table(self) -> Any:
        """`records` for pandas where it is installed; see `untrained.core.frames`."""
        return frame(self.records)

    def save_scores(self, path: Path) -> None:
        """One line an architecture: id, the benchmark's key, each score, the truths; empty where unknown."""
        targets = [t.name for t in self.benchmark.targets]
        with path.open("w", newline="", encoding="utf-8") as file:
            out = csv.writer(file)
            out.writerow(["id", "key", *self.columns, *targets])
            for i, row in enumerate(self.rows):
                arch = row.architecture.id if row.architecture else ""
                scores = [column[i] for column in self.columns.values()]
                out.writerow(
                    [arch, row.key, *map(_cell, scores), *(_cell(row.truth.get(t)) for t in targets)]
                )


def correlate(
    benchmark: Benchmark,
    rows: Sequence[Row],
    proxies: Sequence[str],
    lab: Lab,
    *,
    seeds: int = 1,
    versus: str | None = None,
    combine: Sequence[str] = (),
    targets: Sequence[str] = (),
    workers: int | None = None,
    progress: Progress | None = None,
) -> Correlation:
    """Scores every row and compares the orders; equal architectures count once in the intervals.

    `proxies` are metric names, `published:NAME` for values that the authors printed, or `all`. Records of
    the plain sizes are always added, each taken as "more is better". `targets` leaves out other truths.
    Each aggregate in `combine` adds a record: the ranks by all `proxies`, each in its own direction, as
    `rank` would order these networks. A network with several rows is one candidate.
    """
    unknown = [t for t in targets if t not in {goal.name for goal in benchmark.targets}]
    if unknown:
        known = [goal.name for goal in benchmark.targets]
        raise UnknownName("truth", unknown[0], known, more=f"untrained show {benchmark.name}")
    metrics, published = _split(proxies, benchmark, rows)
    asked = [*published, *(m.label for m in metrics)]
    mixed = {check_combine(how, asked): asked for how in combine}
    if versus is not None:
        more, other = _split(_scored_for(versus, lab, rows), benchmark, rows)
        metrics, published = _distinct([*metrics, *more]), list(dict.fromkeys([*published, *other]))
        versus = other[0] if other else versus
    kept = list(rows) if published else [r for r in rows if r.architecture]
    if not kept:
        raise BadData(f"{benchmark.name}: no row has an architecture, so nothing can be built and scored")
    columns: Columns = {name: [_published(r, name) for r in kept] for name in published}
    scored, seconds, reasons = _score(kept, metrics, lab, seeds, workers, progress)
    sizes = _sizes(kept, lab, reasons)
    columns |= scored
    for how in mixed:
        columns[how] = _aggregate(how, asked, kept, columns, benchmark, _directions(metrics))
        seconds[how] = math.fsum(seconds.get(name, 0.0) for name in asked)
    columns |= {k: v for k, v in sizes.items() if k not in columns}
    records = _records(
        [t for t in benchmark.targets if not targets or t.name in targets],
        benchmark,
        kept,
        columns,
        set(sizes),
        _directions(metrics),
        seconds,
        versus,
        mixed,
    )
    return Correlation(benchmark, records, kept, columns, _notes(kept, reasons))


def _split(
    proxies: Sequence[str], benchmark: Benchmark, rows: Sequence[Row]
) -> tuple[list[Metric], list[str]]:
    known = sorted({name for row in rows for name in row.published})
    metrics, published = [], []
    for name in proxies:
        if name.startswith(PUBLISHED):
            bare = name.removeprefix(PUBLISHED)
            found = known if bare in EVERY else [k for k in known if k == bare or k.startswith(f"{bare}.")]
            published += [f"{PUBLISHED}{k}" for k in found or [benchmark.published_name(bare)]]
        elif name == "all":
            metrics += [metric(n) for n in registry.names("proxy")]
        else:
            metrics.append(metric(name))
    return _distinct(metrics), list(dict.fromkeys(published))


def _scored_for(versus: str, lab: Lab, rows: Sequence[Row]) -> list[str]:
    """What has to be scored to compare with `versus`: of a part the whole metric, of a plain order nothing.

    Raises UnknownName now rather than after the work.
    """
    if versus.startswith(PUBLISHED):
        return [versus]
    bare = versus.partition(":")[0]
    metrics = registry.names("proxy") + registry.names("cost")
    if bare in metrics or versus.endswith(FORMULA):
        return [versus]
    if bare.partition(".")[0] in metrics:
        return [bare.partition(".")[0] + versus.removeprefix(bare)]
    first = next((r.architecture for r in rows if r.architecture), None)
    orders = list(lab.space.baseline(first)) if first else []
    if versus not in orders:
        raise UnknownName("score to compare with", versus, metrics + orders, more="untrained list proxy")
    return []


def _distinct(metrics: Sequence[Metric]) -> list[Metric]:
    return list({m.label: m for m in metrics}.values())


def _published(row: Row, name: str) -> float | None:
    return row.published.get(name.removeprefix(PUBLISHED))


def _score(
    rows: Sequence[Row],
    metrics: Sequence[Metric],
    lab: Lab,
    seeds: int,
    workers: int | None,
    progress: Progress | None,
) -> tuple[Columns, dict[str, float], dict[str, str]]:
    """Columns by metric and part, mean seconds an architecture, and reasons of failures by key."""
    if not metrics:
        return {}, {}, {}
    lab.check_text()
    archs = [r.architecture for r in rows if r.architecture]
    results = dict(
        zip(
            archs,
            measure_all(lab, archs, metrics, seeds=seeds, workers=workers, progress=progress),
            strict=True,
        )
    )
    values = {arch: flat(found) for arch, found in results.items()}
    names = {m.label: [m.label] for m in metrics}
    for arch in results:
        for name in values[arch]:
            owner = next(m.label for m in metrics if name == m.label or name.startswith(f"{m.label}."))
            if name not in names[owner]:
                names[owner].append(name)
    columns: Columns = {
        name: [values[r.architecture].get(name) if r.architecture else None for r in rows]
        for group in names.values()
        for name in group
    }
    seconds = {
        m.label: math.fsum(f[m.label].seconds for f in results.values()) / len(results) for m in metrics
    }
    reasons = {
        r.key: reason
        for r in rows
        if r.architecture
        for m in results[r.architecture].values()
        if (reason := m.reason) is not None
    }
    return columns, seconds, reasons


def _sizes(rows: Sequence[Row], lab: Lab, reasons: dict[str, str]) -> Columns:
    """The plain orders of the rows that can be built. Failures are added to `reasons`."""
    columns: Columns = {}
    for i, row in enumerate(rows):
        if row.architecture is None:
            continue
        found, failed = plain_orders(lab, row.architecture)
        reasons |= {f"{row.key}: {name}": why for name, why in failed.items()}
        for name, value in found.items():
            columns.setdefault(name, [None] * len(rows))[i] = value
    return columns


def plain_orders(lab: Lab, arch: Architecture) -> tuple[dict[str, float], dict[str, str]]:
    """The plain sizes and the space's own simple orders by name, and why a size is not known."""
    sizes = lab.measure(arch, [metric(name) for name in SIZES])
    reasons = {m.metric: m.reason for m in sizes.values() if m.reason}
    return flat(sizes) | lab.space.baseline(arch), reasons


def _aggregate(
    how: str,
    asked: Sequence[str],
    rows: Sequence[Row],
    columns: Columns,
    benchmark: Benchmark,
    directions: Mapping[str, float],
) -> list[float | None]:
    """One score a row from the ranks by several; only rows that could have them all are candidates."""
    labels = _labels(rows)
    first = {labels[i]: i for i in reversed(range(len(rows))) if all(_could_have(n, rows[i]) for n in asked)}
    signs = [_sign(name, benchmark, set(), directions) for name in asked]
    goodness = [
        [np.nan if (v := columns[name][i]) is None else v * s for name, s in zip(asked, signs, strict=True)]
        for i in first.values()
    ]
    whole = aggregate(how, np.reshape(goodness, (len(first), len(asked))))
    found = {label: None if np.isnan(v) else float(v) for label, v in zip(first, whole, strict=True)}
    return [found.get(label) for label in labels]


def _labels(rows: Sequence[Row]) -> list[str]:
    """One name a network: rows of equal architectures share theirs."""
    return [r.architecture.id if r.architecture else f"row {i}" for i, r in enumerate(rows)]


def _directions(metrics: Iterable[Metric]) -> dict[str, float]:
    """+1 where higher is better, -1 where lower is."""
    return {m.label: 1.0 if m.better == "higher" else -1.0 for m in metrics}


def _records(
    targets: Sequence[Target],
    benchmark: Benchmark,
    rows: Sequence[Row],
    columns: Columns,
    sizes: set[str],
    directions: Mapping[str, float],
    seconds: Mapping[str, float],
    versus: str | None,
    mixed: Mapping[str, Sequence[str]],
) -> list[dict[str, Any]]:
    signed = {
        name: [None if v is None else v * _sign(name, benchmark, sizes, directions) for v in column]
        for name, column in columns.items()
    }
    labels = _labels(rows)
    records = []
    for target in targets:
        noise = _noise(target, rows, labels, signed)
        for name in columns:
            record = _record(name, target, rows, signed, sizes, labels, versus, mixed.get(name, [name]))
            if record:
                owner = name if name in seconds else name.rpartition(".")[0]
                records.append({**record, **noise, "seconds_per_arch": seconds.get(owner, 0.0)})
    return records


def _noise(
    target: Target, rows: Sequence[Row], labels: Sequence[str], signed: Columns
) -> dict[str, float | None]:
    """What a perfect score would reach, told by networks that were trained several times; None: not known."""
    trainings: dict[str, list[float]] = {}
    sizes: dict[str, float | None] = {}
    for i, row in enumerate(rows):
        value = target.quality(row.truth[target.name]) if target.name in row.truth else math.nan
        if math.isfinite(value):
            trainings.setdefault(labels[i], []).append(value)
            sizes[labels[i]] = signed[SIZE][i] if SIZE in signed else None
    known = [v for v in sizes.values() if v is not None]
    found = told_by(
        list(trainings.values()),
        np.array([math.fsum(t) / len(t) for t in trainings.values()]),
        size=np.array(known) if len(known) == len(sizes) else None,
        gap=target.gap,
    )
    return {
        "ceiling_tau": None if found is None else found.tau,
        "ceiling_hard_pairs": None if found is None else found.hard_pairs,
        "retest_tau": None if found is None else found.retest,
        "retested": None if found is None else found.networks,
    }


def _sign(name: str, benchmark: Benchmark, sizes: set[str], directions: Mapping[str, float]) -> float:
    if name in sizes:
        return 1.0  # as a baseline, more of it is taken to be better
    if name.startswith(PUBLISHED):
        return -1.0 if benchmark.published_better.get(name.removeprefix(PUBLISHED)) == "lower" else 1.0
    return directions.get(name, directions.get(name.rpartition(".")[0], 1.0))


def _record(
    name: str,
    target: Target,
    rows: Sequence[Row],
    signed: Columns,
    sizes: set[str],
    labels: Sequence[str],
    versus: str | None,
    of: Sequence[str],
) -> dict[str, Any] | None:
    known = [i for i, r in enumerate(rows) if target.name in r.truth and all(_could_have(n, r) for n in of)]
    use = [i for i in known if signed[name][i] is not None]
    if len({labels[i] for i in use}) < 3:
        return None
    score = _array(signed[name], use)
    quality = np.array([target.quality(rows[i].truth[target.name]) for i in use])
    clusters = [labels[i] for i in use]
    draws = DRAWS if len(use) <= 1_000 else DRAWS // 5
    size_known = SIZE in signed and all(signed[SIZE][i] is not None for i in use)
    size = _array(signed[SIZE], use) if size_known else None
    found = agreement(score, quality, size=size, clusters=clusters, min_gap=target.gap, draws=draws)
    record = {
        "proxy": name,
        "target": target.name,
        "n": found.n,
        "distinct": len(set(clusters)),
        "failed": len(known) - len(use),
        **{k: v for k, v in vars(found).items() if k != "n"},
    }
    record |= _against_size(name, score, quality, signed, sizes, use, clusters, draws)
    if versus is not None:
        both = [j for j, i in enumerate(use) if signed[versus][i] is not None]
        record |= _difference(
            "versus",
            score[both],
            _array(signed[versus], [use[j] for j in both]),
            quality[both],
            [clusters[j] for j in both],
            draws,
        )
    return record


def _against_size(
    name: str,
    score: npt.NDArray[np.float64],
    quality: npt.NDArray[np.float64],
    signed: Columns,
    sizes: set[str],
    use: Sequence[int],
    clusters: Sequence[str],
    draws: int,
) -> dict[str, Any]:
    """Whether a score is surely better than the best of the sizes: the paired interval is above 0.

    By tau-a, as tau-b flatters an order of few different values, such as layers-then-width.
    """
    empty = {
        "beats_size": None,
        "best_size": None,
        "minus_size": None,
        "minus_size_low": None,
        "minus_size_high": None,
    }
    rivals = {
        s: _array(signed[s], use) for s in sizes if s != name and all(signed[s][i] is not None for i in use)
    }
    if name in sizes or not rivals:
        return empty
    best = max(sorted(rivals), key=lambda s: kendall_tau_a(rivals[s], quality))
    found = _difference("size", score, rivals[best], quality, clusters, draws, kendall_tau_a)
    return {"beats_size": found["minus_size_low"] > 0, "best_size": best, **found}


def _difference(
    what: str,
    score: npt.NDArray[np.float64],
    other: npt.NDArray[np.float64],
    quality: npt.NDArray[np.float64],
    clusters: Sequence[str],
    draws: int,
    statistic: Callable[..., float] = kendall_tau,
) -> dict[str, Any]:
    difference, low, high = paired_bootstrap(
        statistic, score, other, quality, clusters=np.array(clusters), draws=draws
    )
    return {f"minus_{what}": difference, f"minus_{what}_low": low, f"minus_{what}_high": high}


def _could_have(name: str, row: Row) -> bool:
    return bool(row.published) if name.startswith(PUBLISHED) else row.architecture is not None


def _array(column: Sequence[float | None], use: Sequence[int]) -> npt.NDArray[np.float64]:
    return np.array([column[i] for i in use], dtype=np.float64)


def _notes(rows: Sequence[Row], reasons: Mapping[str, str]) -> list[str]:
    ids = [r.architecture.id for r in rows if r.architecture]
    notes = []
    if ids:
        twins = len(ids) - len(set(ids))
        notes.append(
            f"{len(ids)} networks with a known architecture, {len(set(ids))} distinct: {twins} are twins of"
            " another. Each distinct one is scored once and drawn as one in the intervals."
        )
    notes += [f"{key}: {reason}" for key, reason in sorted(reasons.items())]
    return notes


def _cell(value: float | None) -> str:
    return "" if value is None else repr(value)
