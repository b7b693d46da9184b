"""The graph of an RNN cell as an immutable value: which op reads which value, and which nodes are remembered.

A source is an int: a node by its number (0, 1, ...), the layer's input (`X`), or a hidden state of the
step before (`h_prev(k)`). Nodes may be listed in any order; `canonical` in `_cell_canonical.py` sorts them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

ARITY: dict[str, tuple[int, ...]] = {
    "linear": (2, 3),
    "activation_tanh": (1,),
    "activation_sigm": (1,),
    "activation_leaky_relu": (1,),
    "elementwise_sum": (2,),
    "elementwise_prod": (2,),
    "blend": (3,),
}
"""how many inputs an op takes; blend(a, b, c) = a * b + (1 - a) * c"""

ACTIVATIONS = ("activation_tanh", "activation_sigm", "activation_leaky_relu")
ORDERED = frozenset({"blend"})  # the other ops give the same whichever way round their inputs are

X = -1
MAX_NODES = 64  # of a cell that is read; the published ones have at most two dozen

Node = tuple[str, tuple[int, ...]]


def h_prev(state: int) -> int:
    """The source that stands for hidden state `state` of the step before."""
    return -2 - state


def state_of(source: int) -> int | None:
    """The number of the hidden state that a source reads; None for x and for nodes."""
    return -2 - source if source < X else None


def source_name(source: int) -> str | int:
    """As an Architecture spells it: "x", "h_prev_0", or the node's number."""
    return source if source >= 0 else "x" if source == X else f"h_prev_{-2 - source}"


@dataclass(frozen=True)
class CellGraph:
    """One step of a recurrent layer."""

    nodes: tuple[Node, ...]
    """(op, sources) of each node"""
    states: tuple[int, ...]
    """the node that becomes hidden state 0 (the layer's output), 1, ..."""

    def with_node(self, number: int, op: str, sources: Iterable[int]) -> CellGraph:
        """The same graph with one node changed."""
        return CellGraph((*self.nodes[:number], (op, tuple(sources)), *self.nodes[number + 1 :]), self.states)

    def with_state(self, state: int, number: int) -> CellGraph:
        """The same graph with another node as hidden state `state`."""
        return CellGraph(self.nodes, (*self.states[:state], number, *self.states[state + 1 :]))

    def sources(self) -> tuple[int, ...]:
        """Everything that a node may read, before cycles are thought of."""
        return (X, *(h_prev(k) for k in range(len(self.states))), *range(len(self.nodes)))

    def uses(self) -> Iterator[tuple[int, int, int]]:
        """(node, position, source) of every input of every node."""
        for number, (_, sources) in enumerate(self.nodes):
            for position, source in enumerate(sources):
                yield number, position, source

    def reads(self, source: int) -> bool:
        """Whether any node reads it."""
        return any(source in sources for _, sources in self.nodes)


def upstream(graph: CellGraph, start: Iterable[int]) -> set[int]:
    """The sources that `start` depends on within one step, itself included."""
    reached: set[int] = set()
    todo = list(start)
    while todo:
        source = todo.pop()
        if source not in reached:
            reached.add(source)
            if source >= 0:
                todo += graph.nodes[source][1]
    return reached


def downstream(graph: CellGraph, number: int) -> set[int]:
    """The nodes that depend on a node within one step, itself included."""
    reached = {number}
    grown = True
    while grown:
        users = {i for i, (_, sources) in enumerate(graph.nodes) if not reached.isdisjoint(sources)}
        grown = not users <= reached
        reached |= users
    return reached


def live(graph: CellGraph) -> CellGraph:
    """Without the nodes that reach no hidden state, and without the hidden states that nothing reads.

    A state that only works for itself, or two that only work for each other, never reach the output but
    stay: NAS-Bench-NLP builds, counts and trains their weights, and a network of another size is another
    network. To drop those too, start from `kept = {0}` and let it grow.
    """
    kept, reached = set(range(len(graph.states))), set[int]()
    for _ in graph.states:  # each round that changes anything drops a state
        reached = upstream(graph, (graph.states[k] for k in kept))
        kept = {k for k in kept if k == 0 or h_prev(k) in reached}
    return _only(graph, sorted(s for s in reached if s >= 0), sorted(kept))


def _only(graph: CellGraph, nodes: list[int], states: list[int]) -> CellGraph:
    """These nodes and states, renumbered without gaps."""
    place = {old: new for new, old in enumerate(nodes)} | {X: X}
    place |= {h_prev(old): h_prev(new) for new, old in enumerate(states)}
    kept = ((graph.nodes[i][0], tuple(place[s] for s in graph.nodes[i][1])) for i in nodes)
    return CellGraph(tuple(kept), tuple(place[graph.states[k]] for k in states))


def depths(graph: CellGraph) -> list[int]:
    """Longest way from an input to each node, in nodes (1 for a node that reads inputs only)."""
    depth: dict[int, int] = {}

    def of(source: int) -> int:
        if source < 0:
            return 0
        if source not in depth:
            depth[source] = 1 + max(map(of, graph.nodes[source][1]))
        return depth[source]

    return [of(i) for i in range(len(graph.nodes))]
