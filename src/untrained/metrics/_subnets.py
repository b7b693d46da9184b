"""What scores of sub-networks share: gradients by block, and sums over what stays of each layer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from untrained.core.errors import MeasurementFailed
from untrained.core.metric import Parts
from untrained.nn.batch import Batch
from untrained.nn.pretrained.cut import Kept
from untrained.nn.pretrained.statistics import LayerStatistics
from untrained.nn.pretrained.subnet import Origin, Subnet, origin_of
from untrained.nn.probe import Probe

TOGETHER = 4  # sequences whose activations are held at once
PARTS = ("attention", "mlp")

Blocks = list[dict[str, list[Tensor]]]
"""by layer, by part, one tensor for each matrix of the family's order"""


def losses(model: Subnet, batch: Batch) -> Iterator[tuple[Tensor, float]]:
    """(mean cross-entropy in nats per token, share of all tokens) of a few sequences at a time."""
    n = batch.shape[0]
    pairs = zip(torch.split(batch.tokens, TOGETHER), torch.split(batch.targets, TOGETHER), strict=True)
    for tokens, targets in pairs:
        yield cross_entropy(model(tokens).flatten(0, 1), targets.flatten()), len(tokens) / n


def loss(model: Subnet, batch: Batch) -> float:
    """Mean cross-entropy, nats per token."""
    with torch.inference_mode():
        return math.fsum(float(value) * share for value, share in losses(model, batch))


def block_gradients(model: Subnet, batch: Batch) -> Blocks:
    """Mean gradient of the loss over the batch, of the matrices of every attention and MLP block."""
    depth = len(model.origin.cut.kept)
    wanted = [w for place in range(depth) for part in PARTS for w in model.block(place, part)]
    total: list[Tensor] | None = None
    with torch.enable_grad():
        for value, share in losses(model, batch):
            found = torch.autograd.grad(value, wanted)
            total = (
                [g * share for g in found]
                if total is None
                else [t.add_(g, alpha=share) for t, g in zip(total, found, strict=True)]
            )
    assert total is not None
    if not all(bool(torch.isfinite(g).all()) for g in total):
        raise MeasurementFailed("a gradient is infinite or not a number")
    ends = iter(total)
    return [
        {part: [next(ends) for _ in model.block(place, part)] for part in PARTS} for place in range(depth)
    ]


def parent_gradients(model: Subnet, batch: Batch) -> Blocks:
    """The same of the parent, made once for a text."""
    parent = model.origin.parent

    def make() -> Blocks:
        device = next(model.parameters()).device
        whole = Subnet(Origin(parent, parent.whole())).to(device)
        return block_gradients(whole, batch)

    found: Blocks = parent.once("gradients", batch.tokens.cpu(), make)
    return found


Sums = Callable[[LayerStatistics], Sequence[Tensor]]
"""what is summed: of heads, of key/value heads, of channels; empty where there is nothing"""


def kept_sum(probe: Probe, of: Sums) -> Parts:
    """The sum over all that stays; parts `layer1`, ... by layer of the parent, 0 where it is dropped."""
    origin = origin_of(probe)
    seen = origin.statistics(probe.batch.tokens).layers
    stays = {k.layer: k for k in origin.cut.kept}
    sums = [_sum(of(layer), stays.get(i)) for i, layer in enumerate(seen)]
    return Parts(math.fsum(sums), {f"layer{i + 1}": s for i, s in enumerate(sums)})


def cut_sum(probe: Probe, of: Sums) -> Parts:
    """As `kept_sum`, over all that is cut."""
    origin = origin_of(probe)
    seen = origin.statistics(probe.batch.tokens).layers
    stays = {k.layer: k for k in origin.cut.kept}
    sums = []
    for i, layer in enumerate(seen):
        whole = math.fsum(float(t.sum()) for t in of(layer))
        sums.append(max(0.0, whole - _sum(of(layer), stays.get(i))))
    return Parts(math.fsum(sums), {f"layer{i + 1}": s for i, s in enumerate(sums)})


def _sum(values: Sequence[Tensor], kept: Kept | None) -> float:
    if kept is None:
        return 0.0
    places = (kept.heads, kept.kv_heads, kept.inner)
    return math.fsum(float(v[list(p)].sum()) for v, p in zip(values, places, strict=True) if v.numel())
