"""The memory proxies, against the definition in shared/reference/fading-memory.md written down again."""

from __future__ import annotations

import math
from random import Random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau
from torch import nn
from toy_networks import LINEAR, Shown, cell_model, luck, torch_probe, words

from untrained.core.metric import metric
from untrained.nn.numerics import quiet_numbers
from untrained.nn.probe import Probe
from untrained.spaces.rnn_cell import RnnCell

SPACE = RnnCell()
MAKES = [nn.RNN, nn.LSTM, nn.GRU]


@pytest.fixture(autouse=True, scope="module")
def quiet():
    with quiet_numbers():
        yield


def measured(name, probe):
    found = metric(name)(probe)
    assert found.ok, found.reason
    return found


# --- the definition ------------------------------------------------------------------------------------


def memory(base, changed):
    """S of one layer: states (16, 25, H) of the text, and of the text with the word at s replaced."""
    shares = []
    for k in range(9):
        at_lag = []
        for s in (8, 16):
            d2 = np.mean([np.sum((changed[s][b, s + k] - base[b, s + k]) ** 2) for b in range(len(base))])
            mean = base[:, s + k].mean(0)
            natural = 2 * np.sum(np.mean((base[:, s + k] - mean) ** 2, axis=0))
            r2 = np.mean(np.sum(base**2, axis=-1))
            at_lag.append(d2 / (natural + 3e-6**2 * r2 + 1e-30))
        shares.append(np.mean(at_lag))
    shares = np.array(shares) / max(1.0, sum(shares))
    weights = np.array([1 / (k + 1) for k in range(9)])
    return float(np.sum(weights / weights.sum() * np.log(1 + shares / 0.03)))


def live(first_layer):
    """Share of eigenvalues of at least 1e-3 of the correlation of the units over all words."""
    units = first_layer.reshape(-1, first_layer.shape[-1]).T
    moving = units[units.std(1) > 1e-9]  # a dead unit is not live
    return np.sum(np.linalg.eigvalsh(np.corrcoef(moving)) >= 1e-3) / len(units)


def run(module, table, tokens):
    """Outputs (B, T, H) of the first and of the last layer, by torch's own forward."""
    one = type(module)(module.input_size, module.hidden_size)
    one.load_state_dict({k: v for k, v in module.state_dict().items() if k.endswith("l0")})
    with torch.no_grad():
        x = table[tokens].transpose(0, 1)
        return [m(x)[0].transpose(0, 1).double().numpy() for m in (one, module)]


@pytest.mark.parametrize("make", MAKES)
def test_of_torchs_own_modules_they_follow_the_definition(make):
    torch.manual_seed(2)
    module = make(20, 24, num_layers=3)
    with torch.no_grad():  # five units that never move
        module.weight_ih_l0.view(-1, 24, 20)[:, :5] = 0
        module.weight_hh_l0.view(-1, 24, 24)[:, :5] = 0
    shown = words(20, 40, 300, seed=1)
    probe = torch_probe(module, shown, vocabulary=300)
    tokens = shown.tokens[:16, :25]
    first, last = run(module, probe.model.embedding, tokens)
    changed = {}
    for s in (8, 16):
        swapped = tokens.clone()
        for b in range(16):
            swapped[b, s] = tokens[b - 1, s]
        changed[s] = run(module, probe.model.embedding, swapped)
    by_layer = [{s: layers[i] for s, layers in changed.items()} for i in range(2)]
    s_first, s_last = memory(first, by_layer[0]), memory(last, by_layer[1])
    share = live(first)
    assert share < 1
    fading = measured("fading_memory", probe)
    assert fading.value == pytest.approx(s_last * share, rel=1e-4)
    assert fading.parts == pytest.approx({"memory": s_last, "live": share}, rel=1e-4)
    layered = measured("layered_memory", probe)
    assert layered.value == pytest.approx(math.sqrt(s_first * s_last) * share, rel=1e-4)
    assert layered.parts == pytest.approx({"first": s_first, "last": s_last, "live": share}, rel=1e-4)
    gates = {"RNN": 0, "LSTM": 3, "GRU": 2}[make.__name__]
    gated = measured("gated_memory", probe)
    assert gated.value == pytest.approx(s_last * share * (1 + gates / (1 + gates)), rel=1e-4)
    assert gated.parts["gates"] == gates


