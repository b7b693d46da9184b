# mypy: disable-error-code="misc, no-untyped-call, override, assignment, no-any-return, union-attr, arg-type"
# transformers types its classes loosely: the errors above are those of its own signatures.
"""An encoder of ours with and without its masked language model, and any network of ours as a classifier."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers.modeling_outputs import BaseModelOutput, MaskedLMOutput, SequenceClassifierOutput

from untrained.nn.hf.shell import DecoderConfig, EncoderConfig, RnnConfig, Shell, checked, unpadded
from untrained.nn.transformer import Transformer


class UntrainedEncoderModel(Shell):
    """An encoder of ours: token ids in, a state for each token out."""

    config_class = EncoderConfig
    network: Transformer

    def features(self, tokens: Tensor, mask: Tensor | None) -> Tensor:
        """(B, T) -> (B, T, D)"""
        return unpadded(lambda own: self.network.encode(self.network.embed(own)), tokens, mask)

    def forward(
        self, input_ids: Tensor | None = None, attention_mask: Tensor | None = None, **kwargs: Any
    ) -> BaseModelOutput:
        """Token ids (B, T) -> states (B, T, D)"""
        return BaseModelOutput(self.features(checked(input_ids, kwargs), attention_mask))


class UntrainedEncoderForMaskedLM(UntrainedEncoderModel):
    """An encoder of ours with the decoder that shares its embedding."""

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        **kwargs: Any,
    ) -> MaskedLMOutput:
        """Token ids (B, T) -> logits (B, T, V); with labels (-100: not asked for) the mean loss in nats."""
        tokens = checked(input_ids, kwargs)
        for name in ("return_dict", "token_type_ids", "position_ids"):
            kwargs.pop(name, None)
        logits = self.network.decode(self.features(tokens, attention_mask))
        loss = None
        if labels is not None:
            loss = self.loss_function(
                logits=logits, labels=labels, vocab_size=self.config.vocab_size, **kwargs
            )
        return MaskedLMOutput(loss=loss, logits=logits)


class _Classifier(Shell):
    """A network of ours with a linear head on the mean of its features over the tokens of a text."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.head = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        if module is self._modules.get("head"):
            nn.init.normal_(module.weight, std=0.02)
            nn.init.zeros_(module.bias)
        else:
            super()._init_weights(module)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        **kwargs: Any,
    ) -> SequenceClassifierOutput:
        """Token ids (B, T) -> logits (B, labels); with labels (B,) the mean loss in nats."""
        tokens = checked(input_ids, kwargs)
        shown = torch.ones_like(tokens) if attention_mask is None else attention_mask
        features = unpadded(lambda own: self.network.encode(self.network.embed(own)), tokens, attention_mask)
        weight = shown[..., None].to(features.dtype)
        logits = self.head((features * weight).sum(1) / weight.sum(1).clamp(min=1))
        loss = None if labels is None else cross_entropy(logits, labels)
        return SequenceClassifierOutput(loss=loss, logits=logits)


class UntrainedEncoderForSequenceClassification(_Classifier):
    """An encoder of ours that tells the label of a text."""

    config_class = EncoderConfig


class UntrainedDecoderForSequenceClassification(_Classifier):
    """A decoder of ours that tells the label of a text."""

    config_class = DecoderConfig


class UntrainedRnnForSequenceClassification(_Classifier):
    """A recurrent network of ours that tells the label of a text."""

    config_class = RnnConfig
