"""One declaration a family of decoders: which tensors a layer has, how large, and how each is cut.

Everything else follows from it: the parameters of a sub-network in closed form, what is read from which
tensor of the parent, which matrices are attention and which feed-forward. Loads no torch.

Sizes are letters:
    D  the residual stream          d  channels of a head
    Q  query heads x d              K  key/value heads x d
    B  query, key and value of all heads, one block after another (GPT-2: Q, Q, Q)
    N  query, key and value head by head (GPT-NeoX)
    I  the hidden layer of the feed-forward part
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from untrained.core.errors import UsageError


@dataclass(frozen=True)
class TensorOf:
    """A tensor of a layer."""

    name: str
    """within the layer"""
    axes: str
    """one letter an axis"""
    when: str = ""
    """switch of the configuration without which it is not there"""


def _linear(name: str, axes: str, bias: bool | str = False) -> tuple[TensorOf, ...]:
    """A matrix (out, in) and its bias, if it has one: always, or where the configuration says so."""
    matrix = TensorOf(f"{name}.weight", axes)
    if bias is False:
        return (matrix,)
    return (matrix, TensorOf(f"{name}.bias", axes[0], when="" if bias is True else bias))


def _turned(name: str, axes: str) -> tuple[TensorOf, ...]:
    """GPT-2's Conv1D: a matrix (in, out) and a bias."""
    return (TensorOf(f"{name}.weight", axes), TensorOf(f"{name}.bias", axes[1]))


def _norm(name: str, size: str = "D", *, bias: bool) -> tuple[TensorOf, ...]:
    weight = TensorOf(f"{name}.weight", size)
    return (weight, TensorOf(f"{name}.bias", size)) if bias else (weight,)


@dataclass(frozen=True)
class Family:
    """Where things are in the models of a family, and in their checkpoints."""

    base: str
    """prefix of the body's tensors, which checkpoints of a bare body leave out"""
    layers: str
    """the list of layers, in the body"""
    attention: str
    """within a layer: the module of attention"""
    mlp: str
    """within a layer: the module of the feed-forward part"""
    out: str
    """within a layer: the matrix that leads the heads back into the stream"""
    down: str
    """within a layer: the matrix that leads the feed-forward part back"""
    tensors: tuple[TensorOf, ...]
    words: str
    """the word table, in the body"""
    norm: str
    """the last norm, in the body"""
    head: str = "lm_head"
    """of the whole model"""
    stored: str = ""
    """the head's name in checkpoints, where it is another"""
    positions: str = ""
    """the table of learned positions, in the body, where there is one"""
    turned: bool = False
    """whether matrices are (in, out)"""
    norm_bias: bool = False
    inner: str = "intermediate_size"
    """the configuration's name for the feed-forward width"""

    def of(self, config: Any) -> tuple[TensorOf, ...]:
        """The tensors of a layer under a configuration."""
        return tuple(t for t in self.tensors if not t.when or bool(getattr(config, t.when, False)))

    def matrices(self, part: str) -> tuple[TensorOf, ...]:
        """The matrices of `attention` or `mlp`, whole names."""
        start = f"{self.attention if part == 'attention' else self.mlp}."
        return tuple(t for t in self.tensors if len(t.axes) == 2 and t.name.startswith(start))


def _llama(*, qkv: bool | str, out: bool | str, mlp: bool | str, normed: bool = False) -> Family:
    heads = (*_norm("self_attn.q_norm", "d", bias=False), *_norm("self_attn.k_norm", "d", bias=False))
    return Family(
        base="model.",
        layers="layers",
        attention="self_attn",
        mlp="mlp",
        out="self_attn.o_proj.weight",
        down="mlp.down_proj.weight",
        tensors=(
            *_linear("self_attn.q_proj", "QD", qkv),
            *_linear("self_attn.k_proj", "KD", qkv),
            *_linear("self_attn.v_proj", "KD", qkv),
            *_linear("self_attn.o_proj", "DQ", out),
            *(heads if normed else ()),
            *_linear("mlp.gate_proj", "ID", mlp),
            *_linear("mlp.up_proj", "ID", mlp),
            *_linear("mlp.down_proj", "DI", mlp),
            *_norm("input_layernorm", bias=False),
            *_norm("post_attention_layernorm", bias=False),
        ),
        words="embed_tokens.weight",
        norm="norm",
    )


