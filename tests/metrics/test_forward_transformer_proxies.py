"""Proxies without loss gradients: on paper, and against numpy, loops and finite differences.

What the judges look at comes from hooks on torch's modules or from weights, never from our tapes.
"""

from __future__ import annotations

import csv
import json
import math
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from toy_networks import Shown, cell_model, luck, words

from untrained.core.errors import UsageError
from untrained.core.metric import metric
from untrained.metrics.proxies.dextr import derivatives
from untrained.nn.numerics import quiet_numbers
from untrained.nn.probe import Probe
from untrained.nn.transformer import LayerShape, Transformer, TransformerShape
from untrained.spaces.rnn_cell import RnnCell

SPACE = RnnCell()
LTS = Path(__file__).parents[3] / "shared" / "data" / "lts" / "random_GPT2_wt103.csv"
LAYER = LayerShape(heads=2, inner=(12,))
DECODER = TransformerShape(8, (LAYER, replace(LAYER, inner=(20,))), vocabulary=30, init="fan_in")
ENCODER = TransformerShape(
    8,
    (replace(LAYER, inner=(12, 10)), replace(LAYER, mixer="multiplicative")),
    vocabulary=30,
    causal=False,
    pre=False,
    mlp="relu",
    init="fan_in",
)
LLAMA = TransformerShape(
    8,
    (replace(LAYER, kv_heads=1), replace(LAYER, mixer="window", span=2)),
    vocabulary=30,
    norm="rms",
    mlp="swiglu",
    position="rotary",
    tied=False,
    bias=False,
    init="fan_in",
)
SHAPES = {"decoder": DECODER, "encoder": ENCODER, "llama": LLAMA}
FORWARD = ("linear_regions", "swap", "meco", "zen", "l2_norm", "dextr", "layers_then_width")
TRANSFORMER = (
    "naswot",
    "w_pca",
    "dss",
    "head_confidence",
    "softmax_confidence",
    "params_attention",
    "decoder_params",
    "az_nas",
)


@pytest.fixture(autouse=True, scope="module")
def quiet():
    with quiet_numbers():
        yield


@pytest.fixture(params=SHAPES.values(), ids=list(SHAPES))
def model(request):
    return Transformer(request.param, luck(1)).double()


def probed(model, sequences=5, length=6):
    return Probe(model, words(sequences, length, 30, seed=2))


def score(name, probe, **options):
    found = metric(name).with_options(**options)(probe)
    assert found.ok, found.reason
    return found


def watched(model, tokens):
    """What hooks see in one pass: per layer the mixer's output, each nonlinearity's in- and output, q, k."""
    seen = [{"before": [], "after": []} for _ in model.blocks]
    hooks = []

    def keep(layer, key, many=False, of_input=False):
        def hook(module, given, out):
            found = (given[0] if of_input else out).detach()
            seen[layer].setdefault(key, []).append(found) if many else seen[layer].update({key: found})

        return hook

    for i, block in enumerate(model.blocks):
        ffn, mixer = block.ffn, block.mixer
        gates = ffn.gate if len(ffn.gate) else ffn.up
        hooks += [m.register_forward_hook(keep(i, "before", many=True)) for m in gates]
        later = [*ffn.up[1:], ffn.down]
        hooks += [m.register_forward_hook(keep(i, "after", many=True, of_input=True)) for m in later]
        hooks += [
            m.register_forward_hook(keep(i, key))
            for key, m in {"mix": mixer, "block": block, "q": mixer.query, "k": mixer.key}.items()
        ]
        if mixer.multiply is not None:
            hooks.append(mixer.multiply.register_forward_hook(keep(i, "q")))
    with torch.no_grad():
        model.encode(model.embed(tokens))
    for hook in hooks:
        hook.remove()
    return seen


# --- signs -----------------------------------------------------------------------------------------------


def neurons(layer):
    """(B, T, units): True where the nonlinearity's input is positive."""
    return np.concatenate([t.numpy() > 0 for t in layer["before"]], -1)


def cell_neurons(model, tokens):
    """The same of each layer of a torch-like RNN of one tanh a step: its output is its activation."""
    x, found = model.embed(tokens).detach(), []
    for layer in model.layers:
        x = layer(x.transpose(0, 1)).transpose(0, 1).detach()
        found.append(x.numpy() > 0)
    return found


