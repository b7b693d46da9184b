"""Formulas that order a benchmark's networks, found by genetic programming on one half of them."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from untrained.apps import api
from untrained.apps._breeding import crossed, grown, mutated
from untrained.apps.probing import Lab, resolve
from untrained.core.architecture import Architecture
from untrained.core.benchmark import Benchmark, Target
from untrained.core.errors import BadData, MeasurementFailed, UsageError
from untrained.core.files import replaced, write_whole
from untrained.core.formula import MATRICES, Formula, Node, Sheet, apply, canonical, fault
from untrained.core.metric import Metric
from untrained.core.named import construct
from untrained.core.statistics import kendall_tau_a, paired_bootstrap
from untrained.metrics.formulas import GRID, Shown, needs_of, sheet, shown
from untrained.nn.numerics import quiet_numbers

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
POPULATION, BROOD, TOURNAMENT = 200, 50, 4
STRANGERS = 0.1  # share of a brood that has no parents
PARSIMONY = 0.002  # of tau-a, for each node
ROOM = 64  # grids of parts of formulas that are kept: 4 KiB each for every layer of every network
LEAST = 6  # networks in a half
BEST = 5  # formulas that are told
DRAWS = 1_000
FORMAT, VERSION = "untrained-discovery", 1

Floats = npt.NDArray[np.float64]
Progress = Callable[[int, int | None], None]
Names = str | Metric | Iterable[str | Metric]


def half(arch: Architecture) -> str:
    """`training` or `held-out`: by the id alone, so the same for ever and on every machine."""
    return "training" if int(arch.id, 16) % 2 == 0 else "held-out"


# --- networks --------------------------------------------------------------------------------------


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


Tick = Callable[[], None]


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


# --- fitness ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Judged:
    """A formula and what it is worth on the training half; `taus` are empty where it has no value."""

    node: Node
    taus: tuple[float, ...]
    digest: str
    """the order in which it puts the networks"""

    @property
    def fitness(self) -> float:
        return math.fsum(self.taus) / len(self.taus) - PARSIMONY * self.node.size if self.taus else -math.inf


class Judge:
    """Measures formulas on some sides at once."""

    def __init__(self, sides: Sequence[Side], room: int = ROOM) -> None:
        self.sheet: Sheet = sheet([x.shown for s in sides for x in s.looks], room=room)
        self.qualities = [s.quality for s in sides]
        self._cuts = np.cumsum([len(q) for q in self.qualities])[:-1]

    def values(self, node: Node) -> list[Floats] | None:
        """The formula's values by side; None where one is not finite."""
        found = self.sheet.value(node)
        if found.ndim == 0 or not np.isfinite(found).all():
            return None
        return np.split(found, self._cuts)

    def __call__(self, node: Node) -> Judged:
        """The formula, or its negative where that is the better one."""
        found = self.values(node)
        if found is None:
            return Judged(node, (), "")
        taus = [kendall_tau_a(v, q) for v, q in zip(found, self.qualities, strict=True)]
        whole = np.concatenate(found)
        if math.fsum(taus) < 0:
            taus, whole, node = [-t for t in taus], -whole, canonical(apply("neg", node))
        return Judged(node, tuple(taus), _order(whole))


def _order(values: Floats) -> str:
    """A name for the order that values give, equal for values that differ by rounding only."""
    fraction, power = np.frexp(values)
    rounded = np.ldexp(np.round(fraction * 2**20), power - 20)
    ranks = np.unique(rounded, return_inverse=True)[1].astype(np.int32)
    return hashlib.sha256(ranks.tobytes()).hexdigest()[:16]


# --- evolution -------------------------------------------------------------------------------------


class Evolution:
    """Broods of formulas; each depends on the seed, its number and what was judged before it alone."""

    def __init__(self, inputs: Sequence[str], seed: int) -> None:
        self.inputs, self.seed = list(inputs), seed
        self.alive: list[Judged] = []
        self.keys: set[str] = set()
        self.orders: set[str] = set()
        self.generation = self.faulty = self.twins = 0

    def brood(self) -> list[Node]:
        """The next formulas to judge: canonical, none of them degenerate, none seen before."""
        rng = Random(f"{self.seed}/{self.generation}")
        self.generation += 1
        found: list[Node] = []
        for _ in range(200 * BROOD):
            node = canonical(self._child(rng))
            if node.key in self.keys:
                continue
            self.keys.add(node.key)
            if fault(node):
                self.faulty += 1
                continue
            found.append(node)
            if len(found) == BROOD:
                break
        return found

    def _child(self, rng: Random) -> Node:
        if len(self.alive) < POPULATION // 4 or rng.random() < STRANGERS:
            return grown("net", self.inputs, rng)
        mother = self._parent(rng)
        if rng.random() < 0.5:
            child = crossed(mother, self._parent(rng), rng)
            return mutated(child, self.inputs, rng) if rng.random() < 0.3 else child
        return mutated(mother, self.inputs, rng)

    def _parent(self, rng: Random) -> Node:
        return self.alive[min(rng.randrange(len(self.alive)) for _ in range(TOURNAMENT))].node

    def learn(self, judged: Sequence[Judged]) -> None:
        """The fittest of old and new stay; a formula that orders like one before it does not join."""
        for one in judged:
            if not one.taus:
                continue
            if one.digest in self.orders:
                self.twins += 1
                continue
            self.orders.add(one.digest)
            self.alive.append(one)
        self.alive.sort(key=lambda j: (-j.fitness, j.node.key))
        del self.alive[POPULATION:]


