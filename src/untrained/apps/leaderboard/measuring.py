"""Measures what no sheet has yet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from untrained.apps.leaderboard.kept import Sheet, about, called
from untrained.apps.leaderboard.tables import Board
from untrained.apps.parallel import Progress, measure_all
from untrained.apps.probing import Lab
from untrained.core.architecture import Architecture
from untrained.core.metric import Metric
from untrained.core.text import Corpus

Said = Callable[[str], None]


@dataclass(frozen=True)
class Work:
    """One sheet with what it is to hold."""

    sheet: Sheet
    lab: Lab
    archs: list[Architecture]
    metrics: list[Metric]

    @property
    def left(self) -> int:
        """Networks that have to be looked at."""
        missing = self.sheet.missing(self.archs, [called(m) for m in self.metrics])
        return sum(map(len, missing.values()))

    def do(self, workers: int | None, tick: Callable[[], None]) -> None:
        """Asks every network what is missing; each is kept as soon as it is known."""
        by_name = {called(m): m for m in self.metrics}
        for names, archs in self.sheet.missing(self.archs, by_name).items():
            asked = {n: by_name.get(n) or _named(n) for n in sorted(names)}
            found = measure_all(self.lab, archs, list(asked.values()), workers=workers)
            for arch, measured in zip(archs, found, strict=True):
                self.sheet.add(arch, {n: measured[m.label] for n, m in asked.items()})
                tick()
        self.sheet.close()


@dataclass(frozen=True)
class Works:
    """The sheets of one board."""

    board: Board
    main: Work
    redrawn: Work
    """some of the networks, with other weights and another window of the text"""
    reread: Work | None
    """the same networks, with the weights of `main` and another text; None without one"""

    @property
    def all(self) -> list[Work]:
        return [self.main, self.redrawn, *([self.reread] if self.reread else [])]


def planned(board: Board, metrics: Sequence[Metric], folder: Path | None, other_text: Corpus | None) -> Works:
    """What there is to do; UsageError for kept scores that are of something else."""

    def work(ending: str, lab: Lab, archs: list[Architecture]) -> Work:
        path = None if folder is None else folder / f"{board.name}{ending}"
        sheet = Sheet(about(lab, board.typed), board.table, board.target.name, path)
        return Work(sheet, lab, archs, board.fit(metrics))

    main = work("", board.lab, board.archs)
    redrawn = work(".draw1", board.other(draw=1), board.again())
    if other_text is None:
        return Works(board, main, redrawn, None)
    reread = work(f".text-{other_text.sha256[:8]}", board.other(text=other_text), board.again())
    return Works(board, main, redrawn, reread)


def measured(works: Sequence[Works], *, workers: int | None, progress: Progress | None) -> None:
    """Does all of it, board by board."""
    total, done = sum(w.left for one in works for w in one.all), 0

    def tick() -> None:
        nonlocal done
        done += 1
        if progress:
            progress(done, total)

    for one in works:
        for work in one.all:
            work.do(workers, tick)


def _named(name: str) -> Metric:
    """A proxy that the other networks of a sheet were asked, and that nobody asks for now."""
    from untrained.core.metric import metric

    return metric(name.partition("@")[0])
