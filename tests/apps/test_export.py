"""Winners that leave: from architectures, studies, stores and trainings, checked, or not there at all."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

import untrained as ut
from untrained.apps.export import writing
from untrained.apps.export.fresh import difference
from untrained.apps.export.place import free
from untrained.core.architecture import Architecture
from untrained.core.errors import InvalidArchitecture, MissingExtra, UntrainedError, UsageError
from untrained.core.study import Study
from untrained.spaces.gpt_decoder import GptDecoder
from untrained.spaces.rnn_cell import RnnCell

transformers = pytest.importorskip("transformers")
TINY = "paper:vocabulary=260,width=8"
LSTM = RnnCell.classic("lstm")
LLAMA = GptDecoder.of(
    width=16, heads=[2, 2], inner=[24, 24], vocabulary=2_000, context=64,
    norm="rms", mlp="swiglu", position="rotary", bias=False,
)  # fmt: skip
ENCODER = Architecture.of(
    "bert_encoder", hidden=128, layers=2, operation=("dft", "conv5"), heads=(2, 2), inner=((512,), (512,))
)


@pytest.fixture
def here(monkeypatch):
    """The check in this process, where it is not what is tested: another one takes seconds to start."""

    def loaded(folder, tokens, *, auto, ours):
        model = getattr(transformers, auto).from_pretrained(folder)
        with torch.inference_mode():
            return model(tokens).logits

    monkeypatch.setattr(writing, "reloaded", loaded)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("search") / "study.db"
    ut.search("rnn_cell", maximize="fading_memory", where="params <= 2e7", trials=12, seed=3, store=path,
              strategy="random_search", also=["params"])  # fmt: skip
    return path


# --- a fresh process -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arch", "scale", "ours"),
    [(LSTM, TINY, True), (LLAMA, "paper", False), (ENCODER, "paper:vocabulary=50", True)],
    ids=["rnn", "llama", "encoder"],
)
def test_a_fresh_process_gives_the_same_logits(arch, scale, ours, tmp_path):
    made = ut.export(arch, tmp_path / "winner", scale=scale, seed=5)
    assert made.difference < 1e-5
    assert made.ours == ours
    assert sorted(p.name for p in tmp_path.iterdir()) == ["winner"]
    assert {"config.json", "model.safetensors", "README.md", "architecture.json"} <= {
        p.name for p in made.path.iterdir()
    }
    assert len({p.stat().st_mode & 0o777 for p in made.path.iterdir()}) == 1
    assert made.params == sum(t.numel() for t in load_file(made.path / "model.safetensors").values())
    assert Architecture.from_json(json.loads((made.path / "architecture.json").read_text())) == arch


def test_the_check_sees_a_weight_that_is_wrong(tmp_path, monkeypatch, here):
    real = writing._write

    def damaged(part, form, found):
        real(part, form, found)
        tensors = load_file(part / "model.safetensors")
        tensors["network.layers.1.matrices.0_0"][2, 3] += 0.5
        save_file(tensors, part / "model.safetensors", metadata={"format": "pt"})

    monkeypatch.setattr(writing, "_write", damaged)
    with pytest.raises(UntrainedError, match=r"the exported model gives other logits, by up to .* allowed"):
        ut.export(LSTM, tmp_path / "winner", scale=TINY)
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_does_not_load_is_not_kept(tmp_path, monkeypatch):
    real = writing._write

    def damaged(part, form, found):
        real(part, form, found)
        (part / "model.safetensors").write_bytes(b"no safetensors")

    monkeypatch.setattr(writing, "_write", damaged)
    with pytest.raises(UntrainedError, match="a fresh process cannot load what was exported: "):
        ut.export(LSTM, tmp_path / "winner", scale=TINY)
    assert list(tmp_path.iterdir()) == []


def test_what_counts_as_equal():
    one = torch.tensor([[1.0, -2.0, 4.0]])
    assert difference(one + 8e-6, one, "it") == pytest.approx(2e-6, rel=0.1)  # a share of the largest
    assert difference(one / 8 + 2e-6, one / 8, "it") == pytest.approx(2e-6, rel=0.1)
    with pytest.raises(UntrainedError, match="other logits"):
        difference(one + 5e-5, one, "it")
    for wrong in (torch.nan, torch.inf, 4.1):
        with pytest.raises(UntrainedError, match="other logits"):
            difference(torch.tensor([[1.0, -2.0, wrong]]), one, "it")
    with pytest.raises(UntrainedError, match=r"gives logits \(1, 3\), not \(1, 2\)"):
        difference(one, one[:, :2], "it")


def test_a_cell_that_grows_without_bound_is_compared_while_it_has_not():
    grown = torch.tensor([1.0, 30.0, 2e6, 3.0, torch.inf]).view(1, 5, 1)
    other = torch.tensor([1.0, 30.0, 9e6, 5.0, torch.nan]).view(1, 5, 1)
    assert difference(other, grown, "it") == 0.0
    other[0, 1] += 0.1
    with pytest.raises(UntrainedError, match="other logits"):
        difference(other, grown, "it")
    with pytest.raises(UntrainedError, match="nothing to compare"):
        difference(grown[:, 2:], grown[:, 2:], "it")


# --- what can be exported ------------------------------------------------------------------------------


def test_the_best_of_a_study_of_a_store_and_a_trial(store, tmp_path, here):
    study = ut.load(store)
    assert isinstance(study, Study)
    best = ut.export(study.best, tmp_path / "a", scale=TINY)
    assert best.architecture == study.best.id
    of_store = ut.export(store, tmp_path / "b", scale=TINY)
    of_study = ut.export(study, tmp_path / "c", scale=TINY)
    assert best.architecture == of_store.architecture == of_study.architecture
    assert (tmp_path / "b" / "README.md").read_text() == (tmp_path / "c" / "README.md").read_text().replace(
        "# c", "# b"
    ).replace('"c"', '"b"')
    third = study.trials[3].architecture
    assert ut.export(store, tmp_path / "d", trial=3, scale=TINY).architecture == third.id
    assert ut.export(study, tmp_path / "e", trial=third.id[:6], scale=TINY).architecture == third.id


def test_the_card_says_how_it_was_found(store, tmp_path, here):
    study = ut.load(store)
    ut.export(store, tmp_path / "winner", scale=TINY, licence="apache-2.0")
    card = (tmp_path / "winner" / "README.md").read_text()
    best = study.distinct()[0]
    for said in (
        'license: "apache-2.0"',
        "pipeline_tag: text-generation",
        "**Its weights are random** (seed 0)",
        "import untrained",
        f"## Architecture `{best.architecture.id}`",
        f"trial {best.number} of 12, strategy `random_search`, seed 3",
        "looked for: fading_memory (higher is better)",
        "within `params <= 2e7`",
        "untrained search rnn_cell --maximize fading_memory",
        "It is no measure of quality.",
        f"untrained {ut.__version__}",
        f"transformers {transformers.__version__}",
    ):
        assert said in card, said
    (seen,) = (line.split(" | ")[1] for line in card.splitlines() if line.startswith("| fading_memory |"))
    assert float(seen) == pytest.approx(best.values["fading_memory"], rel=1e-4)
    counted = RnnCell().count(best.architecture, scale=TINY)["params"]
    assert f"| params | {counted:,} | parameters, lower is better | counted, scale {TINY} |" in card


def test_seeds_draw_other_weights_and_the_same_ones_again(tmp_path, here):
    def weights(name, seed):
        ut.export(LSTM, tmp_path / name, scale=TINY, seed=seed)
        return (tmp_path / name / "model.safetensors").read_bytes()

    assert weights("a", 0) == weights("b", 0) != weights("c", 1)


def test_a_byte_vocabulary_comes_with_its_tokenizer(tmp_path, here):
    ut.export(LSTM, tmp_path / "winner", scale=TINY)
    words = transformers.AutoTokenizer.from_pretrained(tmp_path / "winner")
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "winner")
    ids = words("Gru\u00df!", return_tensors="pt")
    assert ids["input_ids"].tolist() == [list("Gru\u00df!".encode())]
    out = model.generate(**ids, max_new_tokens=3, do_sample=False)
    assert out.shape[1] <= len("Gru\u00df!".encode()) + 3
    assert model.generation_config.eos_token_id == words.eos_token_id


def test_a_training_leaves_with_its_weights_and_tokenizer(tmp_path, here):
    text = tmp_path / "text.txt"
    text.write_text("one two three four " * 300)
    done = ut.train(LSTM, "causal_lm:steps=6,length=16,batch=4,eval_every=3,eval_windows=4",
                    text=text, scale=TINY, out=tmp_path / "trained")  # fmt: skip
    made = ut.export(done, tmp_path / "winner", licence="mit")
    assert made.trained
    with pytest.raises(UsageError, match="is a Hugging Face model already"):
        ut.export(made.path, tmp_path / "again")
    with pytest.raises(UsageError, match=r"was not kept.*out=DIR"):
        ut.export(replace(done, folder=None), tmp_path / "again")
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "winner")
    ids = torch.randint(260, (2, 9), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(model(ids).logits, done.model(ids))
    assert transformers.AutoTokenizer.from_pretrained(tmp_path / "winner").decode([104, 105]) == "hi"
    card = (tmp_path / "winner" / "README.md").read_text()
    for said in ("Its weights are trained", "recipe `causal_lm`", "best examination, step", '"loss"'):
        assert said in card, said
    with pytest.raises(UsageError, match=r"was trained at scale .*leave out --scale"):
        ut.export(tmp_path / "trained", tmp_path / "other", scale="probe")
    (tmp_path / "trained" / "weights.safetensors").unlink()
    with pytest.raises(UsageError, match="with --resume"):
        ut.export(tmp_path / "trained", tmp_path / "other")


@pytest.mark.parametrize("arch", [LSTM, ENCODER], ids=["rnn", "encoder"])
def test_a_classifier_leaves_with_its_labels(arch, tmp_path, here):
    rows = [{"text": "a b" * (1 + i % 3), "label": "ham" if i % 2 else "spam"} for i in range(40)]
    text = tmp_path / "rows.jsonl"
    text.write_text("".join(json.dumps(row) + "\n" for row in rows))
    scale = TINY if arch is LSTM else "paper:vocabulary=260"
    done = ut.train(arch, "classification:steps=4,length=16,batch=4,eval_every=2", text=text, scale=scale,
                    out=tmp_path / "trained")  # fmt: skip
    with pytest.raises(UsageError, match="leave out --onnx"):
        ut.export(tmp_path / "trained", tmp_path / "winner", onnx=True)
    made = ut.export(tmp_path / "trained", tmp_path / "winner")
    assert made.auto == "AutoModelForSequenceClassification"
    model = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "winner")
    assert model.config.id2label == {0: "ham", 1: "spam"}
    ids = torch.randint(260, (3, 9), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[0, 5:] = 0
    with torch.no_grad():
        found = model(ids, labels=torch.tensor([0, 1, 1]))
        assert torch.allclose(found.logits, done.model(ids), atol=1e-6)
        chosen = found.logits.log_softmax(-1)[torch.arange(3), torch.tensor([0, 1, 1])]
        assert found.loss.item() == pytest.approx(-chosen.mean().item(), rel=1e-5)
        padded = model(ids, attention_mask=mask).logits
        assert torch.allclose(padded[0], done.model(ids[:1, :5])[0], atol=1e-6)
    assert "pipeline_tag: text-classification" in (made.path / "README.md").read_text()


# --- ONNX ----------------------------------------------------------------------------------------------


def test_onnx_of_every_recurrent_classic_and_of_odd_cells(tmp_path):
    pytest.importorskip("onnxruntime")
    from untrained.apps.export.onnx import write_onnx

    space = RnnCell(states=3)
    cells = [RnnCell.classic(name) for name in ("rnn", "lstm", "gru")]
    cells += [space.sample(ut.rng(seed)) for seed in range(12)]
    for place, cell in enumerate(cells):
        network = RnnCell().build(cell, scale=TINY, generator=torch.Generator().manual_seed(place)).eval()
        assert write_onnx(network, tmp_path / f"{place}.onnx") < 1e-5


def test_an_export_with_onnx_takes_any_batch_and_length(tmp_path, here):
    runtime = pytest.importorskip("onnxruntime")
    made = ut.export(LSTM, tmp_path / "winner", scale=TINY, onnx=True)
    assert made.onnx < 1e-5
    assert "onnxruntime to within" in (made.path / "README.md").read_text()
    session = runtime.InferenceSession(str(made.path / "model.onnx"))
    model = transformers.AutoModelForCausalLM.from_pretrained(made.path)
    for shape in ((1, 1), (4, 50)):
        ids = torch.randint(260, shape, generator=torch.Generator().manual_seed(0))
        (found,) = session.run(None, {"input_ids": ids.numpy()})
        with torch.no_grad():
            assert torch.allclose(torch.from_numpy(found), model(ids).logits, atol=1e-5)


def test_onnx_of_a_decoder(tmp_path):
    pytest.importorskip("onnxruntime")
    from untrained.apps.export.onnx import write_onnx

    arch = GptDecoder.of(width=16, heads=[2], inner=[24], vocabulary=2_000, context=64)
    network = GptDecoder().build(arch, generator=torch.Generator().manual_seed(0)).eval()
    assert write_onnx(network, tmp_path / "model.onnx") < 1e-5


ROWS = {"width": 16, "heads": (2, 2), "inner": (24, 24), "vocabulary": 2_000, "context": 64}
KINDS = [
    {
        "mlp": "swiglu",
        "norm": "rms",
        "position": "rotary",
        "bias": False,
        "kv_heads": (1, 1),
        "head": "untied",
    },
    {"mixer": ("window", "cosformer"), "span": 5},
    {"head": "adaptive", "cutoffs": (100, 500), "div_val": 2},
    {"head": "adaptive_own", "cutoffs": (100, 500), "embedding": 8},
    {"head": "adaptive", "cutoffs": (100, 500), "position": "relative", "placement": "post", "mlp": "relu"},
    {"placement": "post", "position": "none", "embedding": 8},
]


@pytest.mark.slow
@pytest.mark.parametrize("what", [*KINDS, "sdp", "wma", "dft", "dct", "conv5", "conv9", "conv13"], ids=str)
def test_onnx_of_every_kind_of_transformer(what, tmp_path):
    pytest.importorskip("onnxruntime")
    from untrained.apps.export.onnx import write_onnx

    luck = torch.Generator().manual_seed(0)
    if isinstance(what, dict):
        network = GptDecoder().build(GptDecoder.of(**ROWS | what), generator=luck)
    else:
        arch = Architecture.of(
            "bert_encoder",
            hidden=128,
            layers=2,
            operation=(what, what),
            heads=(2, 4),
            inner=((512,), (512,) * 3),
        )
        network = ut.space("bert_encoder").build(arch, scale="paper:vocabulary=50", generator=luck)
    assert write_onnx(network.eval(), tmp_path / "model.onnx") < 1e-5


def test_a_wrong_onnx_file_is_seen(tmp_path, monkeypatch, here):
    pytest.importorskip("onnxruntime")
    from untrained.apps.export import onnx

    monkeypatch.setitem(onnx.OPS, "activation_tanh", "Sigmoid")
    with pytest.raises(UntrainedError, match="the ONNX file gives other logits"):
        ut.export(LSTM, tmp_path / "winner", scale=TINY, onnx=True)
    assert list(tmp_path.iterdir()) == []


# --- what cannot ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["folder", "file", "link"])
def test_what_is_there_is_not_touched(kind, tmp_path):
    place = tmp_path / "winner"
    if kind == "folder":
        place.mkdir()
    elif kind == "file":
        place.write_text("mine")
    else:
        place.symlink_to(tmp_path / "nowhere")
    with pytest.raises(UsageError, match=r"takes a new folder.\n  name another: -o winner-2"):
        ut.export(LSTM, place, scale=TINY)
    assert [p.name for p in tmp_path.iterdir()] == ["winner"]


def test_a_place_that_is_not_there(tmp_path):
    with pytest.raises(UsageError, match=r"there is no folder .*\n  make it: mkdir -p"):
        ut.export(LSTM, tmp_path / "no" / "winner", scale=TINY)


@pytest.mark.parametrize(
    ("error", "raised"),
    [(KeyboardInterrupt(), KeyboardInterrupt), (OSError(28, "No space left on device"), UntrainedError)],
)
def test_what_interrupts_leaves_nothing(error, raised, tmp_path, monkeypatch):
    def failing(*args, **kwargs):
        raise error

    monkeypatch.setattr(writing, "reloaded", failing)
    with pytest.raises(raised):
        ut.export(LSTM, tmp_path / "winner", scale=TINY)
    assert list(tmp_path.iterdir()) == []


KILLED = """
import sys
import untrained as ut
from untrained.apps.export import writing
from untrained.spaces.rnn_cell import RnnCell
writing.reloaded = lambda *given, **more: (print("written", flush=True), sys.stdin.read())
ut.export(RnnCell.classic("lstm"), sys.argv[1], scale=sys.argv[2])
"""


def test_what_a_killed_export_leaves_goes_with_the_next(tmp_path, here):
    place, other = tmp_path / "winner", tmp_path / ".winner.of.abcdefgh.part"
    other.mkdir()  # of the place `winner.of`
    words = [sys.executable, "-c", KILLED, str(place), TINY]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "written\n"
        (left,) = tmp_path.glob(".winner.????????.part")
        assert free(place) == place
        assert (left / "model.safetensors").exists()  # it is being written to
        process.kill()
        process.wait()
    assert left.exists()
    ut.export(LSTM, place, scale=TINY)
    assert sorted(p.name for p in tmp_path.iterdir()) == [other.name, "winner"]


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 400 KiB in memory."""

    def mounted(*words):
        subprocess.run([*words, str(tmp_path)], check=True, capture_output=True)

    try:
        mounted("mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs the right to mount a small disk")
    yield tmp_path
    mounted("umount")


