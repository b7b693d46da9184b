"""The terms of our transformer scores: size and rank from the shape, spread and reach from forward passes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import layer_norm

from untrained.core.errors import MeasurementFailed
from untrained.metrics._embedding_rank import effective_rank
from untrained.metrics.costs.params_nonembedding import without_embedding
from untrained.nn.probe import Probe
from untrained.nn.stream import stream_of

TOKENS = 512  # from which the spread of activations is taken
SEQUENCES = 8  # in which a token is changed
CHANGED = 16  # position of the changed token
SILENT = 1e-6  # share of a state below which a change is rounding


def size_and_rank(probe: Probe) -> tuple[float, dict[str, float]]:
    """ln L + ln d + ln er + 0.3 ln N, and er under its name; of the whole, also where a small form is run."""
    lengths, inside, rank = shape_terms(probe)
    return lengths + 0.3 * math.log(inside), {"embedding_rank": rank}


def shape_terms(probe: Probe) -> tuple[float, int, float]:
    """ln(L d er), N and er; of the whole, also where a small form is run."""
    stream = stream_of(probe.model)
    rank = effective_rank(stream)
    inside = probe.full_count("params_nonembedding", without_embedding)
    if inside < 1:
        raise MeasurementFailed("the network has no parameters beside its embedding")
    return math.log(stream.depth) + math.log(stream.width) + math.log(rank), inside, rank


def mean_reuse(sizes: Sequence[int]) -> float:
    """Mean over the parameters of how many layers there are from a parameter's own to the top, 1 to L.

    `sizes` has the parameters of each layer, the lowest first. It is (L + 1) / 2 where all layers are
    alike, and more where the early ones are the larger. Raises MeasurementFailed where there are none.
    """
    if not sum(sizes):
        raise MeasurementFailed("the layers have no parameters")
    return sum((len(sizes) - i) * n for i, n in enumerate(sizes)) / sum(sizes)


def spread(probe: Probe) -> float:
    """Sum over the layers of the participation ratio of the first feed-forward pre-activations."""
    return probe.once(
        "feed-forward spread", lambda: math.fsum(map(_first_spread, probe.taps("preactivation")))
    )


def _first_spread(written: list[Tensor]) -> float:
    return participation_ratio(written[0].detach().flatten(0, -2)[:TOKENS])


def participation_ratio(rows: Tensor) -> float:
    """tr(C)^2 / ||C||_F^2 of the covariance of (samples, units): how many directions carry the variance.

    Raises MeasurementFailed where nothing varies, or not everything is finite.
    """
    centred = rows.double() - rows.double().mean(0)
    # Both Gram matrices have the same non-zero eigenvalues: take the smaller.
    gram = centred @ centred.T if centred.shape[0] < centred.shape[1] else centred.T @ centred
    trace, square = float(gram.trace()), float(gram.square().sum())
    if not math.isfinite(square):
        raise MeasurementFailed("the network explodes: a feed-forward activation is not finite")
    if square <= 0:
        raise MeasurementFailed("the feed-forward activations do not vary from token to token")
    return trace**2 / square


def reach(probe: Probe) -> float:
    """How much of the later top states changes with one earlier token, as a share of their length.

    Raises MeasurementFailed where the batch is too short, or no later state changes.
    """
    return probe.once("token reach", lambda: _reach(probe))


def _reach(probe: Probe) -> float:
    tokens = probe.batch.tokens[:SEQUENCES]
    if tokens.shape[1] < CHANGED + 2:
        raise MeasurementFailed(
            f"needs sequences of at least {CHANGED + 2} tokens, the batch has {tokens.shape[1]}"
        )
    vocabulary = int(probe.model.vocabulary)  # type: ignore[arg-type]
    if vocabulary < 2:
        raise MeasurementFailed("a vocabulary of one word has no other word to put in its place")
    other = tokens.clone()
    other[:, CHANGED] = (tokens[:, CHANGED] + vocabulary // 2) % vocabulary
    before = _normed(probe.forward().output[: len(tokens)].detach())
    after = _normed(probe.encode(other).output)
    moved = (after - before)[:, CHANGED + 1 :].norm(dim=-1) / before[:, CHANGED + 1 :].norm(dim=-1)
    found = float(moved.mean())
    if not math.isfinite(found):
        raise MeasurementFailed("the network explodes: a top state is infinite, not a number or zero")
    if found < SILENT:
        raise MeasurementFailed("no later state changes with an earlier token: positions do not mix")
    return found


def _normed(states: Tensor) -> Tensor:
    return layer_norm(states.float(), states.shape[-1:]).to(torch.float64)
