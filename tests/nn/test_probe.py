"""The probe: passes are shared and counted, order does not matter, and nothing it touches is changed."""

from __future__ import annotations

import random
from random import Random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from untrained.apps.probing import measure, resolve
from untrained.core.errors import MeasurementFailed, MissingRole
from untrained.core.metric import metric
from untrained.nn.batch import Batch
from untrained.nn.numerics import quiet_numbers
from untrained.nn.probe import Probe
from untrained.nn.recurrent import GraphLayer, RecurrentLM
from untrained.spaces.rnn_cell import RnnCell

SPACE = RnnCell()
V, B, T, E, H = 40, 6, 27, 8, 12

JACOBIAN = ("jacobian_covariance", "jacobian_cosine")
NOISED = tuple(f"{kind}_{name}" for kind in ("large_noise", "more_noised") for name in JACOBIAN)
SALIENCY = ("synaptic_saliency", "hidden_synaptic_saliency")
PUBLISHED = ("hidden_covariance", "activation_distance", *SALIENCY, *JACOBIAN, *NOISED)  # 12 with 3 layers
MEMORY = ("fading_memory", "layered_memory", "gated_memory", "lag0_gain")
COSTS = ("params", "params_nonembedding", "flops", "activation_bytes")
EVERYTHING = (*PUBLISHED, *MEMORY, *COSTS)


@pytest.fixture(autouse=True, scope="module")
def quiet():
    with quiet_numbers():
        yield


def network(arch=None, widths=((E, H), (H, E))):
    luck = torch.Generator().manual_seed(4)
    nodes = (arch or SPACE.classic("lstm")).cell
    layers = [GraphLayer(*nodes, inputs=i, hidden=h, generator=luck) for i, h in widths]
    return RecurrentLM(layers, vocabulary=V, embedding=E, generator=luck)


def batch(sequences=B, length=T):
    ids = torch.randint(V, (sequences, length + 1), generator=torch.Generator().manual_seed(6))
    return Batch(ids[:, :-1], ids[:, 1:])


def fresh(arch=None):
    return Probe(network(arch), batch(), seed=3)


class Passes:
    """Counts what a probe runs: forward passes with and without gradients, tokens, backward passes."""

    def __init__(self, monkeypatch, model):
        self.tokens, self.with_graph, self.plain, self.backward = [], 0, 0, 0
        encode, grad = model.encode, torch.autograd.grad

        def counted_encode(embedded, *args, **kwargs):
            self.tokens.append(embedded.shape[0] * embedded.shape[1])
            self.with_graph += torch.is_grad_enabled()
            self.plain += not torch.is_grad_enabled()
            return encode(embedded, *args, **kwargs)

        def counted_grad(*args, **kwargs):
            self.backward += 1
            return grad(*args, **kwargs)

        monkeypatch.setattr(model, "encode", counted_encode)
        monkeypatch.setattr(torch.autograd, "grad", counted_grad)

    @property
    def forward(self):
        return self.with_graph + self.plain


@pytest.fixture
def counting(monkeypatch):
    """Measures metrics by name on one probe, and says what that took."""

    def run(names, sequences=B, length=T):
        model = network()
        passes = Passes(monkeypatch, model)
        probe = Probe(model, batch(sequences, length), seed=3)
        found = measure(resolve(names), lambda kind, seed: probe)
        assert all(m.ok for m in found.values()), [m.reason for m in found.values()]
        monkeypatch.undo()
        return passes

    return run


def test_hidden_covariance_alone_is_one_forward_and_no_backward(counting):
    passes = counting(["hidden_covariance"])
    assert (passes.plain, passes.with_graph, passes.backward) == (1, 0, 0)


@pytest.mark.parametrize("name", ["activation_distance", *JACOBIAN, *SALIENCY])
def test_each_plain_proxy_alone_is_one_forward(counting, name):
    passes = counting([name])
    assert passes.forward == 1
    assert passes.backward == (name != "activation_distance")


def test_the_published_proxies_share_four_forwards_and_four_backwards(counting):
    passes = counting(PUBLISHED)
    assert passes.forward <= 4
    assert passes.backward <= 4
    assert sum(passes.tokens) <= 4 * B * T  # the clean text and three strengths of noise


def test_memory_proxies_share_one_forward_of_the_text_and_two_copies(counting):
    long = {"sequences": 20, "length": 40}  # more than they look at
    alone, together = counting(["fading_memory"], **long), counting(MEMORY, **long)
    assert together.tokens == alone.tokens
    assert sum(together.tokens) <= 48 * 25
    assert together.backward == together.with_graph == 0


def test_all_together_take_no_more_than_the_two_groups(counting):
    together, memory = counting([*PUBLISHED, *MEMORY]), counting(MEMORY)
    assert sum(together.tokens) <= 4 * B * T + sum(memory.tokens)
    assert together.backward <= 4


# --- order ---------------------------------------------------------------------------------------------


def outcome(measurement):
    return measurement.value, measurement.parts, measurement.spread, measurement.reason


def alone(name, arch):
    return outcome(metric(name)(fresh(arch)))


CELLS = [SPACE.classic("lstm"), *(SPACE.sample(Random(seed)) for seed in (0, 1))]
ALONE = {}


