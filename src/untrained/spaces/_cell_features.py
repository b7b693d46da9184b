"""A cell as a vector of fixed length, for predictors and for distances between cells."""

from __future__ import annotations

from untrained.spaces._cell_graph import ARITY, CellGraph, X, depths, h_prev

# what is read, by whom: counted for each pair that can occur
SOURCES = ("x", "h_prev_0", "h_prev_other", "linear", "activation", "elementwise", "blend")
READERS = ("linear", "activation", "elementwise", "blend")

NAMES: tuple[str, ...] = (
    *(f"count {op}" for op in ARITY),
    "count linear with three inputs",
    "nodes",
    "states",
    "states read",
    "depth of the cell",
    "depth of the output",
    "shortest way from x to the output",
    "longest way from x to the output",
    "shortest way from a hidden state to the output",
    "longest way from a hidden state to the output",
    "shortest way from h_prev_0 to h_new_0",
    *(
        f"{source} read by {reader}"
        for source in SOURCES
        for reader in READERS
        if source != "x" or reader == "linear"
    ),
    *(f"output is {reader}" for reader in READERS),
    *(f"other states that are {reader}" for reader in READERS),
)
"""one name for each entry; ways and depths are in nodes, and a way that does not exist counts 0"""


TRAITS = (
    *(name for name in NAMES if name.startswith("count ")),
    "states",
    "depth of the output",
    "shortest way from x to the output",
    "shortest way from h_prev_0 to h_new_0",
)
"""the few that say what somebody decides, none of them the sum of others"""


def traits(graph: CellGraph) -> list[float]:
    """Those of `TRAITS`."""
    found = dict(zip(NAMES, features(graph), strict=True))
    return [found[name] for name in TRAITS]


def features(graph: CellGraph) -> list[float]:
    """The vector, in the order of `NAMES`; the same for all ways to write a cell, as it only counts."""
    ops = [op for op, _ in graph.nodes]
    found = dict.fromkeys(NAMES, 0.0)
    for op, sources in graph.nodes:
        found[f"count {op}"] += 1
        found["count linear with three inputs"] += op == "linear" and len(sources) == 3
        for source in sources:
            found[f"{_source_kind(graph, source)} read by {_kind(op)}"] += 1
    for state, number in enumerate(graph.states):
        found[
            f"other states that are {_kind(ops[number])}" if state else f"output is {_kind(ops[number])}"
        ] += 1
    deep = depths(graph)
    memory = [h_prev(k) for k in range(len(graph.states))]
    found["nodes"], found["states"] = len(ops), len(graph.states)
    found["states read"] = sum(map(graph.reads, memory))
    found["depth of the cell"], found["depth of the output"] = max(deep), deep[graph.states[0]]
    for name, starts in (("x", [X]), ("a hidden state", memory), ("h_prev_0", [h_prev(0)])):
        short, long = _ways(graph, starts)
        end = "h_new_0" if name == "h_prev_0" else "the output"
        found[f"shortest way from {name} to {end}"] = short
        if name != "h_prev_0":
            found[f"longest way from {name} to {end}"] = long
    return [float(found[name]) for name in NAMES]


def _kind(op: str) -> str:
    return op.split("_")[0]


def _source_kind(graph: CellGraph, source: int) -> str:
    if source >= 0:
        return _kind(graph.nodes[source][0])
    return "x" if source == X else "h_prev_0" if source == h_prev(0) else "h_prev_other"


def _ways(graph: CellGraph, starts: list[int]) -> tuple[int, int]:
    """Shortest and longest way from any of `starts` to the output, in nodes; (0, 0) if there is none."""
    known: dict[int, tuple[int, int] | None] = dict.fromkeys(starts, (0, 0))

    def to(source: int) -> tuple[int, int] | None:
        if source not in known:
            before = [] if source < 0 else [w for w in map(to, graph.nodes[source][1]) if w is not None]
            known[source] = (1 + min(s for s, _ in before), 1 + max(l for _, l in before)) if before else None
        return known[source]

    return to(graph.states[0]) or (0, 0)
