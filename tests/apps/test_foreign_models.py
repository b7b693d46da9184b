"""`score` and `rank` of modules, Hugging Face configurations and directories; nothing is downloaded."""

from __future__ import annotations

import copy
import json
import sys

import pytest
import torch
from torch import nn

import untrained
from untrained.apps.foreign import Foreign, foreigners, price
from untrained.apps.probing import FOREIGN_TRANSFORMER, foreign_probe, generator
from untrained.core.errors import BadText, MissingExtra, UnknownName, UsageError
from untrained.core.metric import metric
from untrained.core.text import load
from untrained.nn.adapters import adapt, sources
from untrained.nn.batch import Batch
from untrained.nn.probe import Probe
from untrained.nn.transformer import LayerShape, Transformer, TransformerShape

transformers = pytest.importorskip("transformers")

SIZES = {
    "vocab_size": 97,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 70,
}
COSTS = ("params", "params_nonembedding", "flops")


def llama(**changes):
    return transformers.LlamaConfig(**{**SIZES, "num_key_value_heads": 2, **changes})


def bert(**changes):
    return transformers.BertConfig(**{**SIZES, **changes})


CONFIGS = {
    "bert": bert,
    "roberta": lambda: transformers.RobertaConfig(**SIZES),
    "electra": lambda: transformers.ElectraConfig(**SIZES, embedding_size=16),
    "gpt2": lambda: transformers.GPT2Config(
        vocab_size=97, n_embd=32, n_layer=2, n_head=4, n_positions=70, bos_token_id=1, eos_token_id=1
    ),
    "llama": llama,
    "mistral": lambda: transformers.MistralConfig(**SIZES, num_key_value_heads=2),
    "qwen2": lambda: transformers.Qwen2Config(**SIZES, num_key_value_heads=2),
    "qwen3": lambda: transformers.Qwen3Config(**SIZES, num_key_value_heads=2, head_dim=16),
}


