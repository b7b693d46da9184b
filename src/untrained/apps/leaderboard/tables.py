"""Which benchmarks, which of their networks, and which proxies stand on the page."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from untrained.apps import api
from untrained.apps.probing import Lab
from untrained.core import registry
from untrained.core.architecture import Architecture
from untrained.core.benchmark import Benchmark, Row, Target
from untrained.core.errors import BadData, UsageError
from untrained.core.metric import Metric
from untrained.core.named import construct
from untrained.core.text import Corpus

LIMIT = 1_000  # networks of a table that are compared
MANY = 500  # networks from which only what takes no pass is asked of each
LEAST = 3  # networks that an order takes
REPEATED = 16  # networks that are scored again with other weights and with another text
ALL = "all"


@dataclass(frozen=True)
class Board:
    """A benchmark, read in one way, with the networks that are compared."""

    name: str
    """names its section and its files: `nas_bench_bert_as_trained`"""
    typed: str
    """what to type for it: `nas_bench_bert:operation=attention,feed_forward=trained`"""
    target: Target
    lab: Lab
    table: tuple[Row, ...]
    """every row that has an architecture"""
    rows: tuple[Row, ...]
    """those with the truth, of the networks that are compared"""
    whole: int
    """networks that have the truth"""
    by_id: bool = True
    """whether those that are compared are the ones with the smallest ids"""

    @property
    def archs(self) -> list[Architecture]:
        """The networks that are compared, each once, by id: so a run that was stopped has the smallest."""
        return sorted({r.architecture for r in self.rows if r.architecture is not None}, key=lambda a: a.id)

    def again(self) -> list[Architecture]:
        """Those that are scored again, chosen by their ids alone."""
        return self.archs[:REPEATED]

    def other(self, *, draw: int = 0, text: Corpus | None = None) -> Lab:
        """The same with another draw of weights, or another text."""
        return replace(self.lab, first=draw, corpus=text or self.lab.corpus)

    def only(self, ids: Container[str]) -> Board:
        """The same, of these networks alone."""
        rows = tuple(r for r in self.rows if r.architecture and r.architecture.id in ids)
        kept = len({r.architecture for r in rows})
        return replace(self, rows=rows, by_id=all(a.id in ids for a in self.archs[:kept]))

    def fit(self, metrics: Sequence[Metric]) -> list[Metric]:
        """The metrics that are asked: on a table of many networks those that take no pass."""
        return [m for m in metrics if len(self.archs) <= MANY or takes_no_pass(m)]


def takes_no_pass(metric: Metric) -> bool:
    """Whether its card says that no text runs through the network, and that no matrix is taken apart."""
    cost = metric.card.get("Cost", "")
    return cost.startswith(("no pass", "no forward")) and "singular" not in cost


def named(asked: Iterable[str]) -> dict[str, str]:
    """Boards by name, with what to type for each; `all` is every benchmark in each of its readings.

    Raises UnknownName for a benchmark that there is not.
    """
    known = {name: name for name in registry.names("benchmark")}
    every: dict[str, str] = {}
    for name in known:
        found: type[Benchmark] = registry.get("benchmark", name)
        every[name] = name
        every |= {f"{name}_{reading}": f"{name}:{options}" for reading, options in found.readings.items()}
    boards: dict[str, str] = {}
    for typed in asked:
        if typed == ALL:
            boards |= every
        elif typed in every:
            boards[typed] = every[typed]
        else:
            construct("benchmark", typed)  # UnknownName, or UsageError for its options
            name = next((n for n, t in every.items() if t == typed), re.sub(r"\W+", "_", typed))
            boards[name] = typed
    return boards


def opened(
    name: str,
    typed: str,
    *,
    data: str | Path | None,
    limit: int | None,
    scale: str,
    text: Corpus,
    device: str,
) -> Board:
    """A board with its networks; BadData where its files are missing or too few networks have a truth."""
    from untrained.benchmarks import folder

    if limit is not None and limit < LEAST:
        raise UsageError(f"limit={limit}; a rank correlation takes {LEAST} networks or more")
    benchmark: Benchmark = construct("benchmark", typed)
    lab = api.lab(benchmark.space, scale=scale, text=text, device=device)
    table = benchmark.read(folder(type(benchmark), None if data is None else str(data)), lab.space)
    target = benchmark.targets[0]
    built = tuple(r for r in table.rows if r.architecture is not None)
    known = [r for r in built if target.name in r.truth]
    archs = list(dict.fromkeys(r.architecture for r in known if r.architecture is not None))
    if len(archs) < LEAST:
        raise BadData(f"{typed}: {len(archs)} networks with a {target.name}, fewer than {LEAST}")
    kept = set(_first_by_id(archs, limit or len(archs)))
    rows = tuple(r for r in known if r.architecture in kept)
    return Board(name, typed, target, lab, built, rows, len(archs))


def _first_by_id(archs: Iterable[Architecture], number: int) -> list[Architecture]:
    """So many of them: those with the smallest ids, which are hashes, so that nothing else decides."""
    return sorted(archs, key=lambda a: a.id)[:number]
