"""What spares passes and memory, each against the long way: logits by pieces, sequences in one pass."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from untrained.core.metric import metric
from untrained.nn import head as heads
from untrained.nn._products import Calls
from untrained.nn.batch import Batch
from untrained.nn.probe import Probe
from untrained.nn.transformer import LayerShape, Transformer, TransformerShape

WORDS, B, T, D = 13, 4, 6, 8


def luck(seed=0):
    return torch.Generator().manual_seed(seed)


def network(mixers=("softmax", "cosformer"), **more):
    layers = tuple(LayerShape(mixer=m, heads=2, inner=(12, 10)) for m in mixers)
    shape = {"width": D, "layers": layers, "vocabulary": WORDS, "positions": 16, "init": "fan_in", **more}
    return Transformer(TransformerShape(**shape), luck(1)).double().eval()


def text(sequences=B, length=T):
    ids = torch.randint(WORDS, (sequences, length + 1), generator=luck(2))
    return Batch(ids[:, :-1].contiguous(), ids[:, 1:].contiguous())


# --- logits by pieces --------------------------------------------------------------------------------


class Head(nn.Module):
    """A decoder that is not linear, as BERT's."""

    def __init__(self):
        super().__init__()
        self.inside, self.norm, self.out = nn.Linear(D, D), nn.LayerNorm(D), nn.Linear(D, WORDS)
        for w in self.parameters():
            nn.init.normal_(w, generator=luck(3))
        self.double()

    def forward(self, features):
        return self.out(self.norm(torch.tanh(self.inside(features))))


def loss_of(head, features, targets):
    return cross_entropy(head(features).flatten(0, 1), targets.flatten())


@pytest.fixture(params=[1, 7, 2**22], ids=["one token", "some tokens", "all"])
def held(request, monkeypatch):
    """How many tokens are in a piece, the last one shorter than the others."""
    monkeypatch.setattr(heads, "HELD", request.param * WORDS)
    monkeypatch.setattr(heads, "TOKENS", 1)


def states():
    return torch.randn(B, T, D, generator=luck(4), dtype=torch.float64)