@pytest.fixture(autouse=True)
def one_thread():
    """Several only wait for each other on networks this small, seconds long where the machine is busy."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A tiny Llama as save_pretrained writes it."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    with torch.random.fork_rng():
        torch.manual_seed(3)
        transformers.LlamaForCausalLM(llama()).save_pretrained(folder)
    return folder


# --- configurations ------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", CONFIGS)
def test_every_family_is_scored_from_its_configuration(family):
    luck = torch.random.get_rng_state()
    config = CONFIGS[family]()
    asked = ("fading_memory", "jacobian_covariance", "synaptic_diversity", "head_confidence", *COSTS)
    found = untrained.score(config, asked)
    assert {name: m.reason for name, m in found.items() if not m.ok} == {}
    again = untrained.score(config, asked[:2])
    assert [again[name].value for name in asked[:2]] == [found[name].value for name in asked[:2]]
    assert torch.equal(luck, torch.random.get_rng_state())
    # Fake tensors say the same as the network itself.
    probe = Probe(adapt(sources.built(config)), Batch(*torch.zeros(2, 1, 4, dtype=torch.long)))
    assert {name: found[name].value for name in COSTS} == {name: metric(name)(probe).value for name in COSTS}
    assert found["params"].value == probe.model.source.num_parameters()


def test_seeds_draw_other_weights():
    one, other = (sources.built(llama(), generator(seed)) for seed in (0, 1))
    again = sources.built(llama(), generator(0))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), again.parameters(), strict=True))
    assert not torch.equal(one.lm_head.weight, other.lm_head.weight)
    found = untrained.score(llama(), "fading_memory", seeds=3)
    assert found.spread > 0


def test_two_configurations_side_by_side():
    ranking = untrained.rank([llama(), llama(num_hidden_layers=3), llama()], ["params", "flops"])
    assert [p.architecture.id for p in ranking] == ["llama-2x32", "llama-2x32#2", "llama-3x32"]
    assert ranking.records()[0]["params"] == price(llama())["params"]
    with pytest.raises(UsageError, match="not both together"):
        untrained.rank([llama(), untrained.space("rnn_cell").sample(untrained.rng(1))], "params")


def test_the_configuration_object_stays_as_it_is():
    config = llama()
    before = copy.deepcopy(config.to_dict())
    untrained.score(config, ["fading_memory", "flops"])
    assert config.to_dict() == before


# --- probe scale ---------------------------------------------------------------------------------------


def test_a_7_billion_configuration_is_priced_and_never_built(monkeypatch):
    config = transformers.LlamaConfig()
    largest = []
    monkeypatch.setattr(sources, "built", _counting(sources.built, largest))
    found = untrained.score(config, [*COSTS, "latency", "depth_width_rank"])
    assert found["params"].value == 6_738_415_616  # as published for Llama 2 7B
    # 2 per weight of the matrices, and attention over 4 tokens: 4 * T * D a layer
    matrices = 32 * (4 * 4096**2 + 3 * 4096 * 11008) + 32000 * 4096
    assert found["flops"].value == 2 * matrices + 32 * 4 * 4 * 4096
    assert found["depth_width_rank"].ok
    assert not found["latency"].ok
    assert 'scale="paper"' in found["latency"].reason
    assert "6.7 billion weights" in found["latency"].reason
    assert max(largest) < 40e6
    assert "width 256 of 4096, 2000 words of 32000, all 32 layers" in found["params"].notes[1]


def _counting(built, largest):
    def count(config, generator=None):
        made = built(config, generator)
        if not isinstance(next(made.parameters()), torch._subclasses.FakeTensor):
            largest.append(sum(w.numel() for w in made.parameters()))
        return made

    return count


def test_the_rule_of_probe_scale():
    assert sources.divisor(llama()) == 1
    big = transformers.Qwen3Config(
        hidden_size=1024,
        num_hidden_layers=28,
        num_attention_heads=16,
        num_key_value_heads=8,
        head_dim=128,
        intermediate_size=3072,
    )
    assert sources.divisor(big) == 4  # 28 * (4 * 1024^2 + 3 * 1024 * 3072) / 4^2 = 24 M
    small = sources.shrunk(big, 4, vocabulary=2_000, length=64)
    assert (small.hidden_size, small.head_dim, small.intermediate_size) == (256, 32, 768)
    assert (small.num_hidden_layers, small.num_attention_heads, small.num_key_value_heads) == (28, 16, 8)
    assert small.vocab_size == 2_000
    tiny = sources.shrunk(llama(), 1_024, vocabulary=50, length=64)
    assert (tiny.head_dim, tiny.hidden_size, tiny.vocab_size) == (4, 16, 50)


def test_learned_positions_are_cut_to_what_is_shown():
    small = sources.shrunk(
        transformers.RobertaConfig(max_position_embeddings=514), 1, vocabulary=2_000, length=64
    )
    assert small.max_position_embeddings == 66  # two of them stand before the first word
    assert adapt(sources.built(small)).positions == 64


def test_configurations_side_by_side_are_made_small_alike():
    big, small = (
        transformers.LlamaConfig(),
        transformers.LlamaConfig(hidden_size=1024, intermediate_size=2816),
    )
    alone = Foreign(small, load())
    first, second = foreigners([big, small], load(), scale="probe", device="cpu")
    assert alone.divisor < second.divisor == first.divisor


def test_paper_scale_is_the_whole_network():
    config = llama(vocab_size=3_000)
    assert Foreign(config, load(), scale="paper").probe("proxy", 0).model.vocabulary == 3_000
    assert Foreign(config, load()).probe("proxy", 0).model.vocabulary == FOREIGN_TRANSFORMER.vocabulary
    with pytest.raises(UnknownName, match="paper, probe"):
        untrained.score(config, "params", scale="huge")


# --- directories ---------------------------------------------------------------------------------------


def test_a_directory_with_safetensors_is_loaded(saved):
    found = untrained.score(saved, ["fading_memory", "params"])
    assert found["fading_memory"].notes == (f"weights loaded from {saved}",)
    assert found["fading_memory"].record("x")["notes"] == [f"weights loaded from {saved}"]
    model = transformers.LlamaForCausalLM.from_pretrained(saved)
    assert found["fading_memory"].value == untrained.score(model, "fading_memory").value
    assert found["params"].value == model.num_parameters()
    assert found["fading_memory"].value != untrained.score(llama(), "fading_memory").value


def test_several_seeds_look_at_the_same_weights(saved):
    found = untrained.score(str(saved), "l2_norm", seeds=2)
    assert found.spread == 0


def test_a_config_json_alone_gets_random_weights(saved):
    found = untrained.score(saved / "config.json", "fading_memory")
    assert found.notes[0] == "random weights"
    assert found.value == untrained.score(llama(), "fading_memory").value


def test_a_directory_without_weights_gets_random_ones(tmp_path):
    bert().save_pretrained(tmp_path)
    found = untrained.score(tmp_path, "fading_memory")
    assert found.ok
    assert found.notes[0] == "random weights"


@pytest.mark.parametrize("kind", ["BertModel", "BertForPreTraining", "BertForSequenceClassification"])
def test_the_class_that_a_directory_names_is_the_one_that_is_loaded(tmp_path, kind):
    made = getattr(transformers, kind)(bert())
    made.save_pretrained(tmp_path)
    found = untrained.score(tmp_path, ["fading_memory", "grad_norm", "params"])
    assert found["fading_memory"].ok
    assert found["params"].value == made.num_parameters()
    assert found["grad_norm"].ok == (kind == "BertForPreTraining")


def test_half_precision_files_are_read_in_float32(tmp_path):
    transformers.LlamaForCausalLM(llama()).half().save_pretrained(tmp_path)
    model = Foreign(tmp_path, load()).probe("proxy", 0).model
    assert {w.dtype for w in model.parameters()} == {torch.float32}


def test_no_code_of_a_directory_is_run(tmp_path, saved):
    record = json.loads((saved / "config.json").read_text())
    record["auto_map"] = {"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"}
    (tmp_path / "config.json").write_text(json.dumps(record))
    (tmp_path / "evil.py").write_text("raise SystemExit('was run')")
    assert untrained.score(tmp_path, "fading_memory").ok


def test_a_missing_directory(tmp_path):
    with pytest.raises(UsageError, match="never downloaded"):
        untrained.score("meta-llama/Llama-2-7b-hf", "params")
    with pytest.raises(UsageError, match=r"no config\.json"):
        untrained.score(tmp_path, "params")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is not JSON"),
        ("[]", "names no model_type"),
        ("{}", "names no model_type"),
        ('{"model_type": "mamba"}', "no adapter for the model type 'mamba'; there is one for: bert"),
        ('{"model_type": ["bert"]}', "no adapter for the model type"),
        ('{"model_type": "llama", "hidden_size": "wide"}', "is not a llama configuration"),
        ('{"model_type": "llama", "num_hidden_layers": 0}', "0 layers"),
        ('{"model_type": "bert", "hidden_size": 30, "num_attention_heads": 4}', "4 heads do not divide"),
    ],
)
def test_a_bad_config_json(tmp_path, text, said):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(UsageError, match=said):
        untrained.score(tmp_path, "params")


def test_pickled_weights_are_refused_with_the_reason(tmp_path):
    llama().save_pretrained(tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"cposix\nsystem\n(S'false'\ntR.")
    with pytest.raises(UsageError) as error:
        untrained.score(tmp_path, "fading_memory")
    assert "pytorch_model.bin" in str(error.value)
    assert "can run code" in str(error.value)
    assert untrained.score(tmp_path / "config.json", "params").ok


def test_damaged_weights(tmp_path, saved):
    (tmp_path / "config.json").write_text((saved / "config.json").read_text())
    whole = (saved / "model.safetensors").read_bytes()
    for bad in (whole[: len(whole) // 2], b"", b"\xff" * 100):
        (tmp_path / "model.safetensors").write_bytes(bad)
        with pytest.raises(UsageError, match=r"cannot be loaded.*(\n.*)*random weights"):
            untrained.score(tmp_path, "fading_memory")


def test_weights_that_do_not_fit_the_configuration(tmp_path, saved):
    (tmp_path / "model.safetensors").write_bytes((saved / "model.safetensors").read_bytes())
    llama(num_hidden_layers=3, architectures=["LlamaForCausalLM"]).save_pretrained(tmp_path)
    with pytest.raises(UsageError, match=r"lack 9 of the tensors of a LlamaForCausalLM.*layers\.2"):
        untrained.score(tmp_path, "fading_memory")
    llama(hidden_size=64).save_pretrained(tmp_path)
    with pytest.raises(UsageError, match="cannot be loaded"):
        untrained.score(tmp_path, "fading_memory")


def test_without_transformers_the_extra_is_named(saved, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtra, match=r"pip install 'untrained\[hf\]'"):
        untrained.score(saved, "params")
    assert untrained.score(nn.LSTM(8, 8), "params").ok


# --- modules and batches -------------------------------------------------------------------------------


def test_a_torch_encoder_is_scored():
    layer = nn.TransformerEncoderLayer(16, 4, 24, batch_first=True)
    encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    found = untrained.score(encoder, ["fading_memory", "jacobian_covariance", "params", "grad_norm"])
    assert found["params"].value == sum(w.numel() for w in encoder.parameters())
    assert found["fading_memory"].ok
    assert found["jacobian_covariance"].ok
    assert "logits" in found["grad_norm"].reason


def test_a_batch_of_ones_own():
    model = sources.built(llama(), generator(0))
    ids = torch.randint(0, 97, (4, 33), generator=torch.Generator().manual_seed(1))
    given = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    shown = [ids, given, Batch(ids[:, :-1], ids[:, 1:]), ids.int()]
    values = [untrained.score(model, "grad_norm", batch=b).value for b in shown]
    assert len(set(values)) == 1
    assert values[0] != untrained.score(model, "grad_norm").value
    assert untrained.score(llama(), "grad_norm", batch=ids).value == values[0]


def test_a_batch_may_need_more_words_than_probe_scale_has():
    ids = torch.arange(2_500).reshape(50, 50)
    probe = Foreign(llama(vocab_size=5_000), load(), batch=ids).probe("proxy", 0)
    assert probe.model.vocabulary == 2_500
    assert metric("fading_memory")(probe).ok


@pytest.mark.parametrize(
    ("batch", "said"),
    [
        (torch.full((2, 5), 97), "97"),
        (torch.full((2, 5), -1), "-1"),
        (torch.zeros(2, 5), "token ids"),
        (torch.zeros(5, dtype=torch.long), "token ids"),
        (torch.zeros(0, 5, dtype=torch.long), "take 1 sequence or more"),
        (torch.zeros(2, 1, dtype=torch.long), "2 tokens or more"),
        ({"pixels": 1}, "input_ids"),
        ({"input_ids": torch.ones(2, 3).long(), "attention_mask": torch.eye(3)[:2]}, "padding"),
        ("text", "takes an untrained Batch"),
        (torch.zeros(2, 80, dtype=torch.long), "79 tokens, and the model 70 positions"),
    ],
)
def test_a_bad_batch(batch, said):
    for what in (sources.built(bert()), bert()):
        with pytest.raises(UsageError, match=said):
            untrained.score(what, "fading_memory", batch=batch)


IDS = torch.randint(0, 97, (4, 30), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("targets", "said"),
    [
        (torch.full_like(IDS, -100), "no label at 120 of 120 tokens"),
        (torch.where(IDS < 50, IDS, -100), r"no label at \d+ of 120 tokens"),
        (IDS[:, 1:], r"tokens \(4, 30\) and targets \(4, 29\)"),
        (IDS + 97, "the model knows 0 to 96"),
    ],
)
def test_labels_that_are_missing(targets, said):
    for what in (sources.built(llama()), llama()):
        with pytest.raises(UsageError, match=said):
            untrained.score(what, "epe_nas", batch=Batch(IDS, targets))


def test_what_needs_labels_or_logits_says_so_where_there_are_none():
    for what in (nn.LSTM(8, 8), sources.built(bert()).bert):
        for name in ("grad_norm", "epe_nas", "label_gradient_alignment"):
            assert "no tap called 'logits'" in untrained.score(what, name).reason
        assert untrained.score(what, "jacobian_cosine").ok


def test_our_own_networks_are_shown_no_more_than_their_positions():
    shape = TransformerShape(16, (LayerShape(heads=2, inner=(16,)),), 97, positions=28)
    ours = Transformer(shape, generator(0))
    assert untrained.score(ours, "fading_memory").ok
    with pytest.raises(UsageError, match="sequences of 29 tokens, and the model 28 positions"):
        untrained.score(ours, "fading_memory", batch=IDS)


def test_a_text_that_is_shorter_than_the_batch(tmp_path):
    (tmp_path / "short.txt").write_text("a few words only")
    for what in (llama(), nn.GRU(8, 8), untrained.space("gpt_decoder").preset("gpt2")):
        with pytest.raises(BadText, match="too short: 4 words"):
            untrained.score(what, "fading_memory", text=tmp_path / "short.txt")


class Half(nn.Module):
    """Somebody's float16 network with stages of its own, so that no adapter widens it."""

    roles, vocabulary = ("block",), 97

    def __init__(self):
        super().__init__()
        draw = torch.Generator().manual_seed(1)
        self.table = nn.Parameter(torch.randn(97, 16, generator=draw).half())
        self.matrix = nn.Parameter(3e4 * torch.randn(16, 16, generator=draw).half())

    def embed(self, tokens):
        return self.table[tokens]

    def encode(self, embedded, tape=None):
        top = embedded @ self.matrix
        if tape is not None:
            tape.add("block", 0, top)
        return top

    def saliency_weights(self):
        return [self.matrix]