def test_a_disk_that_is_too_small_is_told_before_and_a_full_one_after(small_disk, monkeypatch, here):
    with pytest.raises(UntrainedError, match=r"the model takes 1 MiB, and .* has 0 MiB free"):
        ut.export(LSTM, small_disk / "winner", scale="paper:vocabulary=4000,width=32")
    monkeypatch.setattr(writing, "check_room", lambda place, size: None)
    with pytest.raises(UntrainedError, match=r"No space left on device; nothing is left there.\n  make room"):
        ut.export(LSTM, small_disk / "winner", scale="paper:vocabulary=4000,width=32")
    assert list(small_disk.iterdir()) == []


def test_trials_that_are_not_there(store, tmp_path):
    out, study = tmp_path / "winner", ut.load(store)
    with pytest.raises(UsageError, match=r"no trial 99; the search has 12, numbered from 0.\n.*studies show"):
        ut.export(store, out, trial=99)
    near = study.trials[2].architecture.id[:-1] + "z"
    with pytest.raises(UsageError, match=r"Did you mean .*" + study.trials[2].architecture.id):
        ut.export(store, out, trial=near)
    with pytest.raises(UsageError, match=r"no trial is called 'ab'.\n"):
        ut.export(study, out, trial="ab")
    with pytest.raises(UsageError, match="leave out --trial"):
        ut.export(LSTM, out, trial=3)


