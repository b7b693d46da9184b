"""Scores as a script asks for them: draws, their spread, and the same numbers in every process."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys

import pytest
import torch
from torch import nn
from toy_networks import RECURRENT, Shown

import untrained
from untrained.apps.api import lab
from untrained.apps.probing import FOREIGN
from untrained.core import registry
from untrained.core.errors import BadText, UnknownName, UsageError
from untrained.core.metric import metric, proxy
from untrained.spaces.rnn_cell import RnnCell

SPACE = RnnCell()
GRU = SPACE.classic("gru")
QUICK = ["fading_memory", "hidden_covariance", "lag0_gain"]


def test_several_seeds_give_the_mean_and_the_spread_of_the_draws():
    found = untrained.score(GRU, QUICK, seeds=3)
    one = untrained.score(GRU, QUICK)
    for name in QUICK:
        assert found[name].ok
        assert found[name].spread > 0
        assert one[name].spread is None
        assert found[name].value != one[name].value
        assert found[name].value == pytest.approx(one[name].value, abs=10 * found[name].spread)
        assert set(found[name].parts) == set(one[name].parts)


def test_mean_and_spread_are_those_of_the_single_draws():
    place = lab(SPACE)
    values = [metric("fading_memory")(place.probe(GRU, seed=seed), seed=seed).value for seed in range(3)]
    found = untrained.score(GRU, "fading_memory", seeds=3)
    assert len(set(values)) == 3
    assert found.value == pytest.approx(statistics.mean(values), rel=1e-6)
    assert found.spread == pytest.approx(statistics.stdev(values), rel=1e-3)


def test_a_draw_is_other_weights_and_another_window():
    place = lab(SPACE)
    one, other = (place.probe(GRU, seed=seed) for seed in (0, 1))
    assert not torch.equal(one.batch.tokens, other.batch.tokens)
    assert not torch.equal(one.model.embedding, other.model.embedding)


def test_the_weights_of_a_module_are_the_same_in_every_draw():
    module = nn.LSTM(16, 16)
    before = {k: v.clone() for k, v in module.state_dict().items()}
    found = untrained.score(module, ["fading_memory", "synaptic_saliency", "params"], seeds=2)
    assert all(m.ok for m in found.values())
    assert found["fading_memory"].spread > 0  # the embedding and the window differ
    assert found["params"].spread is None
    assert module.training
    assert all(torch.equal(before[k], v) for k, v in module.state_dict().items())
    assert all(w.grad is None for w in module.parameters())


@pytest.mark.parametrize("make", [nn.RNN, nn.LSTM, nn.GRU])
def test_every_proxy_takes_torchs_modules_in_any_shape(make):
    for options in ({"num_layers": 2, "batch_first": True}, {"bidirectional": True, "bias": False}):
        found = untrained.score(make(12, 20, **options), RECURRENT)
        assert [m.reason for m in found.values() if not m.ok] == []


def test_scoring_draws_from_no_global_generator():
    module, before = nn.GRU(8, 8), torch.get_rng_state()
    for what in (GRU, module):
        assert untrained.score(what, "more_noised_jacobian_cosine", seeds=2).ok
    assert torch.equal(torch.get_rng_state(), before)


CODE = """
import json, torch, untrained
from untrained.spaces.rnn_cell import RnnCell
module = torch.nn.LSTM(24, 24)
with torch.no_grad():
    for i, w in enumerate(module.parameters()):
        w.copy_(torch.sin(torch.arange(w.numel()) + i).reshape(w.shape) / 5)
names = ["fading_memory", "hidden_covariance", "large_noise_jacobian_cosine", "hidden_synaptic_saliency"]
cells = [RnnCell.classic("lstm"), RnnCell().sample(untrained.rng(1)), module]
print(json.dumps([[m.value for m in untrained.score(c, names, seeds=2).values()] for c in cells]))
"""


def test_two_processes_give_the_same_numbers_to_the_last_bit():
    runs = []
    for number in ("1", "2"):
        world = {**os.environ, "PYTHONHASHSEED": number, "OMP_NUM_THREADS": number}
        runs.append(subprocess.Popen([sys.executable, "-c", CODE], stdout=subprocess.PIPE, env=world))
    first, second = (json.loads(run.communicate(timeout=120)[0]) for run in runs)
    assert first == second
    assert all(isinstance(value, float) for row in first for value in row)


# --- what a caller may get wrong -----------------------------------------------------------------------


@pytest.mark.parametrize("seeds", [0, -1])
def test_no_draws_is_the_callers_error(seeds):
    with pytest.raises(UsageError, match=f"seeds={seeds}; take 1 or more"):
        untrained.score(GRU, "fading_memory", seeds=seeds)


def test_unknown_names_and_scales_offer_the_known_ones():
    with pytest.raises(UnknownName, match="Did you mean 'fading_memory'"):
        untrained.score(GRU, "fadeing_memory")
    with pytest.raises(UnknownName, match="paper, probe"):
        untrained.score(GRU, "fading_memory", scale="huge")
    with pytest.raises(UsageError, match="proxy hidden_covariance has no option 'layers'; it has: layer=1"):
        untrained.score(GRU, "hidden_covariance:layers=2")
    with pytest.raises(UsageError, match="layer='two' is not of type int"):
        untrained.score(GRU, "hidden_covariance:layer=two")


def test_a_text_of_ones_own_is_what_is_read(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text(" ".join(f"w{i * i % 1013}" for i in range(5_000)))
    own = untrained.score(GRU, "fading_memory", text=path)
    assert own.ok
    assert own.value != untrained.score(GRU, "fading_memory").value
    path = tmp_path / "short.txt"
    path.write_text("too short")
    with pytest.raises(BadText, match="2 words, and 50 sequences of 36 take 1800"):
        untrained.score(GRU, "fading_memory", text=path)


def test_an_adapter_is_shown_only_ids_that_it_knows():
    found = untrained.score(Shown(lambda e: e, vocabulary=FOREIGN.vocabulary // 4), "fading_memory")
    assert found.ok, found.reason


def test_a_metric_of_ones_own_is_scored_like_the_others():
    @proxy(better="lower")
    def my_width(probe):
        """Width of the output."""
        return probe.forward().output.shape[-1]

    try:
        found = untrained.score(GRU, [my_width, "params"])
        assert found["my_width"].value == 64.0
        assert isinstance(found["my_width"].value, float)
        assert found["my_width"].goodness == -64.0
    finally:
        registry.forget("proxy", "my_width")


# --- whatever happens inside a network ------------------------------------------------------------------


@pytest.mark.parametrize(
    "error", [AttributeError("no attribute 'w'"), KeyError("w"), AssertionError("shape")]
)
def test_whatever_a_forward_raises_is_a_reason(error):
    def broken(embedded):
        raise error

    found = untrained.score(Shown(broken, vocabulary=FOREIGN.vocabulary), "fading_memory")
    assert not found.ok
    assert type(error).__name__ in found.reason


def test_a_missing_method_is_told_as_a_method():
    found = untrained.score(Shown(lambda e: e, vocabulary=FOREIGN.vocabulary), "gated_memory")
    assert "gates" in found.reason
    assert "tape.add" not in found.reason
