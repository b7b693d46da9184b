"""Tables of features: measured once an architecture, kept in a file, read again."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from untrained.apps.parallel import Progress
from untrained.apps.probing import Lab
from untrained.core.architecture import Architecture
from untrained.core.errors import MeasurementFailed, MissingExtra, UsageError
from untrained.core.text import load
from untrained.metrics.features import DESCRIPTIONS, FEATURES, features
from untrained.nn.numerics import quiet_numbers

Real = npt.NDArray[np.float64]
Replaced = Callable[[Path], AbstractContextManager[Path]]

FORMS = (".csv", ".jsonl", ".parquet")
ABOUT = ("arch", "features", "space", "scale", "seed", "text", "reason")  # what stands before the features
EVERY = 200  # architectures after which a file is brought up to date
KNOWN = 0.5  # share of the architectures that must have a feature for it to be used


@dataclass
class FeatureTable:
    """Features by architecture id; all of one version, space, scale, seed and text."""

    about: dict[str, Any]
    rows: dict[str, dict[str, float]] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    """why an architecture has none"""

    def matrix(self, ids: Sequence[str]) -> tuple[list[str], Real]:
        """(names, values) of the features that at least half of the architectures have.

        What one lacks is the median of the others, so that it says nothing.
        """
        found = [self.rows.get(i, {}) for i in ids]
        having = {name: sum(name in row for row in found) for name in DESCRIPTIONS}
        names = [name for name, count in having.items() if count and count >= KNOWN * len(ids)]
        table = np.array([[row.get(name, math.nan) for name in names] for row in found])
        table = table.reshape(len(ids), len(names))
        for j in range(len(names)):
            lacking = np.isnan(table[:, j])
            table[lacking, j] = np.median(table[~lacking, j])
        return names, table

    def records(self) -> Iterator[dict[str, Any]]:
        """One flat record an architecture, in the order in which they came."""
        for arch in self.rows | self.reasons:
            reason = {"reason": self.reasons[arch]} if arch in self.reasons else {}
            yield {"arch": arch, **self.about, **reason, **self.rows.get(arch, {})}


def tabulate(
    lab: Lab,
    archs: Iterable[Architecture],
    *,
    seed: int = 0,
    path: Path | None = None,
    replaced: Replaced | None = None,
    progress: Progress | None = None,
) -> FeatureTable:
    """Features of every architecture, one that failed with its reason.

    With a `path` what is there already is read and only the rest is measured; the file is brought up to date
    every 200 architectures and at the end. `replaced` gives a name to write to that becomes `path` when all
    went well. Raises UsageError for a file of another version, space, scale, seed or text.
    """
    about = {
        "features": FEATURES,
        "space": lab.typed or lab.space.name,
        "scale": lab.scale,
        "seed": seed,
        "text": (lab.corpus or load()).sha256[:16],
    }
    table = FeatureTable(about)
    if path is not None:
        check_form(path)
        if path.exists() and path.stat().st_size:
            table = read(path, about)
    lab.check_text()
    missing = [a for a in dict.fromkeys(archs) if a.id not in table.rows and a.id not in table.reasons]
    with quiet_numbers():
        for done, arch in enumerate(missing, start=1):
            try:
                table.rows[arch.id] = features(lab.probe(arch, seed=seed))
            except (MeasurementFailed, MemoryError) as error:
                table.reasons[arch.id] = str(error) or "out of memory"
            if progress:
                progress(done, len(missing))
            if path is not None and (done % EVERY == 0 or done == len(missing)):
                write(table, path, replaced)
    return table


def check_form(path: Path) -> None:
    """Raises UsageError for an ending that is not ours, MissingExtra for parquet without pyarrow."""
    if path.suffix not in FORMS:
        raise UsageError(f"{path.name}: features are written as {', '.join(FORMS)}\n  name it: features.csv")
    if path.suffix == ".parquet" and find_spec("pyarrow") is None:
        raise MissingExtra("a parquet file", "pyarrow", "predictors")


def write(table: FeatureTable, path: Path, replaced: Replaced | None = None) -> None:
    """The table as a file; the ending says in which form."""
    records = list(table.records())
    names = [n for n in (*ABOUT, *DESCRIPTIONS) if any(n in r for r in records) or n in ABOUT]
    with nullcontext(path) if replaced is None else replaced(path) as part:
        if path.suffix == ".jsonl":
            part.write_text("".join(json.dumps(r, allow_nan=False) + "\n" for r in records), encoding="utf-8")
        elif path.suffix == ".csv":
            with part.open("w", newline="", encoding="utf-8") as file:
                out = csv.DictWriter(file, names, restval="")
                out.writeheader()
                out.writerows(records)
        else:
            columns = {n: [r.get(n) for r in records] for n in names}
            made = import_module("pyarrow").table(columns)
            import_module("pyarrow.parquet").write_table(made, part)


def read(path: Path, about: dict[str, Any] | None = None) -> FeatureTable:
    """What `write` wrote; UsageError for another file, another version, or others than `about` says."""
    check_form(path)
    try:
        records = list(_records(path))
    except (OSError, ValueError, csv.Error) as error:
        raise UsageError(f"{path} is no table of features: {type(error).__name__}: {error}") from None
    table = FeatureTable({})
    for number, record in enumerate(records, start=1):
        own = {k: record.pop(k, "") for k in ABOUT}
        if not own["arch"] or str(own["features"]) == "":
            raise UsageError(
                f"{path}, row {number}: no architecture or no version of the features.\n"
                "  make one: untrained features rnn_cell -n 100 -o features.csv"
            )
        _agrees(path, own, about or table.about or {"features": FEATURES})
        if own["arch"] in table.rows or own["arch"] in table.reasons:
            raise UsageError(f"{path}, row {number}: the architecture {own['arch']} stands there twice")
        table.about = {k: own[k] for k in ABOUT[1:-1]} if about is None else dict(about)
        if own["reason"]:
            table.reasons[own["arch"]] = own["reason"]
            continue
        try:
            row = {k: float(v) for k, v in record.items() if v is not None and v != ""}
        except (TypeError, ValueError, OverflowError) as error:
            raise UsageError(f"{path}, row {number}: {error}") from None
        if bad := [k for k, v in row.items() if not math.isfinite(v)]:
            raise UsageError(f"{path}, row {number}: {bad[0]} is {row[bad[0]]}, which is no feature")
        table.rows[own["arch"]] = row
    if not table.about:
        table.about = dict(about or {})
    return table


def _records(path: Path) -> Iterator[dict[str, Any]]:
    if path.suffix == ".parquet":
        try:
            yield from import_module("pyarrow.parquet").read_table(path).to_pylist()
        except import_module("pyarrow").ArrowException as error:
            raise ValueError(str(error)) from None
        return
    with path.open(newline="", encoding="utf-8") as file:
        if path.suffix == ".csv":
            yield from csv.DictReader(file)
            return
        for line in filter(str.strip, file):
            record = json.loads(line)
            if not isinstance(record, dict):
                raise ValueError("a line is not an object")
            yield record


def _agrees(path: Path, own: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Raises UsageError where a row was measured in another way."""
    for name, value in wanted.items():
        if str(own[name] if own[name] is not None else "") == str(value):
            continue
        what = "version of the features" if name == "features" else name
        raise UsageError(
            f"{path} has features of another {what}: {str(own[name])!r}, not {str(value)!r}.\n"
            "  name another file, or delete this one to measure again"
        )
