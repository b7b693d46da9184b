"""What commands print: tables for people (rich on a terminal, plain in a pipe), JSON for programs."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from untrained.apps.report.table import GAP, Table, filled, fitted, plain

if TYPE_CHECKING:
    from untrained.apps.report.document import Section

WIDE = 80  # columns of text in a pipe
LONGEST = 100  # columns that the eye follows


def on_terminal() -> bool:
    return sys.stdout is not None and sys.stdout.isatty()


def width() -> int:
    """Columns to write in; a pipe has no width, and gets paragraphs of 80."""
    return shutil.get_terminal_size().columns if on_terminal() else WIDE


def print_heading(text: str) -> None:
    """A line that stands out on a terminal."""
    if on_terminal():
        from rich.console import Console
        from rich.text import Text

        Console(highlight=False).print(Text(text, style="bold"))
    else:
        print(text)


def print_table(table: Table, *, told: bool = True) -> list[str]:
    """A table. On a terminal, columns that do not fit are left out; unless `told` is off, it says which."""
    if not on_terminal():
        print(plain(filled(table)))
        return []
    shown, left_out = fitted(filled(table), width())
    _rich(shown)
    if told:
        tell_left_out(left_out)
    return left_out


def tell_left_out(titles: Iterable[str]) -> None:
    """Which columns did not fit, if any."""
    if names := ", ".join(dict.fromkeys(titles)):
        print_text(f"(This terminal is too narrow for: {names}. A pipe and --json have them.)")


def print_text(paragraph: str) -> None:
    """A paragraph in lines that are not too long to read."""
    print(textwrap.fill(paragraph, min(width(), LONGEST)))


def print_section(section: Section) -> None:
    """A heading and what belongs to it, as the report has it."""
    print()
    print_heading(section.title)
    for paragraph in section.text:
        print_text(paragraph)
    if section.table:
        print_table(section.table)
    for block in section.code:
        print(block)


def print_notes(notes: Sequence[str], most: int) -> None:
    """Sentences, one a line; of many the first few, and how many more there are."""
    shown = notes if len(notes) <= most + 1 else notes[:most]
    for note in shown:
        print(f"- {note}")
    if len(shown) < len(notes):
        print(f"- and {len(notes) - len(shown):,} more like these")


def print_record(record: Mapping[str, Any]) -> None:
    """One JSON object."""
    print(json.dumps(record, allow_nan=False, indent=2))


def print_records(records: Iterable[Mapping[str, Any]]) -> None:
    """A JSON list with one record a line, each printed as soon as it is known."""
    before = "["
    for record in records:
        print(f"{before}\n{json.dumps(record, allow_nan=False)}", end="", flush=True)
        before = ","
    print("\n]" if before == "," else "[]")


def _rich(table: Table) -> None:
    from rich.console import Console
    from rich.table import Table as RichTable

    out = RichTable(
        box=None, padding=(0, len(GAP), 0, 0), pad_edge=False, show_header=any(c.title for c in table.columns)
    )
    for column in table.columns:
        out.add_column(
            column.title,
            justify="left" if column.left else "right",
            no_wrap=not column.wraps,
            overflow="fold" if column.wraps else "ellipsis",
            header_style="bold",
        )
    for row in table.rows:
        out.add_row(*row)
    Console(highlight=False, markup=False).print(out)
