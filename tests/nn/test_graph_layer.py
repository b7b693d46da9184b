"""Cells as graphs, against a plain evaluation of the published recipe and against torch's own LSTM."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from untrained.nn.recurrent import GraphLayer, RecurrentLM
from untrained.nn.taps import Tape
from untrained.spaces.rnn_cell import RnnCell

SPACE = RnnCell()
light = settings(max_examples=40, deadline=None)
seeds = st.integers(0, 2**32)
sampled = st.builds(
    lambda seed, states: RnnCell(states=states).sample(Random(seed)), seeds, st.integers(1, 3)
)
mutated = st.builds(lambda arch, seed: SPACE.mutate(arch, Random(seed)), sampled, seeds)
cells = sampled | mutated | st.sampled_from(["rnn", "lstm", "gru"]).map(SPACE.classic)

FORMULAS = {
    "activation_tanh": lambda a: np.tanh(a),
    "activation_sigm": lambda a: (1 + np.tanh(a / 2)) / 2,  # equal, and never overflows
    "activation_leaky_relu": lambda a: np.maximum(a, 0) + 0.01 * np.minimum(a, 0),
    "elementwise_sum": lambda a, b: a + b,
    "elementwise_prod": lambda a, b: a * b,
    "blend": lambda a, b, c: a * b + (1 - a) * c,
}


def run_recipe(recipe, weights, xs):
    """(T, I) of one sequence -> what a layer computes: h_prev_0 of each step, activations, h_new_0.

    `weights` holds "matrices.3_1" for the second input of the fourth node of the recipe, "biases.3".
    """
    number = {name: i for i, name in enumerate(recipe)}
    width = len(next(w for name, w in weights.items() if name.startswith("biases")))
    state = {n.replace("new", "prev"): np.zeros(width) for n in recipe if n.startswith("h_new")}
    hidden, active, out = [], [], []
    for x in xs:
        known = {"x": x, **state}

        def value(name, known=known):
            if name not in known:
                op, i = recipe[name]["op"], number[name]
                ins = [value(source) for source in recipe[name]["input"]]
                if op == "linear":
                    products = (a @ weights[f"matrices.{i}_{j}"] for j, a in enumerate(ins))
                    known[name] = sum(products, weights[f"biases.{i}"])
                else:
                    known[name] = FORMULAS[op](*ins)
            return known[name]

        hidden.append(state["h_prev_0"])
        state = {name: value(name.replace("prev", "new")) for name in state}
        active += [value(name) for name, entry in recipe.items() if entry["op"].startswith("activation")]
        out.append(state["h_prev_0"])
    return np.array(hidden), active, np.array(out)


def plain(module):
    return {name: w.detach().double().numpy() for name, w in module.state_dict().items()}


@light
@given(cells, seeds)
def test_a_layer_computes_the_published_recipe(arch, seed):
    luck = torch.Generator().manual_seed(seed)
    layer = GraphLayer(*arch.cell, inputs=3, hidden=5, generator=luck).double()
    x = torch.randn(4, 2, 3, generator=luck, dtype=torch.float64)  # (T, B, I)
    tape = Tape(("hidden", "activation"))
    found = layer(x, tape, 0).detach().numpy()
    recipe = SPACE.to_recipe(arch)
    for b in range(2):
        hidden, active, out = run_recipe(recipe, plain(layer), x[:, b].numpy())
        np.testing.assert_allclose(found[:, b], out, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose([h[b].detach() for h in tape["hidden"][0]], hidden, rtol=1e-9, atol=1e-12)
        written = [a[b].detach().numpy() for layer in tape["activation"] for a in layer]
        for a, expected in zip(written, active, strict=True):
            np.testing.assert_allclose(a, expected, rtol=1e-9, atol=1e-12)


@light
@given(cells, seeds)
def test_gradients_do_not_change_what_a_layer_computes(arch, seed):
    """Without gradients the sums are formed in place; the numbers stay the same, bit for bit."""
    luck = torch.Generator().manual_seed(seed)
    layer = GraphLayer(*arch.cell, inputs=6, hidden=6, generator=luck)
    x = torch.randn(5, 2, 6, generator=luck)
    tapes = [Tape(("hidden", "activation")) for _ in range(3)]
    with_graph = layer(x, tapes[0])
    with torch.no_grad():
        without = layer(x.clone(), tapes[1])
    with torch.inference_mode():
        fast = layer(x.clone(), tapes[2])
    assert torch.equal(with_graph, without)
    assert torch.equal(with_graph, fast)
    for role in ("hidden", "activation"):
        for other in tapes[1:]:
            for one, two in zip(tapes[0][role], other[role], strict=True):
                assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


@settings(max_examples=12, deadline=None)
@given(cells)
def test_the_language_model_is_embedding_layers_and_a_tied_decoder(arch):
    luck = torch.Generator().manual_seed(3)
    widths = ((4, 7), (7, 4))
    layers = [GraphLayer(*arch.cell, inputs=i, hidden=h, generator=luck) for i, h in widths]
    model = RecurrentLM(layers, vocabulary=11, embedding=4, generator=luck).double()
    tokens = torch.tensor([[1, 10, 3, 0], [5, 5, 2, 9]])
    found = model(tokens).detach().numpy()
    weights = plain(model)
    for b, ids in enumerate(tokens.numpy()):
        x = weights["embedding"][ids]
        for i in range(2):
            start = f"layers.{i}."
            own = {k.removeprefix(start): w for k, w in weights.items() if k.startswith(start)}
            _, _, x = run_recipe(SPACE.to_recipe(arch), own, x)
        np.testing.assert_allclose(
            found[b], x @ weights["embedding"].T + weights["bias"], rtol=1e-9, atol=1e-12
        )
    assert model.gates() == sum(
        e["op"] in ("elementwise_prod", "blend") for e in SPACE.to_recipe(arch).values()
    )


def lstm_gates(recipe):
    """Which linear node feeds which gate, found by walking back from the output."""

    def feeders(name, op):
        return [s for s in recipe[name]["input"] if recipe.get(s, {}).get("op") == op]

    def linear(act):
        (node,) = recipe[act]["input"]
        return node

    (out,) = feeders("h_new_0", "activation_sigm")
    parts = {name: recipe[name]["input"] for name in feeders("h_new_1", "elementwise_prod")}
    (kept,) = [name for name, inputs in parts.items() if "h_prev_1" in inputs]
    (added,) = set(parts) - {kept}
    (forget,), (write,), (what,) = (
        feeders(kept, "activation_sigm"),
        feeders(added, "activation_sigm"),
        feeders(added, "activation_tanh"),
    )
    return {"i": linear(write), "f": linear(forget), "g": linear(what), "o": linear(out)}


@pytest.mark.parametrize("inputs", [5, 8])
def test_our_lstm_with_torchs_weights_is_torchs_lstm(inputs):
    arch = SPACE.classic("lstm")
    recipe = SPACE.to_recipe(arch)
    torch.manual_seed(11)
    theirs = nn.LSTM(inputs, 6).double()
    ours = GraphLayer(*arch.cell, inputs=inputs, hidden=6).double()
    number = {name: i for i, name in enumerate(recipe)}
    with torch.no_grad():
        for k, gate in enumerate("ifgo"):  # nn.LSTM stacks its gates in this order
            name, rows = lstm_gates(recipe)[gate], slice(6 * k, 6 * k + 6)
            i = number[name]
            ours.biases[str(i)].copy_((theirs.bias_ih_l0 + theirs.bias_hh_l0)[rows])
            for j, source in enumerate(recipe[name]["input"]):
                matrix = theirs.weight_ih_l0 if source == "x" else theirs.weight_hh_l0
                ours.matrices[f"{i}_{j}"].copy_(matrix[rows].T)
    x = torch.randn(9, 3, inputs, dtype=torch.float64)
    torch.testing.assert_close(ours(x), theirs(x)[0], rtol=1e-12, atol=1e-12)


def test_weights_are_uniform_within_the_published_bounds_and_come_from_the_generator():
    arch = SPACE.classic("gru")

    def build(seed):
        return SPACE.build(arch, scale="probe", generator=torch.Generator().manual_seed(seed))

    one, again, other = build(1), build(1), build(2)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), again.parameters(), strict=True))
    cell = torch.cat([w.detach().flatten() for w in one.layers.parameters()])
    bound = 64**-0.5
    assert float(cell.abs().max()) <= bound
    assert float(cell.mean()) == pytest.approx(0, abs=0.02 * bound)
    assert float(cell.std()) == pytest.approx(bound / 3**0.5, rel=0.01)
    table = one.embedding.detach()
    assert float(table.abs().max()) <= 0.1
    assert float(table.std()) == pytest.approx(0.1 / 3**0.5, rel=0.01)
    assert not one.bias.any()
    assert not any(
        torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True) if a.any()
    )


def test_saliency_looks_at_the_matrices_of_the_cells_alone():
    model = SPACE.build(SPACE.classic("lstm"), scale="probe", generator=torch.Generator().manual_seed(0))
    looked = {id(w) for w in model.saliency_weights()}
    named = {name for name, w in model.named_parameters() if id(w) in looked}
    assert named == {name for name, w in model.named_parameters() if w.dim() == 2 and name != "embedding"}
    assert len(named) == 3 * 8