def agreements(patterns):
    size = len(patterns)
    rows = patterns.reshape(size, -1)
    return np.array([[sum(a == b for a, b in zip(r, s, strict=True)) for s in rows] for r in rows])


def distinct_words(layers):
    """Python's own set of tuples, one a word."""
    sequences, length, _ = layers[0].shape
    places = [(b, t) for b in range(sequences) for t in range(length)]
    return len({tuple(v for on in layers for v in on[b, t].tolist()) for b, t in places})


def distinct_neurons(layers, words):
    pieces = range(layers[0].shape[1] // words)
    places = [(on, t, u) for on in layers for t in range(words) for u in range(on.shape[2])]
    return len({tuple(v for p in pieces for v in on[:, p * words + t, u].tolist()) for on, t, u in places})


def test_naswot_is_the_determinant_of_agreements_counted_one_by_one(model):
    probe = probed(model)
    layers = [neurons(layer) for layer in watched(model, probe.batch.tokens)]
    total = sum(agreements(on) for on in layers)
    assert score("naswot", probe).value == pytest.approx(np.log(np.linalg.det(total)), rel=1e-9)


def test_patterns_are_those_of_pythons_own_sets(model):
    probe = probed(model, sequences=9, length=5)
    layers = [neurons(layer) for layer in watched(model, probe.batch.tokens)]
    regions, neuron = score("linear_regions", probe), score("swap", probe, words=2)
    assert regions.value == distinct_words(layers)
    assert list(regions.parts.values()) == [distinct_words([on]) for on in layers]
    assert neuron.value == distinct_neurons(layers, 2)
    assert list(neuron.parts.values()) == [distinct_neurons([on], 2) for on in layers]
    assert score("swap", probe).value == distinct_neurons(layers, 5)  # no piece of 16 words: the whole


def test_patterns_of_a_recurrent_cell_are_those_of_its_states():
    """h = tanh(...) is the one activation of this cell, so signs of states are signs of activations."""
    model = cell_model(SPACE.classic("rnn").cell, (4, 3, 3), seed=3)
    probe = probed(model, sequences=7, length=9)
    layers = cell_neurons(model, probe.batch.tokens)
    regions, neuron = score("linear_regions", probe), score("swap", probe)
    assert regions.value == distinct_words(layers) < 63
    assert neuron.value == distinct_neurons(layers, 9)
    assert list(neuron.parts) == ["layer1", "layer2"]


class Written(nn.Module):
    """A network that writes down given tensors, whatever it reads."""

    vocabulary = 30

    def __init__(self, **roles):
        super().__init__()
        self.roles, self.layers_of = tuple(roles), roles

    def embed(self, tokens):
        return tokens[..., None].double()

    def encode(self, embedded, tape=None):
        for role, layers in self.layers_of.items():
            for i, tensors in enumerate(layers):
                tape.add(role, i, *tensors)
        return embedded


def test_signs_on_paper():
    """Two sequences of two words; one layer of two units. Signs: 1+- 2++ / 1-- 2++."""
    before = torch.tensor([[[1.0, -1.0], [2.0, 3.0]], [[-1.0, -2.0], [0.5, 1.0]]])
    probe = probed(Written(preactivation=[[before]]), sequences=2, length=2)
    assert score("linear_regions", probe).value == 3  # +-, ++, --
    assert score("swap", probe).value == 3  # (+-), (--), (++) of the four neurons
    # K = [[4, 3], [3, 4]]
    assert score("naswot", probe).value == pytest.approx(math.log(16 - 9))


# --- spectra ---------------------------------------------------------------------------------------------


def test_meco_is_numpys_smallest_eigenvalue(model):
    probe = probed(model, length=5)
    expected = []
    for layer in watched(model, probe.batch.tokens):
        features = [layer["mix"], *layer["after"], layer["block"]]
        expected.append(
            sum(np.mean([np.linalg.eigvalsh(np.corrcoef(rows[:4])).min() for rows in f]) for f in features)
        )
    found = score("meco", probe, words=4)
    assert list(found.parts.values()) == pytest.approx(expected, rel=1e-6, abs=1e-12)
    assert found.value == pytest.approx(sum(expected))


def test_meco_on_paper():
    """Two words whose features correlate by r: eigenvalues 1 - |r| and 1 + |r|."""
    rows = torch.tensor([[[1.0, -1.0, 0.0, 0.0], [1.0, -1.0, 1.0, -1.0]]])
    found = score("meco", probed(Written(block=[[rows], [rows]]), sequences=1, length=2))
    assert found.value == pytest.approx(2 * (1 - 1 / math.sqrt(2)))


def test_meco_of_more_words_than_units_is_a_failure():
    found = metric("meco")(probed(Transformer(DECODER, luck(1)), length=20))
    assert not found.ok
    assert "20 words over 8 units" in found.reason


@pytest.mark.parametrize("eta", [0.5, 0.9, 0.99])
def test_w_pca_counts_numpys_singular_values(model, eta):
    probe = probed(model, sequences=8)
    expected = []
    for layer in watched(model, probe.batch.tokens):
        counts = []
        for units in layer["before"]:
            flat = units.flatten(0, 1).numpy()
            power = np.linalg.svd(flat - flat.mean(0), compute_uv=False) ** 2
            counts.append(next(k for k in range(1, 99) if power[:k].sum() / power.sum() > eta))
        expected.append(sum(counts))
    found = score("w_pca", probe, eta=eta)
    assert [found.parts["layer1"], found.parts["layer2"]] == expected
    parameters = sum(w.numel() for w in model.parameters())
    assert found.value == parameters * sum(expected)


def test_w_pca_with_fewer_words_than_units():
    probe = probed(Transformer(DECODER, luck(1)).double(), sequences=1, length=5)
    assert 1 <= score("w_pca", probe, eta=0.999999).parts["layer2"] <= 4


@pytest.mark.parametrize("eta", [0.0, 1.0, -3.0])
def test_w_pca_refuses_what_is_no_share(eta):
    with pytest.raises(UsageError, match="a share of the variance"):
        metric("w_pca").with_options(eta=eta)(probed(Transformer(DECODER, luck(1))))


# --- norms and sizes -------------------------------------------------------------------------------------


def test_l2_norm_is_that_of_every_matrix_of_the_blocks(model):
    own = [w for name, w in model.named_parameters() if name.startswith("blocks") and w.dim() == 2]
    expected = sum(math.sqrt(sum(float(x) ** 2 for x in w.detach().flatten())) for w in own)
    assert score("l2_norm", probed(model)).value == pytest.approx(expected)


def test_sizes_on_paper():
    probe = probed(Transformer(DECODER, luck(1)))
    attention = 4 * (8 * 8 + 8)
    feed_forward = [8 * f + f + f * 8 + 8 for f in (12, 20)]
    assert score("params_attention", probe).value == 2 * attention
    found = score("decoder_params", probe)
    assert found.value == 2 * attention + sum(feed_forward)
    assert found.parts == {"attention": 2 * attention, "feed_forward": sum(feed_forward)}


def test_sizes_are_those_published_for_real_decoders():
    if not LTS.exists():
        pytest.skip("the table of LiteTransformerSearch is not at hand")
    with LTS.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))[:6]
    for row in rows:
        inner, heads = json.loads(row["d_inner"]), json.loads(row["n_head"])
        layers = tuple(LayerShape(heads=h, inner=(f,)) for h, f in zip(heads, inner, strict=True))
        probe = probed(Transformer(TransformerShape(int(row["d_model"]), layers, vocabulary=30), luck(0)))
        assert score("params_attention", probe).value == int(row["params_Attn"])
        assert score("decoder_params", probe).value == int(row["params_Attn"]) + int(row["params_FFN"])


