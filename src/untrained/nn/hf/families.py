"""What differs between the families whose layers may differ in size: one line of a table each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from torch import nn

from untrained.core.errors import UsageError


@dataclass(frozen=True)
class Family:
    """A family of decoders: where its classes are, and what it calls the sizes of a layer."""

    kind: str
    """the stock model_type"""
    stem: str
    """what its classes begin with"""
    layer: str
    """the class of a layer"""
    causal: str = "ForCausalLM"
    """how the class of the language model ends"""
    stack: str = "layers"
    """attribute of the body that holds the layers"""
    heads: str = "num_attention_heads"
    kv_heads: str | None = "num_key_value_heads"
    """None: as many key/value heads as query heads"""
    inner: str = "intermediate_size"
    resize: Callable[[nn.Module, int, int], None] | None = None
    """gives a layer its heads (layer, heads, channels of a head), where its class cannot"""

    @property
    def model_type(self) -> str:
        """The model_type of the variant whose layers differ."""
        return f"untrained_{self.kind}"

    @property
    def config(self) -> Any:
        """The stock class of configurations."""
        module = import_module(f"transformers.models.{self.kind}.configuration_{self.kind}")
        return getattr(module, f"{self.stem}Config")

    def model(self, name: str) -> Any:
        """A stock class of the family by name."""
        return getattr(import_module(f"transformers.models.{self.kind}.modeling_{self.kind}"), name)

    @property
    def body_class(self) -> Any:
        """The stock class without a head."""
        return self.model(f"{self.stem}Model")

    @property
    def causal_class(self) -> Any:
        """The stock causal language model."""
        return self.model(f"{self.stem}{self.causal}")


def _gpt2_heads(layer: Any, heads: int, channels: int) -> None:
    """One matrix holds queries, keys and values side by side, split at `split_size`."""
    attention = layer.attn
    conv, width = type(attention.c_proj), attention.embed_dim
    attention.num_heads, attention.split_size = heads, heads * channels
    attention.c_attn = conv(3 * heads * channels, width)
    attention.c_proj = conv(width, heads * channels)


def _neox_heads(layer: Any, heads: int, channels: int) -> None:
    """One matrix holds query, key and value of a head together, head by head."""
    attention = layer.attention
    merged, out = attention.query_key_value, attention.dense
    attention.query_key_value = nn.Linear(
        merged.in_features, 3 * heads * channels, bias=merged.bias is not None
    )
    attention.dense = nn.Linear(heads * channels, out.out_features, bias=out.bias is not None)


FAMILIES = {
    family.kind: family
    for family in (
        Family("llama", "Llama", "LlamaDecoderLayer"),
        Family("mistral", "Mistral", "MistralDecoderLayer"),
        Family("qwen2", "Qwen2", "Qwen2DecoderLayer"),
        Family("qwen3", "Qwen3", "Qwen3DecoderLayer"),
        Family(
            "gpt2",
            "GPT2",
            "GPT2Block",
            causal="LMHeadModel",
            stack="h",
            heads="n_head",
            kv_heads=None,
            inner="n_inner",
            resize=_gpt2_heads,
        ),
        Family("gpt_neox", "GPTNeoX", "GPTNeoXLayer", kv_heads=None, resize=_neox_heads),
    )
}


def family_of(config: Any) -> Family:
    """The family of a stock configuration or of one of ours; raises UsageError for another."""
    kind = str(getattr(config, "model_type", "")).removeprefix("untrained_")
    if kind not in FAMILIES:
        raise UsageError(
            f"layers of different sizes cannot be built for the model type {kind or '(none)'!r};"
            f" they can for: {', '.join(FAMILIES)}\n"
            "  another: add its line to the table in untrained/nn/hf/families.py"
        )
    return FAMILIES[kind]
