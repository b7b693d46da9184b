# mypy: disable-error-code="misc, no-untyped-call, override, assignment, no-any-return, union-attr, arg-type"
# transformers types its classes loosely: the errors above are those of its own signatures.
"""A recurrent network of ours as a causal language model, with the states of its cells as its cache."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import GenerationMixin
from transformers.cache_utils import Cache, CacheLayerMixin
from transformers.modeling_outputs import CausalLMOutputWithPast

from untrained.nn.hf.shell import CausalShell, RnnConfig, checked, groups
from untrained.nn.recurrent import GraphLayer, RecurrentLM


class _StateLayer(CacheLayerMixin):
    """What one recurrent layer carries on: its cell's states (B, states, H), and of how many tokens."""

    is_compileable = False
    is_sliding = False

    def __init__(self) -> None:
        super().__init__()
        self.states: Tensor | None = None
        self.seen = 0

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        self.is_initialized = True

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError("a recurrent layer has states, no keys and values")

    def put(self, states: Tensor, tokens: int) -> None:
        """Replaces the states after so many more tokens."""
        self.states, self.seen = states, self.seen + tokens

    def get_seq_length(self) -> int:
        return self.seen

    def get_max_length(self) -> int:
        return -1

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.seen + query_length, 0

    def reset(self) -> None:
        self.states, self.seen = None, 0

    def reorder_cache(self, beam_idx: Tensor) -> None:
        self.batch_select_indices(beam_idx)

    def batch_select_indices(self, indices: Tensor) -> None:
        if self.states is not None:
            self.states = self.states.index_select(0, indices.to(self.states.device))

    def batch_repeat_interleave(self, repeats: int) -> None:
        if self.states is not None:
            self.states = self.states.repeat_interleave(repeats, 0)


class StateCache(Cache):
    """The cache of a recurrent network: as large for a long text as for a short one."""

    def __init__(self, layers: int) -> None:
        super().__init__(layers=[_StateLayer() for _ in range(layers)])

    @property
    def states(self) -> list[Tensor] | None:
        """Each layer's states (B, states, H); None before the first token."""
        found = [layer.states for layer in self.layers]
        return None if found[0] is None else found


class UntrainedRnnForCausalLM(CausalShell, GenerationMixin):
    """A recurrent language model of ours; its cache holds the states of each layer."""

    config_class = RnnConfig
    network: RecurrentLM

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        past_key_values: Cache | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast:
        """Token ids (B, T) -> logits (B, T, V); with labels (B, T) the mean loss of the next token, nats."""
        tokens = checked(input_ids, kwargs)
        for name in ("return_dict", "position_ids"):
            kwargs.pop(name, None)
        past_key_values = self._cache(past_key_values, self.caching(use_cache))
        mask = None if attention_mask is None else attention_mask[:, -tokens.shape[1] :]
        features = self._resumed(tokens, mask, past_key_values)
        return self.answer(features, labels, logits_to_keep, past_key_values, **kwargs)

    def _resumed(self, tokens: Tensor, mask: Tensor | None, past: StateCache | None) -> Tensor:
        """(B, T) -> (B, T, H), from the states in the cache, which are replaced by those at the end."""
        start = None if past is None else past.states
        if mask is None or bool(mask.all()):
            features, after = self._run(tokens, start)
        else:
            features, after = self._run_unpadded(tokens, mask, start)
        if past is not None:
            for layer, states in zip(past.layers, after, strict=True):
                layer.put(states, tokens.shape[1])
        return features

    def _cache(self, given: Cache | None, wanted: bool) -> StateCache | None:
        """Ours; `generate` begins with an empty one of another kind."""
        if isinstance(given, StateCache):
            return given
        if given is not None and given.get_seq_length() > 0:
            raise ValueError(
                f"a recurrent network goes on from a StateCache, not from a {type(given).__name__}"
            )
        return StateCache(len(self.network.layers)) if wanted else None

    def _run(self, tokens: Tensor, start: list[Tensor] | None) -> tuple[Tensor, list[Tensor]]:
        """Top states (B, T, H), and each layer's states (B, states, H) after the last token."""
        end: list[Any] = []
        before = None if start is None else [states.unbind(1) for states in start]
        features = self.network.encode(self.network.embed(tokens), start=before, end=end)
        return features, [torch.stack(tuple(states), 1) for states in end]

    def _run_unpadded(
        self, tokens: Tensor, mask: Tensor, start: list[Tensor] | None
    ) -> tuple[Tensor, list[Tensor]]:
        """The same for texts of several lengths: padding leaves the states as they were."""
        layers = [layer for layer in self.network.layers if isinstance(layer, GraphLayer)]
        top = self.network.embedding.new_zeros(*tokens.shape, layers[-1].hidden)
        after = start or [top.new_zeros(len(tokens), len(one.new), one.hidden) for one in layers]
        for rows, place in groups(mask):
            own = None if start is None else [states[rows] for states in start]
            found, ended = self._run(tokens[rows, place], own)
            columns = torch.arange(place.start, place.stop, device=rows.device)
            top = top.index_put((rows[:, None], columns), found)
            after = [a.index_put((rows,), e) for a, e in zip(after, ended, strict=True)]
        return top, after

    def prepare_inputs_for_generation(
        self, input_ids: Tensor, next_sequence_length: int | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        """The last token where there are states to go on from, else the whole text."""
        given = ("attention_mask", "past_key_values", "use_cache", "logits_to_keep")
        if next_sequence_length is not None:
            input_ids = input_ids[:, -next_sequence_length:]
        return {"input_ids": input_ids} | {name: kwargs[name] for name in given if name in kwargs}