def test_layers_come_first_then_width():
    def value(layers, width):
        shape = TransformerShape(width, (LAYER,) * layers, vocabulary=30)
        return score("layers_then_width", probed(Transformer(shape, luck(0)))).value

    sizes = [(2, 8), (2, 16), (2, 64), (3, 4), (3, 8), (4, 4)]
    values = [value(*size) for size in sizes]
    assert values == sorted(values)
    assert len(set(values)) == len(values)
    cell = score("layers_then_width", probed(cell_model(SPACE.classic("gru").cell, (4, 7, 5))))
    assert cell.parts == {"layers": 2.0, "width": 5.0}


# --- attention -------------------------------------------------------------------------------------------


def probabilities(model, layer, block):
    """(B, heads, T, T) by loops over q and k as hooks saw them; not of rotary models."""
    width, keys = model.blocks[block].mixer.head_width, model.blocks[block].mixer.heads
    q, k = layer["q"], layer["k"]
    out = np.zeros((q.shape[0], keys, q.shape[1], q.shape[1]))
    for b, h, i in np.ndindex(out.shape[:3]):
        mine = slice(h * width, (h + 1) * width)
        seen = range(i + 1) if model.shape.causal else range(q.shape[1])
        e = [math.exp(float(q[b, i, mine] @ k[b, j, mine]) / math.sqrt(width)) for j in seen]
        out[b, h, i, list(seen)] = np.array(e) / sum(e)
    return out


