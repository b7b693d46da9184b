"""Taps for Hugging Face models: which module of a layer shows what. Imports nothing of theirs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

from torch import Tensor, nn

from untrained.core.errors import MeasurementFailed, MissingRole
from untrained.nn.adapters._parts import Parts
from untrained.nn.adapters.own import PER_LAYER
from untrained.nn.stream import Stream, WordTable
from untrained.nn.taps import Tape


@dataclass(frozen=True)
class Family:
    """Where things are, as paths of attributes."""

    layers: str
    """the list of layers, from the base model"""
    attention: str
    """within a layer: the module that returns its probabilities beside its result"""
    mix: str
    """within a layer: the module whose (first) result is added to the residual stream"""
    mixer: tuple[str, ...]
    """within a layer: all of attention, without norms"""
    gate: str
    """within a layer: the module whose result enters the nonlinearity of the feed-forward part"""
    down: str
    """within a layer: the module that takes what leaves the feed-forward part's hidden layer"""
    ffn: tuple[str, ...]
    """within a layer: all of the feed-forward part, without norms"""
    tables: tuple[str, ...]
    """from the base model: tables of words and positions, and their projection"""
    head: tuple[str, ...]
    """from the model: what makes logits of the top states, one after another"""
    task: str
    """the model class that has this head: `<Family>For<task>`"""
    learned: Callable[[Any], int] | None = None
    """longest sequence, from the configuration, where positions are learned"""


BERT = Family(
    layers="encoder.layer",
    attention="attention.self",
    mix="attention.output.dense",
    mixer=("attention.self", "attention.output.dense"),
    gate="intermediate.dense",
    down="output.dense",
    ffn=("intermediate.dense", "output.dense"),
    tables=(
        "embeddings.word_embeddings",
        "embeddings.position_embeddings",
        "embeddings.token_type_embeddings",
    ),
    head=("cls.predictions",),
    task="MaskedLM",
    learned=lambda config: int(config.max_position_embeddings),
)
ROBERTA = replace(
    BERT,
    head=("lm_head",),
    learned=lambda config: int(config.max_position_embeddings) - int(config.pad_token_id) - 1,
)
ELECTRA = replace(
    BERT, tables=(*BERT.tables, "embeddings_project"), head=("generator_predictions", "generator_lm_head")
)
GPT2 = Family(
    layers="h",
    attention="attn",
    mix="attn",
    mixer=("attn",),
    gate="mlp.c_fc",
    down="mlp.c_proj",
    ffn=("mlp",),
    tables=("wte", "wpe"),
    head=("lm_head",),
    task="CausalLM",  # GPT2LMHeadModel
    learned=lambda config: int(config.max_position_embeddings),
)
LLAMA = replace(
    GPT2,
    layers="layers",
    attention="self_attn",
    mix="self_attn",
    mixer=("self_attn",),
    gate="mlp.gate_proj",
    down="mlp.down_proj",
    tables=("embed_tokens",),
    learned=None,
)
QWEN3 = replace(  # its attention has norms inside
    LLAMA, mixer=tuple(f"self_attn.{name}_proj" for name in ("q", "k", "v", "o"))
)
NEOX = replace(  # attention and feed-forward part side by side
    LLAMA,
    attention="attention",
    mix="attention",
    mixer=("attention",),
    gate="mlp.dense_h_to_4h",
    down="mlp.dense_4h_to_h",
    tables=("embed_in",),
)
FAMILIES = {
    "bert": BERT,
    "roberta": ROBERTA,
    "electra": ELECTRA,
    "gpt2": GPT2,
    "llama": LLAMA,
    "mistral": LLAMA,
    "qwen2": LLAMA,
    "qwen3": QWEN3,
    "gpt_neox": NEOX,
}
FAMILIES |= {kind: FAMILIES[kind.removeprefix("untrained_")] for kind in PER_LAYER}


