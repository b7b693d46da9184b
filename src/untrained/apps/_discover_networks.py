"""The networks of a benchmark as a search for formulas sees them: by half, and each looked at once."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from untrained.apps import api
from untrained.apps.probing import Lab
from untrained.core.architecture import Architecture
from untrained.core.benchmark import Benchmark, Target
from untrained.core.errors import BadData, MeasurementFailed
from untrained.core.files import replaced
from untrained.core.formula import MATRICES
from untrained.core.metric import Metric
from untrained.core.named import construct
from untrained.metrics.formulas import GRID, Shown, needs_of, shown
from untrained.nn.numerics import quiet_numbers

LEAST = 6  # networks in a half
VERSION = 1  # of what is kept of networks, and of logs

Floats = npt.NDArray[np.float64]
Tick = Callable[[], None]


def half(arch: Architecture) -> str:
    """`training` or `held-out`: by the id alone, so the same for ever and on every machine."""
    return "training" if int(arch.id, 16) % 2 == 0 else "held-out"


@dataclass(frozen=True)
class Looked:
    """What was seen of one network: the inputs of formulas, and values of hand-made proxies by label."""

    shown: Shown
    values: Mapping[str, float]


@dataclass(frozen=True)
class Side:
    """One half of one benchmark's networks."""

    benchmark: str
    archs: list[Architecture]
    looks: list[Looked]
    quality: Floats


@dataclass
class Field:
    """One benchmark: networks by half, and the truths of one half at a time."""

    benchmark: Benchmark
    target: Target
    lab: Lab
    truths: dict[Architecture, list[float]]
    notes: list[str] = field(default_factory=list)

    def side(self, which: str, metrics: Sequence[Metric], cache: Path | None, tick: Tick) -> Side:
        """The networks of one half, looked at; the other half's truths stay unread."""
        archs, looks = [], []
        for arch in self.truths:
            if half(arch) != which:
                continue
            try:
                looks.append(look(self.lab, arch, metrics, cache))
                archs.append(arch)
            except MeasurementFailed as error:
                self.notes.append(
                    f"{self.benchmark.name} {arch.id} is left out: {str(error).splitlines()[0]}"
                )
            tick()
        self._check(which, len(archs))
        quality = np.array([math.fsum(q := self.truths[a]) / len(q) for a in archs])
        return Side(self.benchmark.name, archs, looks, quality)

    def check(self) -> None:
        """Raises BadData, before the work, where a half is too small, or has one truth, to say anything."""
        for which in ("training", "held-out"):
            self._check(which, sum(half(a) == which for a in self.truths))
        if len({math.fsum(q) / len(q) for a, q in self.truths.items() if half(a) == "training"}) < 2:
            raise BadData(
                f"{self.benchmark.name}: every network of the training half has the same {self.target.name},"
                " so that no formula is better than another"
            )

    def _check(self, which: str, count: int) -> None:
        if count < LEAST:
            raise BadData(
                f"{self.benchmark.name}: {count} networks in the {which} half, fewer than {LEAST}:"
                " too few to say anything"
            )


def opened(
    name: str, data: str | Path | None, limit: int | None, text: str | Path | None, scale: str
) -> Field:
    """A benchmark with its architectures; equal ones are one, with the mean of their truths."""
    from untrained.benchmarks import folder

    table: Benchmark = construct("benchmark", name)
    place = api.lab(table.space, scale=scale, text=text)
    read = table.read(folder(type(table), None if data is None else str(data)), place.space)
    target = table.targets[0]
    truths: dict[Architecture, list[float]] = {}
    for row in read.rows:
        if row.architecture is not None and target.name in row.truth:
            truths.setdefault(row.architecture, []).append(target.quality(row.truth[target.name]))
    return Field(table, target, place, dict(list(truths.items())[:limit]))


def look(lab: Lab, arch: Architecture, metrics: Sequence[Metric], cache: Path | None) -> Looked:
    """One network seen once; what is in the cache folder is not looked at again."""
    path = None if cache is None else cache / f"{_address(lab, arch, metrics)}.npz"
    if path is not None and (kept := _opened(path)) is not None:
        return kept
    with quiet_numbers():
        probe = lab.probe(arch).expect(needs_of(MATRICES))
        seen = shown(probe)
        values = {}
        for m in metrics:
            found = m(lab.probe(arch, "cost") if m.kind == "cost" else probe)
            if found.value is not None:  # of a size, more is taken to be better
                values[m.label] = found.value if m.kind == "cost" else found.goodness
    made = Looked(seen, values)
    if path is not None:
        _store(path, made)
    return made


def _address(lab: Lab, arch: Architecture, metrics: Sequence[Metric]) -> str:
    text = "" if lab.corpus is None else lab.corpus.sha256
    what = [VERSION, GRID, lab.space.name, lab.typed, lab.scale, text, arch.to_json()]
    return hashlib.sha256(json.dumps([*what, *(m.label for m in metrics)]).encode()).hexdigest()[:24]


def _opened(path: Path) -> Looked | None:
    """What was kept under that name; None where nothing readable is."""
    try:
        with np.load(path, allow_pickle=False) as file:
            numbers = json.loads(str(file["numbers"]))
            matrices = {k: file[k] for k in file.files if k != "numbers"}
        return Looked(Shown(matrices, numbers["scalars"]), numbers["values"])
    except (OSError, ValueError, KeyError, BadZipFile):
        return None


def _store(path: Path, made: Looked) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    numbers = json.dumps({"scalars": dict(made.shown.scalars), "values": dict(made.values)})
    with replaced(path) as part, part.open("wb") as file:  # of a mere name savez would make another
        np.savez(file, numbers=np.array(numbers), **made.shown.matrices)  # type: ignore[arg-type]