@pytest.mark.parametrize("shape", [DECODER, ENCODER], ids=["decoder", "encoder"])
def test_confidence_by_loops(shape):
    model = Transformer(shape, luck(1)).double()
    probe = probed(model)
    seen = watched(model, probe.batch.tokens)
    of_layers = [probabilities(model, layer, i) for i, layer in enumerate(seen)]
    head, softmax = score("head_confidence", probe), score("softmax_confidence", probe)
    over_keys = [np.mean([max(row) for row in p.reshape(-1, p.shape[-1])]) for p in of_layers]
    over_heads = [np.mean([max(p[b, :, i, j]) for b, i, j in np.ndindex(5, 6, 6)]) for p in of_layers]
    assert head.value == pytest.approx(sum(over_keys))
    assert softmax.value == pytest.approx(sum(over_heads))
    assert head.parts["layer2"] == pytest.approx(over_keys[1])
    assert softmax.parts["mean"] == pytest.approx(np.mean(over_heads))


def test_confidence_of_heads_that_do_not_care():
    """Without queries all probabilities are equal: 1/T, or 1/(i + 1) where later words are hidden."""
    for shape, expected in ((ENCODER, 2 / 6), (LLAMA, (1 + 1 / 2 + 1 / 3 + 1 / 4 + 1 / 5 + 1 / 6) / 6)):
        model = Transformer(shape, luck(1)).double()
        for block in model.blocks:
            nn.init.zeros_(block.mixer.query.weight)
        expected += 0.0 if shape is ENCODER else (1 + 5 / 2) / 6  # its second layer sees two words
        assert score("head_confidence", probed(model)).value == pytest.approx(expected)


def test_a_network_without_probabilities_has_no_confidence():
    shape = replace(ENCODER, layers=(replace(LAYER, mixer="dft"), replace(LAYER, mixer="dct")))
    for name in ("head_confidence", "softmax_confidence"):
        found = metric(name)(probed(Transformer(shape, luck(1))))
        assert not found.ok
        assert "no layer of this network computes attention probabilities" in found.reason


# --- zen -------------------------------------------------------------------------------------------------


def test_zen_of_a_linear_map_is_the_size_of_the_noise_itself():
    """f(e) = 3 e: sum |f(e') - f(e)| = 3 * 0.01 s * sum |n|, with mean |n| = sqrt(2 / pi)."""
    model = Shown(lambda e: 3 * e)
    probe = Probe(model, words(40, 50, 500))
    s = float(model.embed(probe.batch.tokens).std())
    expected = math.log(3 * 0.01 * s * 50 * 32 * math.sqrt(2 / math.pi))
    assert score("zen", probe).value == pytest.approx(expected, abs=0.01)


def test_zen_is_the_change_between_the_two_inputs_that_the_network_was_given(model):
    encode, given = model.encode, []

    def caught(embedded, tape=None):
        given.append(embedded.detach().clone())
        return encode(embedded, tape)

    model.encode = caught
    probe = probed(model, sequences=40, length=8)
    found = score("zen", probe).value
    clean, moved = given
    noise = (moved - clean) / (0.01 * clean.std())
    assert float(noise.mean()) == pytest.approx(0, abs=0.1)
    assert float(noise.std()) == pytest.approx(1, abs=0.1)

    def stream(embedded):
        x = embedded
        if model.positions is not None:
            x = x + model.positions.weight[:8]
        x = x if model.shape.pre else model.norm(x)
        for block in model.blocks:
            x = block(x)
        return x.detach()

    change = (stream(moved) - stream(clean)).abs().sum() / 40
    assert found == pytest.approx(math.log(float(change)), rel=1e-9)


