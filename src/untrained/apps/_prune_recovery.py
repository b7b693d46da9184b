"""A short training after the cut, and what is kept of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from untrained.apps._prune_looks import WINDOWS, Texts
from untrained.nn import hf
from untrained.nn.adapters.sources import drawn_from, transformers
from untrained.nn.pretrained.parent import Parent
from untrained.training.data.language import Language, Tokens
from untrained.training.data.tokenizer import tokenizer
from untrained.training.recipes.causal_lm import CausalLM
from untrained.training.trainer import fit

BATCH, RATE = 8, 3e-4  # sequences of an update, and the largest learning rate


def recovered(net: nn.Module, parent: Parent, words: Texts, steps: int, seed: int) -> nn.Module:
    """Trained on the calibration text, its last tenth kept for examination; the held-out end is not seen."""
    length = words.held_out.shape[1] - 1
    assert parent.folder is not None
    own = tokenizer("bytes" if parent.reader.kind == "bytes" else parent.folder)
    ids = np.asarray(words.ids, dtype=np.int32)
    tokens = Tokens(ids, len(ids))
    cut = len(tokens) - max(length + 1, len(tokens) // 10)
    data = Language(tokens.part(0, cut), tokens.part(cut, len(tokens)), own, words.calibration.name)
    recipe = CausalLM(
        steps=steps,
        batch=BATCH,
        length=length,
        peak_lr=RATE,
        warmup=0.1,
        eval_every=max(1, steps),
        eval_windows=WINDOWS,
        seed=seed,
    )
    return fit(net, recipe, data).model.eval()


def trained(net: nn.Module, parent: Parent) -> dict[str, Callable[[], Tensor]]:
    """The tensors of a model that has been trained; a head that is tied is left out."""
    tied = {f"{parent.family.head}.weight"} - set(parent.rest)
    return {
        name: lambda tensor=tensor: tensor.detach()  # type: ignore[misc]
        for name, tensor in net.state_dict().items()
        if name not in tied
    }


def rounded(folder: Path, parent: Parent, tensors: Mapping[str, Callable[[], Tensor]]) -> nn.Module:
    """What was trained, in the precision of the parent, in which it is kept."""
    with drawn_from(None):
        config = transformers().AutoConfig.from_pretrained(folder, local_files_only=True)
        net: Any = hf.build(config)
    net.load_state_dict({n: make().to(parent.dtype).float() for n, make in tensors.items()}, strict=False)
    net.tie_weights()
    made: nn.Module = net.eval()
    return made
