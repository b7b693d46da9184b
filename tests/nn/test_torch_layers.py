"""`nn.RNN`, `nn.LSTM` and `nn.GRU` step by step, against what the modules themselves compute."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from untrained.nn.recurrent import from_torch
from untrained.nn.taps import Tape

# What torch says of its own forward of a projected LSTM, once a process; ours has no such path.
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")

B, T, V = 3, 7, 20

KINDS = {
    "tanh": (nn.RNN, {"nonlinearity": "tanh"}),
    "relu": (nn.RNN, {"nonlinearity": "relu"}),
    "lstm": (nn.LSTM, {}),
    "gru": (nn.GRU, {}),
    "projected": (nn.LSTM, {"proj_size": 2}),
}


def module(kind, width=5, inputs=4, dtype=torch.float32, seed=0, **options):
    made, fixed = KINDS[kind]
    torch.manual_seed(seed)
    return made(inputs, width, **fixed, **options).to(dtype)


def first_layers(of, count):
    """The same module without the layers above `count`; its output is their top state at each step."""
    config = {k: getattr(of, k) for k in ("bias", "batch_first", "bidirectional")}
    if of.mode.startswith("RNN"):
        config["nonlinearity"] = of.mode.removeprefix("RNN_").lower()
    if of.proj_size:
        config["proj_size"] = of.proj_size
    part = type(of)(of.input_size, of.hidden_size, num_layers=count, **config)
    part.to(of.weight_ih_l0.dtype).load_state_dict({k: of.state_dict()[k] for k in part.state_dict()})
    return part


def own_forward(theirs, embedded):
    """(B, T, E) -> (B, T, D)"""
    if theirs.batch_first:
        return theirs(embedded)[0]
    return theirs(embedded.transpose(0, 1))[0].transpose(0, 1)


def some_tokens(seed=1):
    return torch.randint(V, (B, T), generator=torch.Generator().manual_seed(seed))


def adapter(theirs):
    return from_torch(theirs, vocabulary=V, generator=torch.Generator().manual_seed(2))


@settings(max_examples=40, deadline=None)
@given(
    kind=st.sampled_from(sorted(KINDS)),
    width=st.integers(3, 9),
    inputs=st.integers(1, 9),
    num_layers=st.integers(1, 3),
    bidirectional=st.booleans(),
    bias=st.booleans(),
    batch_first=st.booleans(),
)
def test_the_adapter_computes_what_the_module_computes(kind, width, inputs, **options):
    theirs = module(kind, width, inputs, torch.float64, **options)
    ours, tokens = adapter(theirs), some_tokens()
    found, expected = ours(tokens), own_forward(theirs, ours.embed(tokens))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("options", [{}, {"num_layers": 3, "bidirectional": True, "batch_first": True}])
def test_single_precision_agrees_too(kind, options):
    theirs = module(kind, **options)
    ours, tokens = adapter(theirs), some_tokens()
    assert ours.embed(tokens).dtype == torch.float32
    torch.testing.assert_close(ours(tokens), own_forward(theirs, ours.embed(tokens)), rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("bidirectional", [False, True])
def test_the_hidden_tape_holds_the_states_that_enter_each_step(kind, bidirectional):
    theirs = module(kind, num_layers=3, bidirectional=bidirectional, batch_first=True)
    ours, tape = adapter(theirs), Tape(("hidden", "block"))
    embedded = ours.embed(some_tokens())
    ours.encode(embedded, tape)
    ways = 2 if bidirectional else 1
    assert len(tape["hidden"]) == 3 * ways
    for i in range(3):
        out = own_forward(first_layers(theirs, i + 1), embedded)  # (B, T, ways * H)
        torch.testing.assert_close(tape["block"][i], [out], rtol=0, atol=1e-6)
        for way, states in enumerate(out.chunk(ways, -1)):
            steps = states.flip(1) if way == 1 else states  # the second direction starts at the end
            entering = torch.cat([torch.zeros_like(steps[:, :1]), steps[:, :-1]], 1)
            written = torch.stack(tape["hidden"][ways * i + way], 1)
            torch.testing.assert_close(written, entering, rtol=0, atol=1e-6)


def test_the_activation_tape_holds_the_output_of_each_nonlinearity():
    tokens = some_tokens()
    for kind in ("tanh", "relu"):
        theirs = module(kind)
        ours, tape = adapter(theirs), Tape(("activation",))
        ours.encode(ours.embed(tokens), tape)
        (steps,) = tape["activation"]
        torch.testing.assert_close(
            torch.stack(steps, 1), own_forward(theirs, ours.embed(tokens)), rtol=0, atol=1e-6
        )
    theirs = module("lstm", inputs=4, width=5)
    ours, tape = adapter(theirs), Tape(("activation",))
    x = ours.embed(tokens)
    ours.encode(x, tape)
    gates = x[:, 0] @ theirs.weight_ih_l0.T + theirs.bias_ih_l0 + theirs.bias_hh_l0  # the state is zero
    i, f, g, o = gates.chunk(4, 1)
    i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
    expected = [i, f, g, o, (i * g).tanh()]
    torch.testing.assert_close(tape["activation"][0][:5], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True}, {"bias": False}])
def test_gradients_agree_with_the_modules_own(kind, options):
    theirs = module(kind, dtype=torch.float64, **options)
    ours, tokens = adapter(theirs), some_tokens()
    embedded = ours.embed(tokens).requires_grad_()
    expected, found = own_forward(theirs, embedded), ours.encode(embedded)
    pull = torch.randn(expected.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    wanted = [embedded, *theirs.parameters()]
    own = torch.autograd.grad(expected, wanted, pull)
    torch.testing.assert_close(torch.autograd.grad(found, wanted, pull), own, rtol=1e-9, atol=1e-12)
    looked = {id(w) for w in ours.saliency_weights()}
    assert looked == {id(w) for n, w in theirs.named_parameters() if n.startswith("weight")}


def test_only_the_modules_own_parameters_count():
    theirs = module("lstm", num_layers=2)
    ours = adapter(theirs)
    assert {id(w) for w in ours.parameters()} == {id(w) for w in theirs.parameters()}
    assert ours.embedding_parameters() == []


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_the_module_itself_stays_as_it_is(kind):
    theirs = module(kind, num_layers=2)
    before, mode = copy.deepcopy(theirs.state_dict()), theirs.training
    names = [name for name, _ in theirs.named_children()]
    ours = adapter(theirs).eval()
    ours(some_tokens()).sum().detach()
    assert theirs.training is mode is True
    assert [name for name, _ in theirs.named_children()] == names
    assert all(torch.equal(before[k], v) for k, v in theirs.state_dict().items())
    assert all(w.grad is None and w.requires_grad for w in theirs.parameters())
    assert theirs(torch.zeros(2, 1, 4))[0].shape[:2] == (2, 1)  # still runs on its own


def test_a_change_of_the_module_is_seen():
    theirs = module("gru")
    ours, tokens = adapter(theirs), some_tokens()
    before = ours(tokens)
    with torch.no_grad():
        theirs.weight_hh_l0.mul_(2)
    torch.testing.assert_close(ours(tokens), own_forward(theirs, ours.embed(tokens)), rtol=0, atol=1e-6)
    assert not torch.equal(ours(tokens), before)


def test_a_copy_of_the_adapter_uses_its_own_weights():
    ours, tokens = adapter(module("lstm")), some_tokens()
    twin = copy.deepcopy(ours)
    assert torch.equal(twin(tokens), ours(tokens))
    with torch.no_grad():
        next(iter(twin.parameters())).zero_()
    assert not torch.equal(twin(tokens), ours(tokens))


@pytest.mark.parametrize(("kind", "gates"), [("tanh", 0), ("relu", 0), ("gru", 2), ("lstm", 3)])
def test_gates_are_products_of_two_signals(kind, gates):
    for options in ({}, {"num_layers": 2}, {"bidirectional": True}):
        assert adapter(module(kind, **options)).gates() == gates
