"""Parameters and FLOPs of a decoder in closed form, and its reduced form for proxies. Loads no torch."""

from __future__ import annotations

from typing import Any

from untrained.nn.spans import SPAN
from untrained.spaces._gpt_rules import (
    Choices,
    clusters,
    head_width,
    own_projections,
    projected,
    same_mass,
    tables,
)

VOCABULARY, LENGTH = 2_000, 64  # of the reduced network
WIDEST, NARROWED = 1_024, 512  # a wider network is halved until it is no wider than this


def reduced(c: Choices) -> dict[str, Any]:
    """The choices of the network that proxies look at: see `GptDecoder.shape`."""
    by = 1
    while c["width"] > WIDEST and c["width"] // by > NARROWED and _halves(c, 2 * by):
        by *= 2
    given = c["head_width"]
    return dict(c) | {
        "width": c["width"] // by,
        "embedding": max(1, c["embedding"] // by),
        "inner": tuple(max(1, i // by) for i in c["inner"]),
        "head_width": given if isinstance(given, str) else max(2, given // by),
        "vocabulary": VOCABULARY,
        "cutoffs": same_mass(c["cutoffs"], c["vocabulary"], VOCABULARY) if c["div_val"] > 1 else (),
        "context": LENGTH,
        "position": "learned" if c["position"] == "relative" else c["position"],
        "head": "untied" if c["head"] == "untied" else "tied",
        "bias": False,
    }


def _halves(c: Choices, by: int) -> bool:
    """Whether the heads still divide the width when it is divided by `by`."""
    return c["head_width"] != "even" or not any(c["width"] % (by * h) for h in c["heads"])


def attention(c: Choices, i: int) -> int:
    """Weights and biases of the token mixer of layer `i`."""
    d, heads, kv = c["width"], c["heads"][i], c["kv_heads"][i]
    inside = heads * head_width(c, heads)
    if c["position"] == "relative":
        return int(5 * d * inside + 2 * inside)
    shared = kv * head_width(c, heads)
    return int(2 * d * (inside + shared) + (inside + 2 * shared + d if c["bias"] else 0))


def ffn(c: Choices, i: int) -> int:
    """Weights and biases of the feed-forward part of layer `i`."""
    d, inner, ups = c["width"], c["inner"][i], 2 if c["mlp"] == "swiglu" else 1
    return int((ups + 1) * d * inner + (ups * inner + d if c["bias"] else 0))


def embedding(c: Choices) -> int:
    """Tables, projections, and learned positions."""
    found = sum(n * w for n, w in tables(c))
    if projected(c):
        found += sum(c["width"] * w for _, w in tables(c))
    return found + (c["context"] * c["width"] if c["position"] == "learned" else 0)


def head(c: Choices) -> int:
    """What the decoder adds to the embedding that it shares."""
    if c["head"] == "tied":
        return 0
    if c["head"] == "untied":
        return int(c["vocabulary"] * c["width"])
    parts = clusters(c)
    entries = (len(parts) - 1) * (parts[0][1] + 1)
    own = sum(c["width"] * w for _, w in parts[: own_projections(c)])
    return int(c["vocabulary"] + entries + own)


def norms(c: Choices) -> int:
    """Two a layer, and one more, before or after all blocks, save in Transformer-XL."""
    number = 2 * c["layers"] + (c["position"] != "relative")
    return int(number * c["width"] * (2 if c["norm"] == "layer" else 1))


def flops(c: Choices) -> int:
    """2 x multiply-adds of the matrix products for one token of a sequence of `context` tokens.

    Attention scores are counted for the keys that a layer takes products with: all of the sequence, or a
    window's span; cosformer forms them in spans of 64, and hands a matrix of head width x 2 head width from
    one span to the next. A token passes one projection of an adaptive embedding, the widest, and all of the
    head.
    """
    products = 0.0
    for i, (heads, mixer) in enumerate(zip(c["heads"], c["mixer"], strict=True)):
        per_head = head_width(c, heads)
        biased = dict(c) | {"bias": False}
        products += attention(biased, i) + ffn(biased, i)
        if c["position"] == "relative":
            products += (
                heads * per_head * (c["context"] - 2)
            )  # scores of distances; two vectors are no products
        seen = min(c["context"], c["span"]) if mixer == "window" else c["context"]
        if mixer == "cosformer":
            products += heads * _cosformer(c["context"], per_head)
        else:
            products += heads * 2 * seen * per_head
    widest = tables(c)[0][1]
    products += c["width"] * widest if projected(c) else 0
    return int(2 * (products + _head_products(c)))


def _cosformer(context: int, width: int) -> float:
    """Products of one head for a token, mean over a sequence; its queries and keys are 2 x `width` wide."""
    whole, rest = divmod(context, SPAN)
    inside = (whole * SPAN**2 + rest**2) * 3 * width
    handed = context - min(context, SPAN)  # tokens that ask what was before their span
    kept = (-(-context // SPAN) - 1) * SPAN  # tokens of spans that are not the last
    return (inside + (handed + kept) * 2 * width**2) / context


def _head_products(c: Choices) -> int:
    if c["head"] == "untied":
        return int(c["vocabulary"] * c["width"])
    found = sum(n * w for n, w in tables(c))
    parts = clusters(c) if c["head"].startswith("adaptive") else tables(c)
    if projected(c):
        found += sum(c["width"] * w for _, w in parts)
    return int(found + ((len(parts) - 1) * parts[0][1] if c["head"].startswith("adaptive") else 0))


def count(c: Choices) -> dict[str, int]:
    """All costs by name."""
    attended = sum(attention(c, i) for i in range(c["layers"]))
    fed = sum(ffn(c, i) for i in range(c["layers"]))
    body = attended + fed + norms(c)
    return {
        "params": body + embedding(c) + head(c),
        "params_nonembedding": body,
        "params_attention": attended,
        "params_ffn": fed,
        "params_embedding": embedding(c),
        "params_head": head(c),
        "flops": flops(c),
    }
