"""Gradient proxies of language models with a decoder, each against a second way to the same number."""

from __future__ import annotations

import math
from copy import deepcopy
from itertools import combinations
from random import Random

import numpy as np
import pytest
import torch
from judges import K, eigscore_of
from torch import nn
from torch.autograd.functional import hessian, jacobian
from torch.func import functional_call
from torch.nn.functional import cross_entropy
from toy_networks import LINEAR, cell_model, luck, words

from untrained.core.errors import MissingRole
from untrained.core.metric import metric
from untrained.metrics import _samples
from untrained.metrics._samples import frequency_classes
from untrained.metrics._weights import output_axes
from untrained.nn.batch import Batch
from untrained.nn.numerics import quiet_numbers
from untrained.nn.probe import Probe
from untrained.nn.recurrent import from_torch
from untrained.nn.transformer import LayerShape, Transformer, TransformerShape
from untrained.spaces.rnn_cell import RnnCell

VOCABULARY = 11
WITH_LABELS = ["epe_nas", "fisher", "grad_norm", "grad_sign", "grasp", "label_gradient_alignment"]
WITH_LABELS += ["ntk_condition", "plain", "snip", "zico"]
ON_MIXERS = ["head_importance", "synaptic_diversity"]
ALL = sorted([*WITH_LABELS, *ON_MIXERS, "jacob_cov", "synflow"])
PER_LAYER = sorted(set(ALL) - {"epe_nas", "jacob_cov", "ntk_condition", "label_gradient_alignment"})


def transformer(causal, **more):
    mixers = ("softmax", "cosformer") if causal else ("dct", "convolution", "multiplicative")
    layers = tuple(LayerShape(mixer=m, heads=2, inner=(12,), kernel=3) for m in mixers)
    shape = {"width": 8, "layers": layers, "vocabulary": VOCABULARY, "positions": 16, "init": "fan_in"}
    return Transformer(TransformerShape(**{**shape, "causal": causal, **more}), luck(1)).double()


def narrow(layers=1):
    """A decoder of 80 weights a layer."""
    return transformer(True, width=4, layers=(LayerShape(heads=2, inner=(2,)),) * layers)


NETWORKS = {
    "decoder": lambda: transformer(True),
    "llama": lambda: transformer(True, norm="rms", mlp="swiglu", position="rotary", bias=False, tied=False),
    "encoder": lambda: transformer(False, pre=False, embedding=4),
    "cell": lambda: cell_model(RnnCell().sample(Random(5)).cell, (6, 5, 6), vocabulary=VOCABULARY),
}


@pytest.fixture(autouse=True, scope="module")
def quiet():
    with quiet_numbers():
        yield


@pytest.fixture(params=NETWORKS)
def model(request):
    return NETWORKS[request.param]().eval()


@pytest.fixture
def batch():
    return words(5, 7, VOCABULARY)


def value(name, model, batch):
    found = metric(name)(Probe(model, batch))
    assert found.ok, found.reason
    return found.value


def reason(name, model, batch):
    found = metric(name)(Probe(model, batch))
    assert not found.ok
    return found.reason


def gradients_of(model, top):
    """The textbook way: a copy, backward(), .grad; in the order of the weights, None as 0."""
    copy = deepcopy(model)
    top(copy).backward()
    found = [(w, w.grad) for w in copy.saliency_weights()]
    return [(w.detach().numpy(), np.zeros(w.shape) if g is None else g.numpy()) for w, g in found]


def loss(model, batch, rows=slice(None)):
    return cross_entropy(model(batch.tokens[rows]).transpose(1, 2), batch.targets[rows])


def loss_gradients(model, batch, rows=slice(None)):
    return gradients_of(model, lambda m: loss(m, batch, rows))


def logit_gradients(model, batch):
    return gradients_of(model, lambda m: m(batch.tokens).sum())


# --- sums over the gradients of one pass -------------------------------------------------------------


def test_grad_norm(model, batch):
    expected = sum(math.sqrt((g**2).sum()) for _, g in loss_gradients(model, batch))
    assert value("grad_norm", model, batch) == pytest.approx(expected, rel=1e-9)


