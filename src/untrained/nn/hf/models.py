# mypy: disable-error-code="misc, no-untyped-call, override, assignment, no-any-return, union-attr"
# transformers types its classes loosely: the errors above are those of its own signatures.
"""Our own networks as Hugging Face models, where no stock class computes the same.

`untrained_decoder` and `untrained_rnn` are causal language models with a cache, `untrained_encoder` a masked
one. Each holds one of our networks and describes it whole in its configuration.

What a cache is: keys and values where every layer attends by softmax; the cells' states of a recurrent
network. A cosformer layer has none, since its weights depend on the length of the text: the text is read anew
for every token, and `generate` gives the same with and without `use_cache`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import GenerationMixin, PreTrainedConfig, PreTrainedModel
from transformers.cache_utils import Cache, CacheLayerMixin, DynamicCache
from transformers.modeling_outputs import BaseModelOutput, CausalLMOutputWithPast, MaskedLMOutput

from untrained.nn.decoder import Decoder
from untrained.nn.hf.networks import built, resumable
from untrained.nn.hf.register import list_models
from untrained.nn.memory import Memory
from untrained.nn.recurrent import GraphLayer, RecurrentLM
from untrained.nn.transformer import Transformer, initialise


class _Config(PreTrainedConfig):
    """The description of a network, and the numbers that other code looks for in a configuration."""

    vocab_size: int = 0
    hidden_size: int = 0
    num_hidden_layers: int = 0
    max_position_embeddings: int | None = None
    tie_word_embeddings: bool = False  # a tied weight of ours is one tensor, so nothing is to be tied
    use_cache: bool = True
    network: dict[str, Any] | None = None
    """as `nn.hf.networks` writes and reads it"""


class DecoderConfig(_Config):
    """A decoder of ours."""

    model_type = "untrained_decoder"
    keys_to_ignore_at_inference: ClassVar = ["past_key_values"]


class EncoderConfig(_Config):
    """An encoder of ours."""

    model_type = "untrained_encoder"


class RnnConfig(_Config):
    """A recurrent network of ours."""

    model_type = "untrained_rnn"
    keys_to_ignore_at_inference: ClassVar = ["past_key_values"]


class _Model(PreTrainedModel):
    """A shell around one of our networks, which keeps the names of its weights."""

    main_input_name = "input_ids"

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        if config.network is None:
            raise ValueError(f"this {config.model_type} configuration describes no network")
        self.network: Any = built(config.network)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """Draws what a file lacks, part by part."""
        if isinstance(module, GraphLayer):
            for weight in module.parameters():
                nn.init.uniform_(weight, -(module.hidden**-0.5), module.hidden**-0.5)
        elif isinstance(module, RecurrentLM):
            nn.init.uniform_(module.embedding, -0.1, 0.1)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif not isinstance(self.network, RecurrentLM) and not any(module.children()):
            initialise(module, self.network.shape.init, None)

    def get_input_embeddings(self) -> Any:
        """None: the words may stand in several tables."""
        return None


def _checked(input_ids: Tensor | None, kwargs: dict[str, Any]) -> Tensor:
    """Token ids (B, T); raises ValueError for what these models do not take or keep."""
    if input_ids is None:
        raise ValueError("this model takes input_ids, a tensor of token ids (B, T)")
    for name in ("inputs_embeds", "output_attentions", "output_hidden_states"):
        given = kwargs.pop(name, None)
        if given is not None and given is not False:
            raise ValueError(f"this model has no {name}; the taps of untrained.nn.taps show what is inside")
    return input_ids


def _groups(mask: Tensor) -> Iterator[tuple[Tensor, slice]]:
    """Rows whose text stands in the same place, and that place; ValueError for padding inside a text."""
    places: dict[tuple[int, int], list[int]] = {}
    for row, shown in enumerate(mask.bool().tolist()):
        length = sum(shown)
        first = shown.index(True) if length else 0
        if not all(shown[first : first + length]):
            raise ValueError("the attention mask has padding within a text; pad at one end")
        places.setdefault((first, first + length), []).append(row)
    for (first, end), rows in places.items():
        if end > first:
            yield torch.tensor(rows, device=mask.device), slice(first, end)


def _unpadded(run: Callable[[Tensor], Tensor], tokens: Tensor, mask: Tensor | None) -> Tensor:
    """`run` on tokens (B, T) without what is padding; its output is zero there.

    Networks that mix positions by other means than a softmax see padding, so texts of one length go together.
    """
    if mask is None or bool(mask.all()):
        return run(tokens)
    out: Tensor | None = None
    for rows, place in _groups(mask):
        found = run(tokens[rows, place])
        if out is None:
            out = found.new_zeros(*tokens.shape, found.shape[-1])
        out = out.index_put((rows[:, None], torch.arange(place.start, place.stop, device=rows.device)), found)
    return run(tokens) if out is None else out


def _last(features: Tensor, keep: int | Tensor) -> Tensor:
    """The tokens whose logits are wanted: the last so many, all for 0, or those of the indices."""
    return features[:, slice(-keep, None) if isinstance(keep, int) else keep] if _any(keep) else features


def _any(keep: int | Tensor) -> bool:
    return isinstance(keep, Tensor) or keep > 0


class UntrainedDecoderForCausalLM(_Model, GenerationMixin):
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
        tokens = _checked(input_ids, kwargs)
        kwargs.pop("return_dict", None)
        if resumable(self.network):
            wanted = self.config.use_cache and not self.training if use_cache is None else use_cache
            if wanted and past_key_values is None:
                past_key_values = DynamicCache(config=self.config)
            features = self._resumed(tokens, attention_mask, position_ids, past_key_values)
        else:
            past_key_values = None
            features = _unpadded(
                lambda own: self.network.encode(self.network.embed(own)), tokens, attention_mask
            )
        logits = self.network.decode(_last(features, logits_to_keep))
        loss = None
        if labels is not None:
            loss = self.loss_function(
                logits=logits, labels=labels, vocab_size=self.config.vocab_size, **kwargs
            )
        return CausalLMOutputWithPast(loss=loss, logits=logits, past_key_values=past_key_values)

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


class UntrainedRnnForCausalLM(_Model, GenerationMixin):
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
        tokens = _checked(input_ids, kwargs)
        for name in ("return_dict", "position_ids"):
            kwargs.pop(name, None)
        wanted = self.config.use_cache and not self.training if use_cache is None else use_cache
        past_key_values = self._cache(past_key_values, wanted)
        mask = None if attention_mask is None else attention_mask[:, -tokens.shape[1] :]
        features = self._resumed(tokens, mask, past_key_values)
        logits = self.network.decode(_last(features, logits_to_keep))
        loss = None
        if labels is not None:
            loss = self.loss_function(
                logits=logits, labels=labels, vocab_size=self.config.vocab_size, **kwargs
            )
        return CausalLMOutputWithPast(loss=loss, logits=logits, past_key_values=past_key_values)

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
        for rows, place in _groups(mask):
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


class UntrainedEncoderModel(_Model):
    """An encoder of ours: token ids in, a state for each token out."""

    config_class = EncoderConfig
    network: Transformer

    def features(self, tokens: Tensor, mask: Tensor | None) -> Tensor:
        """(B, T) -> (B, T, D)"""
        return _unpadded(lambda own: self.network.encode(self.network.embed(own)), tokens, mask)

    def forward(
        self, input_ids: Tensor | None = None, attention_mask: Tensor | None = None, **kwargs: Any
    ) -> BaseModelOutput:
        """Token ids (B, T) -> states (B, T, D)"""
        return BaseModelOutput(self.features(_checked(input_ids, kwargs), attention_mask))


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
        tokens = _checked(input_ids, kwargs)
        for name in ("return_dict", "token_type_ids", "position_ids"):
            kwargs.pop(name, None)
        logits = self.network.decode(self.features(tokens, attention_mask))
        loss = None
        if labels is not None:
            loss = self.loss_function(
                logits=logits, labels=labels, vocab_size=self.config.vocab_size, **kwargs
            )
        return MaskedLMOutput(loss=loss, logits=logits)


list_models(DecoderConfig, {"AutoModelForCausalLM": UntrainedDecoderForCausalLM})
list_models(RnnConfig, {"AutoModelForCausalLM": UntrainedRnnForCausalLM})
list_models(
    EncoderConfig, {"AutoModel": UntrainedEncoderModel, "AutoModelForMaskedLM": UntrainedEncoderForMaskedLM}
)
