"""Telling the label of a text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from untrained.nn.batch import Batch
from untrained.training.classifier import Classifier
from untrained.training.data.labelled import Labelled
from untrained.training.fitting import check_vocabulary
from untrained.training.recipe import TrainingRecipe, logits, loss, recipe


@recipe
@dataclass(frozen=True, kw_only=True)
class Classification(TrainingRecipe):
    """A text has one of several labels: encoders, and any network that gives features.

    A network of ours gets a linear head on the mean of its features over the tokens; a Hugging Face model the
    head of its family. Texts are cut to `length` tokens and filled up to the longest of a batch.

    Formula: mean over texts of -ln p(label), in nats; accuracy; F1, the mean over labels of
             2 tp / (2 tp + fp + fn)
    Shapes:  tokens (B, T) -> logits (B, labels), targets (B,)
    Source:  Devlin et al. 2019, arXiv:1810.04805, section 4.1, for the order of the learning rate
    Differs: our networks have no mask, so they see the tokens that a text is filled up with; features of
             those are left out of the mean
    """

    reads: ClassVar[str] = "examples"
    task: ClassVar[str] = "SequenceClassification"

    steps: int = 500
    """weight updates; 0 for as many as `epochs` take"""
    peak_lr: float = 3e-4
    """largest learning rate of the schedule"""
    weight_decay: float = 0.01
    """shrinking of matrices per step, in learning rates"""
    eval_windows: int = 0
    """held-out texts of an examination, from the first; 0 for all"""

    def check(self, data: Labelled, model: nn.Module) -> None:
        data.check()
        check_vocabulary(data.tokenizer, model, self.length)

    def examples(self, data: Labelled) -> int:
        return len(data.train)

    def lesson(self, data: Labelled, step: int) -> Batch:
        return data.batch(step, self.batch, self.length, self.seed)

    def exam(self, data: Labelled) -> Iterator[Batch]:
        return data.exam(-(-self.batch // self.accumulation), self.length, self.eval_windows)

    def logits(self, model: nn.Module, batch: Batch) -> Tensor:
        """Padding is -1 in the batch: (B, T) -> (B, labels)"""
        if isinstance(model, Classifier):
            found: Tensor = model(batch.tokens)
            return found
        config: Any = getattr(model, "config", None)
        shown = batch.tokens >= 0
        pad = getattr(config, "pad_token_id", None) or 0
        return logits(model(batch.tokens.masked_fill(~shown, pad), attention_mask=shown.long()))

    def marks(self, data: Labelled, model: nn.Module, batches: Iterator[Batch]) -> dict[str, float]:
        lost, table = 0.0, torch.zeros(len(data.labels), len(data.labels), dtype=torch.long)
        for batch in batches:
            rows = self.logits(model, batch)
            lost += float(loss(rows, batch.targets).double())
            for truth, said in zip(batch.targets.tolist(), rows.argmax(-1).tolist(), strict=True):
                table[truth, said] += 1
        return {"loss": lost / max(1, int(table.sum())), **scores(table)}


def scores(table: Tensor) -> dict[str, float]:
    """Accuracy and macro F1 of counts (truth, said); a label that is never true nor said counts 0."""
    right, true, said = table.diagonal().double(), table.sum(1).double(), table.sum(0).double()
    each = 2 * right / (true + said).clamp(min=1)
    return {"accuracy": float(right.sum() / table.sum().clamp(min=1)), "f1": float(each.mean())}
