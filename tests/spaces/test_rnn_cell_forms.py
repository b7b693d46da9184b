"""The other forms of an RNN cell: what is refused, the drawing, the vector, the count of parameters."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from untrained.core.architecture import Architecture
from untrained.core.errors import InvalidArchitecture
from untrained.spaces import _cell_features
from untrained.spaces.rnn_cell import CLASSICS, SCALES, RnnCell

SPACE = RnnCell()
light = settings(max_examples=40, deadline=None)
seeds = st.integers(0, 2**32)
cells = st.builds(lambda seed, states: RnnCell(states=states).sample(Random(seed)), seeds, st.integers(1, 3))

LINEAR, TANH = ("linear", ("x", "h_prev_0")), ("activation_tanh", (0,))
RNN = (LINEAR, TANH), (1,)
SHAPE = r"a cell is \(nodes, states\)"


@pytest.mark.parametrize(
    ("arch", "message"),
    [
        (Architecture.of("other", cell=RNN), "'other' was given to the space 'rnn_cell'"),
        (Architecture.of("rnn_cell", cells=RNN), "the one choice is 'cell', not cells"),
        (Architecture.of("rnn_cell"), "not nothing"),
    ],
)
def test_validate_wants_the_one_choice_of_this_space(arch, message):
    with pytest.raises(InvalidArchitecture, match=message):
        SPACE.validate(arch)


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (5, SHAPE),
        ("ab", SHAPE),
        (((LINEAR, TANH), (2,)), SHAPE),
        (((LINEAR, TANH), (True,)), SHAPE),
        (((LINEAR, TANH), (1, 1)), SHAPE),
        (((LINEAR, ("linear",)), (0,)), SHAPE),
        (((LINEAR, TANH), ()), "no node 'h_new_0'"),
        (((LINEAR, ("tanh", (0,))), (1,)), "unknown op 'tanh'"),
        (((("linear", ("x", 7)),), (0,)), "unknown input 'node_7'"),
        (((("linear", ("x", 0)),), (0,)), "waits for itself"),
        (((("linear", ("x", 0.5)),), (0,)), "not a list of names"),
        (((("linear", ("h_prev_0", "x")),), (0,)), "not in canonical form"),
        (((LINEAR, TANH, ("activation_sigm", (0,))), (2,)), "not in canonical form"),
        (((LINEAR, ("activation_tanh", ("node_0",))), (1,)), "not in canonical form"),
    ],
)
def test_validate_says_what_is_wrong_with_a_cell(cell, message):
    with pytest.raises(InvalidArchitecture, match=message):
        SPACE.validate(Architecture.of("rnn_cell", cell=cell))


def test_the_canonical_form_that_validate_offers_is_valid():
    arch = Architecture.of("rnn_cell", cell=((("linear", ("h_prev_0", "x")),), (0,)))
    with pytest.raises(InvalidArchitecture) as error:
        SPACE.validate(arch)
    SPACE.validate(Architecture.from_json(str(error.value).partition("write it as: ")[2]))


@light
@given(cells)
def test_graph_shows_every_input_node_and_state(arch):
    nodes, states = arch.cell
    graph = SPACE.graph(arch)
    inputs = {source for _, sources in nodes for source in sources if isinstance(source, str)}
    sinks = [f"h_new_{k}" for k in range(len(states))]
    assert Counter(graph.labels) == Counter([*inputs, *(op for op, _ in nodes), *sinks])
    assert len(graph.edges) == sum(len(sources) for _, sources in nodes) + len(states)
    assert all(0 <= a < b < len(graph.labels) for a, b in graph.edges)


@light
@given(cells)
def test_the_encoding_has_a_fixed_length_and_counts_right(arch):
    code = dict(zip(_cell_features.NAMES, SPACE.encode(arch), strict=True))
    ops = Counter(op for op, _ in arch.cell[0])
    assert all(code[f"count {op}"] == n for op, n in ops.items())
    assert code["nodes"] == len(arch.cell[0])
    assert sum(v for k, v in code.items() if " read by " in k) == sum(len(s) for _, s in arch.cell[0])
    assert code["depth of the output"] <= code["depth of the cell"] <= code["nodes"]


def test_the_encoding_of_the_gru_is_what_one_counts_by_hand():
    code = dict(zip(_cell_features.NAMES, SPACE.encode(SPACE.classic("gru")), strict=True))
    assert code["count linear"] == 3
    assert code["x read by linear"] == 3
    assert code["h_prev_0 read by elementwise"] == code["h_prev_0 read by blend"] == 1
    assert (code["states"], code["output is blend"], code["depth of the output"]) == (1, 1, 6)
    assert (code["shortest way from x to the output"], code["longest way from x to the output"]) == (3, 6)
    assert code["shortest way from h_prev_0 to h_new_0"] == 1


def test_parameters_in_closed_form():
    """The plain RNN by hand: per layer I*H + H*H + H; embedding and tied decoder V*E + V."""
    cell = (400 * 600 + 600 * 600 + 600) + (2 * 600 * 600 + 600) + (600 * 400 + 400 * 400 + 400)
    found = SPACE.count(SPACE.classic("rnn"))
    assert (found["params"], found["params_nonembedding"]) == (cell + 10_000 * 401, cell)
    assert SPACE.count(SPACE.classic("lstm"), scale="probe")["params_nonembedding"] == 3 * 4 * (
        2 * 64 * 64 + 64
    )


@light
@given(cells, st.sampled_from(sorted(SCALES)))
def test_parameters_by_node_and_by_layer_agree(arch, scale):
    """The same count by loops over layers, nodes and inputs, from the recipe."""
    size, total = SCALES[scale], 0
    for inputs, hidden in zip((size.embedding, *size.hidden), size.hidden, strict=False):
        for entry in SPACE.to_recipe(arch).values():
            if entry["op"] == "linear":
                total += hidden + sum(
                    hidden * (inputs if source == "x" else hidden) for source in entry["input"]
                )
    assert SPACE.count(arch, scale=scale)["params_nonembedding"] == total


@pytest.mark.parametrize("name", sorted(CLASSICS))
def test_the_built_network_has_the_parameters_that_were_counted(name):
    arch = SPACE.classic(name)
    built = SPACE.build(arch, scale="probe")
    assert sum(p.numel() for p in built.parameters()) == SPACE.count(arch, scale="probe")["params"]
