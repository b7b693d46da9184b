"""The loss after a few updates: what proxies foretell, at its price."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from functools import lru_cache

import numpy as np
from torch import Tensor, nn

from untrained.core.errors import MeasurementFailed, UsageError
from untrained.core.metric import Parts, trained
from untrained.nn.probe import Probe
from untrained.training.data.language import Language, Tokens, from_files, from_text, halved
from untrained.training.data.tokenizer import Bytes, Given
from untrained.training.fitting import check_causal, positions
from untrained.training.recipe import TrainingRecipe
from untrained.training.recipes.causal_lm import CausalLM
from untrained.training.recipes.masked_lm import MaskedLM
from untrained.training.trainer import Diverged, fit

EXAMINED = 64  # held-out sequences
HELD_OUT = 0.1  # share of the text


@trained(unit="nats per byte")
def trained_loss(
    probe: Probe,
    *,
    steps: int = 200,
    batch: int = 16,
    length: int = 64,
    peak_lr: float = 3e-3,
) -> Parts:
    """Held-out loss after some updates on the text: its bytes, or the tokens of the space where it has some.

    A causal network tells the next byte, another one hidden bytes (15 %). Weights and the order of the text
    are those of the seed, so that equal seeds give equal losses; the network stays as it was.

    Formula: recipes causal_lm and masked_lm: AdamW, cosine schedule, 5 % warm-up; mean of -ln p over 64
             sequences of the last tenth of the text; parts `untrained`, the same before the first update, and
             `learned`, the difference
    Shapes:  tokens (batch, length); a network with fewer positions is shown shorter sequences
    Cost:    `steps` updates: seconds to hours
    Source:  low-fidelity training, as in Li et al. 2018, arXiv:1603.06560
    Differs: the network is that of paper scale for 260 tokens, the bytes and four more, unless --scale
             paper:... says another size
    """
    model = Whole(deepcopy(probe.model))
    data = _read(probe.text) if (ids := probe.ids()) is None else _given(ids, probe)
    recipe = _recipe(model, steps, batch, min(length, positions(model) or length), peak_lr, probe.seed)
    try:
        found = fit(model, recipe, data, device=probe.device)
    except Diverged as error:
        raise MeasurementFailed(str(error).partition("\n")[0]) from None
    each = len(data.held_out) / max(1, data.held_out.bytes)  # tokens a byte
    first, last = (each * found.curve[i]["held_out"]["loss"] for i in (0, -1))
    return Parts(last, {"untrained": first, "learned": first - last})


class Whole(nn.Module):
    """A network with stages as one that can be called, whatever its own forward takes."""

    def __init__(self, stages: nn.Module) -> None:
        super().__init__()
        self.stages = stages
        self.vocabulary, self.positions = stages.vocabulary, getattr(stages, "positions", None)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T) -> (B, T, V)"""
        stages = self.stages
        return stages.decode(stages.encode(stages.embed(tokens)))  # type: ignore[operator,no-any-return]


def _recipe(
    model: nn.Module, steps: int, batch: int, length: int, peak_lr: float, seed: int
) -> TrainingRecipe:
    common = CausalLM(
        steps=steps,
        batch=batch,
        length=length,
        peak_lr=peak_lr,
        seed=seed,
        eval_every=max(1, steps),
        eval_windows=EXAMINED,
        log_every=max(1, steps),
    )
    try:
        check_causal(model, length)
    except UsageError:
        return MaskedLM(**common.settings())
    return common


@lru_cache(maxsize=4)
def _read(text: str | None) -> Language:
    return from_files(None, Bytes()) if text is None else from_text(text, Bytes())


def _given(ids: Sequence[int], probe: Probe) -> Language:
    """Tokens that the space has made, with the model's vocabulary."""
    made = Given(int(probe.model.vocabulary))  # type: ignore[arg-type]
    whole = Tokens(np.asarray(ids, dtype=np.int64), len((probe.text or "").encode()) or len(ids))
    return halved(whole, made, HELD_OUT, "the text")
