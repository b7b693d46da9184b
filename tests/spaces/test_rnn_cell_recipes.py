"""Recipes in and out: good ones come back, bad ones are refused with the node and the remedy."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from recipe_runner import node, outputs

from untrained.core.errors import InvalidArchitecture
from untrained.spaces._cell_recipe import read
from untrained.spaces.rnn_cell import CLASSICS, RnnCell

SPACE = RnnCell()


LINEAR = node("linear", "x", "h_prev_0")
RNN = {"f": LINEAR, "h_new_0": node("activation_tanh", "f")}


def test_text_bytes_files_and_objects_are_read_alike():
    text = json.dumps(RNN)
    ways = [RNN, text, text.encode(), io.StringIO(text), io.BytesIO(text.encode())]
    assert {SPACE.from_recipe(way) for way in ways} == {SPACE.classic("rnn")}


def test_a_recipe_is_written_under_published_names():
    assert SPACE.to_recipe(SPACE.classic("rnn")) == {
        "node_0": LINEAR,
        "h_new_0": node("activation_tanh", "node_0"),
    }


def test_names_that_only_look_like_states_are_plain_names():
    recipe = {"h_new_1_part": LINEAR, "h_new_0": node("activation_tanh", "h_new_1_part")}
    assert SPACE.from_recipe(recipe) == SPACE.classic("rnn")


TANH = node("activation_tanh", "f")  # the output of RNN
LOOP = {"a": node("linear", "x", "b"), "b": node("activation_tanh", "a")}
BAD = {
    "cycle": (
        {**LOOP, "h_new_0": node("activation_tanh", "b")},
        "'[ab]': it waits for itself: . -> . -> .*h_prev_0",
    ),
    "reads itself": ({"h_new_0": node("linear", "x", "h_new_0")}, "waits for itself: h_new_0 -> h_new_0"),
    "input left out": (
        {"f": {"op": "linear"}, "h_new_0": TANH},
        "'f': its \"input\" is missing; give 2 or 3 in",
    ),
    "no inputs": ({"f": node("linear"), "h_new_0": TANH}, "'f': linear takes 2 or 3 inputs, not 0"),
    "unknown input": (
        {"gate": LINEAR, "h_new_0": node("activation_tanh", "gaet")},
        "'gaet'. Did you mean 'gate'",
    ),
    "unknown op": ({"f": LINEAR, "h_new_0": node("activation_tan", "f")}, "Did you mean 'activation_tanh'"),
    "one input": ({"h_new_0": node("linear", "x")}, r"linear takes 2 or 3 inputs, not 1 \(x\)"),
    "four inputs": ({"h_new_0": node("linear", *["x"] * 4)}, "linear takes 2 or 3 inputs, not 4"),
    "two for tanh": ({**RNN, "h_new_0": node("activation_tanh", "f", "f")}, "tanh takes 1 input, not 2"),
    "two for blend": ({**RNN, "h_new_0": node("blend", "f", "f")}, "blend takes 3 inputs, not 2"),
    "no output": ({"f": LINEAR}, "no node 'h_new_0'.*call the output node so"),
    "only state 1": ({"h_new_1": LINEAR}, "no node 'h_new_0'"),
    "gap": ({**RNN, "h_new_2": LINEAR}, "'h_new_2': there is no h_new_1: number the hidden states without"),
    "state not made": (
        {"h_new_0": node("linear", "x", "h_prev_1")},
        "it reads h_prev_1, but there is no h_new_1",
    ),
    "x in a sum": (
        {"h_new_0": node("elementwise_sum", "x", "h_prev_0")},
        "cannot read x.*through a linear node",
    ),
    "name of an input": ({"x": LINEAR, **RNN}, "'x': this name is taken"),
    "name of a state": ({"h_prev_0": LINEAR, **RNN}, "'h_prev_0': this name is taken"),
    "empty name": ({"": LINEAR, **RNN}, "a node's name must be text"),
    "empty": ({}, "the recipe is empty"),
    "empty text": ("", "the recipe is not JSON"),
    "not JSON": ("{'f': 1}", "the recipe is not JSON"),
    "not text": (b"\xff\xfe\xfa", "the recipe is not JSON"),
    "nested too deep": ("[" * 100_000, "the recipe is not JSON"),
    "a list": ("[1, 2]", "one JSON object of nodes, not a list"),
    "a number": (3, "one JSON object of nodes, not a number"),
    "null": ("null", "one JSON object of nodes, not null"),
    "node is text": ({**RNN, "h_new_0": "tanh"}, "'h_new_0': it must be an object like .*, not text"),
    "node is null": ({**RNN, "h_new_0": None}, "'h_new_0': it must be an object like .*, not null"),
    "no op": ({**RNN, "h_new_0": {"input": ["f"]}}, '"op" is missing; give one of: linear'),
    "op is a list": ({**RNN, "h_new_0": {"op": ["linear"], "input": ["f"]}}, '"op" is a list; give one of'),
    "input is text": ({**RNN, "h_new_0": {**TANH, "input": "f"}}, "not a list of names; give 1 input as"),
    "input of numbers": ({**RNN, "h_new_0": {**TANH, "input": [0]}}, "not a list of names"),
    "entry twice": (
        '{"h_new_0": {"op": "a"}, "h_new_0": {}}',
        "two entries called 'h_new_0': rename or remove",
    ),
    "a training log": ({"recepie": json.dumps(RNN), "lr": 1}, "a training log, not a recipe: give its entry"),
    "too large": ({**RNN, **{f"n{i}": LINEAR for i in range(63)}}, "65 nodes; a cell may have 64"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_recipes_are_refused_with_the_node_and_the_remedy(case):
    recipe, message = BAD[case]
    with pytest.raises(InvalidArchitecture, match=message):
        SPACE.from_recipe(recipe)


words = st.sampled_from(["x", "h_prev_0", "h_prev_1", "h_new_0", "h_new_1", "h_new_2", "a", "b", "", 0, None])
ops = st.sampled_from(["linear", "activation_tanh", "elementwise_sum", "blend", "what", 3])
junk = st.none() | st.integers() | st.text(max_size=3) | st.lists(words, max_size=2)
entries = st.fixed_dictionaries({}, optional={"op": ops, "input": st.lists(words, max_size=4) | junk}) | junk


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(["h_new_0", "h_new_1", "h_new_2", "a", "b", "x"]), entries))
def test_whatever_is_given_either_reads_or_says_why(recipe):
    try:
        arch = SPACE.from_recipe(recipe)
    except InvalidArchitecture:
        return
    SPACE.validate(arch)


def test_the_classic_lstm_is_the_lstm_of_torch():
    torch.manual_seed(0)
    lstm, xs = torch.nn.LSTM(3, 5, dtype=torch.float64), torch.randn(7, 3, dtype=torch.float64)
    gate = {name: slice(5 * i, 5 * i + 5) for i, name in enumerate("ifgo")}
    into, back = lstm.weight_ih_l0.detach().numpy(), lstm.weight_hh_l0.detach().numpy()
    both = (lstm.bias_ih_l0 + lstm.bias_hh_l0).detach().numpy()
    ours = outputs(
        CLASSICS["lstm"],
        xs.numpy(),
        lambda name, source: (into if source == "x" else back)[gate[name]],
        lambda name: both[gate[name]] if name in gate else np.zeros(5),
    )
    np.testing.assert_allclose(ours, lstm(xs)[0].detach().numpy(), atol=1e-12)


def test_the_classic_gru_follows_the_equations_of_its_paper():
    rng = np.random.default_rng(0)
    W = {g: rng.normal(size=(5, 3)) for g in "rzn"}
    U, b = {g: rng.normal(size=(5, 5)) for g in "rzn"}, {g: rng.normal(size=5) for g in "rzn"}
    xs, h, expected = rng.normal(size=(6, 3)), np.zeros(5), []
    for x in xs:
        r = 1 / (1 + np.exp(-(W["r"] @ x + U["r"] @ h + b["r"])))
        z = 1 / (1 + np.exp(-(W["z"] @ x + U["z"] @ h + b["z"])))
        h = z * h + (1 - z) * np.tanh(W["n"] @ x + U["n"] @ (r * h) + b["n"])
        expected.append(h)
    ours = outputs(
        CLASSICS["gru"],
        xs,
        lambda name, source: (W if source == "x" else U)[name],
        lambda name: b.get(name, np.zeros(5)),
    )
    np.testing.assert_allclose(ours, expected, atol=1e-12)


def test_reading_keeps_the_order_and_the_dead_nodes():
    graph = read({"dead": LINEAR, **RNN})
    assert [op for op, _ in graph.nodes] == ["linear", "linear", "activation_tanh"]
    assert SPACE.from_recipe({"dead": LINEAR, **RNN}) == SPACE.classic("rnn")
