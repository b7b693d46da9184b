# mypy: disable-error-code="misc, no-untyped-call, override, assignment, no-any-return, union-attr, arg-type"
# transformers types its classes loosely: the errors above are those of its own signatures.
"""A decoder of ours as a causal language model, with keys and values as its cache."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import GenerationMixin
from transformers.cache_utils import Cache, DynamicCache
from transformers.modeling_outputs import CausalLMOutputWithPast

from untrained.nn.decoder import Decoder
from untrained.nn.hf.networks import resumable
from untrained.nn.hf.shell import CausalShell, DecoderConfig, checked, unpadded
from untrained.nn.memory import Memory


class UntrainedDecoderForCausalLM(CausalShell, GenerationMixin):
    """A decoder of ours: any mixers, positions, norms, embeddings and heads of `nn.decoder`."""

    config_class = DecoderConfig
    network: Decoder

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast:
        """Token ids (B, T) -> logits (B, T, V); with labels (B, T) the mean loss of the next token, nats."""
        tokens = checked(input_ids, kwargs)
        kwargs.pop("return_dict", None)
        if resumable(self.network):
            if self.caching(use_cache) and past_key_values is None:
                past_key_values = DynamicCache(config=self.config)
            features = self._resumed(tokens, attention_mask, position_ids, past_key_values)
        else:
            past_key_values = None
            features = unpadded(
                lambda own: self.network.encode(self.network.embed(own)), tokens, attention_mask
            )
        return self.answer(features, labels, logits_to_keep, past_key_values, **kwargs)

    def _resumed(
        self, tokens: Tensor, mask: Tensor | None, places: Tensor | None, past: Cache | None
    ) -> Tensor:
        """(B, T) -> (B, T, D), after the tokens that the cache holds."""
        if mask is not None and mask.dim() != 2:
            raise ValueError("this model takes an attention mask (B, T) and no other; use a dynamic cache")
        seen = 0 if past is None else int(past.get_seq_length())
        if places is None:
            places = torch.arange(seen, seen + tokens.shape[1], device=tokens.device)[None]
        memory = Memory(
            places=places.expand(tokens.shape[0], -1)[:, -tokens.shape[1] :],
            seen=seen,
            shown=None if mask is None or bool(mask.all()) else mask.bool(),
        )
        if past is not None:
            memory.keep = lambda layer, key, value: past.update(key, value, layer)
        return self.network.encode(self.network.embed(tokens), memory=memory)

    def prepare_inputs_for_generation(
        self, input_ids: Any, next_sequence_length: int | None = None, **kwargs: Any
    ) -> Any:
        """What `generate` hands to `forward`: the whole text again, where there is no cache to go on from."""
        if not resumable(self.network):
            next_sequence_length = None
            kwargs |= {"past_key_values": None}
        return super().prepare_inputs_for_generation(
            input_ids, next_sequence_length=next_sequence_length, **kwargs
        )
