"""The loop against loops that are not ours, and against itself after a kill."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from toys import decoder, language, text_file

from untrained.core.errors import UntrainedError, UsageError
from untrained.nn.recurrent import from_torch
from untrained.nn.transformer import Transformer
from untrained.spaces.rnn_cell import RnnCell
from untrained.training import checkpoint
from untrained.training.folder import CHECKPOINT, CURVE, RESULT, WEIGHTS, Folder
from untrained.training.optimizer import decayed
from untrained.training.recipes.causal_lm import CausalLM
from untrained.training.recipes.masked_lm import MaskedLM
from untrained.training.schedule import rate
from untrained.training.staged import in_stages
from untrained.training.trainer import Diverged, fit

SHORT = {"length": 16, "batch": 8, "eval_windows": 8, "log_every": 1}


def losses(trained):
    return [line["loss"] for line in trained.curve if "loss" in line]


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
def test_the_learning_rate_is_that_of_transformers(schedule):
    optimization = pytest.importorskip("transformers.optimization")
    recipe = CausalLM(schedule=schedule, warmup=0.2, peak_lr=0.5)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    theirs = optimization.get_scheduler(
        schedule if schedule != "constant" else "constant_with_warmup",
        optimizer,
        num_warmup_steps=21,
        num_training_steps=101,
    )
    for step in range(100):  # theirs begins with an update at rate 0, ours one later
        optimizer.step()
        theirs.step()
        assert rate(recipe, step, 100) == pytest.approx(theirs.get_last_lr()[0], abs=1e-12)


def test_losses_are_those_of_a_plain_loop(tmp_path):
    data, model = language(tmp_path), decoder()
    recipe = CausalLM(**SHORT, steps=12, eval_every=6, warmup=0.25, clip=0.5)
    plain = decoder()
    no_decay = [plain.embedding.tables[0].weight, plain.positions.weight]
    no_decay += [p for p in plain.parameters() if p.dim() == 1]
    matrices = [p for p in plain.parameters() if all(p is not q for q in no_decay)]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": no_decay, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.95))
    expected = []
    for step in range(12):
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * (
                (step + 1) / 4 if step < 3 else 0.5 * (1 + math.cos(math.pi * (step - 3) / 9))
            )
        tokens = data.batch(step, 8, 16, 0)
        loss = cross_entropy(plain(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(plain.parameters(), 0.5)
        optimizer.step()
        expected.append(loss.item())
    found = fit(model, recipe, data)
    assert losses(found) == pytest.approx(expected, rel=1e-5)
    held = torch.cat(list(data.exam(8, 16, 8)))
    with torch.no_grad():
        loss = cross_entropy(plain(held[:, :-1]).flatten(0, 1), held[:, 1:].flatten()).item()
    assert found.curve[-1]["held_out"]["loss"] == pytest.approx(loss, rel=1e-5)
    assert found.curve[-1]["held_out"]["perplexity"] == pytest.approx(math.exp(loss), rel=1e-4)


class Sharper(Transformer):
    """Its forward does more than its stages."""

    def forward(self, tokens):
        return 3 * super().forward(tokens)


class Smoothed(Transformer):
    """What it tells of a token hangs on those before it, in the last stage too."""

    def decode(self, features):
        return super().decode(features.cumsum(1))


class Other(nn.Module):
    """Methods of these names that are something else."""

    def __init__(self, *_):
        super().__init__()
        self.inside, self.vocabulary = decoder(), 260

    def embed(self):
        raise RuntimeError("not this one")

    encode = decode = embed

    def forward(self, tokens):
        return self.inside(tokens)


@pytest.mark.parametrize("kind", [Sharper, Smoothed, Other])
@pytest.mark.parametrize("masked", [False, True])
def test_a_model_is_trained_by_its_forward_whatever_its_stages_say(tmp_path, kind, masked):
    data, shape = language(tmp_path), decoder(causal=not masked).shape
    recipe = (MaskedLM if masked else CausalLM)(**SHORT, steps=1, eval_every=1)
    model = kind(shape, torch.Generator().manual_seed(0))
    batch = recipe.lesson(data, 0)
    with torch.no_grad():
        expected = cross_entropy(model(batch.tokens).flatten(0, 1), batch.targets.flatten())
    found = fit(model, recipe, data)
    assert losses(found) == pytest.approx([expected.item()], rel=1e-5)


def test_a_network_of_ours_is_known_to_be_in_stages():
    tokens = torch.arange(16).view(2, 8)
    cell = RnnCell().build(RnnCell.classic("gru"), scale="probe", generator=torch.Generator())
    for model in (decoder(), decoder(causal=False), cell):
        assert in_stages(model, tokens)
        assert model.training
    assert not in_stages(Smoothed(decoder().shape, torch.Generator()), tokens)
    assert not in_stages(from_torch(nn.LSTM(8, 8)), tokens)


def test_decay_is_for_matrices_only():
    with_decay, without = decayed(decoder())
    assert {n.rpartition(".")[0].rpartition(".")[2] for n in with_decay} >= {"down"}
    assert not [n for n in with_decay if "norm" in n or "bias" in n or "embedding" in n or "positions" in n]
    assert len(with_decay) + len(without) == len(list(decoder().parameters()))


@pytest.mark.parametrize("parts", [2, 3, 8])
def test_a_batch_in_parts_is_the_same_update(tmp_path, parts):
    data = language(tmp_path)
    # In double precision: gradients that are 0 but for rounding would be blown up by AdamW.
    whole = fit(decoder().double(), CausalLM(**SHORT, steps=5), data)
    taken = fit(decoder().double(), CausalLM(**SHORT, steps=5, accumulation=parts), data)
    assert losses(taken) == pytest.approx(losses(whole), rel=1e-12)
    for a, b in zip(whole.model.parameters(), taken.model.parameters(), strict=True):
        assert torch.allclose(a, b, rtol=0, atol=1e-9)


def test_equal_seeds_give_equal_losses_and_others_do_not(tmp_path):
    data = language(tmp_path)
    one, two = (fit(decoder(), CausalLM(**SHORT, steps=4), data) for _ in range(2))
    other = fit(decoder(), CausalLM(**SHORT, steps=4, seed=1), data)
    assert losses(one) == losses(two) != losses(other)


def test_the_global_luck_of_torch_is_left_alone(tmp_path):
    before = torch.random.get_rng_state()
    fit(decoder(), CausalLM(**SHORT, steps=2), language(tmp_path))
    assert torch.equal(before, torch.random.get_rng_state())


class Dropped(torch.nn.Module):
    """A model with dropout, whose luck has to come back as well."""

    def __init__(self):
        super().__init__()
        self.inside, self.drop = decoder(), torch.nn.Dropout(0.3)
        self.vocabulary = 260

    def forward(self, tokens):
        x = self.inside.encode(self.inside.embed(tokens))
        return self.inside.decode(self.drop(x))


def test_a_stopped_training_ends_with_the_same_weights(tmp_path):
    data = language(tmp_path)
    recipe = CausalLM(**SHORT, steps=10, eval_every=3)
    unbroken = fit(Dropped(), recipe, data, folder=Folder(tmp_path / "a"))

    class Stop(Exception):
        pass

    def stop(done, total, line):
        if done == 8:
            raise Stop

    for _ in range(2):
        with pytest.raises(Stop):
            fit(Dropped(), recipe, data, folder=Folder(tmp_path / "b", resume=True), progress=stop)
    resumed = fit(Dropped(), recipe, data, folder=Folder(tmp_path / "b", resume=True))
    for name in (WEIGHTS, CHECKPOINT):
        a, b = (checkpoint.read_tensors(tmp_path / f / name)[0] for f in "ab")
        assert a.keys() == b.keys()
        assert all(torch.equal(a[k], b[k]) for k in a)
    assert [{**x, "seconds": 0} for x in resumed.curve] == [{**x, "seconds": 0} for x in unbroken.curve]
    assert resumed.marks == unbroken.marks


KILLED = """
import sys
sys.path.insert(0, {here!r})
from pathlib import Path
from toys import decoder, language
from untrained.training.folder import Folder
from untrained.training.recipes.causal_lm import CausalLM
from untrained.training.trainer import fit
recipe = CausalLM(length=16, batch=8, eval_windows=8, log_every=1, steps=150, eval_every=5)
fit(decoder(), recipe, language(Path({data!r})), folder=Folder({out!r}, resume=True))
"""


def test_a_killed_process_loses_nothing_that_was_kept(tmp_path):
    """SIGKILL at two moments, whatever is being written then; the end is that of an unbroken run."""
    recipe = CausalLM(**SHORT, steps=150, eval_every=5)
    unbroken = fit(decoder(), recipe, language(tmp_path))
    out = tmp_path / "out"
    code = KILLED.format(here=str(Path(__file__).parent), data=str(tmp_path), out=str(out))
    reached = -1
    for _ in range(2):
        process = subprocess.Popen([sys.executable, "-c", code], env=os.environ)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and process.poll() is None:
            lines = (out / CURVE).read_text().splitlines() if (out / CURVE).exists() else []
            step = max((json.loads(x)["step"] for x in lines[:-1]), default=0)
            if step > reached + 9:
                reached = step
                break
            time.sleep(0.01)
        assert process.poll() is None, "it ended before it could be killed"
        process.send_signal(signal.SIGKILL)
        process.wait()
    resumed = fit(decoder(), recipe, language(tmp_path), folder=Folder(out, resume=True))
    assert losses(resumed) == losses(unbroken)
    a, b = resumed.model.state_dict(), unbroken.model.state_dict()
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert not list(out.glob("*.part"))


def test_a_finished_training_is_not_run_again(tmp_path):
    data, recipe = language(tmp_path), CausalLM(**SHORT, steps=2)
    first = fit(decoder(), recipe, data, folder=Folder(tmp_path / "a"))
    steps = []
    again = fit(
        decoder(),
        recipe,
        data,
        folder=Folder(tmp_path / "a", resume=True),
        progress=lambda *a: steps.append(a),
    )
    assert not steps
    assert again.marks == first.marks


def test_another_recipe_or_text_is_not_gone_on_with(tmp_path):
    data = language(tmp_path)
    fit(decoder(), CausalLM(**SHORT, steps=2), data, folder=Folder(tmp_path / "a"))
    with pytest.raises(UsageError, match=r"another training: peak_lr was 0.001 and is now 0.01"):
        fit(
            decoder(),
            CausalLM(**SHORT, steps=2, peak_lr=0.01),
            data,
            folder=Folder(tmp_path / "a", resume=True),
        )
    other = language(tmp_path, 2_001)
    with pytest.raises(UsageError, match="another training: data was"):
        fit(decoder(), CausalLM(**SHORT, steps=2), other, folder=Folder(tmp_path / "a", resume=True))
    with pytest.raises(UsageError, match="another network"):
        fit(decoder(width=32), CausalLM(**SHORT, steps=2), data, folder=Folder(tmp_path / "a", resume=True))


def test_a_damaged_checkpoint_is_told(tmp_path):
    data, recipe = language(tmp_path), CausalLM(**SHORT, steps=2)
    fit(decoder(), recipe, data, folder=Folder(tmp_path / "a"))
    file = tmp_path / "a" / CHECKPOINT
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(UntrainedError, match="it is damaged; delete it"):
        fit(decoder(), recipe, data, folder=Folder(tmp_path / "a", resume=True))


def test_a_folder_with_something_in_it_is_left_alone(tmp_path):
    text_file(tmp_path)
    with pytest.raises(UsageError, match="--resume"):
        Folder(tmp_path)
    with pytest.raises(UsageError, match="is a file"):
        Folder(tmp_path / "text.txt")


class Breaks(torch.nn.Module):
    """Gives NaN from the n-th training pass on."""

    def __init__(self, after: int):
        super().__init__()
        self.inside, self.left = decoder(), after

    def forward(self, tokens):
        found = self.inside(tokens)
        if self.training:
            self.left -= 1
        return found * math.nan if self.left < 0 else found


def test_a_loss_that_is_no_number_stops_with_the_last_good_state(tmp_path):
    data, recipe = language(tmp_path), CausalLM(**SHORT, steps=20, eval_every=4)
    with pytest.raises(
        Diverged, match=r"the loss is nan at step 7\.\n  kept: the state after step 4, in "
    ) as told:
        fit(Breaks(6), recipe, data, folder=Folder(tmp_path / "a"))
    assert told.value.step == 7
    kept, words = checkpoint.read_tensors(tmp_path / "a" / CHECKPOINT)
    assert words["state"]["step"] == 4
    assert all(t.isfinite().all() for t in kept.values())
    good = fit(Breaks(10**9), recipe, data, folder=Folder(tmp_path / "a", resume=True))
    assert good.steps == 20
    assert losses(good) == losses(fit(Breaks(10**9), recipe, data))


def test_a_learning_rate_that_is_far_too_large_is_stopped(tmp_path):
    with pytest.raises(Diverged):
        fit(decoder(), CausalLM(**SHORT, steps=60, peak_lr=1e3, clip=0, warmup=0), language(tmp_path))


def test_it_stops_early_when_nothing_gets_better(tmp_path):
    data = language(tmp_path)
    found = fit(
        decoder(),
        CausalLM(**SHORT, steps=300, eval_every=2, patience=2, peak_lr=3.0, warmup=0, clip=0.1),
        data,
    )
    held = {x["step"]: x["held_out"]["loss"] for x in found.curve if "held_out" in x}
    assert found.steps < 300
    assert found.steps == found.best_step + 4
    assert found.marks["loss"] == min(held.values()) == held[found.best_step]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_leaves_what_was_kept(tmp_path, monkeypatch):
    data, recipe = language(tmp_path), CausalLM(**SHORT, steps=9, eval_every=3)
    out, written = tmp_path / "a", 0
    real = checkpoint.save_file

    def full_after_two(tensors, path, metadata=None):
        nonlocal written
        written += 1
        if written > 4:  # weights and checkpoint, twice
            with Path("/dev/full").open("wb", buffering=0) as disk:
                disk.write(b"x")  # a true error of the system, of a disk without room
        real(tensors, path, metadata=metadata)

    monkeypatch.setattr(checkpoint, "save_file", full_after_two)
    with pytest.raises(UntrainedError, match=r"cannot be written: No space left on device.*\n.*--resume"):
        fit(decoder(), recipe, data, folder=Folder(out))
    assert checkpoint.read_tensors(out / CHECKPOINT)[1]["state"]["step"] == 3
    assert not (out / RESULT).exists()
    assert not list(out.glob("*.part"))
    monkeypatch.undo()
    resumed = fit(decoder(), recipe, data, folder=Folder(out, resume=True))
    assert losses(resumed) == losses(fit(decoder(), recipe, data))


def test_a_text_that_a_bigram_model_can_learn_is_learned_to_its_entropy(tmp_path):
    """A walk over 4 letters with known odds; its entropy is the least loss that there is."""
    from untrained.training.data.baselines import baselines
    from untrained.training.data.language import from_files
    from untrained.training.data.tokenizer import Bytes

    odds = {"a": "aaab", "b": "cccd", "c": "aabd", "d": "abcd"}
    rng, letter, walk = Random(0), "a", []
    for _ in range(40_000):
        letter = rng.choice(odds[letter])
        walk.append(letter)
    (tmp_path / "walk.txt").write_text("".join(walk))
    data = from_files(tmp_path / "walk.txt", Bytes())
    held = bytes(data.held_out.ids).decode()
    chances = {a: {b: row.count(b) / 4 for b in row} for a, row in odds.items()}
    least = sum(-math.log(chances[a][b]) for a, b in pairwise(held)) / (len(held) - 1)
    recipe = CausalLM(length=16, batch=16, steps=150, eval_windows=0, eval_every=50, peak_lr=1e-2)
    found = fit(decoder(vocabulary=260), recipe, data)
    assert baselines(data)["bigram"] == pytest.approx(least, abs=0.01)
    assert found.marks["loss"] == pytest.approx(least, abs=0.03)
    assert found.marks["loss"] < baselines(data)["unigram"] - 0.2


def test_weights_that_are_parts_of_one_storage_are_kept(tmp_path):
    whole = torch.arange(10.0)
    checkpoint.save_tensors(tmp_path / "a.safetensors", {"a": whole[:4], "b": whole[4:]}, step=3)
    tensors, said = checkpoint.read_tensors(tmp_path / "a.safetensors")
    assert tensors["b"].tolist() == [4, 5, 6, 7, 8, 9]
    assert said == {"step": 3}


def test_more_threads_are_put_back(tmp_path):
    before = torch.get_num_threads()
    fit(decoder(), CausalLM(**SHORT, steps=2), language(tmp_path), threads=2)
    assert torch.get_num_threads() == before
