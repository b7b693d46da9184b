"""A table of one's own: labels and columns from a CSV file."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from untrained.apps.labelled import NONE, SIZE, Known, Real, check_kind
from untrained.core import registry
from untrained.core.architecture import Architecture
from untrained.core.errors import InvalidArchitecture, UnknownName, UsageError
from untrained.core.metric import METRIC_KINDS, metric
from untrained.core.named import construct
from untrained.core.space import Space
from untrained.metrics.features import DESCRIPTIONS


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