def test_zen_of_what_ignores_its_input_is_a_failure():
    found = metric("zen")(Probe(Shown(lambda e: torch.ones(4, 5, 3)), words(4, 5, 500)))
    assert not found.ok
    assert "does not depend on the input" in found.reason


# --- az_nas ----------------------------------------------------------------------------------------------


def spectrum_entropy(features):
    flat = features.flatten(0, 1).numpy()
    power = np.linalg.svd(flat - flat.mean(0), compute_uv=False) ** 2
    p = power / power.sum()
    return -sum(x * math.log(x + 1e-8) for x in p)


def test_az_nas_against_whole_jacobians(model):
    """Each layer's gradient is a product with its Jacobian, which torch forms row by row."""
    probe = probed(model, sequences=2, length=3)
    blocks = [layer["block"] for layer in watched(model, probe.batch.tokens)]
    found = score("az_nas", probe)
    assert found.parts["expressivity"] == pytest.approx(sum(map(spectrum_entropy, blocks)), rel=1e-6)

    def first(e):
        x = e if model.positions is None else e + model.positions.weight[:3]
        return model.blocks[0](x if model.shape.pre else model.norm(x))

    drawn, parts = probe.generator(2_002), []
    for run, source in ((first, model.embed(probe.batch.tokens)), (model.blocks[1], blocks[0])):
        jacobian = torch.autograd.functional.jacobian(run, source.detach()).reshape(48, 48).numpy()
        above = (torch.randint(2, (2, 3, 8), generator=drawn) * 2 - 1).double().numpy()
        below = (above.reshape(-1) @ jacobian).reshape(6, 8)
        s = np.linalg.svd(below.T @ above.reshape(6, 8) / 6, compute_uv=False)[0]
        parts.append(2 - s - 1 / (s + 1e-6))
    assert found.parts["trainability"] == pytest.approx(np.mean(parts), rel=1e-6)
    assert found.parts["complexity"] == metric("flops")(probe).value
    e, t, c = (found.parts[k] for k in ("expressivity", "trainability", "complexity"))
    assert found.value == pytest.approx(math.log(e * c / (1 - t)))


class Doubling(nn.Module):
    """Two layers on one channel, h -> 2 h and h -> h / 2, each a matrix of one number."""

    roles = ("block",)
    vocabulary = 30

    def __init__(self):
        super().__init__()
        self.maps = nn.ParameterList([torch.tensor([[2.0]]), torch.tensor([[0.5]])])

    def embed(self, tokens):
        return tokens[..., None].float()

    def encode(self, x, tape=None):
        for i, w in enumerate(self.maps):
            x = x @ w
            if tape is not None:
                tape.add("block", i, x)
        return x

    def forward(self, tokens):
        return self.encode(self.embed(tokens))


def test_az_nas_on_paper():
    """One channel: entropy 0 of a whole share, so no value; the score of s = 2 and s = 1/2 is -1/2 each."""
    probe = probed(Doubling())
    found = metric("az_nas")(probe)
    assert not found.ok  # -1 ln(1 + 1e-8) < 0: a single direction has no richness
    assert "spectrum" in found.reason
    from untrained.metrics.proxies.az_nas import _passed

    run = probe.graph("block")
    features = [run.embedded, *(layer[0] for layer in run.tape["block"])]
    for source, output, s in zip(features, features[1:], (2.0, 0.5), strict=False):
        assert _passed(source, output, luck(), 1) == pytest.approx(s)