def test_half_precision_that_overflows_is_a_reason():
    for name in ("jacobian_cosine", "zen", "synaptic_saliency", "jacobian_covariance"):
        found = untrained.score(Half(), name)
        assert found.value is None
        assert found.reason.startswith(f"{name}: the network explodes"), found.reason


def test_a_batch_is_for_networks_of_ones_own():
    arch = untrained.space("rnn_cell").sample(untrained.rng(1))
    with pytest.raises(UsageError, match="network of your own"):
        untrained.score(arch, "params", batch=torch.zeros(2, 5).long())


def test_a_short_model_is_shown_short_sequences():
    probe = Foreign(sources.built(bert(max_position_embeddings=30)), load()).probe("proxy", 0)
    assert probe.batch.shape == (FOREIGN_TRANSFORMER.sequences, 30)
    assert int(probe.batch.tokens.max()) < 97


def test_another_device_gets_a_copy():
    for mine in (sources.built(llama()), nn.LSTM(8, 8)):
        probe = foreign_probe(mine, load(), 0, "meta")
        assert {w.device.type for w in probe.model.parameters()} == {"meta"}
        assert {w.device.type for w in mine.parameters()} == {"cpu"}


class Bare(nn.Module):
    """Has the stages, and no taps."""

    vocabulary = 50

    def __init__(self, error=None):
        super().__init__()
        self.table, self.error = nn.Embedding(50, 8), error

    def embed(self, tokens):
        return self.table(tokens)

    def encode(self, embedded, tape=None):
        if self.error:
            raise self.error
        return embedded