def test_a_search_without_a_good_trial(tmp_path):
    study = ut.search("rnn_cell", where="params <= 1", trials=3, store=tmp_path / "none.db")
    for what in (study, tmp_path / "none.db"):
        with pytest.raises(UsageError, match=r"no good trial(.|\n)*untrained report"):
            ut.export(what, tmp_path / "winner")
    with pytest.raises(UsageError, match="no good trial"):
        ut.export(study.best, tmp_path / "winner")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda p: p / "nothing", "there is no store or folder"),
        (lambda p: p, "no training of ours"),
        (lambda p: (p / "config.json").write_text("{}") and p, "is a Hugging Face model already"),
        (lambda p: (p / "a.jsonl").write_text('{"space": 1}') and p / "a.jsonl", "give it so: --arch"),
        (lambda p: (p / "a.db").write_text("text") and p / "a.db", "a.db"),
        (lambda p: 3, "a int is nothing that can be exported"),
    ],
)
def test_what_is_nothing_to_export(make, said, tmp_path):
    with pytest.raises(UsageError, match=said):
        ut.export(make(tmp_path), tmp_path / "winner")


def test_an_architecture_that_its_space_cannot_build(tmp_path):
    with pytest.raises(InvalidArchitecture):
        ut.export(Architecture.of("rnn_cell", cell=1), tmp_path / "winner")
    with pytest.raises(UsageError, match="no scale is called 'huge'"):
        ut.export(LSTM, tmp_path / "winner", scale="huge")


