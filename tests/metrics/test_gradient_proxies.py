"""Proxies that take gradients: on paper, against finite differences, and against torch's own modules."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
import torch
from judges import cosscore_of, eigscore_of, worth
from torch import nn
from toy_networks import LINEAR, cell_model, luck, torch_probe, words

from untrained.core.metric import metric
from untrained.nn.batch import Batch
from untrained.nn.numerics import quiet_numbers
from untrained.nn.probe import Probe
from untrained.nn.transformer import LayerShape, Transformer, TransformerShape
from untrained.spaces.rnn_cell import RnnCell

SPACE = RnnCell()
CELLS = {name: SPACE.classic(name).cell for name in ("rnn", "lstm", "gru")}
CELLS |= {f"sample {seed}": SPACE.sample(Random(seed)).cell for seed in (1, 3, 5)}


@pytest.fixture(autouse=True, scope="module")
def quiet():
    with quiet_numbers():
        yield


def value(name, probe):
    found = metric(name)(probe)
    assert found.ok, found.reason
    return found.value


# --- one linear unit: h_t = w e_t + u h_{t-1} + b over three steps, L = h_1 + h_2 + h_3 -------------------

W, U, BIAS = 0.7, -0.4, 0.2
TABLE = [0.5, -1.0, 2.0]
SEQUENCES = [[0, 1, 2], [2, 2, 0]]


@pytest.fixture
def unit():
    model = cell_model(LINEAR, (1, 1), vocabulary=3)
    (layer,) = model.layers
    with torch.no_grad():
        layer.matrices["0_0"].fill_(W)
        layer.matrices["0_1"].fill_(U)
        layer.biases["0"].fill_(BIAS)
        model.embedding.copy_(torch.tensor(TABLE)[:, None])
    tokens = torch.tensor(SEQUENCES)
    return Probe(model, Batch(tokens, tokens))


def by_hand():
    """Per sequence: inputs e, states h_1 and h_2."""
    for ids in SEQUENCES:
        e = [TABLE[i] for i in ids]
        first = W * e[0] + BIAS
        yield e, first, W * e[1] + U * first + BIAS


def test_synaptic_saliency_of_a_linear_unit(unit):
    by_w = sum(e[0] * (1 + U + U * U) + e[1] * (1 + U) + e[2] for e, _, _ in by_hand())
    by_u = sum(first * (1 + U) + second for _, first, second in by_hand())
    assert value("synaptic_saliency", unit) == pytest.approx(abs(W * by_w) + abs(U * by_u))


def test_hidden_synaptic_saliency_of_a_linear_unit(unit):
    """A state counts as output of its own step and through all that follows."""
    expected = sum(abs(h1 * (1 + U + U * U)) + abs(h2 * (1 + U)) for _, h1, h2 in by_hand())
    assert value("hidden_synaptic_saliency", unit) == pytest.approx(expected)


def test_jacobian_of_a_linear_unit(unit):
    row = [W * (1 + U + U * U), W * (1 + U), W]
    np.testing.assert_allclose(unit.jacobian(), [row, row], rtol=1e-12)
    assert value("jacobian_covariance", unit) == pytest.approx(worth(0, 2))  # two rows that are the same
    assert value("jacobian_cosine", unit) == pytest.approx(0.5)


# --- finite differences --------------------------------------------------------------------------------

STEP = 1e-5


def tiny(cell):
    return Probe(cell_model(cell, (3, 4, 3), seed=2), words(3, 5, 30, seed=1))


def total(model, embedded):
    with torch.no_grad():
        return float(model.encode(embedded).sum())


def slope(entry, at):
    """d(what `at` returns)/d(entry), entry being a tensor of one number that is moved and put back."""
    old = float(entry)
    entry.fill_(old + STEP)
    up = at()
    entry.fill_(old - STEP)
    down = at()
    entry.fill_(old)
    return (up - down) / (2 * STEP)


@pytest.mark.parametrize("cell", CELLS.values(), ids=list(CELLS))
def test_jacobian_agrees_with_finite_differences(cell):
    probe = tiny(cell)
    embedded = probe.model.embed(probe.batch.tokens).detach().clone()
    slopes = [slope(e, lambda: total(probe.model, embedded)) for e in embedded.view(-1)]
    expected = np.reshape(slopes, (3, -1))
    np.testing.assert_allclose(probe.jacobian(), expected, rtol=1e-6, atol=1e-9)
    assert value("jacobian_covariance", probe) == pytest.approx(eigscore_of(expected), rel=1e-3)
    assert value("jacobian_cosine", probe) == pytest.approx(cosscore_of(expected.tolist()), rel=1e-6)


@pytest.mark.parametrize("cell", CELLS.values(), ids=list(CELLS))
def test_synaptic_saliency_agrees_with_finite_differences(cell):
    probe = tiny(cell)
    embedded = probe.model.embed(probe.batch.tokens).detach()
    expected = 0.0
    for name, weight in probe.model.named_parameters():
        if "matrices" in name:
            for w in weight.detach().view(-1):
                expected += abs(float(w) * slope(w, lambda: total(probe.model, embedded)))
    assert expected > 0
    assert value("synaptic_saliency", probe) == pytest.approx(expected, rel=1e-6)


def test_hidden_synaptic_saliency_agrees_with_finite_differences():
    """A number is added to one state of a two-layer RNN, run in numpy, and the output watched."""
    torch.manual_seed(3)
    module = nn.RNN(3, 4, num_layers=2).double()
    probe = torch_probe(module, words(2, 5, 30))
    own = {name: w.detach().numpy() for name, w in module.named_parameters()}
    embedded = probe.model.embed(probe.batch.tokens).numpy()  # (B, T, E)

    def run(added):
        """`added` (2 layers, T, B, H) goes onto each state when it is made; states and sum of the output."""
        x, kept = embedded.transpose(1, 0, 2), []
        for i in range(2):
            h, out = np.zeros((2, 4)), []
            for t, a in enumerate(x):
                into = a @ own[f"weight_ih_l{i}"].T + own[f"bias_ih_l{i}"] + own[f"bias_hh_l{i}"]
                h = np.tanh(into + h @ own[f"weight_hh_l{i}"].T) + added[i, t]
                out.append(h)
            x = np.array(out)
            kept.append(x)
        return np.array(kept), x.sum()

    nothing = np.zeros((2, 5, 2, 4))
    states, expected = run(nothing)[0], 0.0
    for place in np.ndindex(2, 4, 2, 4):  # the last state enters no step
        moved = nothing.copy()
        moved[place] = STEP
        expected += abs(states[place] * (run(moved)[1] - run(-moved)[1]) / (2 * STEP))
    assert value("hidden_synaptic_saliency", probe) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("make", [nn.RNN, nn.LSTM, nn.GRU])
def test_saliency_of_torchs_own_modules_comes_from_their_own_backward(make):
    torch.manual_seed(5)
    module = make(4, 6, num_layers=2).double()
    probe = torch_probe(module, words(3, 8, 30))
    module(probe.model.embed(probe.batch.tokens).transpose(0, 1))[0].sum().backward()
    found = {
        n: float((w.detach() * w.grad).abs().sum()) for n, w in module.named_parameters() if "weight" in n
    }
    module.zero_grad()
    assert len(found) == 4
    assert value("synaptic_saliency", probe) == pytest.approx(sum(found.values()), rel=1e-9)
    assert all(w.grad is None for w in module.parameters())


# --- noise ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("score_of", ["jacobian_covariance", "jacobian_cosine"])
def test_noised_variants_agree_with_the_jacobians_at_the_same_noise(score_of):
    """The inputs that the network was really given are caught, and everything else is done again."""
    torch.manual_seed(7)
    module = nn.GRU(8, 6).double()
    probe = torch_probe(module, words(6, 10, 30))
    encode, seen = probe.model.encode, []

    def watched(embedded, *args):
        seen.extend(embedded.detach().split(6))
        return encode(embedded, *args)

    probe.model.encode = watched
    more, large = metric(f"more_noised_{score_of}")(probe), metric(f"large_noise_{score_of}")(probe)
    clean = probe.model.embed(probe.batch.tokens)
    noises = {}
    for embedded in seen:
        if torch.equal(embedded, clean):
            noises[0.0] = embedded
            continue
        mean = clean.mean(0)
        variance = sum((e - mean) ** 2 for e in clean) / 5  # over the six sequences
        noise = ((embedded - clean) / variance)[:, variance.gt(1e-9).all(-1)]
        strength = float(noise.std())
        (near,) = [a for a in (0.1, 10.0, 100.0) if 0.8 < strength / a < 1.2]
        assert float(noise.mean()) == pytest.approx(0, abs=0.25 * near)  # n ~ N(0, 1)
        noises[near] = embedded
    assert sorted(noises) == [0.0, 0.1, 10.0, 100.0]
    assert len(seen) == 4

    def score(embedded):
        leaf = embedded.transpose(0, 1).clone().requires_grad_()
        (slopes,) = torch.autograd.grad(module(leaf)[0].sum(), leaf)
        matrix = slopes.transpose(0, 1).flatten(1).numpy()
        return eigscore_of(matrix) if score_of == "jacobian_covariance" else cosscore_of(matrix.tolist())

    scores = {a: score(embedded) for a, embedded in noises.items()}
    assert more.value == pytest.approx(np.prod(list(scores.values())), rel=1e-7)
    assert list(more.parts) == ["clean", "small", "large", "very_large"]
    assert list(more.parts.values()) == pytest.approx([scores[a] for a in (0.0, 0.1, 10.0, 100.0)], rel=1e-7)
    change = abs(scores[0.0] - scores[10.0])
    if score_of == "jacobian_covariance":
        assert large.value == pytest.approx(change, rel=1e-6)
        assert large.better == "lower"
    else:
        assert large.value == pytest.approx(1 - change, rel=1e-9)
        assert large.better == "higher"


# --- activation distance -------------------------------------------------------------------------------


def log_determinant_of_agreements(outputs):
    """outputs (B, all activations): how often both are positive or neither is, counted one by one."""
    size = len(outputs)
    table = np.zeros((size, size))
    for i in range(size):
        for j in range(size):
            table[i, j] = sum((a > 0) == (b > 0) for a, b in zip(outputs[i], outputs[j], strict=True))
    return np.log(abs(np.linalg.det(table)))


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_activation_distance_counts_agreeing_signs(nonlinearity):
    torch.manual_seed(9)
    module = nn.RNN(4, 5, num_layers=2, nonlinearity=nonlinearity).double()
    probe = torch_probe(module, words(4, 6, 30))
    probe.model.embedding.mul_(20)  # else biases decide every sign of so small a network
    x = probe.model.embed(probe.batch.tokens).transpose(0, 1)
    first = nn.RNN(4, 5, nonlinearity=nonlinearity).double()
    first.load_state_dict({k: v for k, v in module.state_dict().items() if k.endswith("l0")})
    with torch.no_grad():
        outputs = torch.cat([first(x)[0], module(x)[0]]).transpose(0, 1).flatten(1).tolist()
    expected = log_determinant_of_agreements(outputs)
    assert value("activation_distance", probe) == pytest.approx(expected, rel=1e-9)


def test_activation_distance_on_paper():
    """One step, two units: the two sequences agree on one sign of two, so K = [[2, 1], [1, 2]]."""
    module = nn.RNN(2, 2)
    with torch.no_grad():
        for w in module.parameters():
            w.zero_()
        module.weight_ih_l0.copy_(torch.eye(2))
    probe = torch_probe(module, Batch(torch.tensor([[0], [1]]), torch.zeros(2, 1)), vocabulary=2)
    probe.model.embedding.copy_(torch.tensor([[1.0, 1.0], [1.0, -1.0]]))
    assert value("activation_distance", probe) == pytest.approx(np.log(3))


def test_sequences_that_switch_alike_have_no_determinant():
    module = nn.RNN(2, 2)
    probe = torch_probe(module, Batch(torch.zeros(2, 3, dtype=torch.int64), torch.zeros(2, 3)))
    found = metric("activation_distance")(probe)
    assert not found.ok
    assert "two sequences switch every activation alike" in found.reason


def test_a_sigmoid_only_adds_a_constant():
    """Its output is always positive: T * H more agreements everywhere, here and in the authors' code."""
    cell = ((("linear", ("x", "h_prev_0")), ("activation_sigm", (0,)), ("activation_tanh", (0,))), (2,))
    probe = Probe(cell_model(cell, (3, 3)), words(4, 5, 30))
    with torch.no_grad():
        probe.model.embedding.mul_(20)
    steps = probe.taps("activation")[0]
    squashed = torch.cat(steps[1::2], 1).tolist()
    table = np.array(
        [[sum((a > 0) == (b > 0) for a, b in zip(r, q, strict=True)) for q in squashed] for r in squashed]
    )
    assert value("activation_distance", probe) == pytest.approx(np.log(np.linalg.det(table + 5 * 3)))