def test_a_model_without_taps_is_told_how_to_give_them():
    found = untrained.score(Bare(), ["fading_memory", "jacobian_covariance", "params"])
    assert "no tap called 'block'" in found["fading_memory"].reason
    assert "tape.add('block', layer, tensor)" in found["fading_memory"].reason
    assert found["jacobian_covariance"].ok
    assert found["params"].ok


def test_a_forward_that_raises_is_a_reason_with_the_proxy_that_asked():
    found = untrained.score(Bare(RuntimeError("my own trouble")), "jacobian_covariance")
    assert not found.ok
    assert found.reason == "jacobian_covariance: RuntimeError: my own trouble"
    theirs = sources.built(llama())
    theirs.model.layers[1].mlp = nn.Linear(5, 5)
    found = untrained.score(theirs, "jacobian_covariance")
    assert found.reason.startswith("jacobian_covariance: ")
    assert "shapes cannot be multiplied" in found.reason


@pytest.mark.parametrize("what", [3, None, object(), ["a"]])
def test_what_cannot_be_scored(what):
    with pytest.raises(UsageError, match="nothing that can be scored"):
        untrained.score(what, "params")


def test_an_unknown_family_of_configurations():
    with pytest.raises(UsageError, match="no adapter for the model type 'opt'"):
        untrained.score(transformers.OPTConfig(), "params")