def test_a_network_that_cannot_start_in_mid_text_gets_the_same_value():
    torch.manual_seed(3)
    module, shown = nn.GRU(12, 12, num_layers=2), words(16, 25, 100)
    probes = [torch_probe(module, shown, vocabulary=100) for _ in range(2)]
    probes[1].model.roles = tuple(role for role in probes[0].model.roles if role != "state")
    assert probes[1].model.roles != probes[0].model.roles
    for name in ("fading_memory", "layered_memory", "lag0_gain"):
        values = [measured(name, probe).value for probe in probes]
        assert values[0] == pytest.approx(values[1], rel=1e-5)


def test_a_bidirectional_module_has_a_value_too():
    module = nn.LSTM(12, 12, bidirectional=True)
    assert measured("fading_memory", torch_probe(module, words(16, 25, 100), vocabulary=100)).value > 0


# --- networks whose memory is known --------------------------------------------------------------------


def leaky(keep):
    """h_t = keep h_{t-1} + e_t"""

    def of(embedded):
        state, out = torch.zeros_like(embedded[:, 0]), []
        for x in embedded.unbind(1):
            state = keep * state + x
            out.append(state)
        return torch.stack(out, 1)

    return of


def delayed(steps):
    return lambda e: torch.cat([torch.zeros_like(e[:, :steps]), e[:, : e.shape[1] - steps]], 1)


def chaotic(gain):
    """h_t = tanh(gain W h_{t-1} + e_t), W of spectral radius near 1"""
    matrix = gain * torch.randn(32, 32, generator=luck(1)) / math.sqrt(32)

    def of(embedded):
        state, out = torch.zeros_like(embedded[:, 0]), []
        for x in embedded.unbind(1):
            state = torch.tanh(state @ matrix + x)
            out.append(state)
        return torch.stack(out, 1)

    return of


def synthetic(of, name="fading_memory"):
    return measured(name, Probe(Shown(of), words(16, 25, 500)))


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        (delayed(0), 1.25),
        (delayed(3), 0.31),
        (leaky(1.0), 1.23),
        (leaky(0.6), 1.73),
    ],
    ids=["memoryless", "delay 3", "integrator", "leaky 0.6"],
)
def test_memories_of_the_reference(of, expected):
    found = synthetic(of)
    assert found.parts["memory"] == pytest.approx(expected, abs=0.006)
    assert found.parts["live"] == 1.0


def test_memories_on_paper():
    """All of the state is one word's: S = q_k ln(1 + 1/0.03), q_k = (1/(k+1)) / (1 + 1/2 + ... + 1/9)."""
    harmonic = sum(1 / k for k in range(1, 10))
    for k in (0, 1, 3, 8):
        expected = math.log(1 + 1 / 0.03) / (k + 1) / harmonic
        assert synthetic(delayed(k)).value == pytest.approx(expected, rel=1e-3)
    kept = [0.36**k * (1 - 0.36) for k in range(9)]  # shares of a leaky 0.6 in the long run
    expected = sum(math.log(1 + p / 0.03) / (k + 1) for k, p in enumerate(kept)) / harmonic
    assert synthetic(leaky(0.6)).value == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("gain", [1.5, 2, 3, 5])
def test_chaos_has_little(gain):
    assert synthetic(chaotic(gain)).value < 0.7


