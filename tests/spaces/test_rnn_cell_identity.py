"""Equal cells have equal ids and different cells different ones, checked by two judges of their own.

One is networkx's isomorphism test; the other runs cells, with weights that depend only on what a node
computes, and compares outputs.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import time
from functools import cache
from random import Random

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networkx.algorithms.isomorphism import categorical_multiedge_match, categorical_node_match
from recipe_runner import node, outputs

from untrained.spaces._cell_canonical import canonical
from untrained.spaces._cell_edits import EDITS
from untrained.spaces._cell_graph import CellGraph, X, h_prev
from untrained.spaces.rnn_cell import CLASSICS, RnnCell

SPACE = RnnCell()
seeds = st.integers(0, 2**32)
cells = st.builds(lambda seed, states: RnnCell(states=states).sample(Random(seed)), seeds, st.integers(1, 3))
any_cells = cells | st.sampled_from(sorted(CLASSICS)).map(RnnCell.classic)


def disguised(recipe: dict, rng: Random) -> dict:
    """The same cell written another way, with dead nodes and a hidden state that only dead nodes read."""
    k = sum(name.startswith("h_new_") for name in recipe)
    sources = ["x", *(f"h_prev_{i}" for i in range(k)), *recipe]
    dead = {f"dead {i}": node("linear", *rng.sample(sources, 2)) for i in range(rng.randrange(3))}
    if rng.random() < 0.5:
        dead[f"h_new_{k}"] = node("linear", "x", rng.choice(sources))
        dead["dead reader"] = node("linear", "x", f"h_prev_{k}")
        k += 1
    whole = {**recipe, **dead}
    others = rng.sample(range(1, k), k - 1)
    names = {f"h_{w}_{old}": f"h_{w}_{new}" for new, old in enumerate([0, *others]) for w in ("new", "prev")}
    plain = [name for name in whole if name not in names]
    names |= dict(zip(plain, (f"n{i}" for i in rng.sample(range(99), len(plain))), strict=True))
    entries = []
    for name, entry in whole.items():
        inputs = [names.get(i, i) for i in entry["input"]]
        if entry["op"] != "blend":
            rng.shuffle(inputs)
        entries.append((names[name], node(entry["op"], *inputs)))
    rng.shuffle(entries)
    return dict(entries)


def computed(recipe: dict, steps: int = 4) -> np.ndarray:
    """Outputs over some steps, each linear node's weights drawn from a hash of what the node computes."""

    @cache
    def meaning(name: str, depth: int) -> str:
        if name == "x" or depth == 0:
            return name if name == "x" else ""
        if name.startswith("h_prev"):
            return "h" + meaning(name.replace("prev", "new"), depth - 1)
        inputs = [meaning(i, depth) for i in recipe[name]["input"]]
        parts = inputs if recipe[name]["op"] == "blend" else sorted(inputs)
        return hashlib.sha256(json.dumps([recipe[name]["op"], parts]).encode()).hexdigest()

    @cache
    def drawn(*names: str) -> np.ndarray:
        digest = hashlib.sha256(" ".join(meaning(name, 8) for name in names).encode()).digest()
        return np.random.default_rng(list(digest)).normal(size=(3,) * len(names))

    xs = [np.sin(np.arange(3.0) + 2 * t) for t in range(steps)]
    return outputs(recipe, xs, matrix=drawn, bias=drawn)


@settings(max_examples=60, deadline=None)
@given(any_cells, seeds)
def test_another_way_to_write_a_cell_has_the_same_id_and_computes_the_same(arch, seed):
    recipe = SPACE.to_recipe(arch)
    other = disguised(recipe, Random(seed))
    assert SPACE.from_recipe(other).id == arch.id
    assert SPACE.encode(SPACE.from_recipe(other)) == SPACE.encode(arch)
    np.testing.assert_allclose(computed(other), computed(recipe), rtol=1e-6)


def as_networkx(graph: CellGraph) -> nx.MultiDiGraph:
    """Vertices with op, edges with the position of an ordered input, and each h_new tied to its h_prev."""
    made = nx.MultiDiGraph()
    made.add_node(X, kind="x")
    for k, number in enumerate(graph.states):
        made.add_node(h_prev(k), kind="h_prev_0" if k == 0 else "h_prev")
        made.add_edge(number, h_prev(k), role="becomes")
    for number, (op, sources) in enumerate(graph.nodes):
        made.add_node(number, kind=op)
        for position, source in enumerate(sources):
            made.add_edge(source, number, role=f"input {position}" if op == "blend" else "input")
    return made


def same_by_networkx(a: CellGraph, b: CellGraph) -> bool:
    match = categorical_node_match("kind", None), categorical_multiedge_match("role", None)
    return bool(nx.is_isomorphic(as_networkx(a), as_networkx(b), *match))


