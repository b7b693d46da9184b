"""Encoders whose layers differ in how they mix tokens: the space of FlexiBERT."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from untrained.core.architecture import Architecture
from untrained.core.errors import InvalidArchitecture, UnknownName
from untrained.core.space import Shape, Space, choice, space
from untrained.spaces import _bert_counts as counts
from untrained.spaces._bert_published import OPERATIONS, read, write

if TYPE_CHECKING:
    import torch

    from untrained.nn.transformer import TransformerShape

EMBEDDING, POSITIONS = 128, 512  # width of the token embedding, longest sequence; as in ELECTRA-small


@dataclass(frozen=True)
class Scale:
    """The language model around the blocks, which have their true sizes at every scale."""

    vocabulary: int
    """tokens"""
    sequences: int
    """in the batch on which it is scored"""
    length: int
    """tokens per sequence of that batch"""
    init: str
    """as in `nn.transformer.TransformerShape`"""
    narrow: bool
    """whether positions and the first norm have the width of the embedding, as in ELECTRA"""


SCALES = {
    # 16 sequences of the pre-training length, not the 128 of 512 tokens that the published scores took.
    "paper": Scale(vocabulary=30_522, sequences=16, length=128, init="normal", narrow=True),
    "probe": Scale(vocabulary=2_000, sequences=8, length=64, init="fan_in", narrow=False),
}


def _stacks(*widths: int) -> tuple[tuple[int, ...], ...]:
    """Each width once, and three times in a row."""
    return (*((w,) for w in widths), *((w,) * 3 for w in widths))


@space
class BertEncoder(Space):
    """Encoders whose layers differ in how they mix tokens: the space of FlexiBERT.

    A layer mixes tokens by attention (sdp: scaled dot product; wma: one more matrix on the queries), by a
    linear map and a fixed transform over positions and head channels (dft, dct), or by attention in half
    of its heads and a span-based dynamic convolution in the other half (conv5, conv9, conv13). Its
    feed-forward part has one hidden layer or three.

    Value:   `hidden` and `layers` are numbers; `operation`, `heads` and `inner`, the widths of the hidden
             layers of the feed-forward part, have one entry a layer
    Size:    preset "published" 10,621,440; "large" (hidden size to 512, heads to 8, layers to 6,
             feed-forward to 4,096, kernel 13) 6.7e13
    Source:  Tuli et al. 2022, arXiv:2205.11656; the subset of Serianni & Kalita 2023, ACL
    Differs: both transforms are orthonormal, with a linear map after them; around the blocks it is
             ELECTRA-small (arXiv:2003.10555) without token types and without a bias in the projection of
             the embedding. At probe scale positions have the width of the blocks
    """

    sizes: ClassVar[tuple[str, ...]] = ("vocabulary",)
    hidden = choice(128, 256)
    layers = choice(2, 4)
    operation = choice("sdp", "wma", "dft", "dct", "conv5", "conv9", per="layers")
    heads = choice(2, 4, per="layers")
    inner = choice(*_stacks(512, 1024), per="layers")

    def __new__(cls, *, preset: str = "published") -> BertEncoder:
        """The space of that preset; see `PRESETS`."""
        if preset not in PRESETS:
            raise UnknownName(
                "preset of bert_encoder", preset, list(PRESETS), more="untrained show bert_encoder"
            )
        return super().__new__(PRESETS[preset] if cls is BertEncoder else cls)

    def __init__(self, *, preset: str = "published") -> None:
        """`preset` says what is sampled and searched; every preset takes architectures of all of them."""
        self.preset = preset

    # --- in and out --------------------------------------------------------------------------------

    def from_recipe(
        self,
        recipe: str | bytes | Mapping[str, Any],
        *,
        feed_forward: str = "declared",
        operation: str = "declared",
    ) -> Architecture:
        """Reads a published recipe: {"hidden_size": 256, "nas_config": {"encoder_layers": [...]}}.

        `feed_forward="declared"` takes n layers of the width that it names. "trained" takes what the
        trainer of the published benchmark made of it: a first layer of 4 x hidden, whatever the recipe
        says, and the named width for the further ones only. `operation="attention"` takes every operation
        for sdp, as that trainer very probably did.
        """
        arch = Architecture.of(self.name, **read(recipe, feed_forward, operation))
        self.validate(arch)
        return arch

    def to_recipe(self, arch: Architecture, *, feed_forward: str = "declared") -> dict[str, Any]:
        """The published form, which `from_recipe` with the same `feed_forward` reads as `arch`."""
        self.validate(arch)
        return write(dict(arch.choices), feed_forward)

    def validate(self, arch: Architecture) -> None:
        """Raises InvalidArchitecture for what no preset has, and for 128.0 where 128 is meant."""
        Space.validate(_EVERY, arch)
        numbers = [arch.hidden, arch.layers, *arch.heads, *(w for widths in arch.inner for w in widths)]
        if wrong := [n for n in numbers if type(n) is not int]:
            raise InvalidArchitecture(f"{self.name}: {wrong[0]!r} is not a whole number")

    def encode(self, arch: Architecture) -> list[float]:
        """Sizes in powers of two; per layer which operation, heads, number and widths of the hidden layers.

        The length is that of the deepest preset; -1 stands where the layers have ended.
        """
        deepest: int = max(_EVERY.declared()["layers"].options)
        code = [math.log2(arch.hidden), float(arch.layers)]
        for operation, heads, inner in zip(arch.operation, arch.heads, arch.inner, strict=True):
            code += [float(operation == name) for name in OPERATIONS]
            code += [math.log2(heads), float(len(inner)), math.log2(inner[0]), math.log2(inner[-1])]
        return code + [-1.0] * ((len(OPERATIONS) + 4) * (deepest - arch.layers))

    def baseline(self, arch: Architecture) -> dict[str, float]:
        """Simple orders: by layers and, where they are equal, by hidden size; their product; attention."""
        return {
            "layers_then_width": 10_000.0 * arch.layers + arch.hidden,
            "layers_times_width": float(arch.layers * arch.hidden),
            "params_attention": float(self.count(arch)["params_attention"]),
        }

    # --- networks ----------------------------------------------------------------------------------

    def count(self, arch: Architecture, *, scale: str = "paper") -> dict[str, int]:
        """Parameters by place, and FLOPs per token of a sequence as long as those of the scale's batch.

        `params_embedding` has table, projection and positions; `params_head` is 0, as the decoder shares
        them; `params_nonembedding` the blocks and all norms, with their token mixers and feed-forward parts
        apart.
        """
        size, hidden = self._scale(scale), arch.hidden
        entry = EMBEDDING if size.narrow else hidden  # width of the positions and of the norm after them
        projection = EMBEDDING * hidden if hidden != EMBEDDING else 0
        rows = list(zip(arch.operation, arch.heads, arch.inner, strict=True))
        mixers = sum(counts.mixer_parameters(op, hidden, heads) for op, heads, _ in rows)
        feeds = sum(counts.feed_parameters(hidden, inner) for _, _, inner in rows)
        body = mixers + feeds + 4 * hidden * len(rows) + 2 * entry  # norms have a weight and a bias
        around = size.vocabulary * EMBEDDING + projection + POSITIONS * entry
        flops = sum(
            counts.mixer_flops(op, hidden, heads, size.length) + counts.feed_flops(hidden, inner)
            for op, heads, inner in rows
        )
        return {
            "params": body + around,
            "params_nonembedding": body,
            "params_attention": mixers,
            "params_ffn": feeds,
            "params_embedding": around,
            "params_head": 0,
            "flops": flops + 2 * (size.vocabulary * EMBEDDING + 2 * projection),
        }

    def shape(self, scale: str) -> Shape:
        """16 sequences of 128 tokens, as long as in pre-training, at paper scale; 8 of 64 at probe scale."""
        size = self._scale(scale)
        return Shape(size.vocabulary, size.sequences, size.length)

    def network(self, arch: Architecture, *, scale: str = "paper") -> TransformerShape:
        """What `build` makes, as a value."""
        from untrained.nn.transformer import LayerShape, TransformerShape  # listing spaces loads no torch

        size = self._scale(scale)
        rows = zip(arch.operation, arch.heads, arch.inner, strict=True)
        return TransformerShape(
            width=arch.hidden,
            layers=tuple(
                LayerShape(_MIXERS.get(op, op), heads, inner=inner, kernel=counts.kernel_of(op))
                for op, heads, inner in rows
            ),
            vocabulary=size.vocabulary,
            positions=POSITIONS,
            narrow_positions=size.narrow,
            embedding=EMBEDDING,
            causal=False,
            pre=False,
            init=size.init,
            full=self.network(arch).stream() if scale != "paper" else None,
        )

    def build(
        self, arch: Architecture, *, scale: str = "paper", generator: torch.Generator | None = None
    ) -> torch.nn.Module:
        """The encoder with its token embedding and, tied to it, a decoder."""
        from untrained.nn.transformer import Transformer

        return Transformer(self.network(arch, scale=scale), generator)

    @classmethod
    def _scale(cls, scale: str) -> Scale:
        name, sizes = cls.at(scale)
        return replace(SCALES[name], vocabulary=sizes.get("vocabulary", SCALES[name].vocabulary))


_MIXERS = {"sdp": "softmax", "wma": "multiplicative"} | dict.fromkeys(
    (name for name in OPERATIONS if name.startswith("conv")), "convolution"
)
_WIDTHS = (512, 1024, 2048, 4096)
_SMALL_WIDTHS = (64, 128, 192, 256, 384, 512)
_ALL = tuple(sorted({*_WIDTHS, *_SMALL_WIDTHS}))


class _Large(BertEncoder):
    """The wide ranges."""

    hidden = choice(128, 256, 512)
    layers = choice(2, 4, 6)
    operation = choice(*OPERATIONS, per="layers")
    heads = choice(2, 4, 8, per="layers")
    inner = choice(*_stacks(*_WIDTHS), per="layers")


class _Small(BertEncoder):
    """Small encoders, for the benchmark of our own."""

    hidden = choice(64, 96, 128)
    layers = choice(1, 2, 3, 4, 5, 6)
    operation = choice(*OPERATIONS, per="layers")
    heads = choice(2, 4, 8, per="layers")
    inner = choice(*_stacks(*_SMALL_WIDTHS), per="layers")


class _Every(_Large):
    """All that can be written: also a first feed-forward layer of another width than the further ones."""

    hidden = choice(64, 96, 128, 256, 512)
    layers = choice(1, 2, 3, 4, 5, 6)
    inner = choice(*((w,) for w in _ALL), *((a, b, b) for a in _ALL for b in _ALL), per="layers")


PRESETS: dict[str, type[BertEncoder]] = {"published": BertEncoder, "large": _Large, "small": _Small}
_EVERY = _Every()