class Log:
    """What was judged, one JSON line a formula; a run that was stopped is replayed from it.

    The first line says of what search it is. A line that is cut off, as by a kill, is dropped.
    """

    def __init__(self, path: Path | None, header: Mapping[str, Any]) -> None:
        self.path, self.old = path, list[dict[str, Any]]()
        self.count = 0
        if path is None:
            return
        first = json.dumps(dict(header))
        if path.exists() and path.stat().st_size:
            self._take_up(path, first)
        else:
            _write(path, [first])

    def _take_up(self, path: Path, first: str) -> None:
        try:
            text = path.read_bytes().decode()
            whole = text[: text.rfind("\n") + 1].splitlines()
            records = [json.loads(line) for line in whole]
        except (ValueError, RecursionError):
            raise UsageError(f"the log {path} is not JSON lines\n  name another file: --log FILE") from None
        if not records:  # killed while the first line was written
            _write(path, [first])
            return
        if records[0] != json.loads(first):
            raise UsageError(
                f"the log {path} is of another search: other networks, seed or release\n"
                "  name another file: --log FILE"
            )
        for number, record in enumerate(records[1:], start=2):
            if not _sound(record):
                raise UsageError(
                    f"the log {path}, line {number}, is no formula that was judged\n"
                    "  name another file: --log FILE"
                )
        self.old = records[1:]
        _write(path, whole)

    def judge(self, nodes: Sequence[Node], judge: Callable[[Node], Judged]) -> tuple[list[Judged], int]:
        """Each node judged, by memory where the log has it, and how many were new."""
        found, lines = [], []
        for node in nodes:
            if self.count < len(self.old):
                record = self.old[self.count]
                if record.get("asked") != node.key:
                    raise UsageError(f"the log {self.path} is of another search: line {self.count + 2}")
                turned = canonical(apply("neg", node)) if record["turned"] else node
                found.append(Judged(turned, tuple(record["taus"]), record["order"]))
            else:
                one = judge(node)
                found.append(one)
                lines.append(
                    json.dumps(
                        {
                            "asked": node.key,
                            "turned": one.node != node,
                            "taus": list(one.taus),
                            "order": one.digest,
                        }
                    )
                )
            self.count += 1
        if lines and self.path is not None:
            with self.path.open("a", encoding="utf-8") as file:
                file.write("".join(f"{line}\n" for line in lines))
        return found, len(lines)


def _sound(record: Any) -> bool:
    """Whether a line of a log is what `Log.judge` writes."""
    if not isinstance(record, dict) or not isinstance(record.get("taus"), list):
        return False
    kinds = {"asked": str, "turned": bool, "order": str}
    taus = all(isinstance(t, int | float) and abs(t) <= 1 + 1e-9 for t in record["taus"])
    return taus and all(isinstance(record.get(name), kind) for name, kind in kinds.items())


def _write(path: Path, lines: Sequence[str]) -> None:
    write_whole(path, "".join(f"{line}\n" for line in lines))


# --- the whole -------------------------------------------------------------------------------------


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
        _write(Path(path), [self.formula.to_json().rstrip("\n")])


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
    report = _Report(fields, training, outside, [m.label for m in metrics])
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


