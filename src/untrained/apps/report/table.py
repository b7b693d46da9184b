"""Tables as text: aligned for people and pipes, or in Markdown."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

GAP = "  "
LEAST = 24  # characters that a column of sentences is given at least


@dataclass(frozen=True)
class Column:
    """How one column is set."""

    title: str
    left: bool = False
    """words begin on the left; numbers end on the right"""
    spare: int = 0
    """the higher, the sooner a narrow terminal goes without it; 0 always stays"""
    wraps: bool = False
    """holds sentences, which may take several lines"""


@dataclass(frozen=True)
class Table:
    """Columns and rows of ready text."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]

    def widths(self) -> list[int]:
        """Characters of the widest cell of each column."""
        cells = [tuple(c.title for c in self.columns), *self.rows]
        return [max(map(len, column)) for column in zip(*cells, strict=True)]


def number(value: float | None, digits: int = 5) -> str:
    """A number for people: whole ones with commas, others to some digits; `-` where there is none."""
    if value is None:
        return "-"
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:.{digits}g}"


def share(value: float | None) -> str:
    """A share from 0 to 1 in whole per cent."""
    return "-" if value is None else f"{round(100 * value)} %"


def table(titles: Iterable[object], rows: Sequence[Sequence[str]]) -> Table:
    """A table; a title that is only text heads a column of numbers."""
    columns = tuple(t if isinstance(t, Column) else Column(str(t)) for t in titles)
    return Table(columns, tuple(tuple(row) for row in rows))


def filled(whole: Table) -> Table:
    """The table without the columns that say nothing in any row."""
    kept = [i for i in range(len(whole.columns)) if not whole.rows or any(row[i] for row in whole.rows)]
    return _of(whole, kept)


def fitted(whole: Table, width: int) -> tuple[Table, list[str]]:
    """The table without the columns that do not fit into `width`, and the titles of those."""
    kept = list(range(len(whole.columns)))
    widths = [min(w, LEAST) if c.wraps else w for c, w in zip(whole.columns, whole.widths(), strict=True)]
    while sum(widths[i] for i in kept) + len(GAP) * (len(kept) - 1) > width:
        spare = [i for i in kept if whole.columns[i].spare]
        if not spare:
            break
        kept.remove(max(spare, key=lambda i: (whole.columns[i].spare, i)))
    left_out = [c.title for i, c in enumerate(whole.columns) if i not in kept]
    return _of(whole, kept), left_out


def plain(whole: Table, width: int | None = None) -> str:
    """Aligned text. With a `width`, a last column of sentences is wrapped into it."""
    widths = whole.widths()
    room = None if width is None else width - sum(widths[:-1]) - len(GAP) * (len(widths) - 1)
    titles = tuple(c.title for c in whole.columns)
    lines = [] if not any(titles) else _lines(titles, whole.columns, widths, None)
    for row in whole.rows:
        lines += _lines(row, whole.columns, widths, room)
    return "\n".join(lines)


def markdown(whole: Table) -> str:
    """The table as Markdown shows it."""
    head = "| " + " | ".join(_escaped(c.title) for c in whole.columns) + " |"
    rule = "|" + "|".join("---" if c.left else "--:" for c in whole.columns) + "|"
    rows = ["| " + " | ".join(map(_escaped, row)) + " |" for row in whole.rows]
    return "\n".join([head, rule, *rows])


def _of(whole: Table, kept: Sequence[int]) -> Table:
    rows = tuple(tuple(row[i] for i in kept) for row in whole.rows)
    return Table(tuple(whole.columns[i] for i in kept), rows)


def _lines(row: Sequence[str], columns: Sequence[Column], widths: list[int], room: int | None) -> list[str]:
    cells = [
        cell.ljust(width) if column.left else cell.rjust(width)
        for cell, column, width in zip(row, columns, widths, strict=True)
    ]
    if room is None or not columns[-1].wraps or len(row[-1]) <= max(room, LEAST):
        return [GAP.join(cells).rstrip()]
    first, *more = textwrap.wrap(row[-1], max(room, LEAST))
    hang = " " * (sum(widths[:-1]) + len(GAP) * (len(widths) - 1))
    return [GAP.join([*cells[:-1], first]), *(hang + line for line in more)]


def _escaped(cell: str) -> str:
    return cell.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