@settings(max_examples=15, deadline=None)
@given(
    cell=st.sampled_from(range(len(CELLS))),
    order=st.permutations(EVERYTHING),
    announced=st.sets(st.sampled_from(EVERYTHING)),
)
def test_any_order_gives_what_each_gives_alone_to_the_last_bit(cell, order, announced):
    arch = CELLS[cell]
    probe = fresh(arch).expect(need for name in announced for need in metric(name).needs)
    for name in order:
        if (name, cell) not in ALONE:
            ALONE[name, cell] = alone(name, arch)
        assert outcome(metric(name)(probe)) == ALONE[name, cell], name


def test_a_role_that_was_not_announced_is_not_taken_for_absent():
    """A pass that kept gradients but wrote no states down must not give a saliency of zero."""
    probe = fresh().expect(["gradients", "activation"])
    metric("activation_distance")(probe)
    metric("jacobian_cosine")(probe)
    assert metric("hidden_synaptic_saliency")(probe).value == alone("hidden_synaptic_saliency", None)[0] > 0


# --- laziness ------------------------------------------------------------------------------------------


def refuse():
    raise AssertionError("nobody asked for this")


def test_a_cost_in_closed_form_builds_nothing():
    probe = Probe(refuse, refuse, counts=lambda: {"params": 12, "params_nonembedding": 5, "flops": 7})
    assert [metric(name)(probe).value for name in ("params", "params_nonembedding", "flops")] == [12, 5, 7]


def test_nothing_happens_before_something_is_asked():
    made = []

    def build():
        made.append("model")
        return network()

    def read():
        made.append("batch")
        return batch()

    probe = Probe(build, read, counts=lambda: made.append("counts") or {}).expect(["hidden", "gradients"])
    assert made == []
    metric("params")(probe)
    assert made == ["counts", "model"]
    for name in EVERYTHING:
        metric(name)(probe)
    assert sorted(made) == ["batch", "counts", "model"]


# --- nothing is touched --------------------------------------------------------------------------------


def generators():
    numpy = np.random.get_state()  # noqa: NPY002
    return torch.get_rng_state().tolist(), random.getstate(), numpy[1].tolist(), numpy[2:]


def test_model_batch_and_the_global_generators_stay_as_they_are():
    model, shown = network(), batch()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    tokens, luck, flags = shown.tokens.clone(), generators(), [w.requires_grad for w in model.parameters()]
    probe = Probe(model, shown)
    for name in EVERYTHING:
        assert metric(name)(probe).ok
    assert list(model.state_dict()) == list(before)
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert all(w.grad is None for w in model.parameters())
    assert [w.requires_grad for w in model.parameters()] == flags
    assert torch.equal(shown.tokens, tokens)
    assert generators() == luck


def test_the_caller_may_switch_gradients_off():
    expected = {name: alone(name, None) for name in EVERYTHING}
    with torch.no_grad():
        assert {name: alone(name, None) for name in EVERYTHING} == expected
        assert not torch.is_grad_enabled()


# --- what it hands out ---------------------------------------------------------------------------------


def test_states_are_units_by_samples_and_start_at_zero():
    probe = fresh()
    for layer, width in enumerate((H, E)):
        rows = probe.states(layer)
        assert rows.shape == (width, B * T)
        steps = torch.stack(probe.taps("hidden")[layer], 1)  # (B, T, H)
        assert torch.equal(rows, steps.flatten(0, 1).T)
        assert not steps[:, 0].any()
        assert steps[:, 1:].any()


def test_luck_is_the_probes_own_and_differs_by_seed_and_use():
    def draw(seed, use):
        return tuple(torch.randn(3, generator=Probe(refuse, refuse, seed=seed).generator(use)).tolist())

    draws = {(seed, use): draw(seed, use) for seed in range(3) for use in range(4)}
    assert len(set(draws.values())) == 12
    assert draws == {key: draw(*key) for key in draws}


def test_noise_differs_by_seed_and_not_otherwise():
    values = [Probe(network(), batch(), seed=seed).jacobian(10.0) for seed in (0, 0, 1)]
    assert torch.equal(values[0], values[1])
    assert not torch.equal(values[0], values[2])


@pytest.mark.parametrize("cell", [((("linear", ("h_prev_0", "h_prev_0")), ("activation_tanh", (0,))), (1,))])
def test_a_network_that_does_not_look_at_its_input_has_no_jacobian(cell):
    layer = GraphLayer(*cell, inputs=E, hidden=E, generator=torch.Generator().manual_seed(0))
    probe = Probe(RecurrentLM([layer], vocabulary=V, embedding=E), batch())
    with pytest.raises(MeasurementFailed, match="does not depend on the input"):
        probe.jacobian()


def test_a_missing_role_names_what_there_is_and_how_to_give_it():
    class Bare(torch.nn.Module):
        roles = ("block",)

    probe = Probe(Bare(), batch())
    with pytest.raises(MissingRole, match=r"Bare has no tap called 'hidden' \(it has: block\)") as error:
        probe.taps("hidden")
    assert "tape.add('hidden', layer, tensor)" in str(error.value)


@pytest.mark.parametrize("arch", CELLS)
@pytest.mark.parametrize("cut", [1, 8])
def test_a_network_started_in_mid_text_goes_on_as_if_it_had_read_the_beginning(arch, cut):
    probe = fresh(arch)
    tokens = probe.batch.tokens
    whole = probe.encode(tokens, roles=("state",))
    states = whole.tape["state"]
    starts = []
    for layer in states:
        carried = len(layer) // T
        starts.append(layer[cut * carried : (cut + 1) * carried])
    rest = probe.encode(tokens[:, cut:], start=starts)
    torch.testing.assert_close(rest.output, whole.output[:, cut:], rtol=1e-5, atol=1e-6)
