"""Tables to learn from: architectures with a truth, and what is known of them before training."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random

import numpy as np
import numpy.typing as npt

from untrained.apps.featuring import FeatureTable, tabulate
from untrained.apps.parallel import Progress, measure_all
from untrained.apps.probing import Lab
from untrained.core import registry
from untrained.core.architecture import Architecture
from untrained.core.benchmark import Benchmark, Row, Target
from untrained.core.errors import BadData, InvalidArchitecture, UnknownName, UsageError
from untrained.core.metric import METRIC_KINDS, metric
from untrained.core.named import construct
from untrained.core.space import Space
from untrained.metrics.features import DESCRIPTIONS

Real = npt.NDArray[np.float64]

KINDS = ("encoding", "statistics", "both")
NONE = "none"  # as a prior
SIZE = "params_nonembedding"
PRIORS = {"rnn_cell": "gated_memory"}  # by space; of the others, which are transformers:
PRIOR = "rank_and_reuse"


@dataclass
class Known:
    """Architectures, each once, with what is known of them before and after training."""

    ids: list[str]
    keys: list[str]
    codes: Real
    """(architectures, features); where there is a prior, it is the first column, higher better"""
    label: Real
    """quality that may be learned from, NaN where it is not known"""
    quality: Real
    """quality to be predicted, NaN where it is not known"""
    size: Real | None = None
    prior: str = NONE
    gap: float = 0.01
    notes: list[str] = field(default_factory=list)


def from_benchmark(
    benchmark: Benchmark,
    rows: Sequence[Row],
    lab: Lab,
    *,
    target: str | None = None,
    learn: str | None = None,
    kind: str = "both",
    prior: str | None = None,
    fresh: int = 0,
    seed: int = 0,
    measured: Callable[[Sequence[Architecture]], FeatureTable] | None = None,
    progress: Progress | None = None,
) -> Known:
    """A benchmark's architectures; twins become one, with the mean of their truths.

    `target` is the truth to predict (the first one), `learn` the one that labels are taken from (the same).
    `fresh` architectures of the space, without truth, are added.
    """
    check_kind(kind)
    goal, source = _goal(benchmark, target), _goal(benchmark, learn or target)
    by_arch: dict[Architecture, list[Row]] = {}
    for row in rows:
        if row.architecture is not None:
            by_arch.setdefault(row.architecture, []).append(row)
    if not by_arch:
        raise BadData(f"{benchmark.name}: no row has an architecture, so nothing can be learned from it")
    luck = Random(seed)
    while fresh > 0:
        by_arch.setdefault(lab.space.sample(luck), [])
        fresh -= 1
    archs = list(by_arch)
    name = PRIORS.get(lab.space.name, PRIOR) if prior is None else prior
    notes: list[str] = []
    columns: list[Real] = []
    if name != NONE:
        columns.append(_prior(lab, archs, name, notes, progress))
    if kind != "encoding":
        table = (measured or partial(tabulate, lab, seed=0, progress=progress))(archs)
        failed = sum(a.id in table.reasons for a in archs)
        if failed:
            notes.append(f"{failed} architectures have no statistics; each counts as the median there")
        columns.append(table.matrix([a.id for a in archs])[1])
    if kind != "statistics":
        columns.append(np.array([lab.space.encode(a) for a in archs], dtype=np.float64))
    sizes = [lab.measure(a, [metric(SIZE)])[SIZE].value for a in archs]
    twins = sum(len(found) > 1 for found in by_arch.values())
    if twins:
        notes.append(f"{twins} architectures were trained more than once; each counts once, with its mean")
    return Known(
        ids=[a.id for a in archs],
        keys=[found[0].key if found else "" for found in by_arch.values()],
        codes=np.column_stack(columns),
        label=np.array([_mean(found, source) for found in by_arch.values()]),
        quality=np.array([_mean(found, goal) for found in by_arch.values()]),
        size=None if None in sizes else np.array(sizes, dtype=np.float64),
        prior=name,
        gap=goal.gap,
        notes=notes,
    )


def _goal(benchmark: Benchmark, name: str | None) -> Target:
    if name is None:
        return benchmark.targets[0]
    found = next((t for t in benchmark.targets if t.name == name), None)
    if found is None:
        known = [t.name for t in benchmark.targets]
        raise UnknownName("truth", name, known, more=f"untrained show {benchmark.name}")
    return found


def _mean(rows: Sequence[Row], goal: Target) -> float:
    """Of the qualities of twins; NaN where none is known or one diverged."""
    found = [goal.quality(r.truth[goal.name]) for r in rows if goal.name in r.truth]
    return math.fsum(found) / len(found) if found and all(map(math.isfinite, found)) else math.nan


def _prior(
    lab: Lab, archs: Sequence[Architecture], name: str, notes: list[str], progress: Progress | None
) -> Real:
    """Goodness of each; one without a number counts as the worst."""
    asked = metric(name)
    found = [m[asked.label] for m in measure_all(lab, archs, [asked], workers=1, progress=progress)]
    good = [m.goodness for m in found if m.ok]
    if not good:
        raise UsageError(f"the prior {name} has no number for any architecture: {found[0].reason}")
    if len(good) < len(found):
        notes.append(f"{len(found) - len(good)} architectures have no {name}; they count as its worst")
    return np.array([m.goodness if m.ok else min(good) for m in found])


def from_csv(
    path: Path,
    *,
    target: str | None,
    better: str | None,
    learn: str | None = None,
    kind: str = "statistics",
    prior: str | None = None,
    columns: Sequence[str] = (),
) -> Known:
    """A table of one's own: `id` (or `arch`), the truth, empty where it is not known, and what to learn from.

    Learned from are the columns that are called like our features, proxies and costs, and those that
    `columns` names; never another column, which may be a truth as well. A column `architecture`, each
    cell its JSON, gives the encoding, and is checked by its space. The `prior` is one of the columns, more
    being better unless it is one of our proxies that says otherwise.
    """
    check_kind(kind)
    if target is None or better not in ("higher", "lower"):
        raise UsageError(
            "a table of your own does not say what its truth is.\n  add: --target COLUMN --better lower"
        )
    records = _table(path)
    header = list(records[0])
    ids = next((n for n in ("id", "arch") if n in header), None)
    if ids is None:
        raise UsageError(f"{path} has no column id or arch; it has: {', '.join(header)}")
    for name in (
        target,
        *([learn] if learn else []),
        *columns,
        *([prior] if prior not in (None, NONE) else []),
    ):
        if name not in header:
            raise UnknownName("column", str(name), header, more=f"head -1 {path}")
    _distinct(path, [str(r[ids]) for r in records])
    sign = 1.0 if better == "higher" else -1.0
    truth = {
        n: np.array([_number(path, i, n, r[n], empty=True) for i, r in enumerate(records)])
        for n in {target, learn or target}
    }
    used = [n for n in header if n in columns or (_ours(n) and n not in truth and n != prior)]
    parts: list[Real] = []
    if prior not in (None, NONE):
        turn = -1.0 if _lower(str(prior)) else 1.0
        parts.append(
            turn * np.array([_number(path, i, str(prior), r[str(prior)]) for i, r in enumerate(records)])
        )
    if kind != "encoding":
        parts += [np.array([_number(path, i, n, r[n]) for i, r in enumerate(records)]) for n in used]
    if kind != "statistics":
        parts.append(_encoded(path, records))
    if not parts:
        raise UsageError(
            f"{path} has no column to learn from.\n  name some: --columns a,b\n"
            "  or measure some: untrained features FILE -o features.csv"
        )
    size = SIZE if SIZE in header else None
    return Known(
        ids=[str(r[ids]) for r in records],
        keys=[str(r.get("key") or r[ids]) for r in records],
        codes=np.column_stack(parts),
        label=sign * truth[learn or target],
        quality=sign * truth[target],
        size=None
        if size is None
        else np.array([_number(path, i, size, r[size]) for i, r in enumerate(records)]),
        prior=prior or NONE,
        notes=[f"learned from: {', '.join(used) or 'the encoding'}"],
    )


def _table(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            found = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"cannot read {path}: {error}") from None
    if not found:
        raise UsageError(f"{path} has no rows")
    for i, record in enumerate(found):
        if None in record or None in record.values():
            raise UsageError(f"{path}, line {i + 2}: not as many cells as the header has columns")
    return found


def _distinct(path: Path, ids: Sequence[str]) -> None:
    seen: dict[str, int] = {}
    for i, name in enumerate(ids, start=2):
        if not name:
            raise UsageError(f"{path}, line {i}: no id")
        if name in seen:
            raise UsageError(
                f"{path}, line {i}: {name} stands in line {seen[name]} already.\n"
                "  keep one line an architecture, with the mean of its truths"
            )
        seen[name] = i


def _number(path: Path, row: int, name: str, cell: str, *, empty: bool = False) -> float:
    """A finite number; NaN for an empty cell where that is allowed."""
    if empty and not cell.strip():
        return math.nan
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UsageError(
            f"{path}, line {row + 2}: {name} is {cell!r}, which is no finite number.\n"
            "  leave the cell of an unknown truth empty, and lines without a score out"
        )
    return value


def _ours(name: str) -> bool:
    bare = name.partition(":")[0].partition(".")[0]
    return name in DESCRIPTIONS or any(bare in registry.names(k) for k in METRIC_KINDS)


def _lower(name: str) -> bool:
    bare = name.partition(":")[0]
    return bare in registry.names("proxy") and metric(bare).better == "lower"


def _encoded(path: Path, records: Sequence[dict[str, str]]) -> Real:
    if "architecture" not in records[0]:
        raise UsageError(
            f"{path} has no column architecture, so there is no encoding.\n  add: --features statistics"
        )
    place: Space | None = None
    codes = []
    for i, record in enumerate(records, start=2):
        try:
            arch = Architecture.from_json(record["architecture"])
            place = construct("space", arch.space) if place is None else place
            place.validate(arch)
        except UsageError as error:
            raise InvalidArchitecture(f"{path}, line {i}: {error}") from None
        codes.append(place.encode(arch))
    return np.array(codes, dtype=np.float64)


def check_kind(kind: str) -> None:
    """Raises UnknownName for features that do not exist."""
    if kind not in KINDS:
        raise UnknownName("kind of features", kind, KINDS, more="untrained calibrate --help")
