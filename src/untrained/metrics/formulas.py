"""Formulas as proxies: what a probe shows them, and `--proxy file.json`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from untrained.core.errors import MeasurementFailed
from untrained.core.formula import MATRICES, SCALARS, Formula, Sheet
from untrained.core.metric import Metric
from untrained.metrics._embedding_rank import effective_rank
from untrained.metrics._weights import by_layer_of
from untrained.metrics.costs.params_nonembedding import without_embedding
from untrained.nn.probe import Probe
from untrained.nn.stream import stream_of

GRID = 32  # rows and columns at which every tensor is read
GOLDEN = (math.sqrt(5) - 1) / 2  # multiples of it, modulo 1, spread evenly and fall in no step

ROLES = {
    "act": ("activation", "ffn"),
    "pre": ("preactivation",),
    "mix": ("mix",),
    "att": ("attention",),
    "hid": ("hidden",),
    "block": ("block",),
}

Grids = NDArray[np.float32]


@dataclass(frozen=True)
class Shown:
    """What one network shows to formulas. An input that it lacks, or lacks in some layer, is absent."""

    matrices: Mapping[str, Grids]
    """name -> (layers, GRID, GRID)"""
    scalars: Mapping[str, float]


def needs_of(inputs: Iterable[str]) -> tuple[str, ...]:
    """What to announce to a probe, so that one pass serves."""
    asked = set(inputs)
    roles = [role for name in ROLES if name in asked for role in ROLES[name]]
    return (*roles, "block", *(("gradients",) if "G" in asked else ()))


def shown(probe: Probe, inputs: Iterable[str] = (*MATRICES, *SCALARS)) -> Shown:
    """The inputs of formulas on one network; those that it does not have are left out.

    A grid of a layer: row i is one of the tensors that the layer has of that kind, taken in turn, at the
    place that a golden-section step gives; columns are evenly spaced. A tensor with fewer is read several
    times. Raises MeasurementFailed where the network explodes.
    """
    asked = set(inputs)
    probe.expect(needs_of(asked))
    blocks = probe.taps("block")
    layers = len(blocks)
    found: dict[str, Sequence[Sequence[Tensor]]] = {}
    for name, roles in ROLES.items():
        role = next((r for r in roles if r in probe.roles), None)
        if name in asked and role is not None:
            found[name] = probe.taps(role)
    if "echo" in asked:
        found["echo"] = [[x] for x in echoes(probe, [written[-1] for written in blocks])]
    if "W" in asked:
        found["W"] = by_layer_of(probe, probe.weights())
    if "G" in asked and hasattr(probe.model, "decode"):
        found["G"] = by_layer_of(probe, probe.loss_gradients())
    whole = {k: v for k, v in found.items() if len(v) == layers and all(v)}
    matrices = {k: np.stack([grid(tensors) for tensors in v]) for k, v in whole.items()}
    for name, values in matrices.items():
        if not np.isfinite(values).all():
            raise MeasurementFailed(f"the network explodes: {name} is infinite or not a number")
    scalars = _scalars(probe, layers, blocks[-1][-1].shape[-1]) if asked & set(SCALARS) else {}
    return Shown(matrices, {k: v for k, v in scalars.items() if k in asked})


def echoes(probe: Probe, before: Sequence[Tensor]) -> list[Tensor]:
    """How much of each layer's states, (B, T, D), hangs on one earlier word: (B, steps since it) a layer.

    A quarter into the text, each sequence is given the neighbour's word; the squared change of its state
    from there on is told as a share of the squared distance of unrelated texts, twice the summed variance
    over the sequences. 0 where that is 0.
    """
    tokens = probe.batch.tokens
    place = tokens.shape[1] // 4
    other = tokens.clone()
    other[:, place] = tokens.roll(1, 0)[:, place]
    after = probe.encode(other, ("block",)).tape["block"]
    found = []
    for x, written in zip(before, after, strict=True):
        old, new = x.detach()[:, place:].double(), written[-1][:, place:].double()
        apart = 2 * old.var(0, correction=0).sum(-1)
        share = (new - old).square().sum(-1) / apart
        found.append(torch.where(apart > 0, share, torch.zeros_like(share)))
    return found


def _scalars(probe: Probe, layers: int, width: int) -> dict[str, float]:
    """Logarithms of parameters outside the embedding, layers, width, rank at which words come in.

    They are those of the whole network where it says them; of one that does not, the layers and the width
    that it shows, and for the rank the width.
    """
    inside = probe.full_count("params_nonembedding", without_embedding)
    try:
        stream = stream_of(probe.model)
        depth, wide, rank = stream.depth, stream.width, effective_rank(stream)
    except MeasurementFailed:
        depth, wide, rank = layers, width, float(width)
    shape = {"ln_N": max(inside, 1), "ln_L": depth, "ln_d": wide, "ln_r": rank}
    return {name: math.log(n) for name, n in shape.items()}


def grid(tensors: Sequence[Tensor]) -> Grids:
    """(GRID, GRID) numbers of some tensors, each seen as rows of its last axis."""
    rows = []
    for i in range(GRID):
        x = tensors[i * len(tensors) // GRID].detach()
        flat = x.reshape(-1, x.shape[-1] if x.dim() else 1)
        row = flat[int((i + 1) * GOLDEN % 1 * len(flat))]
        columns = [(2 * c + 1) * len(row) // (2 * GRID) for c in range(GRID)]
        rows.append(row[columns].cpu().float().numpy())
    return np.stack(rows)


def sheet(networks: Sequence[Shown], inputs: Iterable[str] | None = None, room: int = 0) -> Sheet:
    """Networks laid end to end, with the inputs that all of them have, or with `inputs`.

    Raises MeasurementFailed where a network lacks one of `inputs`.
    """
    have = [n.matrices.keys() | n.scalars.keys() for n in networks]
    common = set.intersection(*map(set, have)) if have else set()
    wanted = common if inputs is None else set(inputs)
    if lacking := sorted(wanted - common):
        raise MeasurementFailed(f"the formula reads {', '.join(lacking)}, which not every layer here shows")
    lengths = [len(next(iter(n.matrices.values()))) for n in networks]
    return Sheet(
        {k: np.concatenate([n.matrices[k] for n in networks]) for k in MATRICES if k in wanted},
        {k: np.array([n.scalars[k] for n in networks]) for k in SCALARS if k in wanted},
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.intp),
        room=room,
    )


def measurer(formula: Formula) -> Callable[[Probe], float]:
    """A proxy's function: the formula on one network."""
    inputs = formula.node.inputs

    def measure(probe: Probe) -> float:
        one = shown(probe, inputs | {"block"})
        return float(sheet([one], inputs | {"block"}).value(formula.node)[0])

    measure.__doc__ = (
        f"{formula.node}\n\nFormula: {formula.node}\n"
        "Shapes:  tokens (B, T) -> 32 x 32 numbers of each input and layer -> float\n"
        f"Cost:    1 forward{', 1 backward' if 'G' in inputs else ''}\n"
        "Source:  a formula file"
    )
    return measure


def from_file(path: str) -> Metric:
    """The proxy of a formula file; its name is the path. UsageError for what is no good formula."""
    formula = Formula.load(path)
    function = measurer(formula)
    return Metric(path, "proxy", function, "higher", "", needs_of(formula.node.inputs))