@pytest.mark.usefixtures("held")
@pytest.mark.parametrize("labelled", [True, False])
def test_the_slope_of_the_head_is_that_of_all_logits_at_once(labelled):
    head, features, batch = Head(), states().requires_grad_(), text()
    top = loss_of(head, features, batch.targets) if labelled else head(features).sum()
    weights = [head.inside.weight, nn.Parameter(torch.zeros(2, 2))]
    expected = torch.autograd.grad(top, [features, weights[0]])
    found, (own, other), value = heads.slope(
        head, features, batch.targets if labelled else None, weights, WORDS
    )
    torch.testing.assert_close(found, expected[0], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(own, expected[1], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(value, top.detach(), rtol=1e-12, atol=1e-12)
    assert other is None
    assert not found.requires_grad


@pytest.mark.usefixtures("held")
def test_the_bend_of_the_head_is_its_hessian_times_a_vector():
    head, features, batch = Head(), states(), text()
    along = torch.randn(features.shape, generator=luck(5), dtype=torch.float64)
    whole = torch.autograd.functional.hessian(lambda f: loss_of(head, f, batch.targets), features)
    expected = torch.einsum("abcdef,def->abc", whole, along)
    found = heads.bend(head, features, batch.targets, along, WORDS)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.usefixtures("held")
def test_a_told_loss_pulls_on_features_and_head_as_all_logits_at_once():
    head, features, batch = Head(), states().flatten(0, 1).requires_grad_(), text()
    weights, targets = list(head.parameters()), batch.targets.flatten()
    top = cross_entropy(head(features), targets, reduction="sum") / 5
    expected = torch.autograd.grad(top, [features, *weights])
    told = heads.told_loss(head, features, targets, weights, WORDS) / 5
    torch.testing.assert_close(told, top, rtol=1e-12, atol=1e-12)
    for ours, theirs in zip(torch.autograd.grad(told, [features, *weights]), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    with torch.inference_mode():
        torch.testing.assert_close(
            heads.told_loss(head, features, targets, weights, WORDS) / 5, top, rtol=1e-12, atol=1e-12
        )


def test_a_told_loss_is_exact_where_the_probability_rounds_to_zero():
    features = torch.tensor([[200.0, 0.0], [float("nan"), 0.0]])
    lost = [heads.told_loss(lambda f: f, features[i : i + 1], torch.tensor([1]), [], 2) for i in (0, 1)]
    assert float(lost[0]) == 200
    assert lost[1].isnan()


def test_nothing_told_is_nothing_lost():
    head, none = Head(), states().flatten(0, 1)[:0].requires_grad_()
    lost = heads.told_loss(head, none, torch.zeros(0, dtype=torch.long), list(head.parameters()), WORDS)
    lost.backward()
    assert lost.item() == 0
    assert none.grad.shape == (0, D)


def test_a_decoder_that_looks_at_nothing_has_no_slope():
    def constant(features):
        return features.new_ones(*features.shape[:2], WORDS, requires_grad=True)

    found, _, _ = heads.slope(constant, states(), text().targets, [], WORDS)
    assert found.shape == (B, T, D)
    assert not found.any()


@pytest.mark.parametrize("name", ["grad_norm", "grasp", "zico", "jacob_cov", "synaptic_diversity"])
def test_values_do_not_hang_on_the_length_of_the_pieces(name, monkeypatch):
    whole = metric(name)(Probe(network(), text())).value
    monkeypatch.setattr(heads, "HELD", 5 * WORDS)
    monkeypatch.setattr(heads, "TOKENS", 1)
    assert metric(name)(Probe(network(), text())).value == pytest.approx(whole, rel=1e-9)


def test_no_more_logits_than_said_are_in_memory(monkeypatch):
    seen = []
    model = network()
    decode = model.decode
    monkeypatch.setattr(model, "decode", lambda f: seen.append(f.shape[:2].numel()) or decode(f))
    monkeypatch.setattr(heads, "HELD", 5 * WORDS)
    monkeypatch.setattr(heads, "TOKENS", 1)
    for name in ("snip", "grasp", "jacob_cov", "fisher", "zico", "ntk_condition"):
        assert metric(name)(Probe(model, text())).ok
    assert max(seen) == 5


def test_weights_of_the_decoder_itself_count_too():
    """The head is one of the weights, so the loss bends along it too."""
    batch, model = text(), network(tied=False)
    own = [model.head.weight, model.blocks[0].ffn.down.weight]
    model.saliency_weights = lambda: own
    top = cross_entropy(model(batch.tokens).flatten(0, 1), batch.targets.flatten())
    first = torch.autograd.grad(top, own, create_graph=True)
    rate = sum((g * g.detach()).sum() for g in first)
    second = torch.autograd.grad(rate, own)
    probe = Probe(model, batch)
    assert probe.products() is None
    for ours, theirs in zip(probe.loss_gradients(), first, strict=True):
        torch.testing.assert_close(ours, theirs)
    expected = -sum(float((w * h).sum().detach()) for w, h in zip(own, second, strict=True))
    assert metric("grasp")(probe).value == pytest.approx(expected, rel=1e-9)
    assert metric("fisher")(probe).ok


# --- sequences in one pass ---------------------------------------------------------------------------


@pytest.mark.parametrize("of", ["loss", "last"])
@pytest.mark.parametrize("sequences", [None, 3])
def test_products_are_the_gradients_of_each_sequence(of, sequences):
    probe = Probe(network(), text())
    products = probe.products(of, sequences=sequences)
    passes = list(probe.group_gradients(1, of, sequences=sequences))
    assert len(passes) == (sequences or B)
    for i, product in enumerate(products):
        expected = torch.stack([gradients[i] for gradients in passes])
        torch.testing.assert_close(product.gradients(), expected)
        torch.testing.assert_close(product.gradients(slice(1, 3)), expected[:, 1:3])
        torch.testing.assert_close(product.gradient(slice(0, 2)), expected[:2].sum(0))


@pytest.mark.parametrize("name", ["fisher", "grad_sign", "zico", "ntk_condition", "label_gradient_alignment"])
def test_values_are_those_of_single_passes(name, monkeypatch):
    model = network(("softmax", "softmax"))  # cosFormer may have gradients whose sign is rounding
    found = metric(name)(Probe(model, text()))
    monkeypatch.setattr(Probe, "products", lambda *_, **__: None)
    other = metric(name)(Probe(model, text()))
    assert found.value == pytest.approx(other.value, rel=1e-7 if name == "ntk_condition" else 1e-9)
    assert found.parts == pytest.approx(other.parts)


class Twice(nn.Module):
    """One map that is called twice, and may be used behind the back of its layer too."""

    roles, vocabulary = ("block",), WORDS

    def __init__(self, *, beside):
        super().__init__()
        self.table, self.map = nn.Embedding(WORDS, D), nn.Linear(D, D)
        self.beside = beside
        for w in self.parameters():
            nn.init.normal_(w, std=0.3, generator=luck(6))

    def embed(self, tokens):
        return self.table(tokens)

    def encode(self, embedded, tape=None):
        x = torch.tanh(self.map(torch.tanh(self.map(embedded))))
        return x @ self.map.weight if self.beside else x

    def decode(self, features):
        return features @ self.table.weight.T

    def saliency_weights(self):
        return [self.map.weight]


def test_a_map_that_is_called_twice_adds_up():
    probe = Probe(Twice(beside=False).double(), text())
    (product,) = probe.products()
    assert len(product.entered) == 2
    expected = torch.stack([g for (g,) in probe.group_gradients(1)])
    torch.testing.assert_close(product.gradients(), expected)


@pytest.mark.parametrize(
    ("model", "batch"),
    [
        (Twice(beside=True).double(), text()),  # a use that no layer shows
        (network(), text(T, T)),  # sequences and tokens cannot be told apart
    ],
    ids=["used beside", "square"],
)
def test_what_cannot_be_told_apart_runs_sequence_by_sequence(model, batch):
    assert Probe(model, batch).products() is None
    assert metric("fisher")(Probe(model, batch)).ok


def test_no_hook_is_left_behind():
    model = network()
    Probe(model, text()).products()
    assert not any(m._forward_hooks for m in model.modules())
    calls = Calls(model.saliency_weights())
    with pytest.raises(ZeroDivisionError), calls.listening(model):
        raise ZeroDivisionError
    assert not any(m._forward_hooks for m in model.modules())


def test_fisher_grad_sign_and_zico_share_one_pass(monkeypatch):
    model, runs = network(), []
    encode = model.encode
    monkeypatch.setattr(model, "encode", lambda *args: runs.append(1) or encode(*args))
    probe = Probe(model, text())
    for name in ("fisher", "grad_sign", "zico"):
        assert metric(name)(probe).ok
    assert len(runs) == 1
