"""Tables with one network a line: reading cells, and saying what is wrong with one."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from untrained.benchmarks._data import broken

R = TypeVar("R")


class BrokenRow(Exception):
    """A line that cannot be used; the message says why."""


def lines(
    path: Path, benchmark: str, needed: Iterable[str]
) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """The columns, and each line with its number; a cell that is not there is empty.

    Raises BadData for a file that is empty, no table, or lacks a column that is needed.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            columns = list(reader.fieldnames or ())
            if not columns:
                raise broken(benchmark, path, "the file is empty")
            if missing := [c for c in needed if c not in columns]:
                raise broken(benchmark, path, f"the table has no column {', '.join(map(repr, missing))}")
            found = [(reader.line_num, {c: line.get(c) or "" for c in columns}) for line in reader]
    except (UnicodeDecodeError, csv.Error, OSError) as error:
        raise broken(benchmark, path, f"not a readable table ({error})") from error
    return columns, found


def by_id(
    path: Path,
    benchmark: str,
    needed: Iterable[str],
    read: Callable[[Mapping[str, str]], tuple[int | None, str]],
    result: Callable[[Mapping[str, str]], tuple[R | None, str]],
) -> tuple[dict[int, R], list[str]]:
    """The lines by id in their order, and a sentence for each line of which something is left out.

    `read` gives a line's id, and what to call it, or None and what is wrong; of two lines of one id the first
    counts. `result` gives what it says, and what is wrong. Raises BadData where no line can be used.
    """
    found: dict[int, R] = {}
    skipped: list[str] = []
    for number, line in lines(path, benchmark, needed)[1]:
        key, words = read(line)
        if key is None:
            problem = words
        elif key in found:
            problem = f"{words} comes a second time; the first counts"
        else:
            made, problem = result(line)
            if made is not None:
                found[key] = made
        if problem:
            skipped.append(f"{path.name}: line {number}: {problem}")
    if not found:
        raise broken(benchmark, path, skipped[0] if skipped else "the table has no lines")
    return found, skipped


def finite(cells: Mapping[str, str], columns: Sequence[str]) -> tuple[dict[str, float] | None, str]:
    """The columns that have a finite number, and what is wrong with the line; None where a cell is no number.

    An empty cell counts as not measured.
    """
    values: dict[str, float] = {}
    for column in columns:
        cell = (cells[column] or "nan").strip()
        try:
            values[column] = float(cell)
        except ValueError:
            return None, f"{column} is {cell!r:.40}, not a number"
    absent = [column for column, value in values.items() if not math.isfinite(value)]
    problem = f"no finite value, left out: {', '.join(absent)}" if absent else ""
    return {column: value for column, value in values.items() if column not in absent}, problem


def whole(cells: Mapping[str, str], column: str, default: int | None = None) -> int:
    """A whole number; `default` where the column is not there or empty."""
    cell = cells.get(column, "").strip()
    if not cell and default is not None:
        return default
    try:
        return int(cell)
    except ValueError:
        raise BrokenRow(f"{column} is {cell!r:.40}, not a whole number") from None


def number(cells: Mapping[str, str], column: str, least: float) -> float | None:
    """A finite number of at least `least`; None where the column is not there or empty."""
    cell = cells.get(column, "").strip()
    if not cell:
        return None
    try:
        found = float(cell)
    except ValueError:
        raise BrokenRow(f"{column} is {cell!r:.40}, not a number") from None
    if not math.isfinite(found) or found < least:
        raise BrokenRow(f"{column} is {cell!r:.40}; it is a number of at least {least:g}")
    return found


def dashed(cells: Mapping[str, str], column: str) -> list[int]:
    """Whole numbers with dashes between them, as `4-12-8`."""
    cell = cells[column].strip()
    try:
        return [int(x) for x in cell.split("-")]
    except ValueError:
        raise BrokenRow(f"{column} is {cell!r:.40}, not whole numbers like 4-12-8") from None
