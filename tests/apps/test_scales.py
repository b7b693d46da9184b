"""What is true of a network is the same at every scale: scores that read the shape see the whole."""

from __future__ import annotations

from random import Random

import pytest

import untrained as ut
from untrained.apps.foreign import Foreign
from untrained.apps.probing import Lab
from untrained.core.metric import metric
from untrained.core.text import load
from untrained.nn.stream import Stream, WordTable
from untrained.spaces.bert_encoder import BertEncoder
from untrained.spaces.gpt_decoder import GptDecoder

SHAPE = ("depth_width_rank", "layers_then_width", "params_attention", "decoder_params")
SMALL = {"width": 48, "heads": [4, 2], "inner": [64, 96], "vocabulary": 4_000, "context": 32}
WIDE = {"width": 2_048, "heads": [8], "inner": [64], "vocabulary": 2_000, "context": 32}
XL = {"position": "relative", "placement": "post", "head": "adaptive", "bias": True}
DECODERS = {
    "biases": SMALL,
    "factorised": SMALL | {"embedding": 16},
    "clusters": SMALL | {"cutoffs": [500, 1_000], "div_val": 4, "head": "adaptive"},
    "transformer_xl": SMALL | XL | {"cutoffs": [500, 1_000], "mlp": "relu"},
    "wide": WIDE,
    "wide and factorised": WIDE | {"embedding": 768},
    "wide with clusters": WIDE | {"cutoffs": [500], "div_val": 2, "head": "adaptive"},
}


def networks():
    for name, choices in DECODERS.items():
        yield pytest.param(GptDecoder.of(**choices), id=name)
    for seed in (2, 7):
        yield pytest.param(BertEncoder().sample(Random(seed)), id=f"encoder {seed}")


@pytest.mark.parametrize("arch", list(networks()))
def test_shape_and_size_are_those_of_the_whole_at_both_scales(arch):
    space = ut.space(arch.space)
    paper, probe = (Lab(space, scale).probe(arch) for scale in ("paper", "probe"))
    for name in SHAPE:
        whole, small = metric(name)(paper), metric(name)(probe)
        assert whole.value is not None, whole.reason
        assert (small.value, small.parts) == (whole.value, whole.parts), name
    if arch.space == "gpt_decoder" and arch.width > 1_024:
        assert probe.model.shape.width == 512, "what is run is the small form"


def test_a_wider_network_scores_higher_although_both_are_run_at_one_width():
    wide, wider = (GptDecoder.of(**WIDE | {"width": w, "heads": [16]}) for w in (2_048, 4_096))
    labs = [Lab(ut.space("gpt_decoder")).probe(a) for a in (wide, wider)]
    assert [p.model.shape.width for p in labs] == [512, 512]
    for name in SHAPE:
        low, high = (metric(name)(p).value for p in labs)
        assert low < high, name


@pytest.mark.parametrize("kind", ["GPT2Config", "ElectraConfig", "Qwen3Config"])
def test_a_configuration_made_small_is_described_whole(kind):
    transformers = pytest.importorskip("transformers")
    sizes = {"vocab_size": 300, "hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
    more = {
        "GPT2Config": {"n_positions": 70, "bos_token_id": 1, "eos_token_id": 1},
        "ElectraConfig": {"embedding_size": 64, "intermediate_size": 96},
        "Qwen3Config": {"intermediate_size": 96, "head_dim": 32, "num_key_value_heads": 2},
    }
    config = getattr(transformers, kind)(**sizes, **more[kind])
    whole, small = (Foreign(config, load(None), scale=scale) for scale in ("paper", "probe"))
    small.divisor = 4  # as if it were large
    seen = small.probe("proxy", 0)
    for name in SHAPE:
        ours, full = metric(name)(seen), metric(name)(whole.probe("proxy", 0))
        assert full.value is not None, full.reason
        assert (ours.value, ours.parts) == (full.value, full.parts), name
    assert seen.model.config.hidden_size == 32
    words = WordTable(300, 64 if kind == "ElectraConfig" else 128)
    assert seen.model.stream() == Stream(2, 128, (words,), projected=kind == "ElectraConfig")
    assert metric("rank_spread_reach")(seen).ok


def test_whoever_leaves_in_the_middle_leaves_numbers_as_they_were():
    """Tiny numbers are flushed to zero while a network is measured, and not after."""
    import torch

    from untrained.apps import api
    from untrained.apps.parallel import measure_all
    from untrained.core.metric import metric

    lab = api.lab("rnn_cell")
    archs = [lab.space.classic(name) for name in ("rnn", "lstm", "gru")]
    found = measure_all(lab, archs, [metric("params")], workers=1)
    next(found)
    assert float(torch.tensor(1e-40) * 0.5) > 0
    assert len(list(found)) == 2