@pytest.mark.parametrize(
    "of",
    [
        torch.zeros_like,
        torch.ones_like,
        lambda e: e * math.nan,
        lambda e: e * math.inf,
        leaky(1e6),
        lambda e: torch.cat([e[:, :20], e[:, 20:] * math.inf], 1),
        lambda e: torch.arange(25.0)[None, :, None].expand_as(e) / 7,
    ],
    ids=["dead", "constant", "nan", "infinite", "exploding", "exploding late", "same for all texts"],
)
@pytest.mark.parametrize("name", ["fading_memory", "layered_memory"])
def test_no_memory_is_zero_and_not_a_failure(of, name):
    found = synthetic(of, name)
    assert found.value == 0.0
    if not of(torch.ones(1, 25, 1)).isfinite().all():
        assert found.parts["live"] == 0.0


def test_growth_that_stays_finite_is_no_memory():
    assert synthetic(leaky(2.0)).value < 0.01
    assert synthetic(leaky(0.9)).value > 1.6


def test_more_units_than_words_cost_nothing():
    """400 samples span 399 directions; the other 51 are no fault of the network."""
    model = Shown(lambda e: e + 1e-3 * torch.randn(e.shape, generator=luck(5)), vocabulary=5_000, width=450)
    assert measured("fading_memory", Probe(model, words(16, 25, 5_000))).parts["live"] > 0.95


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 95), st.integers(-3, 3), st.integers(0, 100))
def test_the_size_of_the_state_does_not_matter(percent, power, seed):
    shown, of = words(16, 25, 500, seed), leaky(percent / 100)
    one, other = Probe(Shown(of), shown), Probe(Shown(lambda e: 10.0**power * of(e)), shown)
    expected = measured("fading_memory", one).value
    assert measured("fading_memory", other).value == pytest.approx(expected, rel=1e-4)


def test_only_sixteen_sequences_of_25_words_are_looked_at():
    whole = words(30, 60, 500)
    part = type(whole)(whole.tokens[:16, :25], whole.targets[:16, :25])
    for name in ("fading_memory", "layered_memory", "lag0_gain"):
        values = [measured(name, Probe(Shown(leaky(0.7)), shown)).value for shown in (whole, part)]
        assert values[0] == values[1]


def test_fewer_sequences_than_sixteen_are_used_as_they_are():
    few = measured("fading_memory", Probe(Shown(leaky(0.6)), words(4, 25, 500))).value
    assert few == pytest.approx(1.73, abs=0.15)


@pytest.mark.parametrize("name", ["fading_memory", "layered_memory", "lag0_gain"])
@pytest.mark.parametrize(("sequences", "length"), [(16, 24), (1, 25), (1, 3)])
def test_a_batch_that_is_too_short_is_a_failure_with_the_numbers(name, sequences, length):
    found = metric(name)(Probe(Shown(leaky(0.6)), words(sequences, length, 500)))
    assert not found.ok
    assert found.reason.startswith(f"{name}: needs at least 2 sequences of 25 words")
    assert f"the batch has {sequences} of {length}" in found.reason


def test_single_and_double_precision_order_cells_alike():
    """Cells sunk to the floor EPS may differ a little; what the floor is for is that the rest do not."""
    single, double = [], []
    for seed in range(40):
        cell, shown = SPACE.sample(Random(seed)).cell, words(16, 25, 200)
        for values, dtype in ((single, torch.float32), (double, torch.float64)):
            model = cell_model(cell, (24, 24, 24, 24), vocabulary=200, dtype=dtype, seed=seed)
            values.append(measured("fading_memory", Probe(model, shown)).value)
    assert len(set(single)) > 30
    assert kendalltau(single, double).statistic > 0.98
    assert max(abs(a - b) for a, b in zip(single, double, strict=True)) < 0.05


# --- the gain of the present word ----------------------------------------------------------------------


def linear_probe(seed, widths=(24, 24)):
    return Probe(cell_model(LINEAR, widths, vocabulary=200, seed=seed), words(16, 25, 200, seed))


