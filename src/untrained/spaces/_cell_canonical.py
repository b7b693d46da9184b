"""One form for all the ways to write the same RNN cell.

Two cells are the same if one becomes the other by renaming nodes and hidden states (all but state 0, the
output), by reordering nodes, by swapping the inputs of a commutative op, or by dropping what never reaches
the output. Nodes are first told apart by colour refinement over what they read and who reads them; where a
tie is left, each way to break it is tried and the smallest result wins, so the answer is exact.

Source: individualisation-refinement, McKay & Piperno 2014, arXiv:1301.1493
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from untrained.spaces._cell_graph import ORDERED, CellGraph, X, depths, h_prev, live

READS, READ_BY, BECOMES, WAS = 0, 10, 20, 30  # kinds of link; an ordered input adds its position
BASE = 64  # a link and the colour at its end are packed as colour * BASE + link


def canonical(graph: CellGraph) -> CellGraph:
    """The same for all ways to write a cell, without dead nodes and states, nodes in order of depth."""
    graph = live(graph)
    return _Search(graph).smallest()


@dataclass(frozen=True)
class _Leaf:
    """One way to break all ties."""

    path: tuple[int, ...]
    """the vertices picked"""
    trace: tuple[tuple[int, ...], ...]
    """how each pick split the colours; the same for picks that a symmetry exchanges"""
    colours: list[int]
    graph: CellGraph
    code: tuple[Any, ...]


class _Search:
    """Finds the smallest (trace, code) among the ways to break ties among look-alike nodes.

    A path whose trace is already larger is given up. Leaves that agree in trace and code differ by a symmetry
    of the cell; a pick that a known symmetry maps on an earlier one is skipped. So neither look-alikes that
    differ further on nor k interchangeable branches (k! leaves) cost exponential time.
    """

    def __init__(self, graph: CellGraph) -> None:
        self.graph = graph
        self.links = _links(graph)
        self.best: _Leaf | None = None
        self.symmetries: list[list[int]] = []

    def smallest(self) -> CellGraph:
        self._visit(_first_colours(self.graph), (), ())
        assert self.best is not None
        return self.best.graph

    def _visit(self, colours: list[int], path: tuple[int, ...], trace: tuple[tuple[int, ...], ...]) -> int:
        """Searches below a pick; returns the depth to go on from, smaller after a symmetry was found."""
        colours = _refined(colours, self.links)
        trace = (*trace, tuple(sorted(colours)))
        if self.best is not None and trace > self.best.trace[: len(trace)]:
            return len(path)
        tied = _smallest_tie(colours)
        if not tied:
            return self._judge(_Leaf(path, trace, colours, *_sorted_by(colours, self.graph)))
        tried: list[int] = []
        for vertex in tied:
            if not any(self._symmetric(vertex, other, path) for other in tried):
                picked = [2 * c - (v == vertex) for v, c in enumerate(colours)]
                back = self._visit(picked, (*path, vertex), trace)
                if back < len(path):
                    return back
                tried.append(vertex)
        return len(path)

    def _judge(self, leaf: _Leaf) -> int:
        best = self.best
        if best is None or (leaf.trace, leaf.code) < (best.trace, best.code):
            self.best = leaf
        elif leaf.code == best.code:
            owner = {colour: v for v, colour in enumerate(best.colours)}
            self.symmetries.append([owner[colour] for colour in leaf.colours])
            # all below the fork looks the same from both sides, so go back to it
            return next(i for i, (a, b) in enumerate(zip(leaf.path, best.path, strict=True)) if a != b)
        return len(leaf.path)

    def _symmetric(self, a: int, b: int, path: tuple[int, ...]) -> bool:
        """Whether known symmetries that leave the path alone lead from a to b."""
        steps = [s for s in self.symmetries if all(s[v] == v for v in path)]
        orbit, todo = {a}, [a]
        while todo:
            v = todo.pop()
            for w in (s[v] for s in steps):
                if w not in orbit:
                    orbit.add(w)
                    todo.append(w)
        return b in orbit


def _links(graph: CellGraph) -> list[list[tuple[int, int]]]:
    """(kind, other end) of every link of every vertex: the nodes, then x, then the hidden states."""
    n = len(graph.nodes)
    links: list[list[tuple[int, int]]] = [[] for _ in range(n + 1 + len(graph.states))]
    for number, position, source in graph.uses():
        end = source if source >= 0 else n - 1 - source
        place = position if graph.nodes[number][0] in ORDERED else 0
        links[number].append((READS + place, end))
        links[end].append((READ_BY + place, number))
    for state, number in enumerate(graph.states):
        links[number].append((BECOMES, n + 1 + state))
        links[n + 1 + state].append((WAS, number))
    return links


def _first_colours(graph: CellGraph) -> list[int]:
    """By depth, then op. Refining only splits colours, so that their order stays one of depth."""
    keys: list[tuple[int, str]] = [
        (depth, op) for depth, (op, _) in zip(depths(graph), graph.nodes, strict=True)
    ]
    keys += [(0, "x"), *((0, "h_prev" if k else "h_prev_0") for k in range(len(graph.states)))]
    return _ranked(keys)


def _ranked(keys: Sequence[Any]) -> list[int]:
    rank: dict[Hashable, int] = {key: i for i, key in enumerate(sorted(set(keys)))}
    return [rank[key] for key in keys]


def _refined(colours: list[int], links: list[list[tuple[int, int]]]) -> list[int]:
    """Splits colours until vertices of one colour have neighbours of the same colours."""
    count = 0
    while count < len(set(colours)) < len(colours) or not count:
        count = len(set(colours))
        packed = [c * BASE for c in colours]
        around = [tuple(sorted([packed[v] + kind for kind, v in ends])) for ends in links]
        colours = _ranked(list(zip(colours, around, strict=True)))
    return colours


def _smallest_tie(colours: list[int]) -> list[int]:
    """The smallest set of vertices that share a colour; empty if there is none."""
    groups: dict[int, list[int]] = {}
    for v, colour in enumerate(colours):
        groups.setdefault(colour, []).append(v)
    tied = [(len(group), colour) for colour, group in groups.items() if len(group) > 1]
    return groups[min(tied)[1]] if tied else []


def _sorted_by(colours: list[int], graph: CellGraph) -> tuple[CellGraph, tuple[Any, ...]]:
    """The cell by colour, and its code, to compare ways to colour it.

    Nodes are numbered by colour, states (after the output) by their node, commutative inputs by number.
    """
    n = len(graph.nodes)
    order = sorted(range(n), key=colours.__getitem__)
    place = {old: new for new, old in enumerate(order)}
    states = [0, *sorted(range(1, len(graph.states)), key=lambda k: place[graph.states[k]])]
    place |= {h_prev(old): h_prev(new) for new, old in enumerate(states)} | {X: X}
    nodes = []
    for old in order:
        op, sources = graph.nodes[old]
        moved = [place[s] for s in sources]
        nodes.append((op, tuple(moved if op in ORDERED else sorted(moved, key=_inputs_first))))
    found = CellGraph(tuple(nodes), tuple(place[graph.states[k]] for k in states))
    return found, (found.nodes, found.states, [colours[n + 1 + k] for k in states])


def _inputs_first(source: int) -> tuple[bool, int]:
    """x, then hidden states, then nodes."""
    return source >= 0, abs(source)
