"""A network layer by layer, from the input down: what mixes tokens, how many heads, how wide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from itertools import groupby
from typing import Any

from untrained.apps.report.figures.marks import tag, words

MOST = 60  # rows drawn


def stacked(
    shared: Mapping[str, Any], layers: Mapping[str, Sequence[Any]], *, name: str, show: int = MOST
) -> str:
    """One row a layer, equal neighbours as one row; `shared` is what all layers have in common.

    `layers` has a list a decision: numbers are drawn as bars to the scale of their column, words as they are.
    """
    rows = list(zip(*layers.values(), strict=True))
    runs: list[tuple[int, int, tuple[Any, ...]]] = []
    for values, run in groupby(enumerate(rows, 1), key=lambda pair: pair[1]):
        numbers = [n for n, _ in run]
        runs.append((numbers[0], numbers[-1], values))
    most = [max((_size(v) for v in column), default=0.0) for column in layers.values()]
    titles = tag("tr", *(tag("th", words(t), scope="col") for t in ["layer", *layers]))
    body = "".join(_row(first, last, values, most) for first, last, values in runs[:show])
    if len(runs) > show:
        left = tag("td", f"and {len(runs) - show:,} more", colspan=len(layers) + 1)
        body += tag("tr", left)
    common = ", ".join(f"{k} {_said(v)}" for k, v in shared.items())
    table = tag(
        "table",
        tag("caption", escape(f"Layers of {name}, from the input to the output"), class_="unseen"),
        tag("thead", titles),
        tag("tbody", body),
        class_="layers",
    )
    region = tag("div", table, class_="scroll", tabindex=0, role="region", aria_label=f"Layers of {name}")
    return (tag("p", escape(common), class_="shared") if common else "") + region


def _row(first: int, last: int, values: Sequence[Any], most: Sequence[float]) -> str:
    number = str(first) if first == last else f"{first} to {last}"
    cells = "".join(_cell(v, top) for v, top in zip(values, most, strict=True))
    return tag("tr", tag("th", number, scope="row"), cells)


def _cell(value: Any, most: float) -> str:
    size = _size(value)
    if not size or not most:
        return tag("td", tag("span", words(_said(value)), class_="kind"))
    bar = tag("i", style=f"width:{100 * size / most:.1f}%")
    return tag("td", tag("span", bar, class_="size", aria_hidden="true"), tag("b", escape(_said(value))))


def _size(value: Any) -> float:
    """The length of a value's bar; 0 for words. Of several widths in a row, their sum."""
    if isinstance(value, bool):
        return 0.0
    if isinstance(value, int | float):
        return float(value)
    if isinstance(value, tuple) and value and all(isinstance(v, int | float) for v in value):
        return float(sum(value))
    return 0.0


def _said(value: Any) -> str:
    if isinstance(value, tuple):
        return " + ".join(map(_said, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)
