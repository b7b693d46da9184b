"""What the authors of the 500-encoder study scored, written a second time and apart from the package.

Their network and their formulas, followed also where ours differ on purpose: hidden size 256 and feed-forward
layers of 1,024 whatever the recipe says, dropout of 0.1 switched on, the gradient of the plain sum of the top
states, transforms that are not orthonormal and have neither residual nor output map. Only the text is
another: WikiText-2 in whole words, as OpenWebText and ELECTRA's word pieces are not at hand. Used by
`published_agreement.py` and by a slow test.

Source: Serianni & Kalita 2023, ACL, and the code that they released
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

WIDTH, FEED, EMBEDDING, POSITIONS, VOCABULARY = 256, 1024, 128, 512, 30_522
DROPOUT, EPSILON, STD = 0.1, 1e-12, 0.02
K = 1e-5  # added to eigenvalues

# Modules stand in the order in which the authors' code makes and initialises them, so that the same seed of
# the global generator gives the same weights.


class Separable(nn.Module):
    """A convolution of each channel by itself, then a map over channels."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(WIDTH, WIDTH, kernel, padding=kernel // 2, groups=WIDTH, bias=False)
        self.pointwise = nn.Conv1d(WIDTH, channels, 1, bias=False)
        self.bias = nn.Parameter(torch.zeros(channels, 1))
        nn.init.normal_(self.depthwise.weight, std=STD)
        nn.init.normal_(self.pointwise.weight, std=STD)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, channels)"""
        moved = self.pointwise(self.depthwise(x.transpose(1, 2))) + self.bias
        return moved.transpose(1, 2)


class Mixer(nn.Module):
    """One operation, without what follows it."""

    def __init__(self, layer: Mapping[str, Any]) -> None:
        super().__init__()
        self.kind, parameter = layer["operation_type"], layer["operation_parameter"]
        self.head_width = WIDTH // int(layer["num_operation_heads"])
        if self.kind == "LT":
            self.fourier = parameter == "DFT"
            self.input = nn.Linear(WIDTH, WIDTH)
        else:
            channels = WIDTH // 2 if self.kind == "DSC" else WIDTH
            self.query = nn.Linear(WIDTH, channels)
            self.key = nn.Linear(WIDTH, channels)
            self.value = nn.Linear(WIDTH, channels)
        if parameter == "WMA":
            self.weight = nn.Linear(WIDTH, WIDTH, bias=False)
        if self.kind == "DSC":
            self.kernel = int(parameter)
            self.local = Separable(channels, self.kernel)
            self.kernels = nn.Linear(channels, channels // self.head_width * self.kernel)
            self.convolved = nn.Linear(WIDTH, channels)
        self.softmax = nn.Softmax(-1)
        self.dropout = nn.Dropout(DROPOUT)

    def heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (-1, self.head_width)).transpose(1, 2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, D)"""
        if self.kind == "LT":
            h = self.heads(self.input(x))
            mixed = torch.fft.fft2(h).real if self.fourier else cosine_transform(h)
            self.softmax(mixed)  # the result is not used, but it is measured
            return mixed.transpose(1, 2).flatten(2)
        query = self.query(x)
        asked = self.weight(query) if hasattr(self, "weight") else query
        scores = self.heads(asked) @ self.heads(self.key(x)).transpose(-1, -2)
        weights = self.dropout(self.softmax(scores / math.sqrt(self.head_width)))
        mixed = (weights @ self.heads(self.value(x))).transpose(1, 2).flatten(2)
        return torch.cat([mixed, self.convolve(x, query)], -1) if self.kind == "DSC" else mixed

    def convolve(self, x: Tensor, query: Tensor) -> Tensor:
        kernels = self.kernels(self.local(x) * query).unflatten(-1, (-1, self.kernel)).softmax(-1)
        side = self.kernel // 2
        padded = nn.functional.pad(self.convolved(x), (0, 0, side, side))
        total = 0
        for i in range(self.kernel):
            seen = padded[:, i : i + x.shape[1]].unflatten(-1, (-1, self.head_width))
            total = total + seen * kernels[..., i, None]
        return total.flatten(2)


class Projected(nn.Module):
    """Linear map, dropout, residual, norm."""

    def __init__(self, ins: int) -> None:
        super().__init__()
        self.dense = nn.Linear(ins, WIDTH)
        self.norm = nn.LayerNorm(WIDTH, eps=EPSILON)
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        return self.norm(self.dropout(self.dense(x)) + residual)


