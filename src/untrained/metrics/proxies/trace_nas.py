from __future__ import annotations

import math

import torch
from torch import Tensor

from untrained.core.errors import MeasurementFailed, UsageError
from untrained.core.metric import Parts, proxy
from untrained.metrics._subnets import PARTS, block_gradients, parent_gradients
from untrained.nn.pretrained.cut import sliced
from untrained.nn.pretrained.subnet import Subnet, subnet_of
from untrained.nn.probe import Probe


@proxy()
def trace_nas(probe: Probe, *, lora: int = 0) -> Parts:
    """How far a sub-network of a pretrained decoder would be trained in the direction of its parent.

    Formula: sum over the attention blocks and the MLP blocks that stay of Pearson's correlation of the mean
        gradient of the block's matrices with that of the parent, at the weights that stay; the mean is over
        the calibration text, the loss cross-entropy. With `lora` r > 0 the gradient of LoRA's B at B = 0,
        which is dL/dW A', A (r, inputs) being N(0, 1) and the same for parent and sub-network
    Shapes:  tokens (B, T), 16 x 128 unless told -> gradients like the matrices -> float from -2 L to 2 L, L
        the layers that stay; parts `attention`, `mlp`: the two sums
    Cost:    1 forward, 1 backward of the sub-network; once for each text those of the parent, whose gradients
        are kept (as large as its layers)
    Source:  Malettira et al. 2026, arXiv:2602.02891
    Differs: full gradients unless told, of matrices that are really cut; the authors take LoRA of rank 64,
        masks and, for masked weights, gradients of 0. The sum grows with the number of blocks, so compare at
        equal budget, as they do. No score for recurrent networks, nor for transformers that were not cut out
        of a parent
    Worth:   on 40 sub-networks of each of three decoders of 1 M parameters, tau with perplexity after a short
        training 0.61 to 0.73, and 0.71 to 0.81 as they are cut; calibration_loss, half as dear, has 0.61 to
        0.67 and 0.84 to 0.90 (docs/pruning.md)
    """
    if lora < 0:
        raise UsageError(f"trace_nas: lora={lora}; take a rank of 1 or more, or 0 for full gradients")
    model = subnet_of(probe)
    own, parents = block_gradients(model, probe.batch), parent_gradients(model, probe.batch)
    found = dict.fromkeys(PARTS, 0.0)
    for place, kept in enumerate(model.origin.cut.kept):
        for part in PARTS:
            pair = _vectors(model, place, part, own[place][part], parents[kept.layer][part], lora)
            found[part] += pearson(*pair)
    return Parts(math.fsum(found.values()), found)


def _vectors(
    model: Subnet, place: int, part: str, own: list[Tensor], parent: list[Tensor], lora: int
) -> tuple[Tensor, Tensor]:
    """The gradients of a block of the sub-network and, at the weights that stay, of the parent; flat."""
    family, cut = model.origin.parent.family, model.origin.cut
    geometry, kept = cut.geometry, cut.kept[place]
    mine, theirs = [], []
    for of, g, whole in zip(family.matrices(part), own, parent, strict=True):
        if not lora:
            mine.append(g)
            theirs.append(sliced(whole, of, kept, geometry))
            continue
        # As (outputs, inputs), so that A stands to the right.
        outputs = of.axes[1] if family.turned else of.axes[0]
        turned_of = type(of)(of.name, outputs + (of.axes[0] if family.turned else of.axes[1]))
        g, whole = (g.T, whole.T) if family.turned else (g, whole)
        luck = torch.Generator().manual_seed(7_919 * kept.layer + sum(map(ord, of.name)))
        a = torch.randn(lora, whole.shape[1], generator=luck).to(whole)
        stays = sliced(a, type(of)("", "d" + turned_of.axes[1]), kept, geometry)
        mine.append(g @ stays.T)
        theirs.append(sliced(whole @ a.T, type(of)("", outputs + "d"), kept, geometry))
    return torch.cat([t.flatten() for t in mine]), torch.cat([t.flatten() for t in theirs])


def pearson(a: Tensor, b: Tensor) -> float:
    """Correlation of two vectors; raises MeasurementFailed where one of them is constant."""
    x, y = a.double() - a.double().mean(), b.double() - b.double().mean()
    size = float(x.norm() * y.norm())
    if size == 0:
        raise MeasurementFailed("the gradient of a block is 0 everywhere")
    return float(x @ y) / size