def test_snip(model, batch):
    expected = sum(abs(w * g).sum() for w, g in loss_gradients(model, batch))
    assert value("snip", model, batch) == pytest.approx(expected, rel=1e-9)


def test_snip_is_the_derivative_towards_a_mask(batch):
    model = narrow()
    total, step = 0.0, 1e-5
    for weight in model.saliency_weights():
        flat = weight.data.view(-1)
        for i in range(flat.numel()):
            was = float(flat[i])
            losses = []
            for mask in (1 + step, 1 - step):
                flat[i] = was * mask
                losses.append(float(loss(model, batch).detach()))
            flat[i] = was
            total += abs(losses[0] - losses[1]) / (2 * step)
    assert value("snip", model, batch) == pytest.approx(total, rel=1e-5)


def test_plain_is_the_slope_of_the_loss_when_every_weight_grows(model, batch):
    losses, step = [], 1e-5
    for factor in (1 + step, 1 - step):
        grown = deepcopy(model)
        with torch.no_grad():
            for w in grown.saliency_weights():
                w.mul_(factor)
        losses.append(float(loss(grown, batch).detach()))
    slope = (losses[0] - losses[1]) / (2 * step)
    assert value("plain", model, batch) == pytest.approx(slope, rel=1e-5, abs=1e-8)


def test_grasp_with_the_hessian_written_out(batch):
    model = narrow()
    weights = dict(model.named_parameters())
    names = [n for n, p in weights.items() if any(p is w for w in model.saliency_weights())]
    sizes = [weights[n].numel() for n in names]
    flat = torch.cat([weights[n].detach().flatten() for n in names])

    def of(vector):
        pieces = vector.split(sizes)
        own = {n: piece.view_as(weights[n]) for n, piece in zip(names, pieces, strict=True)}
        return cross_entropy(functional_call(model, own, (batch.tokens,)).transpose(1, 2), batch.targets)

    curvature, gradient = hessian(of, flat), jacobian(of, flat)
    assert value("grasp", model, batch) == pytest.approx(float(-flat @ curvature @ gradient), rel=1e-9)


def test_grasp_by_differences_of_gradients(model, batch):
    start, step = loss_gradients(model, batch), 1e-5
    ends = []
    for side in (1, -1):
        moved = deepcopy(model)
        with torch.no_grad():
            for w, (_, g) in zip(moved.saliency_weights(), start, strict=True):
                w.add_(torch.tensor(g), alpha=side * step)
        ends.append(loss_gradients(moved, batch))
    expected = -sum(
        (w * (a - b)).sum() / (2 * step) for (w, _), (_, a), (_, b) in zip(start, *ends, strict=True)
    )
    assert value("grasp", model, batch) == pytest.approx(expected, rel=1e-4, abs=1e-7)


# --- sequence by sequence ----------------------------------------------------------------------------


def test_grad_sign(model, batch):
    total, noise = [np.zeros(w.shape) for w in model.saliency_weights()], 0
    for b in range(5):
        found = [g for _, g in loss_gradients(model, batch, [b])]
        total = [t + np.sign(g) for t, g in zip(total, found, strict=True)]
        noise += sum(int((abs(g) < 1e-14).sum()) for g in found)
    expected = sum(abs(t).sum() for t in total)
    # A sequence whose cosFormer attention sees one live key only has gradients that are 0 but for rounding.
    assert noise < 0.2 * 5 * sum(t.size for t in total)
    assert abs(value("grad_sign", model, batch) - expected) <= noise


@pytest.mark.parametrize("batches", [2, 4])
def test_zico(model, batch, batches):
    each = 5 // batches
    rows = [range(each * i, each * (i + 1)) for i in range(batches)]
    passes = [[g for _, g in loss_gradients(model, batch, list(r))] for r in rows]
    expected = 0.0
    for gradients in zip(*passes, strict=True):
        deviation = np.std(gradients, axis=0)
        moved = deviation > 0
        if moved.any():
            expected += math.log((np.mean(np.abs(gradients), axis=0)[moved] / deviation[moved]).sum())
    assert value(f"zico:batches={batches}", model, batch) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", ["decoder", "llama", "encoder"])
