"""Learning curves: lines in a file that a kill may have cut, and TensorBoard's own reader."""

import json
import sys
from itertools import pairwise

import pytest
from toys import decoder, language

from untrained.core.errors import MissingExtra
from untrained.training.curve import Curve
from untrained.training.folder import CURVE, Folder
from untrained.training.recipes.causal_lm import CausalLM
from untrained.training.trainer import fit

RECIPE = CausalLM(length=16, batch=4, steps=6, eval_every=3, log_every=2, eval_windows=4)


def test_there_is_a_line_every_few_steps_and_at_each_examination(tmp_path):
    found = fit(decoder(), RECIPE, language(tmp_path), folder=Folder(tmp_path / "a"))
    lines = [json.loads(x) for x in (tmp_path / "a" / CURVE).read_text().splitlines()]
    assert lines == found.curve
    assert [x["step"] for x in lines if "loss" in x] == [2, 4, 6]
    assert [x["step"] for x in lines if "held_out" in x] == [0, 3, 6]
    assert all(a["seconds"] <= b["seconds"] for a, b in pairwise(lines))


def test_what_a_killed_run_wrote_after_its_checkpoint_goes(tmp_path):
    file = tmp_path / "curve.jsonl"
    file.write_text('{"step": 1, "loss": 2}\n{"step": 2, "loss": 1}\n{"step": 3, "loss": 1}\n{"st')
    curve = Curve(file)
    curve.begin(2)
    curve.add({"step": 3, "loss": 0.5})
    assert [json.loads(x)["step"] for x in file.read_text().splitlines()] == [1, 2, 3]
    assert curve.lines[-1]["loss"] == 0.5


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_reads_the_same_numbers(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    found = fit(decoder(), RECIPE, language(tmp_path), folder=Folder(tmp_path / "a"), board=True)
    events = accumulator.EventAccumulator(str(tmp_path / "a" / "board"))
    events.Reload()
    for name, key in (("train/loss", "loss"), ("train/lr", "lr")):
        theirs = [(e.step, e.value) for e in events.Scalars(name)]
        assert theirs == [(x["step"], pytest.approx(x[key])) for x in found.curve if key in x]
    theirs = [(e.step, e.value) for e in events.Scalars("held_out/loss")]
    assert theirs == [
        (x["step"], pytest.approx(x["held_out"]["loss"])) for x in found.curve if "held_out" in x
    ]


def test_a_missing_tensorboard_is_told_with_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(MissingExtra, match=r"needs tensorboard.*\n.*untrained\[training\]"):
        fit(decoder(), RECIPE, language(tmp_path), folder=Folder(tmp_path / "a"), board=True)
