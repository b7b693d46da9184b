"""What makes a decoder sound, and what its choices mean in numbers. Loads no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

PER_LAYER = ("heads", "kv_heads", "inner", "mixer")
WORDS: dict[str, tuple[Any, ...]] = {
    "norm": ("layer", "rms"),
    "placement": ("pre", "post"),
    "mlp": ("gelu", "relu", "swiglu"),
    "position": ("learned", "rotary", "none", "relative"),
    "head": ("tied", "untied", "adaptive", "adaptive_own"),
    "mixer": ("softmax", "cosformer", "window"),
}
SHOWN_WORDS, SHOWN_LENGTH = 2_000, 32  # what networks at true size are shown, so the least they must take
NUMBERS = {
    "layers": 1,
    "width": 1,
    "embedding": 1,
    "vocabulary": SHOWN_WORDS,
    "context": SHOWN_LENGTH,
    "div_val": 1,
    "span": 1,
}
EULER = 0.5772  # sum of 1/r for r = 1..n is about ln n + this

Choices = Mapping[str, Any]
Clusters = tuple[tuple[int, int], ...]


def problem(c: Choices) -> str:
    """What is wrong with the choices, in words, or nothing."""
    return (
        _global_problem(c)
        or _list_problem(c)
        or _layer_problems(c)
        or _vocabulary_problem(c)
        or _head_width_problem(c)
    )


def head_width(c: Choices, heads: int) -> int:
    """Channels of one head of a layer with so many."""
    given = c["head_width"]
    return max(1, c["width"] // heads) if isinstance(given, str) else int(given)


def clusters(c: Choices) -> Clusters:
    """(words, width) of the clusters that `cutoffs` and `div_val` make of the vocabulary."""
    ends = [*c["cutoffs"], c["vocabulary"]]
    starts = [0, *ends[:-1]]
    widths = [max(1, c["embedding"] // c["div_val"] ** k) for k in range(len(ends))]
    return tuple((b - a, w) for a, b, w in zip(starts, ends, widths, strict=True))


def tables(c: Choices) -> Clusters:
    """(words, width) of the embedding tables: one a cluster, or a single one where all have one width."""
    return clusters(c) if c["div_val"] > 1 else ((c["vocabulary"], c["embedding"]),)


def projected(c: Choices) -> bool:
    """Whether a matrix stands between the tables and the blocks."""
    return bool(c["div_val"] > 1 or c["embedding"] != c["width"])


def own_projections(c: Choices) -> int:
    """How many projections the head does not share with the embedding."""
    if not c["head"].startswith("adaptive") or not projected(c):
        return 0
    return 1 if c["head"] == "adaptive" else len(clusters(c))


def same_mass(cutoffs: tuple[int, ...], vocabulary: int, smaller: int) -> tuple[int, ...]:
    """Cutoffs of a smaller vocabulary whose clusters hold the same share of a text that follows Zipf's law.

    The r-th word has a share of 1/r: up to rank r lies (ln r + 0.5772) / (ln V + 0.5772) of the text.
    """
    ratio = (math.log(smaller) + EULER) / (math.log(vocabulary) + EULER)
    found: list[int] = []
    for k, cut in enumerate(cutoffs):
        place = round(math.exp((math.log(cut) + EULER) * ratio - EULER))
        room = smaller - (len(cutoffs) - k)  # each further cluster keeps one word at least
        found.append(min(max(place, (found[-1] if found else 0) + 1), room))
    return tuple(found)


def _global_problem(c: Choices) -> str:
    for name, least in NUMBERS.items():
        if not _whole(c[name], least):
            why = "; networks are shown that much" if least > 1 else ""
            return f"{name} = {c[name]!r}; it takes a whole number of at least {least}{why}"
    for name in ("norm", "placement", "mlp", "position", "head"):
        if c[name] not in WORDS[name]:
            return f"no {name} is called {c[name]!r}; there are: {', '.join(WORDS[name])}"
    if not isinstance(c["bias"], bool):
        return f"bias = {c['bias']!r}; it is true or false"
    if c["head_width"] not in ("even", "floor") and not _whole(c["head_width"], 1):
        return (
            f"head_width = {c['head_width']!r}; it is a whole number, or 'even' (width / heads, which must"
            " divide), or 'floor' (rounded down)"
        )
    return ""


def _list_problem(c: Choices) -> str:
    for name in PER_LAYER:
        values = c[name]
        if not isinstance(values, tuple) or len(values) != c["layers"]:
            return f"{name} needs {c['layers']} values, one per layers; got {values!r}"
        for i, v in enumerate(values):
            if name == "mixer":
                if v not in WORDS["mixer"]:
                    return f"layer {i + 1}: no mixer is called {v!r}; there are: {', '.join(WORDS['mixer'])}"
            elif not _whole(v, 1):
                return f"layer {i + 1}: {name} = {v!r}; it takes a whole number of at least 1"
    return ""


def _layer_problems(c: Choices) -> str:
    for i in range(c["layers"]):
        if found := layer_problem(c, c["heads"][i], c["kv_heads"][i], c["mixer"][i]):
            return f"layer {i + 1}: {found}"
    return ""


def layer_problem(c: Choices, heads: int, kv_heads: int, mixer: str) -> str:
    """What is wrong with how one layer mixes tokens; `c` needs the choices that hold for all layers."""
    if heads % kv_heads:
        return f"{heads} query heads cannot share {kv_heads} key/value heads evenly"
    if c["head_width"] == "even" and c["width"] % heads:
        return (
            f"{heads} heads do not divide a width of {c['width']} evenly;"
            " another number of heads, or head_width: a number or 'floor'"
        )
    if mixer == "cosformer":
        if c["width"] % heads or head_width(c, heads) * heads != c["width"]:
            return f"cosformer needs heads that divide the width: {heads} and {c['width']}"
        if kv_heads != heads:
            return f"cosformer does not share keys and values: kv_heads = {kv_heads}, heads = {heads}"
    elif c["position"] == "rotary" and head_width(c, heads) < 2:
        return f"rotary positions turn pairs of channels, and a head has {head_width(c, heads)}"
    if c["position"] == "relative" and (mixer != "softmax" or kv_heads != heads):
        return "relative positions go with softmax and as many kv_heads as heads"
    return ""


def _head_width_problem(c: Choices) -> str:
    """One network has one form: what the heads share evenly is called even."""
    if c["head_width"] == "even" or any(h * head_width(c, h) != c["width"] for h in c["heads"]):
        return ""
    return f"head_width = {c['head_width']!r}, and every layer shares the width evenly: write 'even'"


def _vocabulary_problem(c: Choices) -> str:
    cuts = c["cutoffs"]
    if not isinstance(cuts, tuple) or not all(_whole(x, 1) for x in cuts):
        return f"cutoffs = {cuts!r}; it is a list of whole numbers"
    ascending = [*cuts, c["vocabulary"]]
    if sorted(set(ascending)) != ascending:
        return f"cutoffs = {list(cuts)}; they ascend and stay below the vocabulary of {c['vocabulary']}"
    if cuts and c["div_val"] == 1 and not c["head"].startswith("adaptive"):
        return "cutoffs without effect: with div_val = 1 and this head leave them empty"
    if c["div_val"] > 1 and c["head"] == "untied":
        return "clusters of several widths need a head that is tied or adaptive"
    return ""


def _whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