def test_fisher_by_hooks_on_the_outputs(name, batch):
    """As the public code has it, but with the channel on the last axis."""
    model, seen = NETWORKS[name](), []
    ours = {id(w) for w in model.saliency_weights()}

    def keep(module, _, output):
        output.retain_grad()
        seen.append((module, output))

    linear = [m for m in model.modules() if isinstance(m, nn.Linear) and id(m.weight) in ours]
    hooks = [m.register_forward_hook(keep) for m in linear]
    loss(model, batch).backward()
    for hook in hooks:
        hook.remove()
    model.zero_grad(set_to_none=True)
    expected = 0.0
    for module, output in seen:
        assert output.grad is not None
        q = (output.detach() * output.grad).flatten(1, -2).sum(1)  # (B, C)
        expected += float(0.5 * q.pow(2).mean(0).sum()) * module.weight.shape[1]
    assert len(seen) == len(linear)
    assert value("fisher", model, batch) == pytest.approx(expected, rel=1e-9)


def test_fisher_of_a_linear_cell_step_by_step():
    model, batch = cell_model(LINEAR, (3, 3), vocabulary=5), words(4, 3, 5)
    (layer,) = model.layers
    w, u, bias = layer.matrices["0_0"], layer.matrices["0_1"], layer.biases["0"]
    h, products, states = torch.zeros(4, 3, dtype=torch.float64), [], []
    for t in range(3):
        made = (model.embed(batch.tokens[:, t]) @ w, h @ u)
        for a in made:
            a.retain_grad()
        products.append(made)
        h = made[0] + made[1] + bias
        states.append(h)
    cross_entropy(model.decode(torch.stack(states, 1)).transpose(1, 2), batch.targets).backward()
    expected = 0.0
    for matrix in (0, 1):
        q = sum(made[matrix].detach() * made[matrix].grad for made in products)
        expected += float(0.5 * q.pow(2).mean(0).sum()) * 3
    model.zero_grad(set_to_none=True)
    assert value("fisher", model, batch) == pytest.approx(expected, rel=1e-9)


def test_outputs_are_on_the_axis_of_their_kind_of_layer():
    class Conv1D(nn.Module):  # as GPT-2 has it
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(2, 6))

    cell = cell_model(LINEAR, (3, 4))
    model = nn.ModuleList([nn.Linear(2, 3), Conv1D(), nn.LSTM(2, 3), nn.MultiheadAttention(4, 2), cell])
    weights = [model[0].weight, model[1].weight, model[2].weight_hh_l0, model[3].in_proj_weight]
    assert output_axes(model, [*weights, *cell.saliency_weights()]) == [0, 1, 0, 0, 1, 1]


def kernel_of(model, batch, n):
    rows = []
    for b in range(n):
        found = gradients_of(model, lambda m, b=b: m(batch.tokens[b : b + 1])[0, -1].sum())
        rows.append(np.concatenate([g.ravel() for _, g in found]))
    return np.array(rows) @ np.array(rows).T


def test_ntk_condition(model, batch):
    values = np.linalg.eigvalsh(kernel_of(model, batch, 5))
    assert value("ntk_condition", model, batch) == pytest.approx(values[-1] / values[0], rel=1e-5)
    values = np.linalg.eigvalsh(kernel_of(model, batch, 3))
    assert value("ntk_condition:samples=3", model, batch) == pytest.approx(values[-1] / values[0], rel=1e-5)


def test_label_gradient_alignment(model, batch):
    labels = frequency_classes(batch.targets, 4)[:, -1].tolist()
    assert len(set(labels)) > 1
    alike = [[float(a == b) for b in labels] for a in labels]
    kernel = kernel_of(model, batch, 5)
    expected = np.corrcoef(kernel.ravel(), np.ravel(alike))[0, 1]
    assert value("label_gradient_alignment", model, batch) == pytest.approx(expected, rel=1e-9)


