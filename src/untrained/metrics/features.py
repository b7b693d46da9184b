"""Statistics of one untrained network as a vector with names: what predictors learn from.

They are raw material, not scores: none has a direction. A network has the columns whose roles it shows
(see `untrained.nn.taps`); those that it lacks are left out, never NaN.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from untrained.core.errors import MeasurementFailed
from untrained.metrics._layer_parts import layer_parts, size
from untrained.metrics._rank_terms import mean_reuse, participation_ratio, reach, shape_terms, spread
from untrained.metrics._replacement import (
    LENGTH,
    NOISE,
    SEQUENCES,
    Replacement,
    live_share,
    memory_score,
    replaced_tokens,
    shares,
)
from untrained.metrics._spectrum import correlation, eigenvalues
from untrained.metrics.costs.params_nonembedding import without_embedding
from untrained.nn.probe import Probe
from untrained.nn.taps import Tape

FEATURES = 1
"""version of the vector; a column that is added, dropped or computed otherwise raises it"""

LAGS = (0, 1, 2, 4, 8)  # words ago of which the memory is told
REACHES = (1, 2, 4, 8, 16)  # words ago of which the gradient is told
BACKWARD = 8  # sequences of the pass with gradients
FULL = 0.9  # size of a nonlinearity's output from which tanh and sigmoid are nearly flat
K = 1e-5  # added to eigenvalues, as in hidden_covariance
TINY = 1e-12  # what logarithms of sizes that may vanish start from

WHERE = {"first": "the first layer", "last": "the last layer"}

DESCRIPTIONS: dict[str, str] = {
    "ln_params": "ln of the parameters of the whole network, embedding included",
    "ln_params_nonembedding": "ln of the parameters of the whole network without embedding and head",
    "ln_depth": "ln of the number of layers",
    "ln_width": "ln of the width of the residual stream of the whole network (transformers)",
    "ln_embedding_rank": "ln of the effective rank at which words enter the whole network (transformers)",
    "ln_reuse": "ln of the mean number of layers from a parameter's own to the top (transformers)",
    "gates": "nodes of a recurrent cell that multiply two signals",
    "memory": "mean over all layers of the memory S of fading_memory",
    "live": "share of the directions of the first layer's units that a text uses",
    "first_memory": "memory S of fading_memory, of the first layer",
    "last_memory": "memory S of fading_memory, of the last layer",
    **{
        f"{where}_memory_lag{k}": f"ln(1 + p / 0.03), p the share of {name} that the word {k} steps ago owns"
        for where, name in WHERE.items()
        for k in LAGS
    },
    "ln_gain": "ln of the change of the last layer over that of the embedding, when a word is replaced",
    **{
        f"{where}_{name}": f"{text}, {layer}"
        for where, layer in WHERE.items()
        for name, text in {
            "ln_rank": "ln of the participation ratio of the covariance of the units",
            "ln_entropy_rank": "ln of exp(entropy) of the spectrum of the correlation of the units",
            "ln_dependence": "ln of the sum over that spectrum of ln v + 1/v, v from 1e-5, per unit",
            "ln_size": "ln of the root mean square of the outputs",
            "variation": "standard deviation over sequences at one step, over the root mean square",
            "ln_growth": "ln of the root mean square at the last step over that at the fifth",
        }.items()
    },
    "saturation": "share of the outputs of nonlinearities, recurrent or feed-forward, above 0.9 in size",
    "active": "share of the outputs of these nonlinearities that are above 0",
    "ln_gradient": "ln of the length of d(v . last top state)/d(embedding of the last word), v random",
    **{f"ln_gradient_lag{k}": f"ln of the same length for the word {k} before, over it" for k in REACHES},
    "ln_gradient_depth": "ln of the length of that gradient at the first layer over that at the last",
    "attention_entropy": "mean entropy of attention, over that of attending to all visible words alike",
    "attention_entropy_spread": "standard deviation of that share over heads and layers",
    "attention_self": "mean attention of a word to itself",
    "ln_spread": "ln of the summed participation ratios of the feed-forward pre-activations (transformers)",
    "ln_reach": "ln of the share by which later top states change with one earlier token (transformers)",
}
"""what each feature is, in the order in which tables have them"""


def features(probe: Probe) -> dict[str, float]:
    """The features of a network by name, in the order of `DESCRIPTIONS`; those it cannot have are absent.

    Takes one pass over a text and its two copies with a replaced word (48 sequences of 25 words), one
    forward and backward over 8 sequences of 25, and for transformers one over the batch. Raises
    MeasurementFailed where the network explodes, or where the batch is shorter than 25 words.
    """
    seen = replaced_tokens(probe)
    if not all(bool(torch.isfinite(layer).all()) for layer in seen.base):
        raise MeasurementFailed("the network explodes: its output is infinite or not a number")
    found = _sizes(probe, len(seen.base)) | _memory(probe, seen) | _signals(seen) | _backward(probe)
    if "attention" in probe.roles:
        found |= _transformer(probe)
    if bad := [name for name, value in found.items() if not math.isfinite(value)]:
        raise MeasurementFailed(f"the feature {bad[0]} is {found[bad[0]]}: this network's signals overflow")
    return {name: found[name] for name in DESCRIPTIONS if name in found}


def _sizes(probe: Probe, depth: int) -> dict[str, float]:
    whole = probe.full_count("params", lambda m: size([m]))
    inside = probe.full_count("params_nonembedding", without_embedding)
    found = {"ln_params": _ln(whole), "ln_params_nonembedding": _ln(inside), "ln_depth": math.log(depth)}
    if (gates := getattr(probe.model, "gates", None)) is not None:
        found["gates"] = float(gates())
    return found


def _memory(probe: Probe, seen: Replacement) -> dict[str, float]:
    by_layer = [shares(seen, layer) for layer in range(len(seen.base))]
    scores = [memory_score(p) for p in by_layer]
    found = {
        "memory": sum(scores) / len(scores),
        "live": live_share(seen),
        "first_memory": scores[0],
        "last_memory": scores[-1],
    }
    for where, p in zip(WHERE, (by_layer[0], by_layer[-1]), strict=True):
        told = torch.log1p(p / NOISE).tolist()
        found |= {f"{where}_memory_lag{k}": told[k] for k in LAGS}
    top = seen.base[-1]
    moved = sum(float((c[-1][:, 0] - top[:, p]).double().square().sum()) for p, c in seen.changed.items())
    cause = sum(float(d.double().square().sum()) for d in seen.embedding_moved.values())
    if cause > 0:  # else the text repeats itself
        found["ln_gain"] = 0.5 * math.log(moved / cause + TINY)
    return found


def _signals(seen: Replacement) -> dict[str, float]:
    found: dict[str, float] = {}
    for where, layer in zip(WHERE, (seen.base[0], seen.base[-1]), strict=True):
        wide = layer.double()  # (B, T, H)
        power = wide.square().mean(-1)  # (B, T)
        level = float(power.mean())
        by_step = power.mean(0)
        v = eigenvalues(correlation(wide.flatten(0, 1).T))
        own = v / v.sum().clamp(min=TINY)
        found |= {
            f"{where}_ln_entropy_rank": float(-(own * (own + TINY).log()).sum()),
            f"{where}_ln_dependence": _ln(float(((v + K).log() + 1 / (v + K)).mean())),
            f"{where}_ln_size": 0.5 * math.log(level + TINY),
            f"{where}_variation": math.sqrt(float(wide.var(0).mean()) / (level + TINY)),
            f"{where}_ln_growth": 0.5 * math.log((float(by_step[-1]) + TINY) / (float(by_step[4]) + TINY)),
        }
        try:
            found[f"{where}_ln_rank"] = math.log(participation_ratio(wide.flatten(0, 1)))
        except MeasurementFailed:  # nothing varies: one point has no directions
            found[f"{where}_ln_rank"] = 0.0
    return found


def _backward(probe: Probe) -> dict[str, float]:
    """Of one pass with its graph: how a random reading of the last state depends on what came before."""
    role = "activation" if "activation" in probe.roles else "ffn"
    tape = Tape({"block", role} & set(probe.roles))
    model: nn.Module = probe.model
    tokens = probe.batch.tokens[: min(BACKWARD, SEQUENCES), :LENGTH]
    with torch.no_grad():
        embedded: Tensor = model.embed(tokens)  # type: ignore[operator]
    leaf = embedded.detach().requires_grad_()
    with torch.enable_grad():
        output: Tensor = model.encode(leaf, tape)  # type: ignore[operator]
        reading = torch.randn(output.shape[-1], generator=probe.generator(use=41)).to(output)
        top = (output[:, -1] @ reading).sum()
    if not top.requires_grad:
        raise MeasurementFailed("the output does not depend on the input: no gradient reaches it")
    blocks = [layer[-1] for layer in tape["block"]]
    asked = [leaf, blocks[0], blocks[-1]]
    onto, first, last = torch.autograd.grad(top, asked, allow_unused=True)
    found = _nonlinear(t for layer in tape[role] for t in layer)
    if first is not None and last is not None:
        found["ln_gradient_depth"] = _half(first) - _half(last)
    if onto is not None:
        found["ln_gradient"] = _half(onto[:, -1])
        for k in REACHES:
            found[f"ln_gradient_lag{k}"] = _half(onto[:, -1 - k]) - found["ln_gradient"]
    return found


def _nonlinear(outputs: Iterable[Tensor]) -> dict[str, float]:
    full, on, count = 0, 0, 0
    by_shape: dict[torch.Size, list[Tensor]] = {}
    for t in outputs:
        by_shape.setdefault(t.shape, []).append(t.detach())
    for alike in by_shape.values():
        together = torch.stack(alike)
        full += int((together.abs() > FULL).sum())
        on += int((together > 0).sum())
        count += together.numel()
    return {"saturation": full / count, "active": on / count} if count else {}


def _transformer(probe: Probe) -> dict[str, float]:
    probe.expect(("attention", "preactivation"))
    found: dict[str, float] = {}
    heads = [_heads(w.detach()) for layer in probe.taps("attention") for w in layer]
    if heads:
        entropy = torch.cat([h for h, _ in heads])
        found["attention_entropy"] = float(entropy.mean())
        found["attention_entropy_spread"] = float(entropy.std(correction=0))
        found["attention_self"] = sum(own for _, own in heads) / len(heads)
    for name, term in (("ln_spread", spread), ("ln_reach", reach)):
        try:
            found[name] = math.log(term(probe))
        except MeasurementFailed:  # a network without feed-forward parts, or whose positions do not mix
            continue
    try:
        lengths, _, rank = shape_terms(probe)
        own = [size(parts) for parts in layer_parts(probe.model)]
    except MeasurementFailed:  # a foreign model that does not say its shape
        return found
    found["ln_embedding_rank"] = math.log(rank)
    found["ln_width"] = lengths - math.log(rank) - math.log(len(own))
    found["ln_reuse"] = math.log(mean_reuse(own))
    return found


def _heads(weights: Tensor) -> tuple[Tensor, float]:
    """Entropy of each head (heads,) as a share of the largest possible, and mean attention to oneself.

    `weights` (B, heads, T, T): row i says what position i attends to.
    """
    wide = weights.double().abs()
    wide = wide / wide.sum(-1, keepdim=True).clamp(min=TINY)
    entropy = -(wide * (wide + TINY).log()).sum(-1)  # (B, heads, T)
    visible = (wide > 0).sum(-1).clamp(min=1).double().log()
    share = entropy / visible.clamp(min=TINY)
    some = visible > 0  # the first word of a decoder sees itself alone
    mean = (share * some).sum((0, 2)) / some.sum((0, 2)).clamp(min=1)
    return mean, float(wide.diagonal(dim1=-2, dim2=-1).mean())


def _half(gradient: Tensor) -> float:
    """ln of the length of a gradient, from ln TINY on."""
    return 0.5 * math.log(float(gradient.double().square().sum()) + TINY**2)


def _ln(count: float) -> float:
    return math.log(max(count, TINY))