@settings(max_examples=15, deadline=None)
@given(cells, seeds)
def test_ids_agree_with_networkx_among_near_relatives(arch, seed):
    """Cells one edit away from the same cell: many are equal, many differ in a detail."""
    rng, graph = Random(seed), SPACE._graph(arch)
    family = [canonical(graph)]
    for edit in EDITS:
        ways = list(edit(graph))
        family += [canonical(way) for way in rng.sample(ways, min(4, len(ways)))]
    for a, b in itertools.combinations(family, 2):
        assert (a == b) == same_by_networkx(a, b)


def symmetrical(rng: Random) -> CellGraph:
    """A small cell of few ops, so that look-alikes and symmetries are common."""
    states = rng.randint(1, 3)
    nodes = [("linear", (X, h_prev(k))) for k in range(states)]
    for _ in range(rng.randint(1, 5)):
        sources = [h_prev(rng.randrange(states)), *range(len(nodes))]
        nodes.append(
            rng.choice(
                [
                    ("linear", (X, h_prev(rng.randrange(states)))),
                    ("elementwise_sum", tuple(rng.sample(sources, 2))),
                ]
            )
        )
    return CellGraph(tuple(nodes), tuple(rng.sample(range(len(nodes)), states)))


def test_ids_agree_with_networkx_among_symmetrical_cells():
    rng = Random(11)
    found = [canonical(symmetrical(rng)) for _ in range(2_000)]
    same_counts: dict[tuple, list[CellGraph]] = {}
    for graph in set(found):  # distinct forms that agree in simple counts must still differ
        same_counts.setdefault(tuple(SPACE.encode(SPACE._made(graph))), []).append(graph)
    pairs = [p for group in same_counts.values() for p in itertools.combinations(group, 2)]
    assert len(pairs) > 50
    assert not any(same_by_networkx(a, b) for a, b in pairs)


def test_blend_is_not_commutative_and_the_output_is_not_just_any_state():
    gru = CLASSICS["gru"]
    assert SPACE.from_recipe(
        {**gru, "h_new_0": node("blend", "z_act", "n_act", "h_prev_0")}
    ) != SPACE.classic("gru")
    two = {"h_new_0": node("linear", "x", "h_prev_1"), "h_new_1": node("activation_tanh", "h_new_0")}
    swapped = {"h_new_1": node("linear", "x", "h_prev_0"), "h_new_0": node("activation_tanh", "h_new_1")}
    assert SPACE.from_recipe(two) != SPACE.from_recipe(swapped)


def test_hidden_states_that_nothing_reads_go_and_those_that_are_read_stay():
    rnn = CLASSICS["rnn"]
    unread = {**rnn, "h_new_1": node("activation_sigm", "f")}
    chain = {**unread, "h_new_2": node("linear", "x", "h_prev_1")}  # 1 is read by 2 alone, and 2 by nobody
    assert SPACE.from_recipe(unread) == SPACE.from_recipe(chain) == SPACE.classic("rnn")
    counter = {**rnn, "h_new_1": node("linear", "x", "h_prev_1")}  # feeds itself: it has weights that train
    assert len(SPACE.from_recipe(counter).cell[1]) == 2


def test_ids_are_pinned():
    """Stored studies name cells by id: a change here breaks them."""
    assert {name: SPACE.classic(name).id for name in CLASSICS} == PINNED


PINNED = {"gru": "ef37c383c0ca2932", "lstm": "92fb62bc625f5a17", "rnn": "5657624b3487e202"}


@pytest.mark.parametrize("seed", range(3))
def test_symmetries_do_not_blow_up(seed):
    """Interchangeable branches and rings of hidden states, written in a random order."""
    rng, start = Random(seed), time.perf_counter()
    assert len({SPACE.from_recipe(disguised(tree(4), rng)) for _ in range(2)}) == 1  # 2^15 symmetries
    forms = {SPACE.from_recipe(rings(sizes, rng)) for sizes in [(3, 4, 5, 5), (5, 3, 4, 5), (4, 5, 5, 3)]}
    assert len(forms) == 1
    assert forms != {SPACE.from_recipe(rings((3, 3, 6, 5), rng))}
    assert time.perf_counter() - start < 3


def tree(depth):
    """2^depth equal branches, added up in pairs."""
    layer = [f"b{i}" for i in range(2**depth)]
    recipe = {name: node("linear", "x", "h_prev_0") for name in layer}
    while len(layer) > 1:
        recipe |= {
            f"{a}+{b}": node("elementwise_sum", a, b) for a, b in zip(layer[::2], layer[1::2], strict=True)
        }
        layer = [f"{a}+{b}" for a, b in zip(layer[::2], layer[1::2], strict=True)]
    return {**recipe, "h_new_0": node("activation_tanh", layer[0])}


def rings(sizes, rng):
    """Hidden states that hand their value round in rings."""
    recipe, first = {"h_new_0": node("linear", "x", "h_prev_0")}, 1
    for size in sizes:
        for i in range(size):
            recipe[f"h_new_{first + i}"] = node("linear", "h_prev_0", f"h_prev_{first + (i + 1) % size}")
        first += size
    return disguised(recipe, rng)