def test_the_tangent_kernel_is_the_same_when_few_weights_fit_into_memory(monkeypatch, model, batch):
    whole = _samples.tangent_kernel(Probe(model, batch), 32)
    monkeypatch.setattr(_samples, "HELD", 5 * 100)
    torch.testing.assert_close(_samples.tangent_kernel(Probe(model, batch), 32), whole)


def test_weights_are_taken_in_chunks_that_cover_them_all():
    assert _samples._chunks([5, 5, 20, 1, 1], 10) == [slice(0, 2), slice(2, 3), slice(3, 5)]
    assert _samples._chunks([7], 0) == [slice(0, 1)]


def test_frequency_classes_are_equal_shares_of_the_text():
    # Word 4 five times, word 2 three times, words 0 and 9 once each.
    text = torch.tensor([[4, 2, 4, 0, 4], [4, 2, 9, 4, 2]])
    assert frequency_classes(text, 2).tolist() == [[0, 1, 0, 1, 0], [0, 1, 1, 0, 1]]
    assert frequency_classes(text, 10)[0].tolist() == [2, 6, 2, 8, 2]
    assert frequency_classes(text, 1).unique().tolist() == [0]


# --- input gradients of the logits -------------------------------------------------------------------


def jacobian_by_differences(model, batch, step=1e-6):
    """d(sum of the logits)/d(embedding output), (B, T, E); sequences do not see each other."""
    with torch.no_grad():
        embedded = model.embed(batch.tokens)
        found = torch.zeros_like(embedded)
        for t in range(embedded.shape[1]):
            for e in range(embedded.shape[2]):
                sums = []
                for side in (step, -step):
                    moved = embedded.clone()
                    moved[:, t, e] += side
                    sums.append(model.decode(model.encode(moved)).sum((1, 2)))
                found[:, t, e] = (sums[0] - sums[1]) / (2 * step)
    return found.numpy()


def test_jacob_cov(model, batch):
    expected = eigscore_of(jacobian_by_differences(model, batch).reshape(5, -1))
    assert value("jacob_cov", model, batch) == pytest.approx(expected, rel=1e-4)


def test_epe_nas(model, batch):
    rows = jacobian_by_differences(model, batch).reshape(35, -1)
    labels = frequency_classes(batch.targets, 3).numpy().ravel()
    expected = 0.0
    for label in range(3):
        own = rows[labels == label]
        expected += abs(np.log(np.abs(np.corrcoef(own)) + K).sum())
    assert value("epe_nas:classes=3", model, batch) == pytest.approx(expected, rel=1e-3)


def test_epe_nas_of_more_than_a_hundred_classes():
    model, batch = cell_model(LINEAR, (6, 6), vocabulary=400), words(20, 30, 400)
    rows = Probe(model, batch).logit_gradients()[0].flatten(0, 1).numpy()
    labels = frequency_classes(batch.targets, 150).numpy().ravel()
    means = []
    for label in sorted(set(labels.tolist())):
        own = rows[labels == label]
        means.append(np.log(np.abs(np.atleast_2d(np.corrcoef(own))) + K).sum() / len(own))
    assert len(means) > 100
    expected = sum(abs(a - b) for a, b in combinations(means, 2)) / len(means)
    assert value("epe_nas:classes=150", model, batch) == pytest.approx(expected, rel=1e-6)


# --- data-free ---------------------------------------------------------------------------------------


def test_synflow_as_the_authors_do_it_in_place(model, batch):
    copy = deepcopy(model)
    weights = copy.saliency_weights()
    with torch.no_grad():
        for tensor in copy.state_dict().values():
            tensor.abs_()
    for module in list(copy.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.LayerNorm | nn.RMSNorm):
                setattr(module, name, nn.Identity())
    width = copy.embed(batch.tokens).shape[-1]
    ones = torch.ones(1, 7, width, dtype=torch.float64)
    copy.decode(copy.encode(ones)).sum().backward()
    expected = sum(float((w.detach() * w.grad).abs().sum()) for w in weights if w.grad is not None)
    assert value("synflow", model, batch) == pytest.approx(expected, rel=1e-9)


