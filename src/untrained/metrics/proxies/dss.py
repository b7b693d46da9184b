from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call

from untrained.core.errors import MeasurementFailed, MissingMethod
from untrained.core.metric import Parts, proxy
from untrained.metrics._layer_parts import by_layer, layer_parts
from untrained.nn.probe import Probe


@proxy()
def dss(probe: Probe) -> Parts:
    """Diversity of the attention maps and saliency of the feed-forward maps, without data.

    Formula: sum over the linear maps W of the mixers of ||G||_* ||W||_* + sum over those of the
        feed-forward parts of ||G * W||_1; ||.||_* the sum of singular values, G = d(sum of logits)/dW, with
        every parameter replaced by its absolute value and ones as embeddings
    Shapes:  ones (1, T, E) -> logits (1, T, V) -> float; parts `diversity`, `saliency`, `layer1`, ...
    Cost:    1 forward and 1 backward of one sequence, in double precision; 2 decompositions a mixer map
    Source:  Zhou et al. 2022 (TF-TAS), arXiv:2203.12217
    Differs: ones are fed as embeddings, in place of pixels; T is the batch's length. Maps are told apart by
        where they stand, not by out = in, which grouped key/value heads break; the head is left out, as
        it is the embedding's in most language models. A layer norm turns ones into zeros, so a network with
        layer norms needs learned positions to have a score. A recurrent cell does not separate mixing
        from the rest; synaptic saliency asks the same of it
    """
    parts = layer_parts(probe.model)
    maps = [[_matrices(part) for part in pair] for pair in parts]
    wanted = [w for pair in maps for of_part in pair for w in of_part]
    found = {id(w): pair for w, pair in zip(wanted, _gradients(probe, wanted), strict=True)}
    diversity = [sum(_nuclear(*found[id(w)]) for w in mixer) for mixer, _ in maps]
    saliency = [sum(_saliency(*found[id(w)]) for w in ffn) for _, ffn in maps]
    layers = [d + s for d, s in zip(diversity, saliency, strict=True)]
    if not sum(layers):
        raise MeasurementFailed(
            "no gradient: layer norms turn embeddings of ones into zeros, and there are no learned positions"
        )
    return Parts(sum(layers), {"diversity": sum(diversity), "saliency": sum(saliency), **by_layer(layers)})


def _matrices(part: nn.Module) -> list[Tensor]:
    """Weights of the linear maps, whichever way round they are kept."""
    found = [getattr(m, "weight", None) for m in part.modules()]
    return [w for w in found if isinstance(w, nn.Parameter) and w.dim() == 2]


def _nuclear(weight: Tensor, gradient: Tensor) -> float:
    return float(torch.linalg.matrix_norm(weight, "nuc") * torch.linalg.matrix_norm(gradient, "nuc"))


def _saliency(weight: Tensor, gradient: Tensor) -> float:
    return float((weight * gradient).abs().sum())


class _Logits(nn.Module):
    """A model from its embedding output on, so that weights can be lent to that part of it."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, embedded: Tensor) -> Tensor:
        """(1, T, E) -> (1, T, V)"""
        found: Tensor = self.model.decode(self.model.encode(embedded))  # type: ignore[operator]
        return found


def _gradients(probe: Probe, wanted: list[Tensor]) -> list[tuple[Tensor, Tensor]]:
    """(|W|, G) for each of `wanted`; the model itself stays as it is."""
    model = probe.model
    if not hasattr(model, "decode"):
        raise MissingMethod("decode", type(model).__name__, "features to logits")
    outside = _Logits(model).train(model.training)
    lent: dict[int, Tensor] = {}
    named = {}
    for name, weight in outside.named_parameters(remove_duplicate=False):
        if id(weight) not in lent:
            lent[id(weight)] = weight.detach().double().abs().requires_grad_(any(weight is w for w in wanted))
        named[name] = lent[id(weight)]
    named |= {k: b.double() for k, b in outside.named_buffers() if b.is_floating_point()}
    with torch.no_grad():
        ones = torch.ones_like(model.embed(probe.batch.tokens[:1]), dtype=torch.float64)  # type: ignore[operator]
    with torch.enable_grad():
        total = functional_call(outside, named, (ones,), tie_weights=False).sum()
    weights = [lent[id(w)] for w in wanted]
    if not bool(torch.isfinite(total)):
        raise MeasurementFailed("the network explodes with absolute weights, even in double precision")
    found = torch.autograd.grad(total, weights, allow_unused=True)
    made = [torch.zeros_like(w) if g is None else g for w, g in zip(weights, found, strict=True)]
    if not all(bool(torch.isfinite(g).all()) for g in made):
        raise MeasurementFailed("the gradients explode with absolute weights, even in double precision")
    return [(w.detach(), g) for w, g in zip(weights, made, strict=True)]
