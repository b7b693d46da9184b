"""Telling the next token."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from untrained.nn.batch import Batch
from untrained.training.data.language import Language
from untrained.training.fitting import check_causal, check_vocabulary
from untrained.training.recipe import TrainingRecipe, by_unit, recipe
from untrained.training.staged import told_loss


@recipe
@dataclass(frozen=True, kw_only=True)
class CausalLM(TrainingRecipe):
    """Each token is told from those before it: recurrent networks and decoders.

    Formula: mean over tokens of -ln p(next token), in nats
    Shapes:  tokens (B, T) -> logits (B, T, V), targets (B, T)
    Source:  AdamW: Loshchilov and Hutter 2019, arXiv:1711.05101; its settings as usual for small decoders
    """

    task: ClassVar[str] = "CausalLM"

    def check(self, data: Language, model: nn.Module) -> None:
        data.check(self.length)
        check_vocabulary(data.tokenizer, model, self.length)
        check_causal(model, self.length)

    def examples(self, data: Language) -> int:
        return data.windows(self.length)

    def lesson(self, data: Language, step: int) -> Batch:
        windows = data.batch(step, self.batch, self.length, self.seed)
        return Batch(windows[:, :-1], windows[:, 1:])

    def exam(self, data: Language) -> Iterator[Batch]:
        for windows in data.exam(-(-self.batch // self.accumulation), self.length, self.eval_windows):
            yield Batch(windows[:, :-1], windows[:, 1:])

    def lost(self, model: nn.Module, batch: Batch) -> Tensor:
        """Some logits at a time, where the model has stages."""
        found = told_loss(model, batch)
        return super().lost(model, batch) if found is None else found

    def derived(self, data: Language, mean: float) -> dict[str, float]:
        return dict(by_unit(data, mean))