def test_synflow_of_a_linear_unit_over_two_steps():
    """h1 = |w| + |b|, h2 = |w| + |u| h1 + |b|; R = (h1 + h2) * sum |table|."""
    model = cell_model(LINEAR, (1, 1), vocabulary=3)
    (layer,) = model.layers
    w, u, bias = 0.7, 0.4, 0.2
    with torch.no_grad():
        layer.matrices["0_0"].fill_(w)
        layer.matrices["0_1"].fill_(-u)
        layer.biases["0"].fill_(-bias)
        model.embedding.copy_(torch.tensor([0.5, -1.0, 2.0])[:, None])
    expected = 3.5 * (w * (2 + u) + u * (w + bias))
    assert value("synflow", model, words(2, 2, 3)) == pytest.approx(expected)


def test_synflow_needs_no_text_and_no_precision(batch):
    model = transformer(True)
    other = Batch(batch.tokens.flip(0, 1), batch.targets)
    assert value("synflow", model, batch) == value("synflow", model, other)
    assert value("synflow", model.float(), batch) == pytest.approx(value("synflow", transformer(True), batch))


# --- token mixers ------------------------------------------------------------------------------------


def mixer_pairs(model, batch):
    inside = {id(w) for block in model.blocks for w in block.mixer.parameters()}
    picked = [id(w) in inside for w in model.saliency_weights()]
    return [pair for pair, own in zip(logit_gradients(model, batch), picked, strict=True) if own]


@pytest.mark.parametrize("name", ["decoder", "llama", "encoder"])
def test_synaptic_diversity(name, batch):
    model = NETWORKS[name]()
    pairs = mixer_pairs(model, batch)
    expected = sum(np.linalg.norm(w, "nuc") * np.linalg.norm(g, "nuc") for w, g in pairs)
    found = metric("synaptic_diversity")(Probe(model, batch))
    assert found.value == pytest.approx(expected, rel=1e-9)
    assert found.parts["per_matrix"] == pytest.approx(expected / len(pairs))


@pytest.mark.parametrize("name", ["decoder", "llama", "encoder"])
def test_head_importance(name, batch):
    model = NETWORKS[name]()
    expected = sum(abs(w * g).sum() for w, g in mixer_pairs(model, batch))
    found = metric("head_importance")(Probe(model, batch))
    assert found.value == pytest.approx(expected, rel=1e-9)
    by_layer = found.value - sum(v for k, v in found.parts.items() if k.startswith("layer"))
    assert abs(by_layer) < 1e-9 * found.value


def test_a_model_may_name_its_mixers_itself(batch):
    model = transformer(True)
    first = model.blocks[0].mixer.query.weight
    model.mixer_weights = lambda: [first]
    w, g = logit_gradients(model, batch)[0]
    assert value("head_importance", model, batch) == pytest.approx(abs(w * g).sum())


@pytest.mark.parametrize("name", ON_MIXERS)
def test_a_network_without_mixers_says_so(name, batch):
    assert "RecurrentLM has no token mixer" in reason(name, NETWORKS["cell"](), batch)
    with pytest.raises(MissingRole, match=r"a method mixer_weights\(\)"):
        Probe(NETWORKS["cell"](), batch).mixer_weights()


def test_behind_a_layer_norm_the_sum_of_the_top_states_has_no_gradient(batch):
    """Why these proxies take the logits: the others would see rounding and nothing else."""
    for name in ("decoder", "encoder"):
        probe = Probe(NETWORKS[name](), batch)
        of_states = max(float(g.abs().max()) for g in probe.gradients())
        of_logits = max(float(g.abs().max()) for g in probe.logit_gradients()[1])
        assert of_states < 1e-12 * of_logits


# --- what all have in common -------------------------------------------------------------------------


@pytest.mark.parametrize("name", PER_LAYER)
def test_parts_are_those_of_the_layers_and_sum_up(name, model, batch):
    if name in ON_MIXERS and not isinstance(model, Transformer):
        pytest.skip("a recurrent network has no token mixers")
    found = metric(name)(Probe(model, batch))
    layers = {k: v for k, v in found.parts.items() if k.startswith("layer")}
    depth = len(model.blocks) if isinstance(model, Transformer) else len(model.layers)
    assert list(layers) == [f"layer{i + 1}" for i in range(depth)]
    assert sum(layers.values()) == pytest.approx(found.value)