LLAMA = _llama(qkv="attention_bias", out="attention_bias", mlp="mlp_bias")
MISTRAL = _llama(qkv=False, out=False, mlp=False)
QWEN2 = _llama(qkv=True, out=False, mlp=False)
QWEN3 = _llama(qkv="attention_bias", out="attention_bias", mlp=False, normed=True)
GPT2 = Family(
    base="transformer.",
    layers="h",
    attention="attn",
    mlp="mlp",
    out="attn.c_proj.weight",
    down="mlp.c_proj.weight",
    tensors=(
        *_turned("attn.c_attn", "DB"),
        *_turned("attn.c_proj", "QD"),
        *_turned("mlp.c_fc", "DI"),
        *_turned("mlp.c_proj", "ID"),
        *_norm("ln_1", bias=True),
        *_norm("ln_2", bias=True),
    ),
    words="wte.weight",
    norm="ln_f",
    positions="wpe.weight",
    turned=True,
    norm_bias=True,
    inner="n_inner",
)
NEOX = Family(
    base="gpt_neox.",
    layers="layers",
    attention="attention",
    mlp="mlp",
    out="attention.dense.weight",
    down="mlp.dense_4h_to_h.weight",
    tensors=(
        *_linear("attention.query_key_value", "ND", "attention_bias"),
        *_linear("attention.dense", "DQ", "attention_bias"),
        *_linear("mlp.dense_h_to_4h", "ID", True),
        *_linear("mlp.dense_4h_to_h", "DI", True),
        *_norm("input_layernorm", bias=True),
        *_norm("post_attention_layernorm", bias=True),
    ),
    words="embed_in.weight",
    norm="final_layer_norm",
    stored="embed_out",
    norm_bias=True,
)
FAMILIES: Mapping[str, Family] = {
    "llama": LLAMA,
    "mistral": MISTRAL,
    "qwen2": QWEN2,
    "qwen3": QWEN3,
    "gpt2": GPT2,
    "gpt_neox": NEOX,
}
REFUSED = {  # switches under which a layer is not the same at another place or width
    "scale_attn_by_inverse_layer_idx": "attention is scaled by the number of the layer",
    "add_cross_attention": "layers look at an encoder too",
}


def family_of(config: Any) -> Family:
    """The declaration for a configuration; raises UsageError where there is none, with how to write one."""
    kind = str(getattr(config, "model_type", ""))
    if kind not in FAMILIES:
        raise UsageError(
            f"no adapter says how to cut the model type {kind or '(none)'!r}; there is one for:"
            f" {', '.join(FAMILIES)}\n"
            "  write one: a Family in untrained/nn/pretrained/families.py that lists the tensors of a layer"
            " with their sizes,\n"
            "  as in QWEN3; tests/nn/test_pretrained_cut.py then checks it against the masked parent"
        )
    for switch, why in REFUSED.items():
        if getattr(config, switch, False):
            raise UsageError(f"this {kind} model cannot be cut: {why} ({switch})")
    return FAMILIES[kind]


@dataclass(frozen=True)
class Geometry:
    """The sizes of a decoder."""

    family: str
    layers: int
    width: int
    """of the residual stream"""
    heads: int
    kv_heads: int
    head: int
    """channels of a head"""
    inner: int
    vocabulary: int
    positions: int
    """longest sequence that the configuration names"""
    outside: int
    """parameters that are not in layers: tables, last norm, head"""
    embedding: int
    """of these the tables and the head"""
    layer: tuple[TensorOf, ...]

    @property
    def shared(self) -> bool:
        """Whether several query heads share a key/value head."""
        return self.kv_heads < self.heads

    @property
    def per_group(self) -> int:
        """Query heads to a key/value head."""
        return self.heads // self.kv_heads

    def layer_params(self, heads: int, kv_heads: int, inner: int) -> int:
        """Parameters of a layer of these sizes."""
        return self._linear_form(self.layer, heads, kv_heads, inner)

    def matrix_params(self, heads: int, kv_heads: int, inner: int) -> int:
        """Of these, those of matrices."""
        matrices = tuple(t for t in self.layer if len(t.axes) == 2)
        return self._linear_form(matrices, heads, kv_heads, inner)

    def _linear_form(self, tensors: tuple[TensorOf, ...], heads: int, kv_heads: int, inner: int) -> int:
        size = self.sizes(heads, kv_heads, inner)
        total = 0
        for tensor in tensors:
            product = 1
            for letter in tensor.axes:
                product *= size[letter]
            total += product
        return total

    def sizes(self, heads: int, kv_heads: int, inner: int) -> dict[str, int]:
        """Length of an axis by its letter."""
        q, k = heads * self.head, kv_heads * self.head
        return {"D": self.width, "d": self.head, "Q": q, "K": k, "B": q + 2 * k, "N": 3 * q, "I": inner}

    @property
    def params(self) -> int:
        """Of the whole decoder."""
        return self.outside + self.layers * self.layer_params(self.heads, self.kv_heads, self.inner)


def geometry_of(config: Any) -> Geometry:
    """The sizes that a configuration names; raises UsageError for one that cannot be cut."""
    family = family_of(config)
    try:
        width, heads = int(config.hidden_size), int(config.num_attention_heads)
        layers, words = int(config.num_hidden_layers), int(config.vocab_size)
        inner = int(getattr(config, family.inner, None) or 4 * width)
        kv = int(getattr(config, "num_key_value_heads", None) or heads)
        head = int(getattr(config, "head_dim", None) or width // heads)
        positions = int(config.max_position_embeddings)
    except (AttributeError, TypeError, ValueError) as error:
        raise UsageError(f"this {config.model_type} configuration cannot be cut: {error}") from None
    if heads % kv:
        raise UsageError(f"{kv} key/value heads do not divide the {heads} heads of this {config.model_type}")
    tied = bool(getattr(config, "tie_word_embeddings", False))
    tables = words * width * (1 if tied else 2) + (positions * width if family.positions else 0)
    outside = tables + width * (2 if family.norm_bias else 1)
    of = family.of(config)
    return Geometry(
        config.model_type, layers, width, heads, kv, head, inner, words, positions, outside, tables, of
    )


def names(family: Family, layer: int, tensors: tuple[TensorOf, ...]) -> Iterator[tuple[str, TensorOf]]:
    """(name in the checkpoint, tensor) of the tensors of a layer."""
    for tensor in tensors:
        yield f"{family.base}{family.layers}.{layer}.{tensor.name}", tensor
