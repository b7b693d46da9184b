"""Known decoders, ranges to sample from, and published rows as choices. Loads no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from untrained.core.space import Choice, choice
from untrained.spaces._gpt_rules import head_width

PLAIN: dict[str, Any] = {
    "norm": "layer",
    "placement": "pre",
    "mlp": "gelu",
    "position": "learned",
    "head": "tied",
    "head_width": "even",
    "bias": True,
    "cutoffs": (),
    "div_val": 1,
    "span": 32,
}
LLAMA: dict[str, Any] = {"norm": "rms", "mlp": "swiglu", "position": "rotary", "bias": False}
TRANSFORMER_XL: dict[str, Any] = {"placement": "post", "mlp": "relu", "position": "relative"}


def alike(
    layers: int, *, heads: int, inner: int, kv_heads: int | None = None, **others: Any
) -> dict[str, Any]:
    """Choices of a decoder whose layers are all the same."""
    lists = {"heads": heads, "kv_heads": kv_heads or heads, "inner": inner, "mixer": "softmax"}
    return completed({**{k: (v,) * layers for k, v in lists.items()}, "layers": layers, **others})


def completed(given: Mapping[str, Any]) -> dict[str, Any]:
    """All choices; what is not given is as in GPT-2, and lists of a layer as long as `heads`."""
    found = PLAIN | dict(given)
    found.setdefault("layers", len(found["heads"]))
    found.setdefault("kv_heads", found["heads"])
    found.setdefault("mixer", ("softmax",) * len(found["heads"]))
    found.setdefault("embedding", found["width"])
    return found


PRESETS: dict[str, dict[str, Any]] = {
    "gpt2": alike(12, heads=12, inner=3_072, width=768, vocabulary=50_257, context=1_024),
    "llama": alike(
        32, heads=32, inner=11_008, width=4_096, vocabulary=32_000, context=4_096, **LLAMA, head="untied"
    ),
    "qwen3": alike(
        28,
        heads=16,
        kv_heads=8,
        inner=3_072,
        width=1_024,
        vocabulary=151_936,
        context=40_960,
        **LLAMA,
        head_width=128,
    ),
    "transformer_xl": alike(
        16,
        heads=10,
        inner=2_100,
        width=410,
        vocabulary=267_735,
        cutoffs=(20_000, 40_000, 200_000),
        context=150,
        **TRANSFORMER_XL,
        head="adaptive",
    ),
}

_MIXED: dict[str, Choice] = {
    "layers": choice(2, 3, 4, 6, 8, 10, 12, 16),
    "width": choice(64, 128, 192, 256, 320, 384, 448, 512),
    "embedding": choice(64, 128, 256, 512),
    "heads": choice(2, 4, 8, per="layers"),
    "kv_heads": choice(1, 2, 4, 8, per="layers"),
    "inner": choice(128, 256, 384, 512, 768, 1_024, 1_536, 2_048, per="layers"),
    "mixer": choice("softmax", "cosformer", "window", per="layers"),
    "norm": choice("layer", "rms"),
    "placement": choice("pre", "post"),
    "mlp": choice("gelu", "relu", "swiglu"),
    "position": choice("learned", "rotary", "none"),
    "head": choice("tied", "untied"),
    "head_width": choice("even"),
    "bias": choice(True, False),
    "vocabulary": choice(32_000),
    "cutoffs": choice(()),
    "div_val": choice(1),
    "context": choice(512),
    "span": choice(32),
}
_LTS: dict[str, Choice] = _MIXED | {
    "layers": choice(*range(2, 17)),
    "width": choice(*range(64, 961, 64)),
    "embedding": choice(128, 256, 512),
    "kv_heads": choice(2, 4, 8, per="layers"),
    "inner": choice(*range(512, 4_097, 64), per="layers"),
    "mixer": choice("softmax", per="layers"),
    "norm": choice("layer"),
    "placement": choice("pre"),
    "mlp": choice("gelu"),
    "position": choice("learned"),
    "head": choice("adaptive"),
    "bias": choice(True),
    "vocabulary": choice(50_264),
    "cutoffs": choice((19_997, 39_997)),
    "div_val": choice(1, 2, 4),
    "context": choice(192),
}
# Small decoders for the benchmark of our own, with an embedding that knows nothing of the width.
_SMALL: dict[str, Choice] = _MIXED | {
    "layers": choice(1, 2, 3, 4, 6, 8),
    "width": choice(32, 48, 64, 80, 96, 128, 160, 192),
    "embedding": choice(16, 32, 64, 128),
    "heads": choice(1, 2, 4, 8, per="layers"),
    "inner": choice(32, 64, 96, 128, 192, 256, 384, 512, per="layers"),
    "position": choice("learned", "rotary"),
    "vocabulary": choice(2_048),
    "context": choice(64),
    "span": choice(16),
}
FAMILIES: dict[str, dict[str, Choice]] = {
    "mixed": _MIXED,
    "small": _SMALL,
    "lts": _LTS,
    "lts_transformer_xl": _LTS
    | {
        "placement": choice("post"),
        "mlp": choice("relu"),
        "position": choice("relative"),
        "vocabulary": choice(267_736),
        "cutoffs": choice((19_997, 39_997, 199_997)),
    },
}


def from_lts(row: Mapping[str, Any]) -> dict[str, Any]:
    """The choices of a LiteTransformerSearch row.

    `model` is gpt2 or transformer_xl; the rest is called as there: n_layer, d_model, d_embed (-1 for
    d_model), n_head and d_inner (lists, or one number for all layers), d_head (-1 for d_model // heads),
    div_val, n_token, cutoffs (those beyond n_token do nothing), tgt_len.

    On WikiText-103 the head shares all projections but the first with the embedding, on LM1B none. The rows
    do not say which; LM1B is told by its cutoffs, which begin at 59,997 or 60,000.
    """
    layers, width, tokens = row["n_layer"], row["d_model"], row["n_token"]
    cuts = tuple(row["cutoffs"])
    own = bool(cuts) and cuts[0] >= 50_000
    found = completed(
        {
            "layers": layers,
            "width": width,
            "embedding": width if row["d_embed"] < 0 else row["d_embed"],
            "heads": _per_layer(row["n_head"], layers),
            "inner": _per_layer(row["d_inner"], layers),
            "vocabulary": tokens,
            "cutoffs": tuple(c for c in cuts if c < tokens),
            "div_val": row["div_val"],
            "context": row["tgt_len"],
            "head": "adaptive_own" if own else "adaptive",
            **(TRANSFORMER_XL if row["model"] == "transformer_xl" else {}),
        }
    )
    return _even(found, row.get("d_head", -1))


def from_hw_gpt(row: Mapping[str, Any]) -> dict[str, Any]:
    """The choices of an HW-GPT-Bench row: embed_dim, n_layer, n_head, mlp_ratio (lists), bias.

    Its published parameter counts tell the rest: gated feed-forward layers of ratio x width, heads of 64
    channels whatever the width, a decoder of its own, 50,254 words, no table of positions (so rotary).
    """
    width = row["embed_dim"]
    found = completed(
        {
            "layers": row["n_layer"],
            "width": width,
            "heads": tuple(row["n_head"]),
            "inner": tuple(width * r for r in row["mlp_ratio"]),
            "vocabulary": 50_254,
            "context": 1_024,
            "mlp": "swiglu",
            "position": "rotary",
            "head": "untied",
            "bias": bool(row["bias"]),
        }
    )
    return _even(found, 64)


def _even(c: dict[str, Any], given: int) -> dict[str, Any]:
    """With the head width in its one form: even where heads times it are the width in every layer."""
    c["head_width"] = given if given > 0 else "floor"
    if all(h > 0 and h * head_width(c, h) == c["width"] for h in c["heads"]):
        c["head_width"] = "even"
    return c


def _per_layer(value: Any, layers: int) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, list | tuple) else (value,) * layers
