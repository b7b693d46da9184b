"""Scores of sub-networks against plain formulas on the parent's own Hugging Face model."""

import sys
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

sys.path.insert(0, str(Path(__file__).parents[1] / "nn"))
from pretrained_parents import random_model, saved

from untrained.apps.probing import Lab
from untrained.core.errors import UsageError
from untrained.core.metric import metric
from untrained.nn.pretrained.families import FAMILIES
from untrained.nn.pretrained.subnet import Origin, Subnet
from untrained.nn.probe import Probe
from untrained.spaces.llm_subnet import LlmSubnet

KINDS = ("llama", "gpt2", "gpt_neox")
OURS = ("trace_nas", "weight_magnitude", "wanda", "flap", "block_influence", "calibration_loss")


@pytest.fixture(scope="module", params=KINDS)
def lab(request, tmp_path_factory) -> Lab:
    folder = saved(tmp_path_factory.mktemp(request.param), request.param)
    space = LlmSubnet(parent=str(folder), shortest=0.3, sequences=6, length=16)
    return Lab(space, "paper")


@pytest.fixture
def arch(lab):
    """One with a layer gone and others narrow."""
    found = (lab.space.sample(Random(i)) for i in range(99))
    return next(a for a in found if 0 in a.heads and min(h for h in a.heads if h) < 4)


def value(name, probe):
    found = metric(name)(probe)
    assert found.ok, found.reason
    return found


def whole_probe(lab, arch) -> Probe:
    parent = lab.space.parent
    return Probe(Subnet(Origin(parent, parent.whole())), lab.probe(arch).batch)


def masked_parent(origin):
    """The parent with what was cut silenced, its layers that stay, and their numbers."""
    parent, cut = origin.parent, origin.cut
    model = random_model(parent.geometry.family)
    stack = getattr(model.base_model, parent.family.layers)
    for kept in cut.kept:
        weights = dict(stack[kept.layer].named_parameters())
        channels = [h * cut.geometry.head + c for h in kept.heads for c in range(cut.geometry.head)]
        for name, stays in ((parent.family.out, channels), (parent.family.down, kept.inner)):
            mask = torch.zeros(weights[name].shape[0 if parent.family.turned else 1])
            mask[list(stays)] = 1.0
            with torch.no_grad():
                weights[name].mul_(mask[:, None] if parent.family.turned else mask)
    layers = [stack[k.layer] for k in cut.kept]
    setattr(model.base_model, parent.family.layers, torch.nn.ModuleList(layers))
    model.config.num_hidden_layers = len(layers)
    return model, layers


def plain_gradients(model, batch):
    """By .backward() of the whole batch at once."""
    model.zero_grad()
    logits = model(batch.tokens, use_cache=False).logits
    cross_entropy(logits.flatten(0, 1), batch.targets.flatten()).backward()


def test_trace_nas_of_the_whole_is_the_number_of_blocks(lab, arch):
    for settings in ("trace_nas", "trace_nas:lora=3"):
        assert value(settings, whole_probe(lab, arch)).value == pytest.approx(2 * 3, abs=1e-6)


def test_trace_nas_is_the_correlation_of_masked_gradients(lab, arch):
    """Gradients of a masked parent at the weights that stay are those of the cut one."""
    probe = lab.probe(arch)
    origin = probe.origin()
    family, g = origin.parent.family, origin.cut.geometry
    whole = random_model(g.family)
    plain_gradients(whole, probe.batch)
    stack = getattr(whole.base_model, family.layers)
    masked, layers = masked_parent(origin)
    plain_gradients(masked, probe.batch)
    total = 0.0
    for kept, layer in zip(origin.cut.kept, layers, strict=True):
        mine, theirs = dict(layer.named_parameters()), dict(stack[kept.layer].named_parameters())
        for part in (family.attention, family.mlp):
            a, b = [], []
            for name, w in mine.items():
                if name.startswith(part) and w.dim() == 2:
                    index = np.ix_(*(stays(w, axis, name, kept, g, family) for axis in range(2)))
                    a.append(w.grad.numpy()[index].ravel())
                    b.append(theirs[name].grad.numpy()[index].ravel())
            total += np.corrcoef(np.concatenate(a), np.concatenate(b))[0, 1]
    assert value("trace_nas", probe).value == pytest.approx(total, abs=2e-4)