class Layer(nn.Module):
    def __init__(self, layer: Mapping[str, Any]) -> None:
        super().__init__()
        self.mixer = Mixer(layer)
        self.mixed = None if self.mixer.kind == "LT" else Projected(WIDTH)
        depth = int(layer["num_feed_forward"])
        self.up = nn.ModuleList(nn.Linear(WIDTH if i == 0 else FEED, FEED) for i in range(depth))
        self.gelu = nn.GELU()
        self.down = Projected(FEED)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, D)"""
        mixed = self.mixer(x)
        mixed = mixed if self.mixed is None else self.mixed(mixed, x)
        inner = mixed
        for up in self.up:
            inner = self.gelu(up(inner))
        return self.down(inner, mixed)


class Scored(nn.Module):
    """The network of a recipe's `encoder_layers`, with the weights of seed 0."""

    def __init__(self, layers: Sequence[Mapping[str, Any]], seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.words = nn.Embedding(VOCABULARY, EMBEDDING, padding_idx=0)
            self.positions = nn.Embedding(POSITIONS, EMBEDDING)
            self.types = nn.Embedding(2, EMBEDDING)
            self.norm = nn.LayerNorm(EMBEDDING, eps=EPSILON)
            self.dropout = nn.Dropout(DROPOUT)
            self.project = nn.Linear(EMBEDDING, WIDTH)
            self.layers = nn.ModuleList(map(Layer, layers))
            self.apply(_initialise)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T) -> (B, T, D)"""
        x = self.words(tokens) + self.types.weight[0] + self.positions.weight[: tokens.shape[1]]
        x = self.project(self.dropout(self.norm(x)))
        for layer in self.layers:
            x = layer(x)
        return x


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=STD)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
    if isinstance(module, nn.Embedding) and module.padding_idx is not None:
        with torch.no_grad():
            module.weight[module.padding_idx].zero_()


def cosine_transform(x: Tensor) -> Tensor:
    """Type II over the last two axes, not normalised: 2 sum_n x_n cos(pi (n + 1/2) k / N)."""
    for axis in (-1, -2):
        n = x.shape[axis]
        at = torch.arange(n, dtype=x.dtype)
        wave = 2 * torch.cos(math.pi / n * (at[:, None] + 0.5) * at)
        x = (x.transpose(axis, -1) @ wave).transpose(axis, -1)
    return x


def scores(
    layers: Sequence[Mapping[str, Any]],
    tokens: Tensor,
    *,
    seed: int = 0,
    dropout: bool = True,
    double: bool = False,
) -> dict[str, float]:
    """Every published metric, plain and normalised, of the network of these layers on tokens (B, T).

    `activation_distance` is that of each call of the nonlinearity counted once.
    """
    model = Scored(layers, seed).train(dropout)
    model = model.double() if double else model
    inner: list[Tensor] = []
    heads: list[Tensor] = []
    soft: list[Tensor] = []
    for layer in model.layers:
        layer.gelu.register_forward_hook(lambda _, __, out: inner.append(out.detach()))
        layer.mixer.softmax.register_forward_hook(lambda _, __, out: soft.append(out.detach()))
        for name in ("query", "key", "value", "input", "weight"):
            if hasattr(layer.mixer, name):
                getattr(layer.mixer, name).register_forward_hook(
                    lambda _, __, out: heads.append(out.detach())
                )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed + 1)
        out = model(tokens)
    out.backward(torch.ones_like(out))
    attending = [m for layer in model.layers for m in (layer.mixer, layer.mixed) if m is not None]
    feeding = [m for layer in model.layers for m in (layer.up, layer.down)]
    wide = [w for w in _matrices([layer.mixer for layer in model.layers]) if len(w) >= 128]
    terms = {
        "synaptic_diversity": [_nuclear(w) * _nuclear(w.grad) for w in _matrices(attending)],
        "synaptic_saliency": [_saliency(w) for w in _matrices(feeding)],
        "activation_distance": [_agreements(a[0]) for a in inner],
        "head_importance": [_saliency(w) for w in wide],
        "head_confidence": [float(a.amax(1).mean()) for a in heads],
        "head_softmax_confidence": [float(a.amax(1).mean()) for a in soft],
    }
    found = {name: math.fsum(each) for name, each in terms.items()}
    found |= {f"{name}_normalized": math.fsum(each) / len(each) for name, each in terms.items()}
    gradient = model.positions.weight.grad
    assert gradient is not None
    rows = gradient.T.double()  # one row a channel of the embedding
    v = torch.linalg.eigvalsh(torch.corrcoef(rows)) + K
    unit = rows / rows.norm(dim=1, keepdim=True)
    cosine = (unit @ unit.T).fill_diagonal_(0).abs().pow(1 / 20)
    n = len(rows)
    found["jacobian_score"] = -float((v.log() + 1 / v).sum())
    found["jacobian_score_normalized"] = 1 - float(cosine.sum()) / 2 / (n * n - n)
    found["params"] = float(sum(p.numel() for p in model.parameters()))
    return found


def _matrices(modules: Sequence[nn.Module]) -> list[nn.Parameter]:
    return list(_linears(modules))


def _linears(modules: Sequence[nn.Module]) -> Iterator[nn.Parameter]:
    for module in modules:
        for part in module.modules():
            if isinstance(part, nn.Linear):
                yield part.weight


def _nuclear(matrix: Tensor | None) -> float:
    assert matrix is not None
    return float(torch.linalg.svdvals(matrix.detach()).sum())


def _saliency(weight: nn.Parameter) -> float:
    assert weight.grad is not None
    return float((weight.detach() * weight.grad).abs().sum(dtype=torch.float64))


def _agreements(activation: Tensor) -> float:
    """Over all pairs of words, the units that are on for both or off for both; activation (T, F).

    A unit that is on for p of T words adds p^2 + (T - p)^2.
    """
    on = (activation > 0).sum(0).double()
    return float((on.square() + (len(activation) - on).square()).sum())