# --- dss -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [DECODER, ENCODER, LLAMA], ids=["decoder", "encoder", "llama"])
def test_dss_is_what_an_ordinary_backward_pass_of_a_changed_copy_gives(shape):
    model = Transformer(shape, luck(1))
    copy = deepcopy(model).double()
    with torch.no_grad():
        for w in copy.parameters():
            w.abs_()
    copy.decode(copy.encode(torch.ones(1, 6, 8).double())).sum().backward()
    diversity = saliency = 0.0
    for name, module in copy.named_modules():
        if not isinstance(module, nn.Linear) or not name.startswith("blocks"):
            continue
        w, g = module.weight.detach().numpy(), module.weight.grad.numpy()
        if ".mixer." in name:
            diversity += np.linalg.svd(w)[1].sum() * np.linalg.svd(g)[1].sum()
        else:
            saliency += np.abs(w * g).sum()
    assert saliency > 0
    before = {k: v.clone() for k, v in model.state_dict().items()}
    found = score("dss", probed(model))
    assert found.parts["diversity"] == pytest.approx(diversity, rel=1e-9)
    assert found.parts["saliency"] == pytest.approx(saliency, rel=1e-9)
    assert found.value == pytest.approx(diversity + saliency)
    assert all(torch.equal(before[k], v) and v.dtype == torch.float32 for k, v in model.state_dict().items())
    assert all(w.grad is None for w in model.parameters())


def test_dss_of_layer_norms_without_positions_is_a_failure():
    found = metric("dss")(probed(Transformer(replace(DECODER, position="none"), luck(1))))
    assert not found.ok
    assert "layer norms turn embeddings of ones into zeros" in found.reason


# --- dextr -----------------------------------------------------------------------------------------------


def test_derivatives_of_curves_on_paper():
    v, a = derivatives(lambda t: torch.stack([3 * t, t**2, torch.sin(t)]), torch.tensor(0.5).double())
    assert v.tolist() == pytest.approx([3, 1, math.cos(0.5)])
    assert a.tolist() == pytest.approx([0, 2, -math.sin(0.5)])


def test_dextr_of_a_linear_map_has_the_curvature_of_its_ellipse():
    """f(e) = 3 e carries the circle to v = 3 r u_2, a = -3 r u_1, of which ten numbers are looked at."""
    probe = Probe(Shown(lambda e: 3 * e), words(4, 6, 500))
    drawn = probe.generator(2_003)
    u = torch.linalg.qr(torch.randn(6 * 32, 2, generator=drawn, dtype=torch.float64))[0].numpy()
    picked = torch.randperm(6 * 32, generator=drawn)[:10].numpy()
    first = probe.model.embed(probe.batch.tokens)[0].double().numpy()
    r = np.linalg.norm(first)
    v, a = 3 * r * u[picked, 1], -3 * r * u[picked, 0]
    sine = math.sqrt(1 - (v @ a) ** 2 / (v @ v) / (a @ a))
    found = score("dextr", probe)
    k = np.linalg.norm(a) * sine / (v @ v)
    assert found.parts["curvature"] == pytest.approx(k, rel=1e-4)
    s = np.linalg.svd(3 * first, compute_uv=False)
    assert found.parts["conditioning"] == pytest.approx(s[-1] / s[0], rel=1e-4)
    both = math.log1p(k), math.log1p(s[-1] / s[0])
    assert found.value == pytest.approx(both[0] * both[1] / sum(both), rel=1e-4)


@pytest.mark.parametrize("name", [*SHAPES, "lstm"])
def test_dextr_agrees_with_finite_differences(name):
    own = Transformer(SHAPES[name], luck(1)).double() if name in SHAPES else None
    model = own or cell_model(SPACE.classic("lstm").cell, (8, 8, 8), seed=4)
    probe = probed(model)
    found, drawn = score("dextr", probe), probe.generator(2_003)
    u = torch.linalg.qr(torch.randn(48, 2, generator=drawn, dtype=torch.float64))[0]
    picked = torch.randperm(48, generator=drawn)[:10]
    r = model.embed(probe.batch.tokens)[0].norm()

    def at(t):
        with torch.no_grad():
            around = r * (u[:, 0] * math.cos(t) + u[:, 1] * math.sin(t))
            return model.encode(around.view(1, 6, 8)).flatten()[picked].numpy()

    h = 1e-4
    v, a = (at(h) - at(-h)) / (2 * h), (at(h) - 2 * at(0) + at(-h)) / h**2
    k = math.sqrt((v @ v) * (a @ a) - (v @ a) ** 2) / np.linalg.norm(v) ** 3
    assert found.parts["curvature"] == pytest.approx(k, rel=1e-4)


