"""Decoders whose layers may all differ: GPT-2, Llama, Qwen3, Transformer-XL and what lies between."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Any, ClassVar

from untrained.core.architecture import Architecture
from untrained.core.errors import InvalidArchitecture, UnknownName
from untrained.core.space import TRIES, Choice, Shape, Space, space
from untrained.spaces import _gpt_count, _gpt_presets, _gpt_rules
from untrained.spaces._gpt_presets import FAMILIES, PRESETS

if TYPE_CHECKING:
    import torch

    from untrained.nn.transformer import TransformerShape

LONGEST = 48  # layers that `encode` has room for
DEPTH_FIRST = 1_000_000  # a layer weighs more than any width in layers_then_width


@space
class GptDecoder(Space):
    """Decoders whose layers may all differ: GPT-2, Llama, Qwen3, Transformer-XL and what lies between.

    A layer has its own heads, key/value heads, feed-forward width `inner` and mixer (softmax, cosformer,
    window of `span` tokens). All layers share width, norm (layer, rms), placement of norms (pre, post), mlp
    (gelu, relu, swiglu), position (learned, rotary, none, relative), `head_width` ("even": width / heads;
    "floor": rounded down; or a number) and bias. Words enter through tables of width `embedding`, projected
    where that is not `width`; with `div_val` n > 1 the k-th cluster that `cutoffs` cut has width embedding /
    n^k. The `head` is tied, untied, adaptive (softmax by clusters; tables and all projections but the first
    shared with the embedding) or adaptive_own (tables shared, no projection).

    At paper scale sizes, vocabulary and head are true. At probe scale the vocabulary is 2,000, there are no
    biases and weights are N(0, 1/fan-in); depth, width, heads and inner are exact up to width 1,024, wider
    networks are halved until 512 or less (compare those among themselves, except by scores that read the
    shape, which is that of the whole); relative positions become learned ones, an adaptive head a tied one,
    and clusters keep their share of a text that follows Zipf's law.

    Sampling, mutation and neighbours stay in the ranges of the `family`; every sound decoder is accepted,
    counted and built, whatever its numbers.

    Value:   one entry for each choice above; heads, kv_heads, inner and mixer are lists of `layers` entries
    Source:  Javaheripi et al. 2022, arXiv:2203.02094 (LiteTransformerSearch) for sizes that differ by
             layer; Liu et al. 2022, "Neural Architecture Search on Efficient Transformers and Beyond", for
             mixed attention
    Differs: sampling takes inner in steps of 64 and the union of the widths that the published rows show; no
             norm on queries and keys (Qwen3 has one); relative attention has no memory of earlier text
    """

    sizes: ClassVar[tuple[str, ...]] = ("vocabulary", "context")

    def __init__(self, *, family: str = "mixed") -> None:
        """`family` names the ranges to sample from: mixed, small, lts or lts_transformer_xl."""
        if family not in FAMILIES:
            raise UnknownName(
                "family of gpt_decoder", family, sorted(FAMILIES), more="untrained show gpt_decoder"
            )
        self.family = family

    def declared(self) -> dict[str, Choice]:  # type: ignore[override]
        """The decisions of this family."""
        return FAMILIES[self.family]

    # --- in and out --------------------------------------------------------------------------------

    @classmethod
    def preset(cls, name: str) -> Architecture:
        """Known decoders: gpt2 (124M), llama (Llama 2 7B), qwen3 (0.6B), transformer_xl (base).

        For the ranges of LiteTransformerSearch take `GptDecoder(family="lts")`.
        """
        if name not in PRESETS:
            raise UnknownName(
                "known decoder", name, sorted(PRESETS), more="GptDecoder(family=...) for ranges"
            )
        return cls._made(PRESETS[name])

    @classmethod
    def of(cls, **given: Any) -> Architecture:
        """From the choices that matter, the others as in GPT-2; raises InvalidArchitecture.

        `width`, `heads`, `inner`, `vocabulary` and `context` are needed.
        """
        if missing := {"width", "heads", "inner", "vocabulary", "context"} - set(given):
            raise InvalidArchitecture(f"gpt_decoder: missing choices: {', '.join(sorted(missing))}")
        return cls._checked(_gpt_presets.completed({k: _tupled(v) for k, v in given.items()}))

    def from_lts(self, row: Mapping[str, Any]) -> Architecture:
        """The decoder of a LiteTransformerSearch row; see `_gpt_presets.from_lts` for its keys."""
        return self._checked(_gpt_presets.from_lts(row))

    def from_hw_gpt(self, row: Mapping[str, Any]) -> Architecture:
        """The decoder of an HW-GPT-Bench row; see `_gpt_presets.from_hw_gpt` for its keys."""
        return self._checked(_gpt_presets.from_hw_gpt(row))

    def validate(self, arch: Architecture) -> None:
        """Raises InvalidArchitecture unless the decoder can be built; any sound number will do."""
        if arch.space != self.name:
            raise InvalidArchitecture(
                f"an architecture of {arch.space!r} was given to the space {self.name!r}"
            )
        given = dict(arch.choices)
        if wrong := set(FAMILIES["mixed"]) ^ set(given):
            raise InvalidArchitecture(f"{self.name}: missing or unknown choices: {', '.join(sorted(wrong))}")
        if wrong_how := _gpt_rules.problem(given):
            raise InvalidArchitecture(f"{self.name}: {wrong_how}")

    def valid(self, arch: Architecture) -> bool:
        """Whether decisions of the family go together."""
        c = dict(arch.choices)
        if _gpt_rules.problem(c):
            return False
        return all(self._fits(c, heads, kv, inner) for heads, kv, inner in zip(*_lists(c)[:3], strict=True))

    # --- luck --------------------------------------------------------------------------------------

    def sample(self, rng: Random) -> Architecture:
        """What all layers share, then layer by layer what fits it; every fitting option equally likely."""
        slots = self.declared()
        for _ in range(TRIES):
            c = {name: rng.choice(slot.options) for name, slot in slots.items() if not slot.per}
            layers = [self._layer(c, rng) for _ in range(c["layers"])]
            lists = zip(*layers, strict=True)
            arch = self._made(c | dict(zip(_gpt_rules.PER_LAYER, lists, strict=True)))
            if self.valid(arch):
                return arch
        raise InvalidArchitecture(f"{self.name}: {TRIES} random draws in a row were not valid")

    def crossover(self, a: Architecture, b: Architecture, rng: Random) -> Architecture:
        """What all layers share from one parent or the other, then layer by layer, whole."""
        parents = [(dict(x.choices), list(zip(*_lists(dict(x.choices)), strict=True))) for x in (a, b)]
        for _ in range(TRIES):
            c = {name: rng.choice(parents)[0][name] for name, slot in self.declared().items() if not slot.per}
            depth = range(c["layers"])
            layers = [rng.choice([own for _, own in parents if i < len(own)])[i] for i in depth]
            child = self._made(c | dict(zip(_gpt_rules.PER_LAYER, zip(*layers, strict=True), strict=True)))
            if self.valid(child):
                return child
        return a

    def _layer(self, c: Mapping[str, Any], rng: Random) -> tuple[Any, ...]:
        """(heads, kv_heads, inner, mixer) that go with what all layers share."""
        slots = self.declared()
        for _ in range(TRIES):
            heads, kv, inner, mixer = (rng.choice(slots[name].options) for name in _gpt_rules.PER_LAYER)
            if self._fits(c, heads, kv, inner) and not _gpt_rules.layer_problem(c, heads, kv, mixer):
                break
        return heads, kv, inner, mixer

    def _fits(self, c: Mapping[str, Any], heads: int, kv_heads: int, inner: int) -> bool:
        """LiteTransformerSearch shares no heads, and takes inner widths of at least 1.7 times the width."""
        return not self.family.startswith("lts") or (heads == kv_heads and inner >= 1.7 * c["width"])

    def _with(
        self, arch: Architecture, name: str, position: int | None, option: Any, rng: Random
    ) -> Architecture:
        """One decision changed; new layers are whole ones, and heads that are not shared stay so."""
        changed = dict(super()._with(arch, name, position, option, rng).choices)
        if name == "heads" and position is not None and arch.kv_heads[position] == arch.heads[position]:
            changed["kv_heads"] = (*arch.kv_heads[:position], option, *arch.kv_heads[position + 1 :])
        if name == "layers" and option > arch.layers:
            more = [self._layer(changed, rng) for _ in range(option - arch.layers)]
            for list_name, values in zip(_gpt_rules.PER_LAYER, zip(*more, strict=True), strict=True):
                changed[list_name] = (*getattr(arch, list_name), *values)
        return self._made(changed)

    # --- other forms -------------------------------------------------------------------------------

    def encode(self, arch: Architecture) -> list[float]:
        """Numbers as binary logarithm / 20, words as their place from 0 to 1; -1 where a list has ended.

        Lists have room for 48 layers. Cutoffs enter by their number.
        """
        if arch.layers > LONGEST:
            raise InvalidArchitecture(f"{self.name}: encode has room for {LONGEST} layers, not {arch.layers}")
        code: list[float] = []
        for name, value in arch.choices:
            if name == "cutoffs":
                code.append(len(value) / 4)
            elif isinstance(value, tuple):
                code += [_coded(name, v) for v in value] + [-1.0] * (LONGEST - len(value))
            else:
                code.append(_coded(name, value))
        return code

    def baseline(self, arch: Architecture) -> dict[str, float]:
        """Simple orders: by layers and then width, by layers x width, by attention parameters."""
        layers, width = arch.layers, arch.width
        return {
            "layers_then_width": float(layers * DEPTH_FIRST + width),
            "layers_times_width": float(layers * width),
            "params_attention": float(self.count(arch)["params_attention"]),
        }

    # --- networks ----------------------------------------------------------------------------------

    def shape(self, scale: str) -> Shape:
        """16 x 32 tokens at true size, as some published decoders know 32 positions; reduced, 8 x 64."""
        name, sizes = self.at(scale)
        paper = name == "paper"
        words = _gpt_rules.SHOWN_WORDS if paper else _gpt_count.VOCABULARY
        length = _gpt_rules.SHOWN_LENGTH if paper else _gpt_count.LENGTH
        return Shape(
            min(words, sizes.get("vocabulary", words)),
            sequences=16 if paper else 8,
            length=min(length, sizes.get("context", length)),
        )

    def count(self, arch: Architecture, *, scale: str = "paper") -> dict[str, int]:
        """Parameters by place, and FLOPs per token of a sequence as long as the context, in closed form.

        `params_embedding` has tables, projections and learned positions; `params_head` what the decoder adds
        to them; `params_nonembedding` the blocks with their norms, and their attention and feed-forward parts
        apart. At paper scale these are the five columns of LiteTransformerSearch, for its rows.
        """
        return _gpt_count.count(self._at(arch, scale))

    def build(
        self, arch: Architecture, *, scale: str = "paper", generator: torch.Generator | None = None
    ) -> torch.nn.Module:
        """The untrained decoder."""
        self.validate(arch)
        from untrained.nn.decoder import Decoder  # here, so that listing spaces loads no torch

        c = self._at(arch, scale)
        probed = self.at(scale)[0] == "probe"
        shape = _transformer_shape(c, "fan_in" if probed else "normal")
        whole = _transformer_shape(dict(arch.choices), "normal")
        return Decoder(
            replace(shape, full=whole.stream()) if probed else shape,
            generator,
            relative=c["position"] == "relative",
            adaptive=_gpt_rules.clusters(c) if c["head"].startswith("adaptive") else (),
            own=_gpt_rules.own_projections(c),
        )

    # --- the small parts ---------------------------------------------------------------------------

    def _at(self, arch: Architecture, scale: str) -> dict[str, Any]:
        """The choices of the network that is built at a scale."""
        name, sizes = self.at(scale)
        choices = dict(arch.choices)
        found = choices if name == "paper" else _gpt_count.reduced(choices)
        words = sizes.get("vocabulary", found["vocabulary"])
        if words != found["vocabulary"] and found["cutoffs"]:
            sizes["cutoffs"] = _gpt_rules.same_mass(found["cutoffs"], found["vocabulary"], words)  # type: ignore[assignment]
        return found | sizes

    @classmethod
    def _made(cls, choices: Mapping[str, Any]) -> Architecture:
        return Architecture.of(cls.name, **choices)

    @classmethod
    def _checked(cls, choices: Mapping[str, Any]) -> Architecture:
        made = cls._made(choices)
        cls().validate(made)
        return made


def _transformer_shape(c: Mapping[str, Any], init: str) -> TransformerShape:
    """The choices in the words of `nn.transformer`."""
    from untrained.nn.transformer import LayerShape, TransformerShape

    layers = tuple(
        LayerShape(
            mixer=mixer,
            heads=heads,
            kv_heads=kv,
            head_width=None if c["head_width"] == "even" else _gpt_rules.head_width(c, heads),
            inner=(inner,),
            span=c["span"],
        )
        for heads, kv, inner, mixer in zip(*(c[name] for name in _gpt_rules.PER_LAYER), strict=True)
    )
    clustered = c["div_val"] > 1
    return TransformerShape(
        width=c["width"],
        layers=layers,
        vocabulary=c["vocabulary"],
        positions=c["context"],
        embedding=None if clustered else c["embedding"],
        clusters=_gpt_rules.tables(c) if clustered else (),
        norm=c["norm"],
        pre=c["placement"] == "pre",
        mlp=c["mlp"],
        position="none" if c["position"] == "relative" else c["position"],
        tied=c["head"] != "untied",
        bias=c["bias"],
        init=init,
    )


def _lists(c: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """heads, kv_heads, inner and mixer, in this order."""
    return [c[name] for name in _gpt_rules.PER_LAYER]


def _coded(name: str, value: Any) -> float:
    if name == "head_width":
        return {"even": 0.0, "floor": 0.5}.get(value, 1.0)
    if isinstance(value, str):
        words = _gpt_rules.WORDS[name]
        return words.index(value) / (len(words) - 1)
    return math.log2(1 + value) / 20


def _tupled(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
