"""`untrained prune`: a budget in, a model out that loads; or a sentence, and nothing written."""

import json
import shutil
import sys
from collections import namedtuple
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "nn"))
from pretrained_parents import random_model, saved

from untrained.apps import pruning
from untrained.apps.export.fresh import Look
from untrained.apps.export.fresh import look as looked
from untrained.core.errors import UntrainedError
from untrained.nn.adapters.sources import quiet, transformers
from untrained.nn.byte_tokenizer import tokenizer_json
from untrained.nn.pretrained.parent import parent_at

SMALL = ("--trials", 6, "--sequences", 4, "--length", 32)


@pytest.fixture(scope="module")
def parent(tmp_path_factory):
    folder = saved(tmp_path_factory.mktemp("models") / "qwen3", "qwen3")
    (folder / "tokenizer.json").write_text(tokenizer_json())
    (folder / "checkpoint.safetensors").write_bytes(bytes(10**6))  # as a training leaves one behind
    return folder


@pytest.fixture
def here(monkeypatch):
    """A look in this process, where another one is not the point."""

    def look(folder, tokens, **_):
        with quiet(), torch.inference_mode():
            model = transformers().AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
            return Look(model(tokens, use_cache=False).logits, 1, 1)

    monkeypatch.setattr(pruning, "look", look)


def loaded(folder):
    with quiet():
        return transformers().AutoModelForCausalLM.from_pretrained(folder).eval()


def test_a_budget_in_and_a_model_out(run, parent, tmp_path):
    """With real processes, once."""
    out = tmp_path / "out"
    said = run("prune", parent, "--params", 0.7, *SMALL, "-o", out).stdout
    record = json.loads((out / "pruning.json").read_text())
    model = loaded(out)
    count = sum(w.numel() for w in model.parameters())
    assert record["after"]["params"] == count <= 0.7 * record["before"]["params"]
    assert record["after"]["file_bytes"] == (out / "model.safetensors").stat().st_size
    assert record["before"]["file_bytes"] == (parent / "model.safetensors").stat().st_size
    assert record["after"]["file_bytes"] < 0.75 * record["before"]["file_bytes"]
    assert record["before"]["peak_bytes"] > 5e7
    assert (out / "tokenizer.json").read_text() == tokenizer_json()
    tokens = torch.arange(10)[None]
    assert model.generate(tokens, max_new_tokens=5, do_sample=False).shape == (1, 15)
    for part in ("Before and after", "What stayed", "perplexity, held out", "layer", "untrained prune"):
        assert part in said
    assert record["command"] in (out / "README.md").read_text()
    assert "4 x 32 tokens of the text that Python ships" in " ".join(said.split())
    wide = [line for line in said.splitlines() if len(line) > 80]
    assert [line for line in wide if not line.startswith(("untrained", "model =", f"written: {out}"))] == []
    assert not list(tmp_path.glob(".*part"))


@pytest.mark.usefixtures("here")
def test_perplexity_is_that_of_the_end_of_the_text(parent, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("".join(f"{i} and {i * i % 97}, " for i in range(2_000)))
    made = pruning.prune(
        parent, tmp_path / "out", params=0.7, text=text, proxy="wanda", trials=4, sequences=4, length=32
    )
    raw = text.read_text()
    end = raw[len(raw) - round(0.1 * len(raw)) :].encode()
    windows = [list(end[i : i + 33]) for i in range(0, len(end) - 32, 32)][:64]
    total = 0.0
    model = loaded(tmp_path / "out")
    for window in windows:
        ids = torch.tensor([window])
        with torch.inference_mode():
            total += float(model(ids, labels=ids).loss)
    assert made.after["perplexity"] == pytest.approx(
        float(torch.tensor(total / len(windows)).exp()), rel=1e-4
    )


@pytest.mark.usefixtures("here")
def test_the_same_seed_gives_the_same_model(parent, tmp_path):
    for name in ("a", "b"):
        pruning.prune(parent, tmp_path / name, params=0.7, trials=5, sequences=4, length=32, proxy="flap")
    files = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("a", "b")]
    assert files[0] == files[1]


@pytest.mark.usefixtures("here")
def test_recovery_trains_the_winner(parent, tmp_path):
    made = pruning.prune(
        parent, tmp_path / "out", params=0.7, proxy="wanda", trials=4, sequences=4, length=32, recover=15
    )
    assert made.after["perplexity"] < 0.9 * made.after["perplexity_before_recovery"]
    assert "trained for 15 steps" in (tmp_path / "out" / "README.md").read_text().replace("\n", " ")