def test_dextr_conditions_are_numpys(model):
    probe = probed(model)
    expected = []
    for layer in watched(model, probe.batch.tokens):
        values = [
            np.linalg.svd(f[0].numpy(), compute_uv=False)
            for f in (layer["mix"], *layer["after"], layer["block"])
        ]
        expected.append(sum(s[-1] / s[0] for s in values))
    found = score("dextr", probe)
    assert [found.parts["layer1"], found.parts["layer2"]] == pytest.approx(expected, abs=1e-12)


# --- what each network can and cannot say ----------------------------------------------------------------


@pytest.mark.parametrize("name", FORWARD + TRANSFORMER)
def test_every_proxy_has_a_value_on_transformers(name):
    for shape in SHAPES.values():
        assert score(name, probed(Transformer(shape, luck(1)))).value is not None


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("name", FORWARD)
def test_these_have_a_value_on_cells_too(name, cell):
    model = cell_model(SPACE.classic(cell).cell, (8, 8, 8), dtype=torch.float32)
    assert score(name, probed(model)).value is not None


WORDS = {
    "naswot": "this is activation_distance",
    "w_pca": "no tap called 'preactivation'",
    "head_confidence": "no tap called 'attention'",
    "softmax_confidence": "no tap called 'attention'",
    "dss": "does not say which weights attend",
    "params_attention": "does not say which weights attend",
    "decoder_params": "does not say which weights attend",
}


@pytest.mark.parametrize("name", WORDS)
def test_a_cell_says_why_it_has_no_such_score(name):
    found = metric(name)(probed(cell_model(SPACE.classic("lstm").cell, (8, 8))))
    assert not found.ok
    assert WORDS[name] in found.reason
    assert "ecurrent" in metric(name).card["Differs"]


@pytest.mark.parametrize(
    "name",
    [
        n
        for n in FORWARD + TRANSFORMER
        if "param" not in n and n not in ("l2_norm", "dss", "layers_then_width")
    ],
)
def test_a_network_that_explodes_fails_with_the_reason(name):
    model = Transformer(DECODER, luck(1))
    with torch.no_grad():
        model.blocks[0].ffn.up[0].weight.fill_(1e38)
    found = metric(name)(probed(model))
    assert not found.ok, found.value
    assert "the network explodes" in found.reason


def test_absolute_weights_that_explode_are_a_failure():
    model = Transformer(DECODER, luck(1)).double()
    with torch.no_grad():
        model.blocks[0].ffn.up[0].weight.fill_(1e308)
    found = metric("dss")(probed(model))
    assert not found.ok
    assert "absolute weights" in found.reason


@pytest.mark.parametrize(
    "name", ["naswot", "linear_regions", "swap", "w_pca", "meco", "zen", "dextr", "az_nas"]
)
def test_a_network_without_taps_names_what_is_missing(name):
    class Blind(nn.Module):
        roles = ()

        def embed(self, tokens):
            return tokens[..., None].float()

        def encode(self, embedded, tape=None):
            return embedded

    found = metric(name)(probed(Blind()))
    assert not found.ok
    assert "Blind has no tap called" in found.reason


@pytest.mark.parametrize("name", ["naswot", "swap"])
def test_one_sequence_cannot_be_compared(name):
    found = metric(name)(probed(Transformer(DECODER, luck(1)), sequences=1))
    assert not found.ok
    assert "needs at least 2" in found.reason


def test_az_nas_of_a_network_that_writes_down_copies_is_a_failure():
    class Copies(Doubling):
        def encode(self, x, tape=None):
            for i, w in enumerate(self.maps):
                x = x @ w
                if tape is not None:
                    tape.add("block", i, x.clone())
            return x

    found = metric("az_nas")(probed(Copies()))
    assert not found.ok
    assert "layer 2 does not read the tensor that was written down for it" in found.reason


def test_passes_are_made_again_only_for_what_was_not_written_down():
    """`Probe.graph` serves with a graph and roles, whatever ran before."""
    model = Transformer(DECODER, luck(1))
    probe = probed(model)
    assert not probe.taps("block")[0][0].requires_grad
    run = probe.graph("block", "mix")
    assert run.tape["mix"][0][0].requires_grad
    assert probe.graph("block") is run
    again = probe.encode_embedded(run.embedded.detach(), ("block",))
    assert torch.equal(again.output, run.output)
    assert again.output.is_inference()
