"""Which choices matter on a table or in a study, and the smaller space that keeps the best."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import numpy.typing as npt

from untrained import __version__
from untrained.core import registry
from untrained.core.architecture import Architecture
from untrained.core.benchmark import Benchmark, Row
from untrained.core.effects import LEAST, Effects, effects
from untrained.core.errors import BadData, UnknownName, UsageError
from untrained.core.named import construct
from untrained.core.narrowed import narrowed, to_json
from untrained.core.narrowing import LOSE, Part, best, narrow
from untrained.core.space import Space
from untrained.core.traits import Block, blocks

Floats = npt.NDArray[np.float64]

KEEP = 0.10  # of the architectures are the best
FOLDS = 5  # in which the narrowing is tried on what it has not seen
DRAWN = 2_000  # architectures drawn to tell the size of what nobody can count


@dataclass(frozen=True)
class Known:
    """Architectures of one space with their quality, higher for better; each once."""

    what: str
    """benchmark or store"""
    space: Space
    typed: str
    """the space as one types it"""
    target: str
    unit: str
    sign: int
    """+1 where the value itself is better higher, else -1"""
    archs: list[Architecture]
    quality: Floats
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class HeldOut:
    """What becomes of architectures that had no part in the narrowing, over five folds."""

    best: int
    kept: int
    """of those best"""
    kept_low: float
    """share of the best that are kept, 95 % interval"""
    kept_high: float
    inside: float
    """share of all that lie in the smaller space"""
    loss: float | None
    """best value of all less the best that is kept, in the unit of the truth; None where nothing is kept"""
    mean_inside: float | None
    """mean value in the smaller space; None where nothing lies in it"""
    mean: float
    """mean value of all"""


@dataclass
class Reduction:
    """Effects, the smaller space, and what it costs to search only there."""

    known: Known
    effects: Effects
    keep: float
    part: Part
    fixed: dict[str, tuple[Any, ...]]
    """decisions that do not matter, at their cheapest option; empty unless asked for"""
    held_out: HeldOut
    whole: int | None
    """architectures of the space; None where they cannot be counted"""
    size: int | None
    """of the smaller one"""
    share: float | None
    """size / whole; where they cannot be counted, among random draws; None where that is too rare to see"""
    notes: list[str] = field(default_factory=list)

    @property
    def space(self) -> Space | None:
        """The smaller space; None where nothing was found to leave out."""
        if not self.options and not self.limits:
            return None
        return narrowed(self.known.space, self.options, self.limits)

    @property
    def options(self) -> dict[str, tuple[Any, ...]]:
        """What decisions may still be; only those that lost an option."""
        return {**self.part.options(self.known.space), **self.fixed}

    @property
    def limits(self) -> dict[str, tuple[float, float]]:
        """Least and most of traits that are no decisions with options."""
        return self.part.limits(self.known.space)

    def to_json(self) -> str:
        """The file that search, sample and others take as a space; UsageError where there is none."""
        if self.space is None:
            raise UsageError(f"no smaller space was found for {self.known.what}, so none can be written")
        made = {"what": self.known.what, "target": self.known.target, "keep": self.keep}
        made |= {"untrained": __version__, "held_out": asdict(self.held_out)}
        return to_json(self.known.typed, self.options, self.limits, made)

    def record(self) -> dict[str, Any]:
        """Everything as one JSON object."""
        told = self.effects
        return {
            "what": self.known.what,
            "space": self.known.typed,
            "target": self.known.target,
            "architectures": len(self.known.archs),
            "explained": [told.explained, told.low, told.high],
            "choices": [asdict(e) | {"verdict": told.verdict(e.choice)} for e in told.choices],
            "pairs": [asdict(e) | {"verdict": e.verdict} for e in told.pairs],
            "options": [asdict(o) for o in told.options],
            "keep": self.keep,
            "kept_options": {k: list(v) for k, v in self.options.items()},
            "bounds": {k: list(v) for k, v in self.part.bounds.items()},
            "fixed": list(self.fixed),
            "whole": self.whole,
            "size": self.size,
            "share": self.share,
            "held_out": asdict(self.held_out),
            "notes": self.notes,
        }


def from_benchmark(
    name: str, data: str | None = None, target: str | None = None, space: str | None = None
) -> Known:
    """The rows of a benchmark that have an architecture and a truth; equal ones as the mean of theirs.

    `space` is the one to narrow, such as `gpt_decoder:family=lts`; that of the benchmark if none is named.
    """
    from untrained.benchmarks import folder

    table: Benchmark = construct("benchmark", name)
    names = [t.name for t in table.targets]
    if target is not None and target not in names:
        raise UnknownName("truth", target, names, more=f"untrained show {table.name}")
    goal = next(t for t in table.targets if target in (None, t.name))
    typed = space or table.space
    place: Space = construct("space", typed)
    if place.name != table.space:
        raise UsageError(f"{name} has networks of {table.space}, and {typed} is another space")
    rows: Sequence[Row] = table.read(folder(type(table), data), place).rows
    found: dict[Architecture, list[float]] = {}
    for row in rows:
        if row.architecture is not None and goal.name in row.truth:
            found.setdefault(row.architecture, []).append(goal.quality(row.truth[goal.name]))
    if not found:
        raise BadData(f"{name}: no row has both an architecture and {goal.name}")
    unit = f"ln {goal.unit}" if goal.log else goal.unit
    quality = np.array([math.fsum(v) / len(v) for v in found.values()])
    sign = 1 if goal.better == "higher" else -1
    return Known(name, place, typed, goal.name, unit, sign, list(found), quality)


def from_store(location: str, study: str | None = None) -> Known:
    """The good trials of a study, by their first objective."""
    from untrained.studies.store import load

    found = load(location, study=study)
    label, better = found.question.objectives[0]
    good = found.distinct()
    space: Space = construct("space", found.question.space)
    notes = [f"{label} is a score of untrained networks, not their truth."]
    if found.question.strategy.partition(":")[0] != "random_search":
        notes.append(
            f"{found.question.strategy} looks more often where it was good; random_search would be fairer."
        )
    return Known(
        location,
        space,
        found.question.space,
        label,
        "",
        1 if better == "higher" else -1,
        [t.architecture for t in good],
        np.array([t.score for t in good], float),
        tuple(notes),
    )


def known(
    what: str,
    *,
    data: str | None = None,
    target: str | None = None,
    space: str | None = None,
    study: str | None = None,
) -> Known:
    """A benchmark by its name, or a study by its store."""
    name = what.partition(":")[0]
    if name in registry.names("benchmark"):
        return from_benchmark(what, data, target, space)
    if "://" in what or Path(what).expanduser().exists() or what.endswith(".db"):
        if target is not None or space is not None:
            raise UsageError("--target and --space are for a benchmark; a study is read as it was asked")
        return from_store(what, study)
    raise UnknownName(
        "benchmark", what, registry.names("benchmark"), more="or the store of a study: study.db"
    )


def reduce(
    found: Known, *, keep: float = KEEP, lose: float = LOSE, fix: bool = False, seed: int = 0
) -> Reduction:
    """Effects of every choice, and the part of the space that keeps the best share `keep`.

    At most a share `lose` of those may be lost. With `fix`, choices that do not matter are fixed at their
    cheapest option. Raises UsageError for fewer than 20 architectures.
    """
    for name, value in (("keep", keep), ("lose", lose)):
        if not 0 <= value < 1 or (name == "keep" and value == 0):
            raise UsageError(f"{name}={value:g} is not a share between 0 and 1; write {name} 10%")
    if len(found.archs) < LEAST:
        effects([], found.quality)  # raises with what to do
    parts = blocks(found.space, found.archs)
    told = effects(parts, found.quality, pairs=True, seed=seed)
    part = _part(found.space, found.archs, found.quality, told, keep, lose)
    fixed = _cheapest(found, parts, told.idle()) if fix else {}
    notes = [*found.notes, *_notes(found, told, part)]
    result = Reduction(
        found, told, keep, part, fixed, _held_out(found, keep, lose, seed), None, None, None, notes
    )
    result.whole = found.space.size()
    _measure(result)
    return result


# --- the parts ----------------------------------------------------------------------------------------


def _part(
    space: Space, archs: Sequence[Architecture], quality: Floats, told: Effects, keep: float, lose: float
) -> Part:
    """Only choices that tell something are narrowed."""
    if not told.found:
        return Part()
    names = [*told.decide(), *told.shared()]
    return narrow(space, archs, quality, names, keep=keep, lose=lose)


def _held_out(found: Known, keep: float, lose: float, seed: int) -> HeldOut:
    """Narrows by four fifths of the architectures and looks at the last one, five times."""
    n = len(found.archs)
    good, inside = best(found.quality, keep), np.ones(n, bool)
    fold = np.random.default_rng(seed).permutation(np.arange(n) % FOLDS)
    for k in range(FOLDS):
        seen = [i for i in range(n) if fold[i] != k]
        archs, quality = [found.archs[i] for i in seen], found.quality[seen]
        if len(seen) < LEAST:
            continue
        told = effects(blocks(found.space, archs), quality, seed=seed)
        part = _part(found.space, archs, quality, told, keep, lose)
        for i in np.flatnonzero(fold == k).tolist():
            inside[i] = part.holds(found.space.traits(found.archs[i]))
    low, high = wilson(int((good & inside).sum()), int(good.sum()))
    loss = float(found.quality.max() - found.quality[inside].max()) if inside.any() else None
    return HeldOut(
        int(good.sum()),
        int((good & inside).sum()),
        low,
        high,
        float(inside.mean()),
        loss,
        float(found.sign * found.quality[inside].mean()) if inside.any() else None,
        float(found.sign * found.quality.mean()),
    )


def wilson(hits: int, n: int) -> tuple[float, float]:
    """95 % interval of a share of which `hits` of `n` were seen; also where all or none were.

    Source: Wilson 1927, Journal of the American Statistical Association 22
    """
    z2 = 1.959964**2
    middle, half = hits + z2 / 2, math.sqrt(z2 * (hits * (n - hits) / n + z2 / 4))
    return max(0.0, (middle - half) / (n + z2)), min(1.0, (middle + half) / (n + z2))


def _cheapest(found: Known, parts: Sequence[Block], idle: Sequence[str]) -> dict[str, tuple[Any, ...]]:
    """For each idle decision the declared option that goes with the fewest parameters."""
    slots = found.space.declared()
    sizes = [found.space.count(a).get("params") for a in found.archs]
    chosen: dict[str, tuple[Any, ...]] = {}
    for name in [n for b in parts if b.choice in idle for n in (b.choice, *b.also) if n in slots]:
        costs: dict[Any, list[float]] = {o: [] for o in slots[name].options}
        for arch, size in zip(found.archs, sizes, strict=True):
            value = getattr(arch, name)
            for v in value if slots[name].per else (value,):
                if v in costs and size is not None:
                    costs[v].append(float(size))
        known_costs = {o: math.fsum(c) / len(c) for o, c in costs.items() if c}
        chosen[name] = (
            min(known_costs, key=known_costs.__getitem__) if known_costs else slots[name].options[0],
        )
    return chosen


def _measure(result: Reduction) -> None:
    """How large the smaller space is, counted, or seen among random draws of the whole."""
    smaller = result.space
    if smaller is None:
        result.size, result.share = result.whole, 1.0
        return
    result.size = smaller.size()
    if result.size is not None and result.whole:
        result.share = result.size / result.whole
        return
    rng = Random(0)
    drawn = [result.known.space.sample(rng) for _ in range(DRAWN)]
    hits = sum(smaller.inside(a) for a in drawn)  # type: ignore[attr-defined]
    result.share = hits / DRAWN if hits else None
    result.notes.append(f"The space cannot be counted; its part is that of {DRAWN:,} random draws.")


def _notes(found: Known, told: Effects, part: Part) -> list[str]:
    notes = []
    if told.n < len(found.archs):
        notes.append(
            f"Effects are those of {told.n:,} of {len(found.archs):,} architectures, drawn at random."
        )
    slots = found.space.declared()
    for name, (low, high) in part.bounds.items():
        if name in slots and not any(low <= o <= high for o in slots[name].options):
            said = f"{low:g}" if low == high else f"{low:g} to {high:g}"
            notes.append(f"The best have {name} {said}, and {found.typed} has no such option: left as it is.")
    if slots:
        together = [f"{e.choice} with {', '.join(e.also)}" for e in told.choices if e.also]
        if together:
            notes.append(
                f"Always go together here, so that they cannot be told apart: {'; '.join(together)}."
            )
    return notes