def stays(w, axis, name, kept, g, family):
    """Rows or columns of a matrix that stay, told from the shapes and the families' own layouts."""
    size, head = w.shape[axis], g.head
    if size == g.width and not (name in (family.out, family.down) and axis == (0 if family.turned else 1)):
        output = 1 if family.turned else 0
        into = "q_proj" in name and axis == output
        if not into:
            return list(range(size))
    if size == g.inner and "mlp" in name:
        return list(kept.inner)
    own = [h * head + c for h in kept.heads for c in range(head)]
    if "c_attn" in name:
        return [block * g.width + c for block in range(3) for c in own]
    if "query_key_value" in name:
        return [h * 3 * head + c for h in kept.heads for c in range(3 * head)]
    if "k_proj" in name or "v_proj" in name:
        return [h * head + c for h in kept.kv_heads for c in range(head)]
    return own


def test_lora_gradients_are_those_of_adapters_at_zero(lab, arch):
    """dL/dB of W + B A by autograd, with the A that the score draws."""
    if lab.space.geometry.family != "llama":
        pytest.skip("one family is enough: the others only turn matrices")
    probe = lab.probe(arch)
    model, rank = probe.model, 3
    origin = model.origin
    found = {}
    for net, cut in ((model, origin.cut), (Subnet(Origin(origin.parent, origin.parent.whole())), None)):
        kept = (cut or origin.parent.whole()).kept
        for place, k in enumerate(kept):
            for part in ("attention", "mlp"):
                pairs = zip(origin.parent.family.matrices(part), net.block(place, part), strict=True)
                for of, w in pairs:
                    found[cut is None, k.layer, of.name] = adapter_gradient(
                        net, w, of, k, origin, rank, probe
                    )
    total = 0.0
    for k in origin.cut.kept:
        for part in ("attention", "mlp"):
            a, b = [], []
            for of in origin.parent.family.matrices(part):
                rows = stays(
                    torch.empty(found[True, k.layer, of.name].shape[0], 1),
                    0,
                    of.name,
                    k,
                    origin.cut.geometry,
                    origin.parent.family,
                )
                a.append(found[False, k.layer, of.name].ravel())
                b.append(found[True, k.layer, of.name][rows].ravel())
            total += np.corrcoef(np.concatenate(a), np.concatenate(b))[0, 1]
    assert value(f"trace_nas:lora={rank}", probe).value == pytest.approx(total, abs=2e-4)


def adapter_gradient(net, weight, of, kept, origin, rank, probe):
    g = origin.cut.geometry
    size = g.sizes(g.heads, g.kv_heads, g.inner)[of.axes[1]]
    luck = torch.Generator().manual_seed(7_919 * kept.layer + sum(map(ord, of.name)))
    a = torch.randn(rank, size, generator=luck)
    columns = {"Q": [h * g.head + c for h in kept.heads for c in range(g.head)], "I": list(kept.inner)}
    if of.axes[1] in columns:
        a = a[:, columns[of.axes[1]]]
    b = torch.zeros(weight.shape[0], rank, requires_grad=True)
    original = weight.detach().clone()
    name = next(n for n, w in net.named_parameters() if w is weight)
    logits = torch.func.functional_call(net, {name: original + b @ a}, (probe.batch.tokens,))
    loss = cross_entropy(logits.flatten(0, 1), probe.batch.targets.flatten())
    return torch.autograd.grad(loss, b)[0].numpy()


def test_magnitude_and_wanda_are_sums_over_the_cut_matrices(lab, arch):
    """Inputs are those of the parent, heard with hooks of our own."""
    probe = lab.probe(arch)
    model = probe.model
    origin = model.origin
    family, g = origin.parent.family, origin.cut.geometry
    heard = heard_inputs(g.family, family, probe.batch.tokens)
    plain, weighed = 0.0, 0.0
    for place, kept in enumerate(origin.cut.kept):
        for part in ("attention", "mlp"):
            for of, w in zip(family.matrices(part), model.block(place, part), strict=True):
                w = w.detach().double().abs()
                w = w.T if family.turned else w  # (out, in)
                x = heard[kept.layer, of.name].norm(dim=0)
                letter = of.axes[0] if family.turned else of.axes[1]
                if letter == "I":
                    x = x[list(kept.inner)]
                elif letter == "Q":
                    x = x[[h * g.head + c for h in kept.heads for c in range(g.head)]]
                plain += float(w.sum())
                weighed += float((w * x).sum())
    assert value("weight_magnitude", probe).value == pytest.approx(plain, rel=1e-5)
    assert value("wanda", probe).value == pytest.approx(weighed, rel=1e-4)