@pytest.mark.usefixtures("here")
def test_memory_and_latency_are_budgets_too(run, parent, tmp_path, monkeypatch):
    run("prune", parent, "--fits", "190KB", "-p", "wanda", *SMALL, "-o", tmp_path / "fits")
    found = json.loads((tmp_path / "fits" / "pruning.json").read_text())
    g = parent_at(str(parent)).geometry
    cache = 2 * g.layers * g.kv_heads * g.head * g.positions * 4
    assert 4 * found["after"]["params"] + cache <= 190_000

    def by_size(models, length):
        return [sum(w.numel() for w in m.parameters()) / 1e3 for m in models]

    monkeypatch.setattr(pruning, "side_by_side", by_size)
    run("prune", parent, "--latency", "34ms", "-p", "wanda", *SMALL, "-o", tmp_path / "fast")
    found = json.loads((tmp_path / "fast" / "pruning.json").read_text())
    assert 28_000 < found["after"]["params"] <= 34_000


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--params", 0.01), "the nearest that can: --params 0."),
        (("--params", 1), "there is nothing to cut"),
        (("--params", 7), "a share is 1 at most"),
        (("--params", "much"), "not a size"),
        (("--fits", "1KB"), "the nearest that can: --fits"),
        (("--fits", "6GB"), "there is nothing to cut"),
        (("--latency", "1us"), "the nearest that can: --latency"),
        (("--latency", "99s"), "there is nothing to cut"),
        ((), "prune takes one budget"),
        (("--params", 0.7, "--fits", "1GB"), "prune takes one budget"),
        (("--params", 0.7, "-p", "params"), "chosen by a proxy"),
        (("--params", 0.7, "--resume"), "--store"),
        (("--params", 0.7, "--sequences", 40_000), "is too short"),
    ],
)
def test_what_cannot_be_asked_is_said_and_nothing_is_written(wrong, parent, tmp_path, words, said):
    message = wrong("prune", parent, *SMALL, *words, "-o", tmp_path / "out")
    assert said in " ".join(message.split())
    assert not (tmp_path / "out").exists()


def test_a_nearest_budget_can_be_met(wrong, run, parent, tmp_path, here):
    message = wrong("prune", parent, "--params", 0.01, *SMALL, "-o", tmp_path / "out")
    nearest = message.split("--params")[-1].split()[0]
    run("prune", parent, "--params", nearest, "-p", "wanda", *SMALL, "-o", tmp_path / "out")


def test_a_text_that_is_too_short(wrong, parent, tmp_path):
    (tmp_path / "short.txt").write_text("a few words")
    message = wrong(
        "prune", parent, "--params", 0.7, "--text", tmp_path / "short.txt", "-o", tmp_path / "out"
    )
    assert "too short: 10 tokens to look at and 1 held out" in message


def test_an_output_that_exists_is_left_alone(wrong, parent, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    assert "is there already" in wrong("prune", parent, "--params", 0.7, "-o", tmp_path / "out")
    assert "no folder" in wrong("prune", parent, "--params", 0.7, "-o", tmp_path / "a" / "b")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["mine.txt"]


def test_no_room_is_said_before_the_search(run, parent, tmp_path, monkeypatch):
    room = namedtuple("room", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: room(10**9, 10**9, 1_000))
    monkeypatch.setattr(pruning, "search", lambda *a, **k: pytest.fail("it searches"))
    message = run("prune", parent, "--params", 0.7, *SMALL, "-o", tmp_path / "out", code=1).stderr
    assert "MiB free" in message
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("here")
def test_a_disk_that_fills_up_leaves_nothing(run, parent, tmp_path, monkeypatch):
    from untrained.apps import _prune_files

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(_prune_files, "save_file", full)
    message = run(
        "prune", parent, "--params", 0.7, "-p", "wanda", *SMALL, "-o", tmp_path / "out", code=1
    ).stderr
    assert "No space left on device; nothing is left there" in message
    assert not list(tmp_path.iterdir())


def test_a_check_that_fails_leaves_nothing(run, parent, tmp_path, monkeypatch):
    def look(folder, tokens, **_):
        with torch.inference_mode():
            return Look(random_model("qwen3", seed=9)(tokens).logits, 1, 1)

    monkeypatch.setattr(pruning, "look", look)
    message = run(
        "prune", parent, "--params", 0.7, "-p", "wanda", *SMALL, "-o", tmp_path / "out", code=1
    ).stderr
    assert "the sub-network gives other logits" in message
    assert not list(tmp_path.iterdir())


def test_a_directory_that_does_not_load_says_why(tmp_path):
    with pytest.raises(UntrainedError, match="a fresh process cannot load"):
        looked(tmp_path, torch.zeros(1, 4, dtype=torch.long), auto="AutoModelForCausalLM", ours=False)


@pytest.mark.usefixtures("here")
def test_weights_are_written_in_shards_where_they_are_large(parent, tmp_path, monkeypatch):
    from untrained.apps import _prune_files

    monkeypatch.setattr(_prune_files, "SHARD", 40_000)
    pruning.prune(parent, tmp_path / "out", params=0.7, trials=3, sequences=4, length=32, proxy="wanda")
    index = json.loads((tmp_path / "out" / "model.safetensors.index.json").read_text())
    files = {p.name for p in (tmp_path / "out").glob("*.safetensors")}
    assert files == set(index["weight_map"].values())
    assert len(files) > 1
    assert loaded(tmp_path / "out").config.num_hidden_layers == 3 - len(
        json.loads((tmp_path / "out" / "pruning.json").read_text())["dropped"]
    )


@pytest.mark.usefixtures("here")
def test_a_script_says_it_with_the_same_name(parent, tmp_path):
    import untrained as ut

    made = ut.prune(parent, tmp_path / "out", params=0.7, trials=3, sequences=4, length=32, proxy="wanda")
    assert made.folder == tmp_path / "out"
    assert made.after["params"] < made.before["params"]