class HuggingFace(nn.Module):
    """A model of one of the families, with taps.

    Attention is the eager kind, whose probabilities can be seen and differentiated twice. Sequences are
    whole: there is no padding, so RoBERTa counts positions from its first one whatever the words are.
    """

    roles = ("attention", "mix", "preactivation", "ffn", "block")

    def __init__(self, source: nn.Module, family: Family) -> None:
        super().__init__()
        self.source, self.family = source, family
        self.whole: Callable[[], Stream] | None = None
        """the stream of the network for which this one stands, where it is its small form"""
        config: Any = source.config
        config._attn_implementation = "eager"
        self.config = config
        self.vocabulary = int(self._words().num_embeddings)  # type: ignore[arg-type]
        self.positions = family.learned(config) if family.learned else None

    @property
    def base(self) -> nn.Module:
        """The model without its head."""
        return self.source.base_model  # type: ignore[return-value]

    @property
    def blocks(self) -> list[Parts]:
        """Attention and feed-forward part of each layer."""
        family = self.family
        return [Parts(_several(layer, family.mixer), _several(layer, family.ffn)) for layer in self._layers()]

    def embed(self, tokens: Tensor) -> Tensor:
        """(B, T) -> (B, T, E), without positions"""
        return self._words()(tokens)  # type: ignore[no-any-return]

    def encode(self, embedded: Tensor, tape: Tape | None = None) -> Tensor:
        """(B, T, E) -> (B, T, D)"""
        if self.positions is not None and embedded.shape[1] > self.positions:
            raise MeasurementFailed(
                f"a sequence of {embedded.shape[1]} tokens, but the model has {self.positions} positions"
            )
        with self._listening(tape):
            top: Tensor = self.base(
                inputs_embeds=embedded, use_cache=False, return_dict=True
            ).last_hidden_state
        return top

    def decode(self, features: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, V)"""
        if not self._has_head:
            raise MissingRole("logits", type(self.source).__name__, self.roles)
        for name in self.family.head:
            features = _at(self.source, name)(features)
        return features

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T) -> logits (B, T, V); of a model without a head the top states (B, T, D)"""
        top = self.encode(self.embed(tokens))
        return self.decode(top) if self._has_head else top

    def stream(self) -> Stream:
        """Depth, width and the word table; of the whole where this is a small form."""
        if self.whole is not None:
            return self.whole()
        table, width = self._words(), int(self.config.hidden_size)
        words = WordTable(self.vocabulary, int(table.embedding_dim))  # type: ignore[arg-type]
        return Stream(len(self._layers()), width, (words,), projected=words.width != width)

    def embedding_parameters(self) -> list[nn.Parameter]:
        """Tables and projection of the tokens, positions, and the whole head."""
        outside = [_at(self.base, name) for name in self.family.tables if _has(self.base, name)]
        outside += [_at(self.source, name) for name in self.family.head if _has(self.source, name)]
        return [w for part in outside for w in part.parameters()]

    def saliency_weights(self) -> list[nn.Parameter]:
        """The matrices of the layers."""
        return [w for layer in self._layers() for w in layer.parameters() if w.dim() == 2]

    def mixer_weights(self) -> list[nn.Parameter]:
        """The matrices of attention."""
        return [w for mixer, _ in self.blocks for w in mixer.parameters() if w.dim() == 2]

    @property
    def _has_head(self) -> bool:
        return all(_has(self.source, name) for name in self.family.head)

    def _words(self) -> nn.Module:
        found: nn.Module = self.source.get_input_embeddings()  # type: ignore[operator]
        return found

    def _layers(self) -> list[nn.Module]:
        return list(_at(self.base, self.family.layers).children())

    @contextmanager
    def _listening(self, tape: Tape | None) -> Iterator[None]:
        """Writes the tape while a pass runs; the hooks are gone when it ends, however it ends."""
        if tape is None or not tape.roles:
            yield
            return
        handles = []
        try:
            for i, layer in enumerate(self._layers()):
                for role, name, read in (
                    ("attention", self.family.attention, _second),
                    ("mix", self.family.mix, _first),
                    ("preactivation", self.family.gate, _first),
                    ("ffn", self.family.down, _input),
                    ("block", "", _first),
                ):
                    if tape.wants(role):
                        hook = _writer(tape, role, i, read)
                        handles.append(_at(layer, name).register_forward_hook(hook))
            yield
        finally:
            for handle in handles:
                handle.remove()


Read = Callable[[Any, Any], Tensor]


def _writer(tape: Tape, role: str, layer: int, read: Read) -> Callable[[nn.Module, Any, Any], None]:
    def write(_: nn.Module, given: Any, result: Any) -> None:
        tape.add(role, layer, read(given, result))

    return write


def _first(_: Any, result: Any) -> Tensor:
    found: Tensor = result[0] if isinstance(result, tuple) else result
    return found


def _second(_: Any, result: Any) -> Tensor:
    found: Tensor = result[1]
    return found


def _input(given: Any, _: Any) -> Tensor:
    found: Tensor = given[0]
    return found


def _at(module: nn.Module, path: str) -> nn.Module:
    return reduce(getattr, path.split("."), module) if path else module


def _has(module: nn.Module, path: str) -> bool:
    try:
        _at(module, path)
    except AttributeError:
        return False
    return True


def _several(layer: nn.Module, names: tuple[str, ...]) -> nn.Module:
    found = [_at(layer, name) for name in names]
    return found[0] if len(found) == 1 else nn.ModuleList(found)
