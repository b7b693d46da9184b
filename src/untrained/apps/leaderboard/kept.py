"""Scores that are kept in a folder, so that a new proxy costs its own passes only and a kill loses nothing.

A sheet has three files: `NAME.csv` with one line a row of the benchmark (id, key, each score, truth; empty
where a network has none), `NAME.json` with what the scores are of and the seconds of each proxy, and, while
something is measured, `NAME.part.jsonl` with one line a network as soon as it is known.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from untrained import __version__
from untrained.apps.probing import Lab, flat
from untrained.core.architecture import Architecture
from untrained.core.benchmark import Row
from untrained.core.errors import UntrainedError, UsageError
from untrained.core.files import write_whole
from untrained.core.metric import FORMULA, Measurement, Metric
from untrained.core.text import load

FORMAT, VERSION = "untrained-scores", 1
SPOILT = (
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    OverflowError,
)  # what files of something else raise


def about(lab: Lab, typed: str) -> dict[str, Any]:
    """What has to be equal for scores to be the same."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "release": __version__,
        "benchmark": typed,
        "scale": lab.scale,
        "draw": lab.first,
        "text": (lab.corpus or load()).sha256[:16],
    }


def called(metric: Metric) -> str:
    """The name under which a metric's scores are kept; a formula's changes with what its file says."""
    if not metric.label.endswith(FORMULA):
        return metric.label
    said = Path(metric.label).expanduser().read_bytes()
    return f"{metric.label}@{hashlib.sha256(said).hexdigest()[:12]}"


