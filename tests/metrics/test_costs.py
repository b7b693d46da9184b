"""Costs: closed forms against built networks, counters against counts by hand."""

from __future__ import annotations

from random import Random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from toy_networks import LINEAR, Shown, cell_model, torch_probe, words

import untrained
from untrained.apps.probing import Lab
from untrained.core.metric import metric
from untrained.nn.probe import Probe
from untrained.spaces.rnn_cell import RnnCell

SPACE = RnnCell()
CELLS = st.builds(lambda seed: SPACE.sample(Random(seed)), st.integers(0, 10**6)) | st.sampled_from(
    [SPACE.classic(name) for name in ("rnn", "lstm", "gru")]
)


def value(name, probe):
    found = metric(name)(probe)
    assert found.ok, found.reason
    return found.value


def built(arch, scale):
    return SPACE.build(arch, scale=scale, generator=torch.Generator().manual_seed(0))


def check_closed_forms(arch, scale):
    model = built(arch, scale)
    sizes = {name: w.numel() for name, w in model.named_parameters()}
    counts = SPACE.count(arch, scale=scale)
    assert counts["params"] == sum(sizes.values())
    assert counts["params_nonembedding"] == sum(sizes.values()) - sizes["embedding"] - sizes["bias"]
    tokens = torch.arange(6).reshape(2, 3)
    with FlopCounterMode(display=False) as counter:  # with gradients, as it does not see sums made in place
        model(tokens)
    assert counts["flops"] == counter.get_total_flops() / 6
    probe = Probe(model, words(2, 3, 10))  # no closed form: the metrics must look for themselves
    assert {name: value(name, probe) for name in counts} == counts


@settings(max_examples=8, deadline=None)
@given(CELLS)
def test_closed_forms_are_those_of_the_built_network(arch):
    check_closed_forms(arch, "probe")


@pytest.mark.parametrize("seed", [0, 3])
def test_closed_forms_hold_at_paper_scale(seed):
    check_closed_forms(SPACE.sample(Random(seed)), "paper")


def test_the_published_lstm_by_hand():
    """Three layers 400-600-600-400, four gates each with one bias; 10,000 words and a tied decoder's bias."""
    layers = [(400, 600), (600, 600), (600, 400)]
    cell = sum(4 * (h * (i + h) + h) for i, h in layers)
    products = sum(4 * h * (i + h) for i, h in layers)
    counts = SPACE.count(SPACE.classic("lstm"), scale="paper")
    assert counts["params_nonembedding"] == cell
    assert counts["params"] == cell + 10_000 * 400 + 10_000
    assert counts["flops"] == 2 * (products + 10_000 * 400)


def test_costs_are_those_of_the_network_that_would_be_trained():
    arch = SPACE.classic("gru")
    found = untrained.score(arch, ["params", "flops"], scale="probe")
    assert {name: m.value for name, m in found.items()} == {
        name: SPACE.count(arch, scale="paper")[name] for name in found
    }


def test_a_space_that_gives_closed_forms_builds_nothing(monkeypatch):
    monkeypatch.setattr(RnnCell, "build", None)
    probe = Lab(SPACE).probe(SPACE.classic("lstm"), "cost")
    for name in ("params", "params_nonembedding", "flops"):
        assert value(name, probe) == SPACE.count(SPACE.classic("lstm"), scale="paper")[name]


# --- somebody else's module ----------------------------------------------------------------------------


def by_hand(kind, inputs, width, layers, ways, project, bias):
    """(parameters, multiply-adds per token) of one of torch's modules, from the shapes in its manual."""
    gates = {"RNN": 1, "GRU": 3, "LSTM": 4}[kind]
    out, parameters, products = project or width, 0, 0
    for i in range(layers):
        into = inputs if i == 0 else ways * out
        matrices = gates * width * (into + out) + (project * width if project else 0)
        parameters += ways * (matrices + (2 * gates * width if bias else 0))
        products += ways * matrices
    return parameters, products


@settings(max_examples=25, deadline=None)
@given(
    kind=st.sampled_from(["RNN", "LSTM", "GRU", "projected"]),
    inputs=st.integers(1, 8),
    width=st.integers(4, 9),
    layers=st.integers(1, 3),
    ways=st.integers(1, 2),
    bias=st.booleans(),
)
def test_costs_of_torchs_modules_are_their_own(kind, inputs, width, layers, ways, bias):
    project = 3 if kind == "projected" else 0
    kind = "LSTM" if project else kind
    options = {"proj_size": project} if project else {}
    module = getattr(nn, kind)(inputs, width, layers, bias=bias, bidirectional=ways == 2, **options)
    parameters, products = by_hand(kind, inputs, width, layers, ways, project, bias)
    probe = torch_probe(module, words(2, 6, 30))
    assert value("params", probe) == value("params_nonembedding", probe) == parameters
    assert value("flops", probe) == 2 * products