class _Report:
    """Formulas against hand-made proxies on both halves."""

    def __init__(
        self,
        fields: Sequence[Field],
        training: Sequence[Side],
        outside: Sequence[Side],
        rivals: Sequence[str],
    ) -> None:
        self.fields, self.training, self.outside, self.names = fields, training, outside, rivals
        self.inside_judge, self.outside_judge = Judge(training, 0), Judge(outside, 0)
        self.rivals = [self._rival(a, b, rivals) for a, b in zip(training, outside, strict=True)]

    def _rival(self, training: Side, outside: Side, names: Sequence[str]) -> str | None:
        """The best hand-made proxy by the training half, of those with a value on every network."""
        able = [n for n in names if all(n in x.values for s in (training, outside) for x in s.looks)]
        return max(able, key=lambda n: kendall_tau_a(_column(training, n), training.quality), default=None)

    def measurable(self, node: Node) -> bool:
        return (
            node.inputs <= set(self.outside_judge.sheet.inputs)
            and self.outside_judge.values(node) is not None
        )

    def records(self, rank: int, node: Node) -> list[dict[str, Any]]:
        inner, outer = self.inside_judge.values(node), self.outside_judge.values(node)
        assert inner is not None, "a formula without values on the training half was kept"
        assert outer is not None, "a formula without values on the held-out half was kept"
        found = []
        for i, (f, a, b) in enumerate(zip(self.fields, self.training, self.outside, strict=True)):
            record = {
                "rank": rank,
                "formula": str(node),
                "benchmark": f.benchmark.name,
                "target": f.target.name,
                "n_training": len(a.archs),
                "n_held_out": len(b.archs),
                "tau_a_training": kendall_tau_a(inner[i], a.quality),
                "tau_a_held_out": kendall_tau_a(outer[i], b.quality),
            }
            found.append(record | self._against(self.rivals[i], a, b, outer[i]))
        return found

    def _against(self, rival: str | None, a: Side, b: Side, mine: Floats) -> dict[str, Any]:
        if rival is None:
            keys = ("rival", "rival_tau_a_training", "rival_tau_a_held_out", "minus_rival")
            return dict.fromkeys((*keys, "minus_rival_low", "minus_rival_high"))
        theirs = _column(b, rival)
        difference, low, high = paired_bootstrap(kendall_tau_a, mine, theirs, b.quality, draws=DRAWS)
        return {
            "rival": rival,
            "rival_tau_a_training": kendall_tau_a(_column(a, rival), a.quality),
            "rival_tau_a_held_out": kendall_tau_a(theirs, b.quality),
            "minus_rival": difference,
            "minus_rival_low": low,
            "minus_rival_high": high,
        }

    def verdict(self, node: Node) -> str:
        """Whether the mean over the benchmarks of tau-a is surely above that of hand-made proxies.

        Above that of the best in each benchmark, which may be a different one in each, and above that of
        the best one that scores all the networks; both are chosen by the training half.
        """
        values = self.outside_judge.values(node)
        assert values is not None, "a formula without values on the held-out half was kept"
        if any(r is None for r in self.rivals):
            return "No hand-made proxy has a value on every network, so the formula is compared with none."
        own = [str(r) for r in self.rivals]
        where = ", ".join(f"{r} on {s.benchmark}" for r, s in zip(own, self.outside, strict=True))
        said = (
            f"On the held-out half the formula {self._compared(values, own, f'the best of each ({where})')}"
        )
        alone = self._single()
        if alone is None or set(own) == {alone}:
            return f"{said}."
        return f"{said}; it {self._compared(values, [alone] * len(own), f'{alone}, the best for all')}."

    def _single(self) -> str | None:
        """The best by the training halves of those that have a value on every network of all benchmarks."""
        sides = [*self.training, *self.outside]
        able = [n for n in self.names if all(n in x.values for s in sides for x in s.looks)]
        return max(
            able,
            key=lambda n: math.fsum(kendall_tau_a(_column(s, n), s.quality) for s in self.training),
            default=None,
        )

    def _compared(self, values: Sequence[Floats], rivals: Sequence[str], who: str) -> str:
        pairs = [
            (mine, _column(side, rival), side.quality)
            for mine, side, rival in zip(values, self.outside, rivals, strict=True)
        ]
        mean = [math.fsum(kendall_tau_a(p[k], p[2]) for p in pairs) / len(pairs) for k in (0, 1)]
        low, high = _mean_interval(pairs)
        said = "beats" if low > 0 else "loses to" if high < 0 else "does not surely differ from"
        return (
            f"{said} {who}: mean tau-a {mean[0]:.3f} against {mean[1]:.3f}, difference"
            f" {mean[0] - mean[1]:+.3f} [{low:+.3f}, {high:+.3f}]"
        )


def _column(side: Side, name: str) -> Floats:
    return np.array([x.values[name] for x in side.looks])


def _mean_interval(pairs: Sequence[tuple[Floats, Floats, Floats]]) -> tuple[float, float]:
    """95 % bootstrap interval of the mean over benchmarks of the difference of tau-a."""
    rng, found = np.random.default_rng(0), []
    for _ in range(DRAWS):
        total = 0.0
        for mine, theirs, quality in pairs:
            i = rng.integers(len(quality), size=len(quality))
            total += kendall_tau_a(mine[i], quality[i]) - kendall_tau_a(theirs[i], quality[i])
        found.append(total / len(pairs))
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)
