from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from untrained.core.errors import MeasurementFailed
from untrained.core.metric import Parts, proxy
from untrained.metrics._layer_parts import by_layer, summed_over_taps
from untrained.nn.probe import Probe

ROLES = ("mix", "ffn", "block")
COORDINATES = 10  # of the output, drawn at random
USE = 2_003  # this proxy's own luck


@proxy(needs="mix ffn block")
def dextr(probe: Probe) -> Parts:
    """Whether features are well conditioned and the output curves as the input goes round a circle.

    Formula: ln(1+S) ln(1+K) / (ln(1+S) + ln(1+K)). S = sum over features of s_min / s_max, their extreme
        singular values as a matrix of words x units, for the first sequence. K = |v|^-3
        sqrt(|v|^2 |a|^2 - (v.a)^2), v and a the first and second derivative of ten random numbers of the
        output along the great circle r (u_1 cos t + u_2 sin t) at t = 0; u_1, u_2 orthonormal random
        embedded sequences, r the length of the first sequence's embedding
    Shapes:  tokens (1, T) -> features (T, D) of each layer; circle (1, T, E) -> float; parts
        `conditioning` (S), `curvature` (K), `layer1`, ...: the layer's share of S
    Cost:    1 forward; 1 forward and 20 backwards of one sequence
    Source:  Asthana et al. 2025 (Dextr), arXiv:2508.12977
    Differs: the features are outputs of the mixer, hidden layers of the feed-forward part and outputs of
        the layer, where the source takes every module, containers too, which count several times; a
        recurrent cell shows its output only. The circle runs through embeddings and has their length, as
        the source's, of length 1, would be far from any text. Text instead of random input; no dropout.
        A smallest singular value within rounding counts as 0
    """
    layers = summed_over_taps(probe, ROLES, lambda x: _conditioning(x[0]))
    s, k = sum(layers), _curvature(probe)
    joined = math.log1p(s) + math.log1p(k)
    if joined == 0:
        raise MeasurementFailed("every feature has a null direction and the output does not curve")
    value = math.log1p(s) * math.log1p(k) / joined
    return Parts(value, {"conditioning": s, "curvature": k, **by_layer(layers)})


def _conditioning(features: Tensor) -> float:
    """s_min / s_max of (T, D); 0 where the smallest is rounding only."""
    s = torch.linalg.svdvals(features.double())
    floor = torch.finfo(features.dtype).eps * max(features.shape) * s[0]
    return float(s[-1] / s[0]) if float(s[-1]) > float(floor) else 0.0


def _curvature(probe: Probe) -> float:
    """Curvature of the output at one point of a great circle of embedded sequences."""
    luck, first = probe.generator(USE), probe.forward().embedded[:1].detach()
    u, _ = torch.linalg.qr(torch.randn(first.numel(), 2, generator=luck, dtype=torch.float64))
    u = u.to(first) * first.norm()
    size = probe.forward().output[0].numel()
    picked = torch.randperm(size, generator=luck)[:COORDINATES].to(first.device)

    def curve(t: Tensor) -> Tensor:
        around = u[:, 0] * t.cos() + u[:, 1] * t.sin()
        output: Tensor = probe.model.encode(around.view_as(first))  # type: ignore[operator]
        return output.flatten()[picked]

    v, a = (d.double() for d in derivatives(curve, first.new_zeros(())))
    if not bool(v.any()):
        raise MeasurementFailed("the output does not depend on the input: it stands still on a circle")
    area = (v.dot(v) * a.dot(a) - v.dot(a) ** 2).clamp(min=0)
    return float(area.sqrt() / v.norm() ** 3)


def derivatives(curve: Callable[[Tensor], Tensor], at: Tensor) -> tuple[Tensor, Tensor]:
    """First and second derivative of a curve of vectors at a number.

    Number by number and backwards: with torch 2.13, forward mode nested in forward mode is wrong behind a
    layer norm, and so is a third backward pass; a test holds this one against finite differences.
    """
    with torch.enable_grad():
        t = at.detach().clone().requires_grad_()
        v = [_slope(y, t) for y in curve(t)]
        a = [_slope(x, t) for x in v]
    return torch.stack(v).detach(), torch.stack(a).detach()


def _slope(number: Tensor, t: Tensor) -> Tensor:
    """d(number)/dt with its graph; 0 where it does not depend on t."""
    if not number.requires_grad:
        return torch.zeros_like(number)
    (slope,) = torch.autograd.grad(number, t, create_graph=True, allow_unused=True)
    return torch.zeros_like(number) if slope is None else slope
