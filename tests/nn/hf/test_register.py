"""`import untrained` is all that a fresh process needs, before or after transformers."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from untrained.core.after_import import after_import
from untrained.nn.hf import LayerSize, build, per_layer

transformers = pytest.importorskip("transformers")

LOAD = """
import torch
model = AutoModelForCausalLM.from_pretrained({folder!r})
assert "untrained.nn.hf.classes" in sys.modules
print(repr(model(torch.arange(5)[None]).logits.double().sum().item()))
"""
OURS_FIRST = """
import sys
import untrained
assert not {"torch", "transformers", "untrained.nn"} & set(sys.modules)
from transformers import AutoModelForCausalLM
assert "untrained.nn.hf.classes" not in sys.modules
"""
THEIRS_FIRST = """
import sys
from transformers import AutoConfig, LlamaForCausalLM, AutoModelForCausalLM
import untrained
assert "untrained.nn.hf.classes" not in sys.modules
"""


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    config = transformers.LlamaConfig(
        vocab_size=11, hidden_size=8, intermediate_size=8, num_hidden_layers=2, num_attention_heads=2
    )
    model = build(per_layer(config, [LayerSize(1, 1, 3), LayerSize(2, 2, 8)])).eval()
    folder = tmp_path_factory.mktemp("model")
    model.save_pretrained(folder)
    return str(folder), model(torch.arange(5)[None]).logits.double().sum().item()


@pytest.mark.parametrize("first", [OURS_FIRST, THEIRS_FIRST], ids=["ours first", "theirs first"])
def test_a_fresh_process_needs_only_import_untrained(first, saved):
    folder, total = saved
    code = first + LOAD.format(folder=folder)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == total


def test_an_action_waits_for_its_module_and_runs_once(tmp_path, monkeypatch):
    (tmp_path / "waited_for.py").write_text("VALUE = 7\n")
    monkeypatch.syspath_prepend(tmp_path)
    seen = []
    before = list(sys.meta_path)
    after_import("waited_for", lambda: seen.append(sys.modules["waited_for"].VALUE))
    assert seen == []
    import waited_for

    assert seen == [7]
    assert waited_for.__spec__.loader.get_source("waited_for") == "VALUE = 7\n"
    assert sys.meta_path == before
    after_import("waited_for", lambda: seen.append("at once"))
    assert seen == [7, "at once"]
    del sys.modules["waited_for"]


def test_a_module_that_is_not_there_is_still_not_there():
    after_import("no_such_module_at_all", lambda: None)
    with pytest.raises(ModuleNotFoundError):
        import no_such_module_at_all  # noqa: F401
