"""The small edits that lead from one cell to the next.

Each edit yields every graph that it can make of a cell, in a fixed order. The graphs have no cycle and the
right number of inputs everywhere; they are not yet in canonical form, some are the same cell once they are,
and some have lost their input. Whoever uses them looks after that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from untrained.spaces._cell_graph import ACTIVATIONS, ARITY, ORDERED, CellGraph, X, downstream, h_prev

MAX_STATES = 3  # as published
ELEMENTWISE = ("elementwise_sum", "elementwise_prod")

Edit = Callable[[CellGraph], Iterator[CellGraph]]


def change_op(graph: CellGraph) -> Iterator[CellGraph]:
    """Another op with the same number of inputs."""
    for number, (op, sources) in enumerate(graph.nodes):
        for other, arity in ARITY.items():
            if other != op and len(sources) in arity and (other == "linear" or X not in sources):
                yield graph.with_node(number, other, sources)


def rewire(graph: CellGraph) -> Iterator[CellGraph]:
    """Another source for one input; for an ordered op also two inputs swapped."""
    for number, (op, sources) in enumerate(graph.nodes):
        for position in range(len(sources)):
            for source in _readable(graph, number, op):
                if source not in sources:
                    yield graph.with_node(number, op, _put(sources, position, source))
                elif op in ORDERED and sources.index(source) > position:
                    swapped = _put(sources, sources.index(source), sources[position])
                    yield graph.with_node(number, op, _put(swapped, position, source))


def resize(graph: CellGraph) -> Iterator[CellGraph]:
    """One input more or less: two for three in linear, sum or prod for blend."""
    for number, (op, sources) in enumerate(graph.nodes):
        if op == "linear" and len(sources) == 3:
            for position in range(3):
                yield graph.with_node(number, op, sources[:position] + sources[position + 1 :])
        elif op == "blend":
            for simple in ELEMENTWISE:
                yield graph.with_node(number, simple, sources[1:])
        elif len(sources) == 2:
            for source in _readable(graph, number, op):
                if source not in sources and op == "linear":
                    yield graph.with_node(number, op, (*sources, source))
                elif source not in sources:
                    yield graph.with_node(number, "blend", (source, *sources))
                    yield graph.with_node(number, "blend", (source, *reversed(sources)))


def insert(graph: CellGraph) -> Iterator[CellGraph]:
    """A sum, a product, or a linear node with its activation, before one input of a node or after a state."""
    for number, position, source in graph.uses():
        op, sources = graph.nodes[number]
        for other in _readable(graph, number, "linear"):
            for longer in _with_pair(graph, source, other):
                yield longer.with_node(number, op, _put(sources, position, len(longer.nodes) - 1))
    for state, source in enumerate(graph.states):
        for other in graph.sources():
            for longer in _with_pair(graph, source, other):
                yield longer.with_state(state, len(longer.nodes) - 1)


def remove(graph: CellGraph) -> Iterator[CellGraph]:
    """One node less: its readers read one of its inputs instead."""
    for number, (_, sources) in enumerate(graph.nodes):
        for source in sources:
            if number in graph.states and (source < 0 or source in graph.states):
                continue  # a hidden state is a node, and a different one for each state
            nodes = [(op, tuple(source if s == number else s for s in read)) for op, read in graph.nodes]
            if all(op == "linear" or X not in read for op, read in nodes):
                yield CellGraph(tuple(nodes), tuple(source if n == number else n for n in graph.states))


def move_state(graph: CellGraph) -> Iterator[CellGraph]:
    """Another node as hidden state, or two hidden states swapped."""
    for state, old in enumerate(graph.states):
        for number in range(len(graph.nodes)):
            if number not in graph.states:
                yield graph.with_state(state, number)
            elif graph.states.index(number) > state:
                yield graph.with_state(graph.states.index(number), old).with_state(state, number)


def add_state(graph: CellGraph) -> Iterator[CellGraph]:
    """A node's value of the step before in place of one input: a hidden state more."""
    if len(graph.states) < MAX_STATES:
        fresh = h_prev(len(graph.states))
        for number, position, _ in graph.uses():
            op, sources = graph.nodes[number]
            changed = graph.with_node(number, op, _put(sources, position, fresh))
            for remembered in range(len(graph.nodes)):
                if remembered not in graph.states:
                    yield CellGraph(changed.nodes, (*graph.states, remembered))


EDITS: tuple[Edit, ...] = (change_op, rewire, resize, insert, remove, move_state, add_state)


def _put(sources: tuple[int, ...], position: int, source: int) -> tuple[int, ...]:
    return (*sources[:position], source, *sources[position + 1 :])


def _readable(graph: CellGraph, number: int, op: str) -> list[int]:
    """What a node with this op may read without a cycle; only linear brings x to the width of the layer."""
    below = downstream(graph, number)
    return [s for s in graph.sources() if s not in below and (s != X or op == "linear")]


def _with_pair(graph: CellGraph, a: int, b: int) -> Iterator[CellGraph]:
    """The graph with a new last node that joins two different sources."""
    if a == b:
        return
    new = len(graph.nodes)
    if X not in (a, b):
        for op in ELEMENTWISE:
            yield CellGraph((*graph.nodes, (op, (a, b))), graph.states)
    for activation in ACTIVATIONS:
        yield CellGraph((*graph.nodes, ("linear", (a, b)), (activation, (new,))), graph.states)
