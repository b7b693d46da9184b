"""A graph laid out from left to right: inputs first, every node to the right of what it reads."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import pairwise
from math import fsum

from untrained.apps.report.figures.marks import tag
from untrained.core.space import Graph

COLUMN, ROW, BOX = 106, 44, (84, 28)  # pixels from box to box, and of a box
PAD = 8
ROUNDS = 8  # sweeps that bring boxes near to what they are joined with

SHORT = {
    "elementwise_prod": "product",
    "elementwise_sum": "sum",
    "leaky_relu": "leaky relu",
    "activation_tanh": "tanh",
    "activation_sigm": "sigmoid",
    "activation_leaky_relu": "leaky relu",
}


def drawn(graph: Graph, *, name: str) -> str:
    """The graph as SVG; `name` and a list of its edges are what is read aloud."""
    depth, ways = _through(graph)
    places = _placed(depth, ways)
    tall = max((y for _, y in places), default=0.0)
    width = PAD * 2 + max(depth, default=0) * COLUMN + BOX[0]
    height = PAD * 2 + tall * ROW + BOX[1]
    spots = [(PAD + x * COLUMN, PAD + y * ROW) for x, y in places]
    ends = _ends(graph)
    edges = "".join(_edge([spots[n] for n in way]) for way in ways)
    boxes = "".join(_box(spots[i], label, i in ends) for i, label in enumerate(graph.labels))
    svg = tag(
        "svg",
        tag("title", escape(f"{name}: {spoken(graph)}")),
        tag("g", edges, class_="edges"),
        boxes,
        viewBox=f"0 0 {width:.0f} {height:.0f}",
        width=f"{width:.0f}",
        height=f"{height:.0f}",
        role="img",
        class_="graph",
    )
    return tag("div", svg, class_="scroll", tabindex=0, role="region", aria_label=f"Drawing of {name}")


def spoken(graph: Graph) -> str:
    """The graph in words: each node with what it reads."""
    reads: dict[int, list[str]] = {}
    for a, b in graph.edges:
        reads.setdefault(b, []).append(_named(graph, a))
    return "; ".join(f"{_named(graph, b)} reads {', '.join(found)}" for b, found in sorted(reads.items()))


def columns(graph: Graph) -> list[int]:
    """The column of each node: one to the right of the last that it reads. A cycle's nodes stay at 0."""
    before: dict[int, list[int]] = {}
    for a, b in graph.edges:
        before.setdefault(b, []).append(a)
    known: dict[int, int] = {}

    def depth(node: int, above: frozenset[int]) -> int:
        if node not in known:
            read = [n for n in before.get(node, ()) if n not in above]
            known[node] = 1 + max((depth(n, above | {node}) for n in read), default=-1)
        return known[node]

    found = [depth(node, frozenset()) for node in range(len(graph.labels))]
    last = max(found, default=0)
    sources = {a for a, _ in graph.edges}
    return [last if i not in sources and i in before else d for i, d in enumerate(found)]


def _through(graph: Graph) -> tuple[list[int], list[list[int]]]:
    """(column of each node, way of each edge); a long edge passes a spot of its own in every column."""
    depth = columns(graph)
    ways = []
    for a, b in graph.edges:
        way = [a]
        for column in range(depth[a] + 1, depth[b]):
            way.append(len(depth))
            depth.append(column)
        ways.append([*way, b])
    return depth, ways


def _placed(depth: Sequence[int], ways: Sequence[Sequence[int]]) -> list[tuple[int, float]]:
    """(column, row) of each node; rows are ordered by the mean row of the neighbours, a few times over."""
    real = len(depth) - sum(len(way) - 2 for way in ways)
    near: list[list[int]] = [[] for _ in depth]
    for way in ways:
        for a, b in pairwise(way):
            near[a].append(b)
            near[b].append(a)
    layers = [[i for i, d in enumerate(depth) if d == c] for c in range(max(depth, default=0) + 1)]
    row = [0.0] * len(depth)
    for turn in range(ROUNDS):
        for layer in layers if turn % 2 == 0 else layers[::-1]:
            if turn:
                layer.sort(key=lambda n: (fsum(row[m] for m in near[n]) / len(near[n]) if near[n] else 0, n))
            tall = fsum(_room(n, real) for n in layer)
            top = -tall / 2
            for node in layer:
                row[node] = top + _room(node, real) / 2
                top += _room(node, real)
    least = min(row, default=0.0)
    return [(d, r - least) for d, r in zip(depth, row, strict=True)]


def _room(node: int, real: int) -> float:
    """Rows that a box takes, and that an edge on its way takes."""
    return 1.0 if node < real else 0.55


def _ends(graph: Graph) -> set[int]:
    """Inputs and outputs: what nothing leads to, or what leads nowhere."""
    sources, sinks = {a for a, _ in graph.edges}, {b for _, b in graph.edges}
    return {i for i in range(len(graph.labels)) if i not in sources or i not in sinks}


def _edge(spots: Sequence[tuple[float, float]]) -> str:
    """From the right side of the first box through the spots between to the left side of the last."""
    points = [(spots[0][0] + BOX[0], spots[0][1])]
    for x, y in spots[1:-1]:
        points += [(x, y), (x + BOX[0], y)]
    points = [(x, y + BOX[1] / 2) for x, y in [*points, (spots[-1][0] - 5, spots[-1][1])]]
    way = f"M{points[0][0]:.0f} {points[0][1]:.1f}"
    for (x1, y1), (x2, y2) in pairwise(points):
        middle = (x1 + x2) / 2
        way += f"C{middle:.0f} {y1:.1f} {middle:.0f} {y2:.1f} {x2:.0f} {y2:.1f}"
    x, y = points[-1]
    head = f"M{x:.0f} {y - 3.5:.1f}L{x + 5:.0f} {y:.1f}L{x:.0f} {y + 3.5:.1f}Z"
    return tag("path", d=way) + tag("path", d=head, class_="head")


def _box(spot: tuple[float, float], label: str, end: bool) -> str:
    said = SHORT.get(label, label)
    rect = tag(
        "rect", x=f"{spot[0]:.0f}", y=f"{spot[1]:.0f}", width=BOX[0], height=BOX[1], rx=14 if end else 4
    )
    shown = said if len(said) <= 14 else said[:13] + "…"
    text = tag("text", escape(shown), x=f"{spot[0] + BOX[0] / 2:.0f}", y=f"{spot[1] + BOX[1] / 2 + 4:.0f}")
    return tag("g", rect, text, class_="end" if end else "node")


def _named(graph: Graph, node: int) -> str:
    label = SHORT.get(graph.labels[node], graph.labels[node])
    twice = graph.labels.count(graph.labels[node]) > 1
    return f"{label} {node}" if twice else label