def norm_of(probe):
    matrix = torch.eye(24, dtype=torch.float64)
    for layer in probe.model.layers:
        matrix = matrix @ layer.matrices["0_0"].detach()
    return float(matrix.norm())


@pytest.mark.parametrize("widths", [(24, 24), (24, 10, 24)])
def test_lag0_gain_of_linear_cells_is_the_norm_of_their_matrix(widths):
    ratios = []
    for seed in range(12):
        probe = linear_probe(seed, widths)
        ratios.append(measured("lag0_gain", probe).value / norm_of(probe))
    assert ratios == pytest.approx([1.0] * 12, abs=0.25)
    assert np.mean(ratios) == pytest.approx(1.0, abs=0.05)


def test_lag0_gain_of_a_rotation_is_exact():
    probe = linear_probe(0)
    turn = torch.linalg.qr(torch.randn(24, 24, generator=luck(3), dtype=torch.float64)).Q
    with torch.no_grad():
        probe.model.layers[0].matrices["0_0"].copy_(3 * turn)
    assert measured("lag0_gain", probe).value == pytest.approx(3 * math.sqrt(24), rel=1e-9)


def exact_gain(probe):
    """Frobenius norm of d h_t / d e_t by autograd, root mean square over sequences and the two positions."""
    squares = []
    for t in (8, 16):
        embedded = probe.model.embed(probe.batch.tokens[:, : t + 1]).detach().requires_grad_()
        top = probe.model.encode(embedded)[:, t]  # (B, H)
        for unit in top.T:
            (slopes,) = torch.autograd.grad(unit.sum(), embedded, retain_graph=True)
            squares.append(float(slopes[:, t].square().sum(-1).mean()))
    return math.sqrt(sum(squares) / 2)


def test_lag0_gain_orders_cells_as_the_norm_of_the_jacobian_does():
    found, exact = [], []
    for seed in range(24):
        cell = SPACE.sample(Random(seed)).cell
        probe = Probe(cell_model(cell, (16, 16, 16), vocabulary=200, seed=seed), words(16, 25, 200))
        gain, norm = metric("lag0_gain")(probe).value, exact_gain(probe)
        if gain is None:
            assert not probe.encode(probe.batch.tokens).output.isfinite().all()
        elif norm < 1e-12:
            assert gain < 1e-9  # the word arrives late
        else:
            found.append(gain)
            exact.append(norm)
    assert len(found) >= 12
    assert kendalltau(found, exact).statistic > 0.9
    np.testing.assert_allclose(np.log(found), np.log(exact), atol=0.35)


def test_lag0_gain_of_a_text_that_repeats_itself_is_a_failure():
    shown = words(16, 25, 200)
    same = type(shown)(shown.tokens[:1].expand(16, -1), shown.targets)
    found = metric("lag0_gain")(Probe(Shown(leaky(0.5)), same))
    assert not found.ok
    assert "the text repeats itself" in found.reason


# --- gates ---------------------------------------------------------------------------------------------


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10**6))
def test_gated_memory_adds_a_bounded_credit_for_gates(seed):
    arch = SPACE.sample(Random(seed))
    probe = Probe(cell_model(arch.cell, (8, 8), vocabulary=100), words(16, 25, 100))
    gates = sum(op in ("elementwise_prod", "blend") for op, _ in arch.cell[0])
    fading, gated = measured("fading_memory", probe).value, measured("gated_memory", probe)
    assert gated.value == pytest.approx(fading * (1 + gates / (1 + gates)), rel=1e-12)
    assert gated.parts == {"memory": fading, "gates": gates}
    assert fading <= gated.value <= 2 * fading


def test_one_layer_is_first_and_last():
    probe = Probe(Shown(leaky(0.6)), words(16, 25, 500))
    assert measured("layered_memory", probe).value == pytest.approx(measured("fading_memory", probe).value)