def test_the_embedding_of_another_model_is_told_from_its_body():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.words = nn.Embedding(7, 3)
            self.body = nn.Linear(3, 3)
            self.head = nn.Linear(3, 7, bias=False)
            self.head.weight = self.words.weight  # shared: counted once

    probe = Probe(Model(), words(1, 4, 7))
    assert value("params", probe) == 21 + 12
    assert value("params_nonembedding", probe) == 12


# --- bytes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "bytes_"), [(torch.float32, 4), (torch.float64, 8)])
def test_saved_bytes_of_an_rnn_by_hand(dtype, bytes_):
    """One layer, H = E = 2, four tokens. Saved: the ids (8 bytes each), the embedded words, the zero state,
    the output of each tanh, and these once more in one piece for the decoder."""
    model = cell_model(SPACE.classic("rnn").cell, (2, 2), vocabulary=5, dtype=dtype)
    numbers = 4 * 2 + 2 + 4 * 2 + 4 * 2
    assert value("activation_bytes", Probe(model, words(1, 4, 5))) == (4 * 8 + numbers * bytes_) / 4


@pytest.mark.parametrize("shape", [(1, 4), (2, 4), (50, 35), (3, 70)])
def test_costs_per_token_do_not_depend_on_the_batch(shape):
    model = cell_model(SPACE.classic("lstm").cell, (6, 6))
    one, other = Probe(model, words(1, 9, 30)), Probe(model, words(*shape, 30))
    for name in ("activation_bytes", "flops"):
        assert value(name, one) == value(name, other)


def test_a_batch_of_three_tokens_is_counted_as_three():
    probe = torch_probe(nn.LSTM(5, 6), words(1, 3, 30))
    assert value("flops", probe) == 2 * 4 * 6 * (5 + 6)
    rnn = cell_model(SPACE.classic("rnn").cell, (2, 2), vocabulary=5, dtype=torch.float32)
    assert value("activation_bytes", Probe(rnn, words(1, 3, 5))) == (3 * 8 + 4 * (3 * 6 + 2)) / 3


def test_a_linear_cell_saves_less_than_one_with_gates():
    sizes = [
        value("activation_bytes", Probe(cell_model(cell, (6, 6)), words(1, 4, 30)))
        for cell in (LINEAR, SPACE.classic("gru").cell, SPACE.classic("lstm").cell)
    ]
    assert sizes == sorted(sizes)
    assert len(set(sizes)) == 3


# --- time ----------------------------------------------------------------------------------------------


def test_latency_is_a_median_with_its_spread():
    probe = torch_probe(nn.LSTM(8, 8), words(2, 5, 30))
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        found = metric("latency:batch=3,length=12,warmup=1,repeats=15")(probe)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert found.ok, found.reason
    assert found.unit == "ms"
    assert 0 < found.parts["p10"] <= found.value <= found.parts["p90"]
    assert found.spread > 0
    assert found.metric == "latency:batch=3,length=12,repeats=15,warmup=1"


def test_latency_runs_what_it_says(monkeypatch):
    """`warmup` and `repeats` passes of `batch` sequences, cut from the text or repeated to fit."""
    model, shapes = Shown(lambda e: e), []
    model.forward = lambda tokens: shapes.append(tuple(tokens.shape))
    assert metric("latency:batch=3,length=7,warmup=2,repeats=4")(Probe(model, words(2, 5, 30))).ok
    assert shapes == [(3, 7)] * 6


def test_latency_grows_with_the_length():
    probe = torch_probe(nn.LSTM(32, 32), words(1, 5, 30))
    short, long = (value(f"latency:length={n},repeats=5,warmup=1", probe) for n in (4, 128))
    assert long > 4 * short


@pytest.mark.parametrize("options", ["batch=0", "length=0", "repeats=1", "warmup=-1"])
def test_latency_refuses_what_it_cannot_time(options):
    found = metric(f"latency:{options}")(torch_probe(nn.RNN(2, 2), words(1, 5, 30)))
    assert not found.ok
    assert "batch and length take 1 or more, repeats 2 or more" in found.reason
