"""A graph laid out from left to right: inputs first, every node to the right of what it reads."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

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
    depth = columns(graph)
    places = _rows(graph, depth)
    tall = max((y for _, y in places), default=0.0)
    width = PAD * 2 + max(depth, default=0) * COLUMN + BOX[0]
    height = PAD * 2 + tall * ROW + BOX[1]
    spots = [(PAD + x * COLUMN, PAD + y * ROW) for x, y in places]
    ends = _ends(graph)
    edges = "".join(_edge(spots[a], spots[b], depth[b] - depth[a]) for a, b in graph.edges)
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


def _rows(graph: Graph, depth: Sequence[int]) -> list[tuple[int, float]]:
    """(column, row) of each node; rows are ordered by the mean row of the neighbours, a few times over."""
    row = [0.0] * len(depth)
    layers = [[i for i, d in enumerate(depth) if d == c] for c in range(max(depth, default=0) + 1)]
    for layer in layers:
        for place, node in enumerate(layer):
            row[node] = float(place)
    near: list[list[int]] = [[] for _ in depth]
    for a, b in graph.edges:
        near[a].append(b)
        near[b].append(a)
    tallest = max(map(len, layers), default=1)
    for turn in range(ROUNDS):
        for layer in layers if turn % 2 == 0 else layers[::-1]:
            layer.sort(key=lambda n: (sum(row[m] for m in near[n]) / len(near[n]) if near[n] else row[n], n))
            gap = (tallest - len(layer)) / 2
            for place, node in enumerate(layer):
                row[node] = gap + place
    return [(d, row[i]) for i, d in enumerate(depth)]


def _ends(graph: Graph) -> set[int]:
    """Inputs and outputs: what nothing leads to, or what leads nowhere."""
    sources, sinks = {a for a, _ in graph.edges}, {b for _, b in graph.edges}
    return {i for i in range(len(graph.labels)) if i not in sources or i not in sinks}


def _edge(start: tuple[float, float], end: tuple[float, float], span: int) -> str:
    x1, y1 = start[0] + BOX[0], start[1] + BOX[1] / 2
    x2, y2 = end[0] - 5, end[1] + BOX[1] / 2
    bend = max(24.0, (x2 - x1) / 2)
    # A long edge in one row would run through the boxes between: it passes below them.
    sag = 0.62 * ROW if span > 1 and abs(y2 - y1) < ROW / 2 else 0.0
    middle = (
        f"C{x1 + bend:.0f} {y1 + sag * 1.3:.0f} {x2 - bend:.0f} {y2 + sag * 1.3:.0f} {x2:.0f} {y2:.0f}"
        if sag
        else f"C{x1 + bend:.0f} {y1:.0f} {x2 - bend:.0f} {y2:.0f} {x2:.0f} {y2:.0f}"
    )
    head = f"M{x2:.0f} {y2 - 3.5:.1f}L{x2 + 5:.0f} {y2:.1f}L{x2:.0f} {y2 + 3.5:.1f}Z"
    return tag("path", d=f"M{x1:.0f} {y1:.0f}{middle}") + tag("path", d=head, class_="head")


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