def test_without_transformers_the_extra_is_named(tmp_path):
    code = (
        "import sys; sys.modules['transformers'] = None\n"
        "import untrained as ut\n"
        "from untrained.spaces.rnn_cell import RnnCell\n"
        "try: ut.export(RnnCell.classic('rnn'), sys.argv[1], scale='probe')\n"
        "except ut.UsageError as error: print(type(error).__name__, error)"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "winner"], capture_output=True, text=True)
    assert done.stdout == (
        "MissingExtra an export needs transformers, which is not installed.\n"
        "  install: pip install 'untrained[hf]'\n"
    ), done.stderr
    assert list(tmp_path.iterdir()) == []


def test_without_onnx_the_extra_is_named(tmp_path, monkeypatch, here):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtra, match=r"--onnx needs onnxruntime.*\n.*untrained\[onnx\]"):
        ut.export(LSTM, tmp_path / "winner", scale=TINY, onnx=True)
    assert list(tmp_path.iterdir()) == []


# --- the command ---------------------------------------------------------------------------------------


def test_the_command_exports_and_says_how_to_load(run, tmp_path, here):
    cell = tmp_path / "cell.json"
    cell.write_text(LSTM.to_json())
    out = tmp_path / "winner"
    said = run("export", "--space", "rnn_cell", "--arch", cell, "-o", out, "--scale", TINY)
    assert "untrained_rnn" in said.stdout
    assert "a fresh process gives the same logits to within 0.0e+00" in said.stdout
    assert "import untrained; from transformers import AutoModelForCausalLM" in said.stdout
    record = json.loads(
        run(
            "export", "--arch", "-", "-o", tmp_path / "b", "--scale", TINY, "--json", stdin=LSTM.to_json()
        ).stdout
    )
    assert record["architecture"] == LSTM.id
    assert record["difference"] == 0.0


def test_the_command_used_wrongly(wrong, cells, store, tmp_path):
    out = tmp_path / "winner"
    assert "give either STORE" in wrong("export", "-o", out)
    assert "give either STORE" in wrong("export", store, "--arch", cells, "-o", out)
    assert "--space goes with --arch" in wrong("export", store, "--space", "rnn_cell", "-o", out)
    assert "holds 5 architectures" in wrong("export", "--arch", cells, "-o", out)
    assert "Missing option '-o'" in wrong("export", store)
    assert "has no study 'x'" in wrong("export", store, "--study", "x", "-o", out)
    assert not out.exists()
