"""Decoders of ours that compute what a stock Llama, Mistral or GPT-2 does, as such: settings and weights.

Layers may differ in heads and MLP width where the channels of a head are the same; see `nn.hf.layers`.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from untrained.nn.decoder import Decoder
from untrained.nn.hf.layers import LayerSize, per_layer
from untrained.nn.transformer import TransformerShape

Weights = dict[str, Tensor]


def stock_form(network: nn.Module) -> tuple[Any, Weights] | None:
    """A configuration of a known family and the weights under its names; None where no family fits."""
    if not isinstance(network, Decoder) or network.relative or network.clusters or not _plain(network.shape):
        return None
    shape = network.shape
    family = _family(shape)
    if family is None:
        return None
    weights = network.state_dict()
    found = _gpt2_weights(weights) if family == "gpt2" else _llama_weights(weights)
    if shape.tied:
        found["lm_head.weight"] = weights["embedding.tables.0.weight"]
    return per_layer(_base(shape, family), _sizes(shape)), found


def _plain(shape: TransformerShape) -> bool:
    """Whether words enter by one table, norms stand before, and heads have one even width everywhere."""
    widths = {_head_width(shape, place) for place in range(len(shape.layers))}
    return (
        shape.causal
        and shape.pre
        and not shape.clusters
        and shape.embedding in (None, shape.width)
        and all(len(layer.inner) == 1 for layer in shape.layers)
        and len(widths) == 1
        and widths.pop() % 2 == 0
    )


def _family(shape: TransformerShape) -> str | None:
    """The family whose layers compute the same."""
    mixers = {layer.mixer for layer in shape.layers}
    spans = {layer.span for layer in shape.layers}
    kind = (shape.norm, shape.mlp, shape.position)
    if kind == ("rms", "swiglu", "rotary"):
        if mixers == {"softmax"}:
            return "llama"
        if mixers == {"window"} and len(spans) == 1 and not shape.bias:
            return "mistral"
    shared = any(layer.kv_heads not in (None, layer.heads) for layer in shape.layers)
    fits = shape.width % _head_width(shape, 0) == 0
    gelu = kind in (("layer", "gelu", "learned"), ("layer", "relu", "learned"))
    return "gpt2" if gelu and mixers == {"softmax"} and shape.bias and not shared and fits else None


def _base(shape: TransformerShape, family: str) -> Any:
    """A stock configuration with the sizes that all layers share, and else those of the first layer."""
    package = import_module("transformers")
    first, channels = _sizes(shape)[0], _head_width(shape, 0)
    common: dict[str, Any] = {
        "vocab_size": shape.vocabulary,
        "max_position_embeddings": shape.positions,
        "tie_word_embeddings": shape.tied,
        "bos_token_id": None,
        "eos_token_id": None,
        "hidden_size": shape.width,
        "num_hidden_layers": len(shape.layers),
    }
    if family == "gpt2":
        return package.GPT2Config(
            **common,
            n_head=shape.width // channels,
            n_inner=first.inner,
            activation_function=shape.mlp,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
        )
    whole = shape.width % first.heads == 0  # else the stock checks refuse it, and each layer says its own
    common |= {
        "num_attention_heads": first.heads if whole else 1,
        "num_key_value_heads": first.kv_heads if whole else 1,
        "intermediate_size": first.inner,
        "head_dim": channels,
        "rms_norm_eps": 1e-6,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0},
    }
    if family == "mistral":
        return package.MistralConfig(**common, sliding_window=shape.layers[0].span)
    return package.LlamaConfig(**common, attention_bias=shape.bias, mlp_bias=shape.bias)


def _sizes(shape: TransformerShape) -> list[LayerSize]:
    return [
        LayerSize(layer.heads, layer.heads if layer.kv_heads is None else layer.kv_heads, layer.inner[0])
        for layer in shape.layers
    ]


def _head_width(shape: TransformerShape, place: int) -> int:
    layer = shape.layers[place]
    return layer.head_width or shape.width // layer.heads


LLAMA = {
    "mixer.query": "self_attn.q_proj",
    "mixer.key": "self_attn.k_proj",
    "mixer.value": "self_attn.v_proj",
    "mixer.output": "self_attn.o_proj",
    "mixer_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "ffn.gate.0": "mlp.gate_proj",
    "ffn.up.0": "mlp.up_proj",
    "ffn.down": "mlp.down_proj",
}
GPT2 = {
    "mixer.output": "attn.c_proj",
    "mixer_norm": "ln_1",
    "ffn_norm": "ln_2",
    "ffn.up.0": "mlp.c_fc",
    "ffn.down": "mlp.c_proj",
}


def _llama_weights(weights: Weights) -> Weights:
    outside = {
        "embedding.tables.0.weight": "model.embed_tokens.weight",
        "norm.weight": "model.norm.weight",
        "head.weight": "lm_head.weight",
    }
    found = {}
    for name, weight in weights.items():
        if name in outside:
            found[outside[name]] = weight
            continue
        place, part, kind = _split(name)
        found[f"model.layers.{place}.{LLAMA[part]}.{kind}"] = weight
    return found


def _gpt2_weights(weights: Weights) -> Weights:
    """Matrices are stored the other way round there, and queries, keys and values side by side."""
    outside = {
        "embedding.tables.0.weight": "transformer.wte.weight",
        "positions.weight": "transformer.wpe.weight",
        "norm.weight": "transformer.ln_f.weight",
        "norm.bias": "transformer.ln_f.bias",
        "head.weight": "lm_head.weight",
    }
    found = {}
    for name, weight in weights.items():
        if name in outside:
            found[outside[name]] = weight
            continue
        place, part, kind = _split(name)
        if part in ("mixer.key", "mixer.value"):
            continue
        block = f"transformer.h.{place}"
        if part == "mixer.query":
            three = [weights[name.replace("query", other)] for other in ("query", "key", "value")]
            found[f"{block}.attn.c_attn.{kind}"] = _turned(torch.cat(three))
        else:
            found[f"{block}.{GPT2[part]}.{kind}"] = _turned(weight)
    return found


def _turned(weight: Tensor) -> Tensor:
    return weight.T.contiguous() if weight.dim() == 2 else weight


def _split(name: str) -> tuple[str, str, str]:
    """`blocks.3.mixer.query.weight` -> 3, mixer.query, weight"""
    _, place, rest = name.split(".", 2)
    part, _, kind = rest.rpartition(".")
    return place, part, kind