@dataclass
class Sheet:
    """Scores of the networks of one benchmark, of one draw of weights and one text."""

    about: Mapping[str, Any]
    rows: Sequence[Row]
    """all rows of the benchmark that have an architecture"""
    target: str
    path: Path | None = None
    """folder and name, without an ending; None keeps nothing"""
    values: dict[str, dict[str, float]] = field(default_factory=dict)
    """architecture -> column -> score"""
    done: dict[str, set[str]] = field(default_factory=dict)
    """architecture -> proxies that were asked"""
    spent: dict[str, tuple[float, int]] = field(default_factory=dict)
    """proxy -> seconds in all, and the networks that took them"""

    def __post_init__(self) -> None:
        if self.path is not None:
            self._read_table(self._file(".csv"), self._file(".json"))
            self._read_part(self._file(".part.jsonl"))

    @property
    def known(self) -> set[str]:
        """Proxies that every network here was asked."""
        return set.intersection(*self.done.values()) if self.done else set()

    def missing(
        self, archs: Sequence[Architecture], names: Iterable[str]
    ) -> dict[frozenset[str], list[Architecture]]:
        """Proxies that are to be asked, each set with its networks.

        A network that is new is asked what the others were asked too, so that the table has no holes.
        """
        wanted = set(names)
        before = self.known
        groups: dict[frozenset[str], list[Architecture]] = {}
        for arch in archs:
            asked = wanted - self.done[arch.id] if arch.id in self.done else wanted | before
            if asked:
                groups.setdefault(frozenset(asked), []).append(arch)
        return groups

    def add(self, arch: Architecture, measured: Mapping[str, Measurement]) -> None:
        """What was measured of one network, by kept name; on disk when this returns."""
        record = {
            "id": arch.id,
            "seconds": {name: m.seconds for name, m in measured.items()},
            "values": flat(measured),
        }
        if self.path is not None:
            part = self._file(".part.jsonl")
            try:
                new = not part.exists()
                with part.open("a", encoding="utf-8") as file:
                    file.write((f"{json.dumps(self.about)}\n" if new else "") + f"{json.dumps(record)}\n")
            except OSError as error:
                raise UntrainedError(f"{part} cannot be written: {error.strerror}") from error
        self._take(record)

    def close(self) -> None:
        """Puts what was measured into the table; the line-by-line file goes once nothing is only there."""
        if self.path is None or not self.done or not self._file(".part.jsonl").exists():
            return
        known = sorted(self.known)
        seconds = {name: total / count for name, (total, count) in self.spent.items() if name in known}
        write_whole(self._file(".csv"), self._table(known))
        write_whole(self._file(".json"), json.dumps({**self.about, "seconds": seconds}, indent=1) + "\n")
        if all(asked == set(known) for asked in self.done.values()):
            self._file(".part.jsonl").unlink()

    def column(self, name: str, rows: Sequence[Row]) -> list[float]:
        """A score of each row; NaN where there is none."""
        ids = [r.architecture.id if r.architecture else "" for r in rows]
        return [self.values.get(i, {}).get(name, math.nan) for i in ids]

    def seconds(self, name: str) -> float | None:
        """Mean over the networks; None where it was not measured."""
        total, count = self.spent.get(name, (math.nan, 0))
        return total / count if count and math.isfinite(total) else None

    def _file(self, ending: str) -> Path:
        assert self.path is not None, "a sheet without a path has no files"
        return self.path.with_name(self.path.name + ending)

    def _take(self, record: Mapping[str, Any]) -> None:
        arch, before = str(record["id"]), self.done.setdefault(str(record["id"]), set())
        new = {name: float(s) for name, s in record["seconds"].items() if name not in before}
        found = {k: float(v) for k, v in record["values"].items() if owner(k, new)}
        self.values.setdefault(arch, {}).update(found)
        before.update(new)
        for name, seconds in new.items():
            total, count = self.spent.get(name, (0.0, 0))
            self.spent[name] = total + seconds, count + 1

    def _table(self, known: Sequence[str]) -> str:
        """The lines of the rows that were measured, as `correlate --scores` writes them."""
        found = {c for row in self.values.values() for c in row if owner(c, known)}
        columns = [c for name in known for c in [name, *sorted(c for c in found if c.startswith(f"{name}."))]]
        text = io.StringIO()
        out = csv.writer(text, lineterminator="\n")
        out.writerow(["id", "key", *columns, self.target])
        for row in self.rows:
            arch = row.architecture.id if row.architecture else ""
            if arch in self.done:
                values = [_cell(self.values[arch].get(c)) for c in columns]
                out.writerow([arch, row.key, *values, _cell(row.truth.get(self.target))])
        return text.getvalue()

    def _read_table(self, table: Path, told: Path) -> None:
        if not table.exists():
            return
        try:
            seconds = self._said(json.loads(told.read_text(encoding="utf-8"))) if told.exists() else {}
            with table.open(newline="", encoding="utf-8") as file:
                lines = list(csv.DictReader(file))
            columns = [c for c in (lines[0] if lines else {}) if c not in ("id", "key", self.target)]
            known = {name: s for name, s in seconds.items() if name in columns}
            own = [c for c in columns if owner(c, known)]
            by_key = {r.key: r for r in self.rows}
            for line in lines:
                self._check(table, line, by_key.get(line["key"]))
                values = {c: float(line[c]) for c in own if line[c] != ""}
                self.values[line["id"]] = values
                self.done[line["id"]] = set(known)
        except (*SPOILT, OSError, csv.Error) as error:
            raise self._wrong(table, f"no table of scores ({type(error).__name__}: {error})") from None
        self.spent = {name: (s * len(self.done), len(self.done)) for name, s in known.items()}

    def _said(self, told: Mapping[str, Any]) -> dict[str, float]:
        """Seconds by proxy. Scores that say nothing of themselves but that are taken on trust."""
        if "format" in told:
            self._check_about(self._file(".json"), told)
            told = told["seconds"]
        return {name: math.nan if s is None else float(s) for name, s in told.items()}

    def _read_part(self, part: Path) -> None:
        if not part.exists():
            return
        try:
            text = part.read_bytes().decode()
            whole = text[: text.rfind("\n") + 1]
            records = [json.loads(line) for line in whole.splitlines()]
            if records:
                self._check_about(part, records[0])
            ids = {r.architecture.id for r in self.rows if r.architecture}
            for record in records[1:]:
                if record["id"] not in ids:
                    raise self._wrong(part, f"the network {record['id']}, which the benchmark has not")
                self._take(record)
        except (*SPOILT, OSError) as error:
            raise self._wrong(part, f"no lines of scores ({type(error).__name__}: {error})") from None
        if not records:
            part.unlink()  # killed while its first line was written
        elif len(whole) < len(text):  # killed within a line
            write_whole(part, whole)

    def _check(self, table: Path, line: Mapping[str, str], row: Row | None) -> None:
        if row is None or row.architecture is None:
            raise self._wrong(table, f"the row {line['key']!r}, which the benchmark at hand has not")
        if row.architecture.id != line["id"]:
            raise self._wrong(table, f"another network under the key {line['key']!r}")
        truth = line.get(self.target)
        if truth is not None and _number(truth) != row.truth.get(self.target):
            raise self._wrong(table, f"another {self.target} for the key {line['key']!r}")

    def _check_about(self, path: Path, told: Mapping[str, Any]) -> None:
        for name, value in self.about.items():
            if told.get(name) != value:
                raise self._wrong(path, f"scores of another {name}: {told.get(name)!r}, not {value!r}")

    def _wrong(self, path: Path, what: str) -> UsageError:
        return UsageError(
            f"{path} has {what}.\n  name another folder: --scores DIR, or delete the file to measure again"
        )


def owner(column: str, names: Iterable[str]) -> str | None:
    """The proxy that a column belongs to: its own, or that of a part."""
    return next((n for n in names if column == n or column.startswith(f"{n}.")), None)


def _number(cell: str) -> float | None:
    return float(cell) if cell else None


def _cell(value: float | None) -> str:
    return "" if value is None else repr(value)
