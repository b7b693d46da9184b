"""Transformers of any mixture: encoders and decoders, layer by layer different, with taps.

Roles: `attention` (probabilities), `mix` (output of the token mixer), `preactivation` and `ffn` (inside each
feed-forward layer, before and after the nonlinearity), `block` (residual stream after each layer).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import starmap

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, silu

from untrained.core.errors import InvalidArchitecture
from untrained.nn.attention import CosformerAttention, FixedTransform, SoftmaxAttention, SpanConvolution
from untrained.nn.memory import Memory
from untrained.nn.stream import Stream, WordTable
from untrained.nn.taps import Tape

MIXERS = ("softmax", "window", "multiplicative", "cosformer", "dft", "dct", "convolution")
NORMS, POSITIONS, INITS = ("layer", "rms"), ("learned", "rotary", "none"), ("normal", "fan_in")
_ACTIVATIONS = {"gelu": gelu, "relu": torch.relu, "swiglu": silu}


@dataclass(frozen=True)
class LayerShape:
    """One layer: how it mixes tokens, and its feed-forward part."""

    mixer: str = "softmax"
    heads: int = 4
    kv_heads: int | None = None
    """heads of keys and values, shared by the query heads; None for as many as these"""
    head_width: int | None = None
    """channels of one head; None for width / heads"""
    inner: tuple[int, ...] = (512,)
    """widths of the hidden layers of the feed-forward part, one after another"""
    kernel: int = 9
    """positions that a convolution sees"""
    span: int = 32
    """positions that a window sees"""


@dataclass(frozen=True)
class TransformerShape:
    """A whole transformer language model."""

    width: int
    layers: tuple[LayerShape, ...]
    vocabulary: int
    positions: int = 512
    """longest sequence, where positions are learned"""
    narrow_positions: bool = False
    """whether learned positions, and the norm of a network with norms after the sum, have the width of the
    embedding and come before its projection, as in ELECTRA (else the width of the blocks)"""
    embedding: int | None = None
    """width of the token embedding, projected to `width`; None for the same"""
    clusters: tuple[tuple[int, int], ...] = ()
    """(words, width) of each cluster of an adaptive embedding, most frequent words first; each has a
    projection to `width`, even one cluster of that same width (as Transformer-XL builds it)"""
    full: Stream | None = None
    """the stream of the network for which this one stands as its small form; None where it is itself the
    whole. Builds nothing: it is read by scores that look at shapes"""
    causal: bool = True
    norm: str = "layer"
    """`layer` or `rms`"""
    pre: bool = True
    """whether a norm stands before each part (else after the sum)"""
    mlp: str = "gelu"
    """`gelu`, `relu` or `swiglu`"""
    position: str = "learned"
    """`learned`, `rotary` or `none`"""
    tied: bool = True
    """whether the decoder shares the embedding"""
    bias: bool = True
    init: str = "normal"
    """`normal`: N(0, 0.02^2), as in GPT-2 and BERT; `fan_in`: matrices N(0, 1/fan-in), embeddings N(0, 1),
    positions N(0, 0.3^2)"""

    def __post_init__(self) -> None:
        if not self.layers:
            raise InvalidArchitecture("a transformer needs at least one layer, and this one has none")
        for layer in self.layers:
            if layer.mixer not in MIXERS:
                raise InvalidArchitecture(
                    f"no mixer is called {layer.mixer!r}; there are: {', '.join(MIXERS)}"
                )
            if not layer.inner or min(layer.inner) < 1:
                raise InvalidArchitecture(f"feed-forward widths {layer.inner}; there must be one or more")
        for what, given, known in (
            ("norm", self.norm, NORMS),
            ("MLP", self.mlp, tuple(_ACTIVATIONS)),
            ("position", self.position, POSITIONS),
            ("initialisation", self.init, INITS),
        ):
            if given not in known:
                raise InvalidArchitecture(f"no {what} is called {given!r}; there are: {', '.join(known)}")
        if self.narrow_positions and self.clusters:
            raise InvalidArchitecture("narrow positions need one embedding table, not clusters of them")

    def stream(self) -> Stream:
        """Depth, width, and the tables in which words come; of the whole where this is a small form."""
        if self.full is not None:
            return self.full
        clusters = self.clusters or ((self.vocabulary, self.embedding or self.width),)
        projected = bool(self.clusters) or clusters[0][1] != self.width
        return Stream(len(self.layers), self.width, tuple(starmap(WordTable, clusters)), projected)


class FeedForward(nn.Module):
    """Two or more linear maps with a nonlinearity between them; `swiglu` gates each hidden layer."""

    def __init__(self, width: int, inner: Sequence[int], kind: str, bias: bool) -> None:
        super().__init__()
        self.kind = kind
        ins = (width, *inner[:-1])
        self.up = nn.ModuleList(nn.Linear(a, b, bias=bias) for a, b in zip(ins, inner, strict=True))
        gates = zip(ins, inner, strict=True) if kind == "swiglu" else ()
        self.gate = nn.ModuleList(nn.Linear(a, b, bias=bias) for a, b in gates)
        self.down = nn.Linear(inner[-1], width, bias=bias)

    def forward(self, x: Tensor, tape: Tape | None = None, layer: int = 0) -> Tensor:
        """(B, T, D) -> (B, T, D)"""
        for i, up in enumerate(self.up):
            before = self.gate[i](x) if self.kind == "swiglu" else up(x)
            after = _ACTIVATIONS[self.kind](before)
            if self.kind == "swiglu":
                after = after * up(x)
            if tape is not None:
                tape.add("preactivation", layer, before)
                tape.add("ffn", layer, after)
            x = after
        return self.down(x)  # type: ignore[no-any-return]


class Block(nn.Module):
    """One layer: mixer and feed-forward part, each with a residual and a norm."""

    def __init__(self, shape: TransformerShape, layer: LayerShape) -> None:
        super().__init__()
        self.pre = shape.pre
        self.mixer = mixer(shape, layer)
        self.mixer_norm, self.ffn_norm = _norm(shape), _norm(shape)
        self.ffn = FeedForward(shape.width, layer.inner, shape.mlp, shape.bias)

    def forward(
        self, x: Tensor, tape: Tape | None = None, layer: int = 0, memory: Memory | None = None
    ) -> Tensor:
        """(B, T, D) -> (B, T, D); only mixers that can go on from earlier tokens take a memory"""
        past = () if memory is None else (memory,)
        mixed = self.mixer(self.mixer_norm(x) if self.pre else x, tape, layer, *past)
        if tape is not None:
            tape.add("mix", layer, mixed)
        x = x + mixed if self.pre else self.mixer_norm(x + mixed)
        fed = self.ffn(self.ffn_norm(x) if self.pre else x, tape, layer)
        x = x + fed if self.pre else self.ffn_norm(x + fed)
        if tape is not None:
            tape.add("block", layer, x)
        return x


def mixer(shape: TransformerShape, layer: LayerShape) -> nn.Module:
    """The token mixer of a layer; raises InvalidArchitecture for what does not fit the width."""
    if layer.mixer in ("dft", "dct", "convolution") and shape.causal:
        raise InvalidArchitecture(f"{layer.mixer} sees later positions, so it cannot stand in a decoder")
    if layer.mixer == "cosformer":
        return CosformerAttention(shape.width, layer.heads, bias=shape.bias, causal=shape.causal)
    if layer.mixer in ("dft", "dct"):
        return FixedTransform(shape.width, layer.heads, layer.mixer, bias=shape.bias)
    if layer.mixer == "convolution":
        return SpanConvolution(shape.width, layer.heads, layer.kernel, bias=shape.bias)
    return SoftmaxAttention(
        shape.width,
        layer.heads,
        kv_heads=layer.kv_heads,
        head_width=layer.head_width,
        bias=shape.bias,
        causal=shape.causal,
        span=layer.span if layer.mixer == "window" else None,
        rotary=shape.position == "rotary",
        multiplicative=layer.mixer == "multiplicative",
    )


class Embedding(nn.Module):
    """Token embedding: a table, or one table a cluster of words, each with its projection to `width`.

    Source: adaptive input, Baevski and Auli 2019, arXiv:1809.10853
    """

    def __init__(self, shape: TransformerShape) -> None:
        super().__init__()
        clusters = shape.clusters or ((shape.vocabulary, shape.embedding or shape.width),)
        if sum(words for words, _ in clusters) != shape.vocabulary:
            raise InvalidArchitecture(f"the clusters hold {clusters}, not {shape.vocabulary} words")
        self.tables = nn.ModuleList(nn.Embedding(words, width) for words, width in clusters)
        plain = not shape.clusters and clusters[0][1] == shape.width
        widths = () if plain else [width for _, width in clusters]
        self.projections = nn.ModuleList(nn.Linear(w, shape.width, bias=False) for w in widths)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T) -> (B, T, D)"""
        if len(self.tables) == 1:
            found: Tensor = self.tables[0](tokens)
            return self.projections[0](found) if self.projections else found
        width = self.projections[0].out_features
        out = self.tables[0].weight.new_zeros(*tokens.shape, int(width))  # type: ignore[operator,arg-type]
        first = 0
        for table, project in zip(self.tables, self.projections, strict=True):
            words = int(table.num_embeddings)  # type: ignore[arg-type]
            here = (tokens >= first) & (tokens < first + words)
            out = out.masked_scatter(here[..., None], project(table(tokens[here] - first)))
            first += words
        return out

    def logits(self, features: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, V) with the same tables and projections, transposed."""
        parts = []
        for i, table in enumerate(self.tables):
            back = features @ self.projections[i].weight if self.projections else features  # type: ignore[operator]
            parts.append(back @ table.weight.T)  # type: ignore[operator]
        return torch.cat(parts, -1)


class Transformer(nn.Module):
    """A language model made of blocks; an encoder where `shape.causal` is False."""

    roles = ("attention", "mix", "preactivation", "ffn", "block")

    def __init__(self, shape: TransformerShape, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.shape, self.vocabulary = shape, shape.vocabulary
        learned, entry = shape.position == "learned", shape.width
        if shape.narrow_positions:
            entry = shape.embedding or shape.width
        device = torch.get_default_device()
        with torch.device("meta"):  # else torch draws every weight once from its global generator
            self.embedding = Embedding(shape)
            self.positions = nn.Embedding(shape.positions, entry) if learned else None
            self.blocks = nn.ModuleList(Block(shape, layer) for layer in shape.layers)
            # With the norm before each part the stream itself is never normed; with it after, the input is.
            self.norm = _norm(shape, shape.width if shape.pre else entry)
            self.head = None if shape.tied else nn.Linear(shape.width, shape.vocabulary, bias=False)
        self.to_empty(device=device)
        initialise(self, shape.init, generator)
        if shape.init == "normal" and not shape.narrow_positions:
            # At 0.02 like all others, a word would enter ten times smaller than its position, and after the
            # first norm be gone: such networks stay at the frequencies of words for thousands of updates.
            for projection in self.embedding.projections:
                std = 1 / math.sqrt(projection.in_features)  # type: ignore[arg-type]
                nn.init.normal_(projection.weight, std=std, generator=generator)  # type: ignore[arg-type]

    def embed(self, tokens: Tensor) -> Tensor:
        """(B, T) -> (B, T, D), without positions; (B, T, E) where they are narrow"""
        table = self.embedding.tables[0] if self.shape.narrow_positions else self.embedding
        return table(tokens)  # type: ignore[no-any-return]

    def encode(self, embedded: Tensor, tape: Tape | None = None, memory: Memory | None = None) -> Tensor:
        """What `embed` made -> (B, T, D); with a memory, of tokens that follow those in it."""
        x = embedded
        if self.positions is not None:
            length = x.shape[1] + (0 if memory is None else memory.seen)
            if length > self.shape.positions:
                raise InvalidArchitecture(
                    f"a sequence of {length} tokens, but the model has {self.shape.positions} positions"
                )
            x = x + (self.positions.weight[:length] if memory is None else self.positions(memory.places))
        if not self.shape.pre:
            x = self.norm(x)
        if self.shape.narrow_positions and self.embedding.projections:
            x = self.embedding.projections[0](x)
        for i, block in enumerate(self.blocks):
            x = block(x, tape, i, memory)
        return self.norm(x) if self.shape.pre else x

    def decode(self, features: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, V)"""
        found: Tensor = self.embedding.logits(features) if self.head is None else self.head(features)
        return found

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T) -> (B, T, V)"""
        return self.decode(self.encode(self.embed(tokens)))

    def embedding_parameters(self) -> list[nn.Parameter]:
        """Tables and projections of the tokens, positions, and the head."""
        outside = [self.embedding, self.positions, self.head]
        return [p for part in outside if part is not None for p in part.parameters()]

    def stream(self) -> Stream:
        """Depth, width, and the tables in which words come; see `TransformerShape.stream`."""
        return self.shape.stream()

    def saliency_weights(self) -> list[nn.Parameter]:
        """The matrices of the blocks."""
        linear = [m for m in self.blocks.modules() if isinstance(m, nn.Linear)]
        return [w for m in linear for w in m.parameters(recurse=False) if w.dim() == 2]


def initialise(model: nn.Module, kind: str, generator: torch.Generator | None) -> None:
    """Draws every weight anew from `generator`; biases become 0, norms 1."""
    if kind not in INITS:
        raise InvalidArchitecture(f"no initialisation is called {kind!r}; there are: {', '.join(INITS)}")
    positions = getattr(model, "positions", None)
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv1d):
            std = 0.02 if kind == "normal" else 1 / math.sqrt(module.weight[0].numel())
            nn.init.normal_(module.weight, std=std, generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            std = 0.02 if kind == "normal" else (0.3 if module is positions else 1.0)
            nn.init.normal_(module.weight, std=std, generator=generator)
        elif isinstance(module, nn.LayerNorm | nn.RMSNorm):
            module.reset_parameters()


def _norm(shape: TransformerShape, width: int | None = None) -> nn.Module:
    width = shape.width if width is None else width
    return nn.LayerNorm(width) if shape.norm == "layer" else nn.RMSNorm(width, eps=1e-6)
