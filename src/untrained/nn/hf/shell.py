# mypy: disable-error-code="misc, no-untyped-call, override, assignment, no-any-return, union-attr, arg-type"
# transformers types its classes loosely: the errors above are those of its own signatures.
"""What all our networks share as Hugging Face models: configurations, the shell around a network, padding."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.cache_utils import Cache
from transformers.modeling_outputs import CausalLMOutputWithPast

from untrained.nn.hf.networks import built
from untrained.nn.recurrent import GraphLayer, RecurrentLM
from untrained.nn.transformer import initialise


class NetworkConfig(PreTrainedConfig):
    """The description of a network, and the numbers that other code looks for in a configuration."""

    vocab_size: int = 0
    hidden_size: int = 0
    num_hidden_layers: int = 0
    max_position_embeddings: int | None = None
    tie_word_embeddings: bool = False  # a tied weight of ours is one tensor, so nothing is to be tied
    use_cache: bool = True
    network: dict[str, Any] | None = None
    """as `nn.hf.networks` writes and reads it"""


class DecoderConfig(NetworkConfig):
    """A decoder of ours."""

    model_type = "untrained_decoder"
    keys_to_ignore_at_inference: ClassVar = ["past_key_values"]


class EncoderConfig(NetworkConfig):
    """An encoder of ours."""

    model_type = "untrained_encoder"


class RnnConfig(NetworkConfig):
    """A recurrent network of ours."""

    model_type = "untrained_rnn"
    keys_to_ignore_at_inference: ClassVar = ["past_key_values"]


class Shell(PreTrainedModel):
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


class CausalShell(Shell):
    """The shell of a network that tells the next token."""

    def caching(self, asked: bool | None) -> bool:
        """Whether a cache is to be filled: as asked, else as the configuration says, and not in training."""
        return self.config.use_cache and not self.training if asked is None else asked

    def answer(
        self, features: Tensor, labels: Tensor | None, keep: int | Tensor, past: Cache | None, **loss: Any
    ) -> CausalLMOutputWithPast:
        """Features (B, T, D) -> logits (B, T, V) of the tokens to keep; with labels the mean loss, nats."""
        logits = self.network.decode(last(features, keep))
        lost = None
        if labels is not None:
            lost = self.loss_function(logits=logits, labels=labels, vocab_size=self.config.vocab_size, **loss)
        return CausalLMOutputWithPast(loss=lost, logits=logits, past_key_values=past)


def checked(input_ids: Tensor | None, kwargs: dict[str, Any]) -> Tensor:
    """Token ids (B, T); raises ValueError for what these models do not take or keep."""
    if input_ids is None:
        raise ValueError("this model takes input_ids, a tensor of token ids (B, T)")
    for name in ("inputs_embeds", "output_attentions", "output_hidden_states"):
        given = kwargs.pop(name, None)
        if given is not None and given is not False:
            raise ValueError(f"this model has no {name}; the taps of untrained.nn.taps show what is inside")
    return input_ids


def groups(mask: Tensor) -> Iterator[tuple[Tensor, slice]]:
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


def unpadded(run: Callable[[Tensor], Tensor], tokens: Tensor, mask: Tensor | None) -> Tensor:
    """`run` on tokens (B, T) without what is padding; its output is zero there.

    Networks that mix positions by other means than a softmax see padding, so texts of one length go together.
    """
    if mask is None or bool(mask.all()):
        return run(tokens)
    out: Tensor | None = None
    for rows, place in groups(mask):
        found = run(tokens[rows, place])
        if out is None:
            out = found.new_zeros(*tokens.shape, found.shape[-1])
        out = out.index_put((rows[:, None], torch.arange(place.start, place.stop, device=rows.device)), found)
    return run(tokens) if out is None else out


def last(features: Tensor, keep: int | Tensor) -> Tensor:
    """The tokens whose logits are wanted: the last so many, all for 0, or those of the indices."""
    return features[:, slice(-keep, None) if isinstance(keep, int) else keep] if _any(keep) else features


def _any(keep: int | Tensor) -> bool:
    return isinstance(keep, Tensor) or keep > 0
