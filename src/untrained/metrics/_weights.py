"""Sums over the weight matrices of a network, whole and layer by layer; shared by the gradient proxies."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

from untrained.core.metric import Parts
from untrained.nn.probe import Probe


def summed(
    probe: Probe,
    term: Callable[[Tensor, Tensor], float],
    gradients: Iterable[Tensor],
    weights: Sequence[nn.Parameter] | None = None,
) -> Parts:
    """term(W, dL/dW) summed over the weights, all of the body unless told; parts `layer1`, ..."""
    weights = probe.weights() if weights is None else weights
    terms = [term(w.detach(), g) for w, g in zip(weights, gradients, strict=True)]
    return totalled(probe, terms, weights)


def totalled(probe: Probe, terms: Sequence[float], weights: Sequence[nn.Parameter] | None = None) -> Parts:
    """The sum of one term a weight matrix, with the sum of each layer as its part."""
    weights = probe.weights() if weights is None else weights
    layers: dict[str, list[float]] = {}
    for term, layer in zip(terms, _layers(probe.model, weights), strict=True):
        if layer is not None:
            layers.setdefault(f"layer{layer + 1}", []).append(term)
    return Parts(math.fsum(terms), {name: math.fsum(of) for name, of in layers.items()})


def saliency(weight: Tensor, gradient: Tensor) -> float:
    """||W * G||_1"""
    return float((weight * gradient).abs().sum(dtype=torch.float64))


def over_mixers(probe: Probe, term: Callable[[Tensor, Tensor], float]) -> Parts:
    """`summed` over the matrices of the token mixers with G = d(sum of the logits)/dW.

    One more part, `per_matrix`, is the value divided by their number.
    """
    weights = probe.mixer_weights()
    place = {id(w): i for i, w in enumerate(probe.weights())}
    _, gradients = probe.logit_gradients()
    found = summed(probe, term, [gradients[place[id(w)]] for w in weights], weights)
    return Parts(found.value, {**found.parts, "per_matrix": found.value / len(weights)})


def output_axes(model: nn.Module, weights: Sequence[nn.Parameter]) -> list[int]:
    """Which axis of each matrix counts the outputs: 0 as in torch, but 1 in our cells and in a Conv1D."""
    turned = {
        id(w)
        for module in model.modules()
        if isinstance(module, nn.ParameterDict) or type(module).__name__ == "Conv1D"
        for w in module.parameters(recurse=False)
    }
    return [1 if id(w) in turned else 0 for w in weights]


def by_layer_of(probe: Probe, tensors: Sequence[Tensor]) -> list[list[Tensor]]:
    """Tensors that go with `probe.weights()`, one list a layer; those of no layer are left out."""
    layers: dict[int, list[Tensor]] = {}
    for tensor, layer in zip(tensors, _layers(probe.model, probe.weights()), strict=True):
        if layer is not None:
            layers.setdefault(layer, []).append(tensor)
    return [found for _, found in sorted(layers.items())]


def _layers(model: nn.Module, weights: Sequence[nn.Parameter]) -> list[int | None]:
    """The layer of each weight, counted from 0: the first number in its name, as in `blocks.3.ffn.down`.

    torch's recurrent modules write `weight_ih_l3`. None where the name has no number.
    """
    names = {id(w): name for name, w in model.named_parameters()}
    return [_number(names.get(id(w), "")) for w in weights]


def _number(name: str) -> int | None:
    tail = name.removesuffix("_reverse").rpartition("_l")[2]
    numbers = [part for part in (*name.split("."), tail) if part.isdigit()]
    return int(numbers[0]) if numbers else None
