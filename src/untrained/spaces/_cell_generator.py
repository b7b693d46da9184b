"""Random cells as NAS-Bench-NLP draws them, and children of one or two cells.

Source: Klyuchnikov et al. 2020, arXiv:2006.07116; the rules are those of the authors' generator
"""

from __future__ import annotations

from random import Random

from untrained.core.errors import InvalidArchitecture
from untrained.spaces._cell_canonical import canonical
from untrained.spaces._cell_edits import EDITS
from untrained.spaces._cell_graph import ACTIVATIONS, CellGraph, Node, X, h_prev, upstream

OPS = {
    "linear": 3,
    "blend": 1,
    "elementwise_prod": 1,
    "elementwise_sum": 1,
}  # odds; an activation follows linear
THREE_INPUTS = 0.2  # how often a linear node has three inputs rather than two
TRIES = 100_000  # one draw in six is accepted at the published settings, one in 2,000 at the smallest
EDIT_TRIES = 200


def generate(rng: Random, *, intermediate: int, states: int) -> CellGraph:
    """A random cell, in canonical form."""
    for _ in range(TRIES):
        graph = _drawn(rng, intermediate + states, states)
        if _accepted(graph):
            return canonical(graph)
    raise InvalidArchitecture(
        f"no valid cell in {TRIES} draws with intermediate={intermediate}, states={states}: give more nodes"
    )


def _drawn(rng: Random, budget: int, states: int) -> CellGraph:
    """`budget` nodes (one more if the last draw was linear with its activation), then the hidden states."""
    nodes: list[Node] = []
    inputs = [X, *(h_prev(k) for k in range(states))]
    activated: list[int] = []
    while len(nodes) < budget:
        op = rng.choices(list(OPS), list(OPS.values()))[0]
        if op == "linear":
            count = 3 if rng.random() < THREE_INPUTS else 2
            readable = inputs + activated
            nodes.append((op, tuple(rng.sample(readable, min(count, len(readable))))))
            activated.append(len(nodes))
            nodes.append((rng.choice(ACTIVATIONS), (len(nodes) - 1,)))
            continue
        count = 3 if op == "blend" else 2
        readable = inputs[1:] + list(range(len(nodes)))
        if count <= len(readable):
            nodes.append((op, tuple(rng.sample(readable, count))))
    return CellGraph(tuple(nodes), tuple(rng.sample(range(len(nodes)), states)))


def _accepted(graph: CellGraph) -> bool:
    """x and every hidden state are used, and no new hidden state reads an old one directly."""
    inputs = {X, *(h_prev(k) for k in range(len(graph.states)))}
    direct = any(source < X for number in graph.states for source in graph.nodes[number][1])
    return not direct and inputs <= upstream(graph, graph.states)


def mutated(graph: CellGraph, rng: Random, *, max_nodes: int) -> CellGraph | None:
    """A cell one edit away, every kind of edit equally likely; None if none was found."""
    for _ in range(EDIT_TRIES):
        ways = list(rng.choice(EDITS)(graph))
        if ways:
            child = canonical(rng.choice(ways))
            if child != graph and sound(child, graph, max_nodes=max_nodes):
                return child
    return None


def crossed(a: CellGraph, b: CellGraph, rng: Random, *, max_nodes: int) -> CellGraph | None:
    """One parent with a node, and what only that node needed, replaced by a part of the other.

    None if no child was found that differs from both.
    """
    for _ in range(EDIT_TRIES):
        host, guest = rng.sample((a, b), 2)
        child = canonical(
            _grafted(host, guest, rng.randrange(len(host.nodes)), rng.randrange(len(guest.nodes)))
        )
        if child not in (a, b) and sound(child, host, max_nodes=max_nodes):
            return child
    return None


def _grafted(host: CellGraph, guest: CellGraph, old: int, new: int) -> CellGraph:
    """`host` reading the guest's node `new`, with all it depends on, wherever it read its own node `old`.

    The guest's hidden states become those of the host with the same number, counted round if it has fewer.
    """
    needed = sorted(source for source in upstream(guest, [new]) if source >= 0)
    place = {number: len(host.nodes) + i for i, number in enumerate(needed)} | {X: X}
    place |= {h_prev(k): h_prev(k % len(host.states)) for k in range(len(guest.states))}
    swap = {old: place[new]}
    nodes = [(op, tuple(swap.get(s, s) for s in sources)) for op, sources in host.nodes]
    nodes += [(guest.nodes[n][0], tuple(place[s] for s in guest.nodes[n][1])) for n in needed]
    return CellGraph(tuple(nodes), tuple(swap.get(n, n) for n in host.states))


def sound(child: CellGraph, parent: CellGraph, *, max_nodes: int) -> bool:
    """Whether a child is worth having: it sees its token, it remembers, and it has not outgrown the space.

    A parent from elsewhere may be larger than the space or read a source twice; its children may be as bad.
    """
    return (
        child.reads(X)
        and any(child.reads(h_prev(k)) for k in range(len(child.states)))
        and len(child.nodes) <= max(max_nodes, len(parent.nodes))
        and _repeats(child) <= _repeats(parent)
    )


def _repeats(graph: CellGraph) -> int:
    """How many inputs a node has twice; the published generator never does it."""
    return sum(len(sources) - len(set(sources)) for _, sources in graph.nodes)
