"""Measures what no sheet has yet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from untrained.apps.leaderboard.kept import Sheet, about, called
from untrained.apps.leaderboard.tables import LEAST, Board
from untrained.apps.parallel import Progress, measure_all
from untrained.apps.probing import Lab
from untrained.core.architecture import Architecture
from untrained.core.errors import BadData
from untrained.core.metric import Metric, metric
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
    asked = board.fit(metrics)
    main, redrawn, reread = _sheets(board, folder, other_text)
    return Works(
        board,
        Work(main, board.lab, board.archs, asked),
        Work(redrawn, board.other(draw=1), board.again(), asked),
        None if reread is None else Work(reread, board.other(text=other_text), board.again(), asked),
    )


def taken(board: Board, metrics: Sequence[Metric], folder: Path, other_text: Corpus | None) -> Works:
    """What is kept already, with nothing left to do; BadData where that is too little to say anything."""
    main, redrawn, reread = _sheets(board, folder, other_text)
    board = board.only(main.done)
    if len(board.archs) < LEAST:
        few = f", but for {len(board.archs)} networks" if board.archs else ""
        raise BadData(f"{board.name}: its scores were not measured{few}")
    asked = [m for m in metrics if called(m) in main.known]
    again = [a for a in board.again() if a.id in redrawn.done]
    return Works(
        board,
        Work(main, board.lab, board.archs, asked),
        Work(redrawn, board.other(draw=1), again, asked),
        None if reread is None else Work(reread, board.other(text=other_text), again, asked),
    )


def _sheets(
    board: Board, folder: Path | None, other_text: Corpus | None
) -> tuple[Sheet, Sheet, Sheet | None]:
    """What is kept of a board: its scores, some with other weights, the same with another text."""

    def sheet(ending: str, lab: Lab) -> Sheet:
        path = None if folder is None else folder / f"{board.name}{ending}"
        return Sheet(about(lab, board.typed), board.table, board.target.name, path)

    main, redrawn = sheet("", board.lab), sheet(".draw1", board.other(draw=1))
    if other_text is None:
        return main, redrawn, None
    return main, redrawn, sheet(f".text-{other_text.sha256[:8]}", board.other(text=other_text))


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
    return metric(name.partition("@")[0])
