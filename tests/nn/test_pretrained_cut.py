"""A cut decoder is its parent with what was cut silenced: head columns and channels at 0, layers skipped."""

from random import Random

import pytest
import torch
from pretrained_parents import KINDS, random_model, saved

from untrained.nn.pretrained.cut import Cut, Kept
from untrained.nn.pretrained.parent import Parent, parent_at
from untrained.spaces.llm_subnet import LlmSubnet

TOKENS = torch.randint(0, 300, (2, 20), generator=torch.Generator().manual_seed(5))


@pytest.fixture(scope="module", params=KINDS)
def parent(request, tmp_path_factory) -> Parent:
    return parent_at(str(saved(tmp_path_factory.mktemp(request.param), request.param)))


def masked_logits(parent: Parent, cut: Cut) -> torch.Tensor:
    """The parent's own forward with columns of the two output matrices at 0, and layers left out.

    Key/value heads that are gone need no mask: no query head that stays reads them.
    """
    model = random_model(parent.geometry.family)
    g, turned = parent.geometry, parent.family.turned
    stack = model.base_model.h if turned else model.base_model.layers
    with torch.no_grad():
        for kept in cut.kept:
            weights = dict(stack[kept.layer].named_parameters())
            columns = {h * g.head + c for h in kept.heads for c in range(g.head)}
            for name, stays in ((parent.family.out, columns), (parent.family.down, set(kept.inner))):
                w = weights[name]
                gone = [j for j in range(w.shape[0 if turned else 1]) if j not in stays]
                w[(gone,) if turned else (slice(None), gone)] = 0.0
    layers = torch.nn.ModuleList(stack[k.layer] for k in cut.kept)
    setattr(model.base_model, parent.family.layers, layers)
    if getattr(model.config, "layer_types", None):
        model.config.layer_types = [model.config.layer_types[k.layer] for k in cut.kept]
    model.config.num_hidden_layers = len(layers)
    with torch.inference_mode():
        return model(TOKENS, use_cache=False).logits


def some_cut(parent: Parent, seed: int) -> Cut:
    """A random one; heads that share nothing go with their key/value head."""
    rng, g = Random(seed), parent.geometry
    kept = []
    for layer in sorted(rng.sample(range(g.layers), 2)):
        groups = (
            range(g.kv_heads)
            if g.shared and seed % 2
            else rng.sample(range(g.kv_heads), 2 if not g.shared else 1)
        )
        each = 1 if seed % 2 else g.per_group
        heads = sorted(q * g.per_group + h for q in groups for h in rng.sample(range(g.per_group), each))
        inner = sorted(rng.sample(range(g.inner), 16 + 8 * layer))
        kept.append(Kept(layer, tuple(heads), tuple(sorted(groups)), tuple(inner)))
    return Cut(g, tuple(kept))


@pytest.mark.parametrize("seed", [0, 1])
def test_a_cut_decoder_is_the_masked_parent(parent, seed):
    cut = some_cut(parent, seed)
    with torch.inference_mode():
        logits = parent.build(cut)(TOKENS, use_cache=False).logits
    assert (logits - masked_logits(parent, cut)).abs().max() < 1e-4
    with torch.inference_mode():
        own = random_model(parent.geometry.family)(TOKENS, use_cache=False).logits
    assert (logits - own).abs().max() > 0.1, "nothing was cut"


def test_the_whole_is_the_parent_bit_for_bit(parent):
    with torch.inference_mode():
        logits = parent.build(parent.whole())(TOKENS, use_cache=False).logits
        own = random_model(parent.geometry.family)(TOKENS, use_cache=False).logits
    assert torch.equal(logits, own)


def test_counts_are_those_of_the_built_decoder(parent):
    space = LlmSubnet(parent=str(parent.folder), shortest=0.3, narrowest=0.2, length=32)
    for seed in range(4):
        arch = space.sample(Random(seed))
        model = space.build(arch)
        counts = space.count(arch)
        assert counts["params"] == sum(w.numel() for w in model.parameters())
        tables = {id(w): w.numel() for w in model.embedding_parameters()}
        assert counts["params_nonembedding"] == counts["params"] - sum(tables.values())
    assert parent.geometry.params == sum(w.numel() for w in random_model(parent.geometry.family).parameters())
