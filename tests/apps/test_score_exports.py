"""What `untrained export` wrote, scored as any other model directory: the scores are those of our network."""

from __future__ import annotations

import json

import pytest
import torch

import untrained as ut
from untrained.apps import foreign
from untrained.core.architecture import Architecture
from untrained.core.errors import UsageError
from untrained.core.named import construct
from untrained.nn.adapters import adapt
from untrained.nn.hf.convert import converted
from untrained.spaces.gpt_decoder import GptDecoder
from untrained.spaces.rnn_cell import RnnCell
from untrained.training.classifier import Classifier

pytest.importorskip("transformers")

BASE = {"width": 32, "heads": (2, 2), "inner": (24, 24), "vocabulary": 2_000, "context": 64}
LLAMA = {"norm": "rms", "mlp": "swiglu", "position": "rotary", "bias": False}
ASKED = ["fading_memory", "grad_norm", "params", "params_nonembedding", "flops"]


def decoder(**choices):
    return GptDecoder().build(GptDecoder.of(**BASE | choices), generator=torch.Generator().manual_seed(1))


def by_hand(arch, scale):
    space = construct("space", arch.space)
    return space.build(arch, scale=scale, generator=torch.Generator().manual_seed(1))


ENCODER = Architecture.of(
    "bert_encoder", hidden=128, layers=2, operation=("dft", "conv5"), heads=(2, 2), inner=((512,), (512,))
)
NETWORKS = {
    "untrained_decoder": lambda: decoder(**LLAMA, mixer=("window", "softmax"), span=4),
    "untrained_encoder": lambda: by_hand(ENCODER, "paper:vocabulary=40"),
    "untrained_rnn": lambda: by_hand(RnnCell.classic("lstm"), "paper:vocabulary=40,width=8"),
    "untrained_llama": lambda: decoder(**LLAMA | {"inner": (24, 9)}),
    "untrained_gpt2": lambda: decoder(inner=(24, 9)),
}


def values(found):
    assert {name: m.reason for name, m in found.items() if not m.ok} == {}
    return {name: m.value for name, m in found.items()}


@pytest.mark.parametrize("kind", NETWORKS)
def test_it_scores_as_the_network_that_was_exported(kind, tmp_path):
    network = NETWORKS[kind]().eval()
    form = converted(network)
    assert form.model.config.model_type == kind
    form.model.save_pretrained(tmp_path)
    found = ut.score(tmp_path, ASKED)
    assert found["params"].notes == (f"weights loaded from {tmp_path}",)
    wanted = values(ut.score(network, ASKED))
    # Queries, keys and values are one tensor in GPT-2, and the score sums norms by tensor.
    loose = {"grad_norm": 0.01} if kind == "untrained_gpt2" else {}
    for name, value in values(found).items():
        assert value == pytest.approx(wanted[name], rel=loose.get(name, 1e-4)), name


@pytest.mark.parametrize("kind", NETWORKS)
def test_its_configuration_alone_gets_random_weights_in_full(kind, tmp_path):
    network = NETWORKS[kind]()
    converted(network).model.config.save_pretrained(tmp_path)
    one, again = (ut.score(tmp_path / "config.json", ASKED) for _ in range(2))
    assert one["params"].notes == ("random weights", "built in full")
    assert values(one) == values(again)
    assert one["params"].value == sum(w.numel() for w in network.parameters())
    assert ut.score(tmp_path, "fading_memory", seeds=2).spread > 0


def test_the_model_is_left_as_it_is():
    model = converted(NETWORKS["untrained_decoder"]()).model.train()
    inside = adapt(model)
    assert model.training
    assert model.network.training
    assert not inside.training
    assert {id(w) for w in inside.parameters()} == {id(w) for w in model.parameters()}


def test_a_classifier_is_scored_without_its_head(tmp_path):
    network = NETWORKS["untrained_encoder"]().eval()
    head = Classifier(network, 3, generator=torch.Generator().manual_seed(0)).head
    converted(network, head=head, labels=("a", "b", "c")).model.save_pretrained(tmp_path)
    found = ut.score(tmp_path, ["fading_memory", "params"])
    assert "without its labels' head" in found["params"].notes[1]
    assert values(found) == values(ut.score(network, ["fading_memory", "params"]))


def test_what_cannot_be_built_is_said(tmp_path):
    converted(NETWORKS["untrained_rnn"]()).model.config.save_pretrained(tmp_path)
    file = tmp_path / "config.json"
    record = json.loads(file.read_text())
    for network in (None, {}, {"kind": "tree"}, {**record["network"], "hidden": ["wide"]}):
        file.write_text(json.dumps(record | {"network": network}))
        with pytest.raises(UsageError, match="this untrained_rnn configuration cannot be built: "):
            ut.score(tmp_path, "params")


def test_a_large_one_is_not_built_unless_that_is_asked_for(tmp_path, monkeypatch):
    converted(NETWORKS["untrained_decoder"]()).model.config.save_pretrained(tmp_path)
    monkeypatch.setattr(foreign, "LARGE", 1_000)
    found = ut.score(tmp_path, "fading_memory")
    assert not found.ok
    assert "needs the whole network" in found.reason
    assert ut.score(tmp_path, "fading_memory", scale="paper").ok


def test_the_command_reads_an_export(run, tmp_path):
    converted(NETWORKS["untrained_rnn"]()).model.save_pretrained(tmp_path / "mine")
    said = run("score", "--model", tmp_path / "mine", "-p", "fading_memory,params").stdout
    assert "fading_memory" in said
    assert "failed" not in said
    assert f"mine: weights loaded from {tmp_path / 'mine'}" in " ".join(said.split())