def encoder(*inner):
    layers = tuple(LayerShape(heads=1, inner=widths) for widths in inner)
    shape = TransformerShape(4, layers, vocabulary=30, positions=8, causal=False, pre=False, init="fan_in")
    return Transformer(shape, luck(3)).double()


def test_activation_distance_of_a_transformer_counts_pairs_of_words():
    probe = Probe(encoder((3,), (5, 2)), words(3, 6, 30))
    outputs = [layer for layers in probe.taps("ffn") for layer in layers]  # after the nonlinearity
    sums = []
    for output in outputs:
        on = (output > 0).tolist()
        pairs = [(a, b) for sequence in on for a in sequence for b in sequence]
        sums.append(sum(x == y for a, b in pairs for x, y in zip(a, b, strict=True)) / len(on))
    found = metric("activation_distance")(probe)
    assert found.value == pytest.approx(sum(sums))
    assert found.parts == pytest.approx(
        {"per_activation": sum(sums) / 3, "layer1": sums[0], "layer2": sums[1] + sums[2]}
    )


def test_activation_distance_of_a_transformer_on_paper():
    """Three words; one unit is on for one of them (1 + 4 pairs agree), the other for all (9)."""
    model = encoder((2,))
    with torch.no_grad():
        model.blocks[0].ffn.up[0].weight.zero_()
        model.blocks[0].ffn.up[0].bias.copy_(torch.tensor([0.0, 1.0]))
    probe = Probe(model, words(2, 3, 30))
    probe.taps("preactivation")[0][0][:, 0, 0] = 1.0
    assert value("activation_distance", probe) == 14.0
