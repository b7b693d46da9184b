"""Proxies as one writes them first: each builds its own passes, nothing is shared, nothing is held back.

Each takes a built model and a batch and returns the number that the proxy of its name returns. The formulas
are those of the cards; the code shares none with the library beside the network itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from untrained.nn.batch import Batch
from untrained.nn.taps import Tape
from untrained.nn.transformer import Transformer

Plain = Callable[[Transformer, Batch], float]


# --- forward -----------------------------------------------------------------------------------------


def naswot(model: Transformer, batch: Batch) -> float:
    agree = torch.zeros(len(batch.tokens), len(batch.tokens), dtype=torch.float64)
    for layer in _written(model, batch, "preactivation"):
        for units in layer:
            on = (units > 0).flatten(1).float()
            agree += (on @ on.T + (1 - on) @ (1 - on).T).double()
    return float(torch.linalg.slogdet(agree)[1])


def linear_regions(model: Transformer, batch: Batch) -> float:
    layers = [torch.cat(layer, -1) for layer in _written(model, batch, "preactivation")]
    on = (torch.cat(layers, -1) > 0).flatten(0, 1)
    return float(len({bytes(row) for row in np.asarray(on)}))


def head_confidence(model: Transformer, batch: Batch) -> float:
    layers = _written(model, batch, "attention")
    return sum(float(p.amax(-1).mean()) for layer in layers for p in layer)


def w_pca(model: Transformer, batch: Batch) -> float:
    found = 0
    for layer in _written(model, batch, "preactivation"):
        for units in layer:
            rows = units.flatten(0, 1).double()
            share = torch.linalg.eigvalsh(torch.cov(rows.T, correction=0)).flip(0).cumsum(0)
            found += int((share <= 0.99 * share[-1]).sum()) + 1
    return found * float(sum(w.numel() for w in model.parameters()))


def _written(model: Transformer, batch: Batch, role: str) -> list[list[Tensor]]:
    tape = Tape([role])
    with torch.no_grad():
        model.encode(model.embed(batch.tokens), tape)
    return tape[role]


# --- one backward pass -------------------------------------------------------------------------------


def grad_norm(model: Transformer, batch: Batch) -> float:
    return sum(float(g.norm()) for _, g in _pairs(model, loss(model, batch)))


def snip(model: Transformer, batch: Batch) -> float:
    return sum(float((w * g).abs().sum()) for w, g in _pairs(model, loss(model, batch)))


def plain(model: Transformer, batch: Batch) -> float:
    return sum(float((w.double() * g.double()).sum()) for w, g in _pairs(model, loss(model, batch)))


def jacob_cov(model: Transformer, batch: Batch) -> float:
    embedded = model.embed(batch.tokens).detach().requires_grad_()
    (onto,) = torch.autograd.grad(model.decode(model.encode(embedded)).sum(), embedded)
    v = np.linalg.eigvalsh(np.corrcoef(onto.flatten(1).double().numpy())) + 1e-5
    return -float(np.sum(np.log(v) + 1 / v))


def head_importance(model: Transformer, batch: Batch) -> float:
    return sum(float((w * g).abs().sum()) for w, g in _mixers(model, batch))


def synaptic_diversity(model: Transformer, batch: Batch) -> float:
    def nuclear(matrix: Tensor) -> float:
        return float(torch.linalg.svdvals(matrix.double()).sum())

    return sum(nuclear(w) * nuclear(g) for w, g in _mixers(model, batch))


def grasp(model: Transformer, batch: Batch) -> float:
    weights = model.saliency_weights()
    gradients = torch.autograd.grad(loss(model, batch), weights, create_graph=True)
    rate = sum((g * g.detach()).sum() for g in gradients)
    curved = torch.autograd.grad(rate, weights)  # type: ignore[arg-type]
    pairs = zip(weights, curved, strict=True)
    return -sum(float((w.detach().double() * h.double()).sum()) for w, h in pairs)


def loss(model: Transformer, batch: Batch) -> Tensor:
    """Mean cross-entropy of the next words, in nats."""
    return cross_entropy(model(batch.tokens).flatten(0, 1), batch.targets.flatten())


def _pairs(model: Transformer, top: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Weights of the blocks, each with its gradient."""
    weights = model.saliency_weights()
    found = torch.autograd.grad(top, weights)
    return [(w.detach(), g) for w, g in zip(weights, found, strict=True)]


def _mixers(model: Transformer, batch: Batch) -> list[tuple[Tensor, Tensor]]:
    """Matrices of the token mixers, each with the gradient of the summed logits."""
    mixers = {w.data_ptr() for block in model.blocks for w in block.mixer.parameters()}  # type: ignore[union-attr]
    return [pair for pair in _pairs(model, model(batch.tokens).sum()) if pair[0].data_ptr() in mixers]


# --- sequence by sequence ----------------------------------------------------------------------------


def fisher(model: Transformer, batch: Batch) -> float:
    squares = [torch.zeros(len(w), dtype=torch.float64) for w in model.saliency_weights()]
    for one in _shares(batch, len(batch.tokens)):
        for total, (w, g) in zip(squares, _pairs(model, loss(model, one)), strict=True):
            total += ((w * g).sum(1).double() / len(batch.tokens)).square()
    fans = [w.shape[1] for w in model.saliency_weights()]
    return sum(n * float(s.sum()) / len(batch.tokens) / 2 for n, s in zip(fans, squares, strict=True))


def grad_sign(model: Transformer, batch: Batch) -> float:
    signs = [torch.zeros_like(w) for w in model.saliency_weights()]
    for one in _shares(batch, len(batch.tokens)):
        for total, (_, g) in zip(signs, _pairs(model, loss(model, one)), strict=True):
            total += g.sign()
    return sum(float(s.detach().abs().sum(dtype=torch.float64)) for s in signs)


def zico(model: Transformer, batch: Batch) -> float:
    passes = [[g for _, g in _pairs(model, loss(model, some))] for some in _shares(batch, 4)]
    found = 0.0
    for gradients in zip(*passes, strict=True):
        stack = torch.stack(gradients).double()
        deviation = stack.std(0, correction=0)
        moved = deviation > 0
        found += math.log(float((stack.abs().mean(0)[moved] / deviation[moved]).sum()))
    return found


def ntk_condition(model: Transformer, batch: Batch) -> float:
    v = np.linalg.eigvalsh(_kernel(model, batch))
    return float(v[-1] / v[0])


def _kernel(model: Transformer, batch: Batch) -> Tensor:
    rows = []
    for one in _shares(batch, len(batch.tokens)):
        pairs = _pairs(model, model(one.tokens)[:, -1].sum())
        rows.append(torch.cat([g.flatten() for _, g in pairs]))
    kernel = torch.zeros(len(rows), len(rows), dtype=torch.float64)
    for i, a in enumerate(rows):
        for j, b in enumerate(rows[: i + 1]):
            kernel[i, j] = kernel[j, i] = torch.dot(a.double(), b.double())
    return kernel


def _shares(batch: Batch, n: int) -> Iterator[Batch]:
    """Equal shares of the sequences."""
    each = len(batch.tokens) // n
    for first in range(0, n * each, each):
        yield Batch(batch.tokens[first : first + each], batch.targets[first : first + each])


PLAIN: dict[str, Plain] = {
    f.__name__: f
    for f in (
        naswot,
        linear_regions,
        head_confidence,
        w_pca,
        grad_norm,
        snip,
        plain,
        jacob_cov,
        head_importance,
        synaptic_diversity,
        grasp,
        fisher,
        grad_sign,
        zico,
        ntk_condition,
    )
}
