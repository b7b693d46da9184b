"""Numbers with names as bars, with their intervals where they have one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from untrained.apps.report.figures.marks import tag, words


@dataclass(frozen=True)
class Bar:
    """One bar; `said` is the number as people read it."""

    name: str
    value: float
    said: str
    low: float | None = None
    """of an interval, with `high`"""
    high: float | None = None
    strong: bool = True
    """drawn in the accent colour; else pale"""
    note: str = ""


def bars(rows: Sequence[Bar], *, said: str) -> str:
    """A bar a row, from zero, all to one scale; a thin line shows the interval."""
    if not rows:
        return tag("p", "There is nothing to draw yet.", class_="nothing")
    most = max(max(r.value, r.high or 0.0) for r in rows) or 1.0
    items = "".join(_row(r, most) for r in rows)
    return tag("ul", items, class_="bars", aria_label=said)


def _row(row: Bar, most: float) -> str:
    def share(value: float) -> float:
        return 100 * min(max(value / most, 0.0), 1.0)

    track = tag("i", class_="fill" if row.strong else "fill pale", style=f"width:{share(row.value):.2f}%")
    if row.low is not None and row.high is not None:
        left, right = share(row.low), share(row.high)
        track += tag("i", class_="whisker", style=f"left:{left:.2f}%;width:{max(right - left, 0.3):.2f}%")
    number = tag("span", escape(row.said), class_="number")
    note = tag("span", escape(row.note), class_="note") if row.note else ""
    return tag(
        "li",
        tag("span", words(row.name), class_="name"),
        tag("span", track, class_="track", aria_hidden="true"),
        tag("span", number, note, class_="told"),
    )
