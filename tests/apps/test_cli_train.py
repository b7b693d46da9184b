"""`untrained train`, from a Hugging Face configuration, an architecture and labelled texts."""

import json
from random import Random

import pytest
import torch

from untrained.core.architecture import Architecture
from untrained.spaces.bert_encoder import BertEncoder
from untrained.spaces.gpt_decoder import GptDecoder
from untrained.training.checkpoint import load_tensors, read_tensors

GPT2 = {
    "model_type": "gpt2",
    "vocab_size": 260,
    "n_embd": 16,
    "n_layer": 1,
    "n_head": 2,
    "n_positions": 32,
    "bos_token_id": 257,
    "eos_token_id": 258,
}
BERT = {
    "model_type": "bert",
    "vocab_size": 260,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 32,
}
SHORT = "steps=4,length=16,batch=4,eval_every=2,eval_windows=4"


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text(" ".join(Random(0).choice(["one", "two", "three"]) for _ in range(500)))
    return path


@pytest.fixture
def config(tmp_path):
    def config(record):
        folder = tmp_path / record["model_type"]
        folder.mkdir(exist_ok=True)
        (folder / "config.json").write_text(json.dumps(record))
        return folder

    return config


def test_a_configuration_becomes_an_ordinary_model(run, tmp_path, config, text):
    transformers = pytest.importorskip("transformers")
    out = tmp_path / "out"
    said = run("train", config(GPT2), "--text", text, "-r", f"causal_lm:{SHORT}", "-o", out).stdout
    for word in ("this model, step", "before training", "unigram", "bigram", "perplexity"):
        assert word in said
    assert max(map(len, said.replace(str(out), "OUT").splitlines())) <= 80
    model = transformers.AutoModelForCausalLM.from_pretrained(out)
    words = transformers.AutoTokenizer.from_pretrained(out)
    assert words("héé")["input_ids"] == list("héé".encode())
    result = json.loads((out / "result.json").read_text())
    held = text.read_bytes()[-round(0.1 * text.stat().st_size) :]
    rows = [held[s : s + 17] for s in range(0, len(held) - 16, 16)]
    rows = [rows[i * len(rows) // 4] for i in range(4)]
    tokens = torch.tensor([list(row) for row in rows])
    with torch.no_grad():
        rows = model(tokens[:, :-1]).logits
    loss = torch.nn.functional.cross_entropy(rows.flatten(0, 1), tokens[:, 1:].flatten()).item()
    assert result["marks"]["loss"] == pytest.approx(loss, rel=1e-4)
    # What was trained can be trained further, and begins where it was.
    again = tmp_path / "again"
    run("train", out, "--text", text, "-r", f"causal_lm:{SHORT}", "-o", again)
    first = json.loads((again / "curve.jsonl").read_text().splitlines()[0])
    assert first["held_out"]["loss"] == pytest.approx(loss, rel=1e-4)


def test_an_architecture_is_kept_so_that_it_can_be_built_again(run, tmp_path, text):
    arch = GptDecoder.of(width=16, heads=[2], inner=[32], vocabulary=2_000, context=32)
    (tmp_path / "one.jsonl").write_text(arch.to_json())
    words = ["train", "--arch", tmp_path / "one.jsonl", "--text", text, "-r", f"causal_lm:{SHORT}"]
    record = json.loads(
        run(*words, "--scale", "paper:vocabulary=260", "-o", tmp_path / "out", "--json").stdout
    )
    kept = json.loads((tmp_path / "out" / "architecture.json").read_text())
    assert Architecture.from_json(kept) == arch
    model = GptDecoder().build(arch, scale=kept["scale"])
    assert model.vocabulary == 260
    tensors, said = read_tensors(tmp_path / "out" / "weights.safetensors")
    load_tensors(model, tensors, "here")
    assert said["marks"] == record["marks"]
    assert record["params"] == sum(p.numel() for p in model.parameters())
    recipe = json.loads((tmp_path / "out" / "recipe.json").read_text())
    assert (recipe["recipe"], recipe["settings"]["steps"], recipe["tokenizer"]) == ("causal_lm", 4, "bytes")


def test_it_goes_on_where_it_stopped(run, wrong, tmp_path, config, text):
    pytest.importorskip("transformers")
    words = ["train", config(GPT2), "--text", text, "-r", f"causal_lm:{SHORT}", "-o", tmp_path / "out"]
    run(*words)
    before = (tmp_path / "out" / "model.safetensors").read_bytes()
    assert "--resume" in wrong(*words)
    run(*words, "--resume")
    assert (tmp_path / "out" / "model.safetensors").read_bytes() == before
    other = [str(w).replace("steps=4", "steps=5") for w in words]
    assert "steps was 4 and is now 5" in wrong(*other, "--resume")


def test_an_encoder_is_trained_on_hidden_tokens(run, wrong, tmp_path, config, text):
    transformers = pytest.importorskip("transformers")
    words = ["train", config(BERT), "--text", text, "-o", tmp_path / "out"]
    assert "masked_lm" in wrong(*words, "-r", f"causal_lm:{SHORT}")
    run(*words, "-r", f"masked_lm:{SHORT}")
    assert transformers.AutoModelForMaskedLM.from_pretrained(tmp_path / "out").config.model_type == "bert"


def test_labels_are_told_by_a_hugging_face_model_and_by_ours(run, tmp_path, config):
    transformers = pytest.importorskip("transformers")
    rng = Random(1)
    rows = [{"text": f"{w} {rng.random()}", "label": w} for w in rng.choices(["good", "bad"], k=80)]
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = "classification:steps=30,length=16,batch=8,eval_every=10,peak_lr=1e-2"
    for kind in (BERT, GPT2):
        out = tmp_path / f"{kind['model_type']}-out"
        said = run("train", config(kind), "--text", file, "-r", recipe, "-o", out).stdout
        assert "accuracy" in said
        assert "F1" in said
        model = transformers.AutoModelForSequenceClassification.from_pretrained(out)
        assert model.config.id2label == {0: "bad", 1: "good"}
    arch = BertEncoder().sample(Random(0))
    (tmp_path / "one.jsonl").write_text(arch.to_json())
    words = ["--arch", tmp_path / "one.jsonl", "--scale", "paper:vocabulary=260", "-o", tmp_path / "ours"]
    recipe = "classification:steps=20,length=16,batch=8,eval_every=10,peak_lr=3e-3"
    found = json.loads(run("train", *words, "--text", file, "-r", recipe, "--json").stdout)
    assert found["marks"]["loss"] < 0.3  # ln 2 = 0.69 for one who guesses


def test_wrong_words_are_told(wrong, tmp_path, config, text, cells):
    pytest.importorskip("transformers")
    here = ["train", config(GPT2), "--text", text, "-o", tmp_path / "out"]
    assert "needs a folder" in wrong("train", config(GPT2))
    assert "name one thing to train" in wrong("train", "-o", tmp_path / "out")
    assert "holds 5 architectures" in wrong("train", "--arch", cells, "-o", tmp_path / "out")
    assert "Did you mean 'causal_lm'" in wrong(*here, "-r", "causal_lmm")
    assert "has no option 'step'" in wrong(*here, "-r", "causal_lm:step=3")
    assert "peak_lr=-1.0; it takes a number from" in wrong(*here, "-r", "causal_lm:peak_lr=-1")
    assert "no schedule is called 'sine'" in wrong(*here, "-r", "causal_lm:schedule=sine")
    assert "the model has 32 positions" in wrong(*here, "-r", "causal_lm:length=64")
    assert "is too short" in wrong(*here, "-r", "causal_lm:length=32", "--held-out", "0.001")
    assert "--text FILE" in wrong(*here[:2], "-o", tmp_path / "out", "-r", "classification")
    small = config({**GPT2, "vocab_size": 100, "bos_token_id": None, "eos_token_id": None})
    assert "the tokenizer has 260 tokens, and the model knows 100" in wrong(
        "train", small, "--text", text, "-o", tmp_path / "out", "-r", f"causal_lm:{SHORT}"
    )
    (tmp_path / "strange").mkdir()
    (tmp_path / "strange" / "config.json").write_text('{"model_type": "nothing"}')
    assert "knows no model type 'nothing'" in wrong("train", tmp_path / "strange", "-o", tmp_path / "out")
    (tmp_path / "gpt2" / "pytorch_model.bin").write_bytes(b"x")
    assert "reading such a file can run" in wrong(*here, "-r", f"causal_lm:{SHORT}")
    assert not (tmp_path / "out").exists()


def test_a_scale_takes_sizes(wrong, run, cells):
    assert "a scale of rnn_cell has no size 'depth'; it has: vocabulary, width, layers" in wrong(
        "rank", cells, "--proxy", "params", "--scale", "probe:depth=3"
    )
    assert "is not a whole number" in wrong("rank", cells, "--proxy", "params", "--scale", "probe:width=x")
    run("rank", cells, "--proxy", "lag0_gain", "--scale", "probe:width=16,layers=1,vocabulary=300")