def heard_inputs(kind, family, tokens):
    """(layer, matrix) -> what enters it in the parent, (tokens, channels)."""
    model, found = random_model(kind), {}
    for i, layer in enumerate(getattr(model.base_model, family.layers)):
        for name, module in layer.named_modules():
            if hasattr(module, "weight") and module.weight.dim() == 2:

                def keep(_, given, key=(i, f"{name}.weight")):
                    found[key] = given[0].detach().double().flatten(0, 1)

                module.register_forward_pre_hook(keep)
    with torch.no_grad():
        model(tokens, use_cache=False)
    return found


def test_flap_is_the_fluctuation_that_is_lost(lab, arch):
    probe = lab.probe(arch)
    origin = probe.origin()
    family, g = origin.parent.family, origin.cut.geometry
    heard = heard_inputs(g.family, family, probe.batch.tokens)
    layers = getattr(random_model(g.family).base_model, family.layers)
    stays = {k.layer: k for k in origin.cut.kept}
    lost = 0.0
    for i, layer in enumerate(layers):
        weights = dict(layer.named_parameters())
        kept = stays.get(i)
        own = {
            family.out: [h * g.head + c for h in kept.heads for c in range(g.head)] if kept else [],
            family.down: list(kept.inner) if kept else [],
        }
        for name in (family.out, family.down):
            w = weights[name].detach().double()
            w = w.T if family.turned else w
            each = heard[i, name].var(0, unbiased=False) * (w**2).sum(0)
            lost += float(each.sum() - each[own[name]].sum())
    assert value("flap", probe).value == pytest.approx(lost, rel=1e-4)
    assert value("flap", whole_probe(lab, arch)).value == pytest.approx(0.0, abs=1e-9)


def test_block_influence_is_told_by_the_hidden_states_of_the_parent(lab, arch):
    probe = lab.probe(arch)
    origin = probe.origin()
    family, g = origin.parent.family, origin.cut.geometry
    model, states = random_model(g.family), []
    for layer in getattr(model.base_model, family.layers):
        layer.register_forward_hook(
            lambda _, given, out: states.append((given[0], out[0] if isinstance(out, tuple) else out))
        )
    with torch.no_grad():
        model(probe.batch.tokens, use_cache=False)
    turned = [float(1 - torch.cosine_similarity(a.double(), b.double(), dim=-1).mean()) for a, b in states]
    expected = sum(turned[k.layer] for k in origin.cut.kept)
    assert value("block_influence", probe).value == pytest.approx(expected, rel=1e-5)


def test_calibration_loss_is_that_of_transformers(lab, arch):
    probe = lab.probe(arch)
    source, batch = probe.model.source, probe.batch
    with torch.no_grad():
        ids = torch.cat([batch.tokens, batch.targets[:, -1:]], 1)
        expected = float(source(ids, labels=ids, use_cache=False).loss)
    found = value("calibration_loss", probe)
    assert found.value == pytest.approx(expected, abs=1e-5)
    assert found.parts["perplexity"] == pytest.approx(np.exp(expected), rel=1e-4)


def test_cheap_scores_build_nothing(lab, arch):
    probe = lab.probe(arch)
    for name in ("weight_magnitude", "wanda", "flap", "block_influence", "random_score"):
        value(name, probe)
    assert "model" not in vars(probe)


def test_random_score_changes_with_the_seed_and_what_was_cut(lab):
    archs = [lab.space.sample(Random(i)) for i in range(4)]
    found = {(a.id, s): value("random_score", lab.probe(a, seed=s)).value for a in archs for s in (0, 1)}
    assert len(set(found.values())) == len(found)


def test_a_rank_below_zero_is_refused(lab, arch):
    with pytest.raises(UsageError, match="lora=-1"):
        metric("trace_nas:lora=-1")(lab.probe(arch))


@pytest.mark.parametrize("name", OURS)
def test_networks_without_a_parent_have_no_score(name):
    lab = Lab(LlmSubnet())
    bare = Probe(torch.nn.Linear(2, 2), lab.probe(lab.space.sample(Random(0))).batch)
    found = metric(name)(bare)
    assert not found.ok
    assert "no pretrained parent" in found.reason


def test_every_family_has_these_scores(tmp_path):
    for kind in FAMILIES:
        space = LlmSubnet(parent=str(saved(tmp_path / kind, kind)), shortest=0.3, sequences=4, length=16)
        lab = Lab(space, "paper")
        arch = space.sample(Random(1))
        assert all(metric(name)(lab.probe(arch)).ok for name in OURS), kind
