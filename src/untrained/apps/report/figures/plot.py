"""A plot of points: the many as dots, the few that matter as links, a line through what is told of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from untrained.apps.report.figures.axes import Axis, Scale, short
from untrained.apps.report.figures.marks import inert, tag
from untrained.apps.report.table import number

UNITS = 1000  # of the drawing, from one side of the plot to the other


@dataclass(frozen=True)
class Point:
    """One architecture on a plot."""

    x: float
    y: float
    name: str
    """its id, or whatever it is called"""
    href: str = ""
    """where a click leads; nowhere if empty"""
    note: str = ""
    """what to say besides, such as the number of its trial"""


def plot(
    points: Sequence[Point],
    x: Axis,
    y: Axis,
    *,
    marked: Sequence[Point] = (),
    line: Sequence[tuple[float, float]] = (),
    second: Sequence[tuple[float, float]] = (),
    steps: bool = False,
    said: str,
) -> str:
    """Dots for `points`, links for `marked`, and a line.

    `second` is another line, dashed. `steps` draws lines level and then straight up or down, as what is best
    changes. `said` is read aloud in place of the picture.
    """
    if not points and not marked and not line:
        return tag("p", "There is nothing to draw yet.", class_="nothing")
    across = Scale([*(p.x for p in [*points, *marked]), *(a for a, _ in [*line, *second])], log=x.log)
    up = Scale([*(p.y for p in [*points, *marked]), *(b for _, b in [*line, *second])], log=y.log)
    drawing = _drawing(points, (line, second), steps, across, up)
    links = "".join(_link(p, x, y, across, up) for p in marked)
    area = tag(
        "div",
        drawing,
        _edge(across, "x"),
        _edge(up, "y"),
        links,
        tag("div", class_="tip", hidden="", aria_hidden="true"),
        _spoken(points, x, y, across, up),
        class_="area",
    )
    names = tag("div", escape(y.title), class_="name-y"), tag("div", escape(x.title), class_="name-x")
    return tag("div", names[0], area, names[1], class_="plot", role="group", aria_label=said)


def _drawing(
    points: Sequence[Point],
    lines: Sequence[Sequence[tuple[float, float]]],
    steps: bool,
    across: Scale,
    up: Scale,
) -> str:
    """Grid, dots and lines as one picture that is stretched to the plot; strokes keep their width."""
    grid = "".join(f"M{_u(across.place(t))} 0V{UNITS}" for t in across.ticks())
    grid += "".join(f"M0 {_u(100 - up.place(t))}H{UNITS}" for t in up.ticks())
    dots = "".join(f"M{_u(across.place(p.x))} {_u(100 - up.place(p.y))}h0" for p in points)
    paths = tag("path", d=grid, class_="grid") + tag("path", d=dots, class_="dots")
    for line, kind in zip(lines, ("way", "way second"), strict=True):
        corners = [(_u(across.place(a)), _u(100 - up.place(b))) for a, b in line]
        way = "".join(
            f"M{a} {b}" if i == 0 else f"H{a}V{b}" if steps else f"L{a} {b}"
            for i, (a, b) in enumerate(corners)
        )
        paths += tag("path", d=way, class_=kind) if way else ""
    return tag(
        "svg",
        paths,
        viewBox=f"0 0 {UNITS} {UNITS}",
        preserveAspectRatio="none",
        aria_hidden="true",
        focusable="false",
    )


def _link(point: Point, x: Axis, y: Axis, across: Scale, up: Scale) -> str:
    """A dot that can be reached by keyboard, and says in words where it is."""
    place = f"left:{across.place(point.x):.2f}%;top:{100 - up.place(point.y):.2f}%"
    told = _told(point, x, y)
    if not point.href:
        return tag("span", class_="mark", style=place, data_told=told)
    return tag("a", class_="mark", style=place, href=point.href, aria_label=told, data_told=told)


def _spoken(points: Sequence[Point], x: Axis, y: Axis, across: Scale, up: Scale) -> str:
    """What the script says of the dots, as data: place, name, values, note."""
    rows = [
        [
            round(across.place(p.x), 2),
            round(100 - up.place(p.y), 2),
            p.name,
            f"{number(p.y)}{_unit(y)}",
            f"{number(p.x)}{_unit(x)}",
            p.note,
            p.href,
        ]
        for p in points
    ]
    data = json.dumps({"x": x.name, "y": y.name, "points": rows}, separators=(",", ":"))
    return f'<script type="application/json">{inert(data)}</script>'


def _told(point: Point, x: Axis, y: Axis) -> str:
    where = f"{y.name} {number(point.y)}{_unit(y)}, {x.name} {number(point.x)}{_unit(x)}"
    return ": ".join(filter(None, [point.name, where])) + (f" ({point.note})" if point.note else "")


def _unit(axis: Axis) -> str:
    return f" {axis.unit}" if axis.unit else ""


def _edge(scale: Scale, side: str) -> str:
    """The round values beside the plot."""
    marks = []
    for value in scale.ticks(6 if side == "x" else 7):
        place = scale.place(value)
        style = f"left:{place:.2f}%" if side == "x" else f"top:{100 - place:.2f}%"
        marks.append(tag("span", short(value), style=style))
    return tag("div", *marks, class_=f"edge-{side}", aria_hidden="true")


def _u(place: float) -> str:
    return f"{place * UNITS / 100:.0f}"
