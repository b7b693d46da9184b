"""Cells as NAS-Bench-NLP publishes them, in and out, and as an Architecture holds them.

A recipe is one JSON object: {"f": {"op": "linear", "input": ["x", "h_prev_0"]}, "h_new_0": {...}}. The
nodes called h_new_0, h_new_1, ... are what the next step reads as h_prev_0, h_prev_1, ...; h_new_0 is also
the output of the layer.

Source: Klyuchnikov et al. 2020, arXiv:2006.07116
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from graphlib import CycleError, TopologicalSorter
from typing import IO, Any

from untrained.core.errors import InvalidArchitecture
from untrained.spaces._cell_classics import Recipe
from untrained.spaces._cell_classics import node as make_node
from untrained.spaces._cell_graph import ARITY, MAX_NODES, CellGraph, X, h_prev, source_name

STATE = re.compile(r"h_(new|prev)_(0|[1-9][0-9]{0,3})")
EXAMPLE = '{"f": {"op": "linear", "input": ["x", "h_prev_0"]}, "h_new_0": {"op": "activation_tanh", "input": ["f"]}}'  # noqa: E501


def read(recipe: str | bytes | Mapping[str, Any] | IO[Any]) -> CellGraph:
    """The graph of a recipe, nodes in the order of the recipe, dead ones included."""
    named = _parsed(recipe)
    if not named:
        raise InvalidArchitecture(
            f"the recipe is empty: a cell needs at least the node 'h_new_0'.\n  like: {EXAMPLE}"
        )
    if len(named) > MAX_NODES:
        raise InvalidArchitecture(
            f"the recipe has {len(named)} nodes; a cell may have {MAX_NODES}: leave some out"
        )
    for name, node in named.items():
        _check_shape(name, node)
    states = _states(named)
    for name, node in named.items():
        _check_inputs(name, node, named, len(states))
    _check_order(named)
    place = {name: number for number, name in enumerate(named)}
    place |= {f"h_prev_{k}": h_prev(k) for k in range(len(states))} | {"x": X}
    nodes = ((node["op"], tuple(place[i] for i in node["input"])) for node in named.values())
    return CellGraph(tuple(nodes), tuple(place[state] for state in states))


def write(graph: CellGraph) -> Recipe:
    """The recipe of a graph, under published names (node_0, h_new_0, ...)."""
    names = {number: f"node_{number}" for number in range(len(graph.nodes))}
    names |= {number: f"h_new_{state}" for state, number in enumerate(graph.states)}
    spelled = {source: names.get(source, str(source_name(source))) for source in graph.sources()}
    return {
        names[n]: make_node(op, *(spelled[s] for s in sources)) for n, (op, sources) in enumerate(graph.nodes)
    }


def to_value(graph: CellGraph) -> tuple[Any, ...]:
    """The cell as an Architecture holds it: (nodes, states), a node being (op, inputs)."""
    nodes = tuple((op, tuple(map(source_name, sources))) for op, sources in graph.nodes)
    return nodes, graph.states


def from_value(value: Any) -> CellGraph:
    """The graph behind `arch.cell`, checked as thoroughly as a recipe."""
    try:
        nodes, states = value
        names = {number: f"h_new_{k}" for k, number in enumerate(states)}
        spelled = [(op, [_spelled(i, names) for i in inputs]) for op, inputs in nodes]
        known = len(names) == len(states) and all(type(n) is int and 0 <= n < len(nodes) for n in states)
    except (TypeError, ValueError):
        known = False
    if not known:
        raise InvalidArchitecture(
            "a cell is (nodes, states): nodes as (op, inputs), states as the numbers of different nodes\n"
            '  like: [[["linear", ["x", "h_prev_0"]], ["activation_tanh", [0]]], [1]]'
        )
    return read({names.get(n, f"node_{n}"): make_node(op, *inputs) for n, (op, inputs) in enumerate(spelled)})


def _spelled(source: Any, names: dict[int, str]) -> Any:
    """An input of a value as a recipe would name it."""
    return names.get(source, f"node_{source}") if type(source) is int else source


def _parsed(recipe: Any) -> dict[str, Any]:
    """The JSON object, wherever it comes from."""
    text = recipe.read() if hasattr(recipe, "read") else recipe
    if isinstance(text, str | bytes | bytearray):
        try:
            text = json.loads(text, object_pairs_hook=_once)
        except (ValueError, RecursionError) as error:
            raise InvalidArchitecture(f"the recipe is not JSON: {error}\n  like: {EXAMPLE}") from None
    if not isinstance(text, Mapping):
        raise InvalidArchitecture(
            f"a recipe is one JSON object of nodes, not {_kind(text)}\n  like: {EXAMPLE}"
        )
    if "recepie" in text and "h_new_0" not in text:
        raise InvalidArchitecture("this is a training log, not a recipe: give its entry 'recepie' alone")
    return dict(text)


def _once(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object in which a name that comes twice is an error; Python would keep the last in silence."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise InvalidArchitecture(f"the recipe has two entries called {name!r}: rename or remove one")
        found[name] = value
    return found


def _check_shape(name: Any, node: Any) -> None:
    """Name, types, op and number of inputs of one node."""
    if not isinstance(name, str) or not name:
        raise InvalidArchitecture(f"a node's name must be text, not {name!r}: rename it")
    if name == "x" or ((state := STATE.fullmatch(name)) and state[1] == "prev"):
        raise _wrong(name, "this name is taken by an input of the cell: rename the node")
    if not isinstance(node, Mapping):
        raise _wrong(
            name,
            f'it must be an object like {{"op": "linear", "input": ["x", "h_prev_0"]}}, not {_kind(node)}',
        )
    op, inputs = node.get("op"), node.get("input")
    if not isinstance(op, str):
        raise _wrong(
            name, f'its "op" is {"missing" if op is None else _kind(op)}; give one of: {", ".join(ARITY)}'
        )
    if op not in ARITY:
        raise _wrong(name, f"unknown op {op!r}.{_near(op, ARITY)} Known: {', '.join(ARITY)}")
    if not isinstance(inputs, list | tuple) or not all(isinstance(i, str) for i in inputs):
        found = "missing" if inputs is None else "not a list of names"
        raise _wrong(
            name, f'its "input" is {found}; give {_amount(op)} as a list of names like ["x", "h_prev_0"]'
        )
    if len(inputs) not in ARITY[op]:
        raise _wrong(name, f"{op} takes {_amount(op)}, not {len(inputs)} ({', '.join(inputs) or 'none'})")


def _states(named: Mapping[str, Any]) -> list[str]:
    """h_new_0, h_new_1, ... without a gap."""
    numbers = sorted(int(m[2]) for m in map(STATE.fullmatch, named) if m and m[1] == "new")
    if 0 not in numbers:
        raise InvalidArchitecture(
            "the recipe has no node 'h_new_0', the output of the cell: call the output node so"
        )
    for expected, number in enumerate(numbers):
        if number != expected:
            raise _wrong(
                f"h_new_{number}", f"there is no h_new_{expected}: number the hidden states without a gap"
            )
    return [f"h_new_{k}" for k in numbers]


def _check_inputs(name: str, node: Mapping[str, Any], named: Mapping[str, Any], states: int) -> None:
    """Each input exists, and x only enters where a matrix can bring it to the width of the layer."""
    for source in node["input"]:
        if source == "x":
            if node["op"] != "linear":
                raise _wrong(
                    name,
                    f"{node['op']} cannot read x, whose width may differ: pass x through a linear node",
                )
        elif (state := STATE.fullmatch(source)) and state[1] == "prev":
            if int(state[2]) >= states:
                new = f"h_new_{state[2]}"
                raise _wrong(
                    name,
                    f"it reads {source}, but there is no {new}: add the node {new}, or read another input",
                )
        elif source not in named:
            known = ["x", *(f"h_prev_{k}" for k in range(states)), *named]
            raise _wrong(name, f"unknown input {source!r}.{_near(source, known)} Known: {', '.join(known)}")


def _check_order(named: Mapping[str, Any]) -> None:
    """Nodes can be computed one after the other."""
    try:
        TopologicalSorter({name: node["input"] for name, node in named.items()}).prepare()
    except CycleError as error:
        cycle = " -> ".join(error.args[1])
        raise _wrong(
            error.args[1][0],
            f"it waits for itself: {cycle}. Break the cycle, for instance by reading h_prev_0 instead",
        ) from None


def _wrong(name: str, what: str) -> InvalidArchitecture:
    return InvalidArchitecture(f"recipe node {name!r}: {what}")


def _amount(op: str) -> str:
    count = " or ".join(map(str, ARITY[op]))
    return f"{count} input{'' if count == '1' else 's'}"


def _near(word: str, known: Iterable[str]) -> str:
    near = get_close_matches(word, list(known), n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


def _kind(value: Any) -> str:
    """A value's type in the words of JSON."""
    kinds = {"list": "a list", "tuple": "a list", "str": "text", "NoneType": "null", "bool": "true or false"}
    kinds |= {"int": "a number", "float": "a number"}
    return kinds.get(type(value).__name__, type(value).__name__)