def test_values_do_not_hang_on_what_else_was_asked(model, batch):
    shared = Probe(model, batch)
    for name in [*ALL, "jacobian_covariance", *reversed(ALL)]:
        one, alone = metric(name)(shared), metric(name)(Probe(model, batch))
        assert (one.value, one.parts) == (alone.value, alone.parts), name


def test_the_model_is_left_as_it_was(model, batch):
    before = {k: v.clone() for k, v in model.state_dict().items()}
    kinds = [type(m) for m in model.modules()]
    for name in ALL:
        metric(name)(Probe(model, batch))
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert all(w.grad is None and w.requires_grad for w in model.parameters())
    assert [type(m) for m in model.modules()] == kinds


def test_gradients_of_taps_hang_on_the_pass_whose_loss_was_taken(batch):
    """The loss gradients were made before the role was asked for, or the pass before any gradient was."""
    model = transformer(True)
    expected = Probe(model, batch).tap_gradients("ffn")
    late = Probe(model, batch)
    late.loss_gradients()
    without = Probe(model, batch)
    without.taps("ffn")
    for probe in (late, without):
        for ours, theirs in zip(probe.tap_gradients("ffn"), expected, strict=True):
            assert float(ours[0].abs().max()) > 0
            assert torch.equal(ours[0], theirs[0])


# --- bad input ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*WITH_LABELS, "jacob_cov", "synflow"])
def test_labels_where_there_are_none(name, batch):
    bare = from_torch(nn.LSTM(4, 4), vocabulary=VOCABULARY, generator=luck())
    assert "'logits'" in reason(name, bare, batch)

    class NoDecoder(nn.Module):
        roles = ("block",)
        embed, encode = bare.embed, bare.encode
        saliency_weights = bare.saliency_weights

    assert "NoDecoder has no tap called 'logits'" in reason(name, NoDecoder(), batch)


@pytest.mark.parametrize("name", sorted({*ALL} - {"synflow"}))
def test_a_network_that_explodes(name, batch):
    model = transformer(True)
    with torch.no_grad():
        model.blocks[0].ffn.down.weight.fill_(math.inf)
    assert "finite" in reason(name, model, batch)


def test_synflow_of_a_network_that_overflows(batch):
    model = transformer(True)
    with torch.no_grad():
        for block in model.blocks:
            block.ffn.down.weight.fill_(1e200)
    assert "not finite" in reason("synflow", model, batch)


@pytest.mark.parametrize("name", ["jacob_cov", "ntk_condition", "label_gradient_alignment"])
def test_one_sequence_has_nothing_to_be_compared_with(name):
    assert "at least 2" in reason(name, transformer(True), words(1, 7, VOCABULARY))


def test_too_few_sequences_for_batches(batch):
    assert "cannot make 6 batches" in reason("zico:batches=6", transformer(True), batch)
    assert "cannot make 1 batches" in reason("zico:batches=1", transformer(True), batch)


def test_equal_sequences_have_a_singular_kernel():
    one = words(1, 7, VOCABULARY)
    twice = Batch(one.tokens.repeat(2, 1), one.targets.repeat(2, 1))
    assert "singular" in reason("ntk_condition", transformer(True), twice)
    assert "all of one class" in reason("label_gradient_alignment", transformer(True), twice)


def test_epe_nas_without_classes(batch):
    assert "0 classes" in reason("epe_nas:classes=0", transformer(True), batch)


def test_logits_that_do_not_look_at_the_text(batch):
    model = transformer(True, tied=False)
    with torch.no_grad():
        model.head.weight.zero_()
    for name in ("jacob_cov", "epe_nas", "head_importance"):
        assert "do not depend on the input" in reason(name, model, batch)


def test_a_network_without_matrices(batch):
    model = cell_model(LINEAR, (4, 4), vocabulary=VOCABULARY)
    model.saliency_weights = list
    assert "no weight matrix" in reason("grad_sign", model, batch)
