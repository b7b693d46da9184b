"""Telling tokens that were hidden."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from untrained.core.errors import UsageError
from untrained.nn.batch import Batch
from untrained.training.data.language import Language
from untrained.training.data.tokenizer import Tokenizer
from untrained.training.fitting import check_vocabulary
from untrained.training.recipe import IGNORED, TrainingRecipe, by_unit, luck, recipe
from untrained.training.staged import told_loss

MASKED, RANDOM = 0.8, 0.1  # shares of the chosen tokens; the rest stays as it is
EXAMINED = 2**40  # far from any step, so that examinations hide other tokens than lessons


@recipe
@dataclass(frozen=True, kw_only=True)
class MaskedLM(TrainingRecipe):
    """Some tokens are hidden and told from all others: encoders.

    Of the chosen tokens 80 % become the mask, 10 % a random token of the text, 10 % stay. In an examination
    the same ones are hidden each time.

    Formula: mean over chosen tokens of -ln p(token), in nats
    Shapes:  tokens (B, T) -> logits (B, T, V), targets (B, T), of which most are not to be told
    Source:  Devlin et al. 2019, arXiv:1810.04805
    Differs: random tokens are those of the same batch, so that no vocabulary is drawn evenly
    """

    task: ClassVar[str] = "MaskedLM"

    mask: float = 0.15
    """share of the tokens that are chosen, from 0 to 1"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.mask <= 1:
            raise UsageError(f"mask={self.mask}; it takes a share above 0 and up to 1")

    def check(self, data: Language, model: nn.Module) -> None:
        data.check(self.length)
        check_vocabulary(data.tokenizer, model, self.length)
        mask_of(data.tokenizer)

    def examples(self, data: Language) -> int:
        return data.windows(self.length)

    def lesson(self, data: Language, step: int) -> Batch:
        tokens = data.batch(step, self.batch, self.length, self.seed)[:, :-1]
        return hidden(tokens, self.mask, mask_of(data.tokenizer), luck(self.seed, step))

    def exam(self, data: Language) -> Iterator[Batch]:
        each = -(-self.batch // self.accumulation)
        for i, windows in enumerate(data.exam(each, self.length, self.eval_windows)):
            yield hidden(windows[:, :-1], self.mask, mask_of(data.tokenizer), luck(EXAMINED + i))

    def lost(self, model: nn.Module, batch: Batch) -> Tensor:
        """Some logits at a time, where the model has stages."""
        found = told_loss(model, batch)
        return super().lost(model, batch) if found is None else found

    def derived(self, data: Language, mean: float) -> dict[str, float]:
        return {name: value for name, value in by_unit(data, mean).items() if name != "nats_per_byte"}


def hidden(tokens: Tensor, share: float, mask: int, generator: torch.Generator) -> Batch:
    """Some tokens hidden; at least one, so that there is something to tell: (B, T) -> (B, T), (B, T)."""
    chosen = torch.rand(tokens.shape, generator=generator) < share
    first = int(torch.randint(tokens.numel(), (), generator=generator))
    chosen.view(-1)[first] |= not bool(chosen.any())
    fate = torch.rand(tokens.shape, generator=generator)
    others = tokens.flatten()[torch.randint(tokens.numel(), tokens.shape, generator=generator)]
    shown = torch.where(chosen & (fate < MASKED), mask, tokens)
    shown = torch.where(chosen & (fate >= MASKED) & (fate < MASKED + RANDOM), others, shown)
    return Batch(shown, torch.where(chosen, tokens, IGNORED))


def mask_of(tokenizer: Tokenizer) -> int:
    """The id of the mask; raises UsageError where there is none."""
    if tokenizer.mask is None:
        raise UsageError(
            f"the tokenizer {tokenizer.name} has no token for a mask ([MASK] or <mask>).\n"
            "  take another, or bytes: --tokenizer bytes"
        )
    return tokenizer.mask