# --- command line --------------------------------------------------------------------------------------


def test_score_model(run, wrong, saved, tmp_path):
    llama(num_hidden_layers=3).save_pretrained(tmp_path / "other")
    words = ["score", "--model", saved, "--model", tmp_path / "other" / "config.json"]
    records = json.loads(run(*words, "-p", "fading_memory,params", "--json").stdout)
    assert [(r["arch"], r["proxy"]) for r in records] == [
        ("tiny", "fading_memory"),
        ("tiny", "params"),
        ("other", "fading_memory"),
        ("other", "params"),
    ]
    assert "weights loaded" in records[0]["notes"][0]
    assert records[2]["notes"][0] == "random weights"
    said = run(*words, "-p", "params")
    assert "tiny" in said.stdout
    assert "weights loaded" in said.stdout + said.stderr
    assert "never downloaded" in wrong("score", "--model", tmp_path / "none")
    assert "--model stands alone" in wrong("score", "--model", saved, "--recipe", "lstm")


def test_rank_models(run, wrong, saved, tmp_path, cells):
    llama(num_hidden_layers=3).save_pretrained(tmp_path / "deeper")
    bert(num_hidden_layers=1).save_pretrained(tmp_path / "shallow")
    paths = [tmp_path / "shallow", saved, tmp_path / "deeper" / "config.json"]
    words = [word for path in paths for word in ("--model", path)]
    records = json.loads(run("rank", *words, "-p", "depth_width_rank,params", "--json").stdout)
    assert [(r["rank"], r["arch"]) for r in records] == [(1, "deeper"), (2, "tiny"), (3, "shallow")]
    assert [r["model"] for r in records] == [str(path) for path in reversed(paths)]
    assert "weights loaded" in records[1]["notes"][0]
    assert records[0]["depth_width_rank"] > records[1]["depth_width_rank"]
    ranking = untrained.rank(paths, ["depth_width_rank", "params"])
    assert [row["params"] for row in ranking.records()] == [r["params"] for r in records]
    said = run("rank", *words, "-p", "depth_width_rank", "--top", 1)
    assert "deeper" in said.stdout
    assert "shallow" not in said.stdout
    assert "random weights" in said.stdout + said.stderr
    assert "nothing to rank is named" in wrong("rank")
    assert "--model stands alone" in wrong("rank", cells, "--model", saved)
    assert "--model stands alone" in wrong("rank", "--space", "rnn_cell", "--model", saved)
    assert "never downloaded" in wrong("rank", "--model", tmp_path / "none")


def test_rank_says_why_a_model_has_no_score(run, saved):
    said = run("rank", "--model", saved, "-p", "hidden_covariance", code=1)
    assert "no tap called 'hidden'" in said.stderr


@pytest.mark.parametrize("name", ["cuda", "cuda:7", "abacus"])
def test_a_device_that_is_not_there(name, run, wrong, saved, cells, data):
    if name == "cuda" and torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    table = ["correlate", "nas_bench_nlp", "--data", data, "-p", "fading_memory"]
    models = [[command, "--model", saved, "-p", "params"] for command in ("score", "rank")]
    architectures = [["score", "--recipe", "lstm"], ["rank", cells], ["search", "rnn_cell", "--trials", 3]]
    for words in [table, *models, *architectures]:
        said = wrong(*words, "--device", name)
        assert f"the device {name} cannot be used here: " in said, words
        assert "take another: --device cpu" in said
    for what in (nn.LSTM(8, 8), saved, untrained.space("rnn_cell").classic("gru")):
        with pytest.raises(UsageError, match=f"the device {name} cannot be used here"):
            untrained.score(what, "params", device=name)
