"""What goes wrong with a network is a failure with its reason; what a caller does wrong is an error."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from toy_networks import JACOBIAN, MEMORY, PUBLISHED, RECURRENT, Shown, cell_model, torch_probe, words

import untrained
from untrained.core.errors import UsageError
from untrained.core.metric import metric
from untrained.nn.probe import Probe
from untrained.spaces.rnn_cell import RnnCell

SPACE = RnnCell()


def node(op, *inputs):
    return {"op": op, "input": list(inputs)}


# h = leaky_relu(4 (a h_prev + ...)) with squares on the way: 10^9 after a few steps, infinite soon after.
EXPLODING = SPACE.from_recipe(
    {
        "f": node("linear", "x", "h_prev_0"),
        "a": node("activation_leaky_relu", "f"),
        "two": node("elementwise_sum", "a", "h_prev_0"),
        "four": node("elementwise_sum", "two", "two"),
        "eight": node("elementwise_sum", "four", "four"),
        "square": node("elementwise_prod", "eight", "eight"),
        "h_new_0": node("elementwise_sum", "eight", "square"),
    }
)
# h = h_prev * sigm(...): starts at zero and stays there.
CONSTANT = SPACE.from_recipe(
    {
        "f": node("linear", "x", "h_prev_0"),
        "a": node("activation_sigm", "f"),
        "h_new_0": node("elementwise_prod", "a", "h_prev_0"),
    }
)


def scores(arch, names):
    found = untrained.score(arch, names)
    for name, m in found.items():
        assert m.ok == (m.reason is None)
        if not m.ok:
            assert m.value is None
            assert m.reason.startswith(f"{name}: ")
            assert m.record("arch")["status"] == "failed"
    return found


def test_a_cell_that_explodes_fails_with_the_reason():
    for name, m in scores(EXPLODING, PUBLISHED).items():
        assert "the network explodes" in (m.reason or ""), (name, m)
    assert "not finite" in scores(EXPLODING, ["lag0_gain"])["lag0_gain"].reason


def test_a_cell_that_never_moves_fails_with_the_reason():
    found = scores(CONSTANT, ["hidden_covariance", *JACOBIAN])
    assert "the state of layer 1 is constant" in found.pop("hidden_covariance").reason
    for m in found.values():
        assert "the output does not depend on the input" in m.reason


@pytest.mark.parametrize("arch", [EXPLODING, CONSTANT], ids=["exploding", "constant"])
def test_memory_of_such_cells_is_zero(arch):
    assert {m.value for m in scores(arch, MEMORY).values()} == {0.0}


def test_costs_do_not_mind():
    for arch in (EXPLODING, CONSTANT):
        assert all(m.ok for m in scores(arch, ["params", "flops", "activation_bytes"]).values())


def test_several_seeds_of_a_cell_that_fails_fail():
    found = untrained.score(EXPLODING, "hidden_covariance", seeds=3)
    assert not found.ok
    assert "the network explodes" in found.reason


class Leaky(nn.Module):
    """h_t = 2 h_{t-1} + e_t: its output stays below the largest float, its gradient overflows later on."""

    roles = ("hidden",)

    def __init__(self, factor):
        super().__init__()
        self.factor = factor
        self.register_buffer("table", 1e-30 * torch.randn(50, 4, generator=torch.Generator().manual_seed(0)))

    def embed(self, tokens):
        return self.table[tokens]

    def encode(self, embedded, tape=None):
        state, out = torch.zeros_like(embedded[:, 0]), []
        for x in embedded.unbind(1):
            if tape is not None:
                tape.add("hidden", 0, state)
            state = self.factor * state + x
            out.append(state)
        return torch.stack(out, 1)


@pytest.mark.parametrize("name", JACOBIAN)
def test_an_infinite_gradient_is_a_failure_and_not_a_score(name):
    probe = Probe(Leaky(1e5), words(4, 12, 50))
    assert probe.forward().output.isfinite().all()
    found = metric(name)(probe)
    assert not found.ok, found.value
    assert "infinite or not a number" in found.reason


def test_an_infinite_state_below_a_finite_output_is_a_failure_and_not_a_score():
    class Squashed(Leaky):
        def encode(self, embedded, tape=None):
            return torch.tanh(super().encode(embedded, tape))

    found = metric("hidden_covariance")(Probe(Squashed(1e30), words(4, 12, 50)))
    assert not found.ok, found.value
    assert "the state of layer 1 is infinite or not a number" in found.reason


def test_one_sequence_cannot_be_compared():
    probe = Probe(cell_model(SPACE.classic("rnn").cell, (3, 3)), words(1, 9, 30))
    for name in JACOBIAN:
        found = metric(name)(probe)
        assert not found.ok, (name, found.value)
        assert "2 sequences" in found.reason


# --- somebody else's network ---------------------------------------------------------------------------


class Broken(Shown):
    """An adapter whose forward raises."""

    roles = ("hidden", "activation", "block")

    def __init__(self, error):
        super().__init__(lambda e: e)
        self.error = error

    def encode(self, embedded, tape=None):
        raise self.error

    def forward(self, tokens):
        raise self.error


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("mat1 and mat2 cannot be multiplied"),
        ValueError("bad shape"),
        IndexError("index 7 is out of range"),
        TypeError("unsupported operand"),
        NotImplementedError("no such kernel"),
        ZeroDivisionError("division by zero"),
    ],
    ids=lambda e: type(e).__name__,
)
@pytest.mark.parametrize(
    "name", ["fading_memory", "hidden_covariance", "jacobian_cosine", "flops", "latency"]
)
def test_a_forward_that_raises_gives_its_own_message_and_the_metric(name, error):
    found = metric(name)(Probe(Broken(error), words(16, 25, 500)))
    assert not found.ok
    assert found.reason == f"{name}: {type(error).__name__}: {error}"


def test_out_of_memory_is_a_reason():
    found = metric("fading_memory")(Probe(Broken(MemoryError()), words(16, 25, 500)))
    assert found.reason == "fading_memory: out of memory"


@pytest.mark.parametrize("name", ["hidden_covariance", "hidden_synaptic_saliency", "activation_distance"])
def test_a_role_that_is_missing_is_named_with_the_remedy(name):
    found = metric(name)(Probe(Shown(lambda e: e), words(16, 25, 500)))
    role = "activation" if name == "activation_distance" else "hidden"
    assert not found.ok
    assert f"{name}: Shown has no tap called {role!r} (it has: block)" in found.reason
    assert f"tape.add({role!r}, layer, tensor)" in found.reason


@pytest.mark.parametrize("module", [nn.Linear(3, 3), nn.Conv1d(3, 3, 3), nn.Embedding(5, 5)])
def test_a_module_without_adapter_is_the_callers_error(module):
    with pytest.raises(UsageError, match=f"no adapter for {type(module).__name__}") as error:
        untrained.score(module, "fading_memory")
    assert "untrained.nn.taps" in str(error.value)  # where it says what an adapter has


def test_frozen_weights_are_a_failure_only_for_what_needs_their_gradient():
    module = nn.LSTM(16, 16).requires_grad_(False)
    probe = torch_probe(module, words(8, 25, 30))
    probe.model.embedding.mul_(20)  # else sequences switch the same units
    for name in RECURRENT:
        found = metric(name)(probe)
        assert found.ok == (name != "synaptic_saliency"), (name, found.reason)
        if not found.ok:
            assert "a weight is frozen" in found.reason
    assert not any(w.requires_grad for w in module.parameters())


def test_a_batch_that_is_too_short_for_memory_is_long_enough_for_the_others():
    probe = torch_probe(nn.LSTM(16, 16), words(8, 12, 30))
    assert metric("hidden_covariance")(probe).ok
    found = metric("fading_memory")(probe)
    assert not found.ok
    assert "needs at least 2 sequences of 25 words, the batch has 8 of 12" in found.reason
