"""Token mixers: what lets positions of a sequence see each other. Each maps (B, T, D) to (B, T, D).

`softmax`, `window` (the same over the last `span` positions), `multiplicative` (softmax with an extra matrix
on the queries), `cosformer` (linear attention), `dft` and `dct` (a fixed transform), `convolution`
(span-based dynamic convolution beside attention).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, relu, softmax

from untrained.core.errors import InvalidArchitecture
from untrained.nn.taps import Tape


class SoftmaxAttention(nn.Module):
    """Scaled dot-product attention with grouped key/value heads (Vaswani et al. 2017; Ainslie et al. 2023).

    Writes `attention`, the probabilities (B, heads, T, T), where the tape wants them.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        kv_heads: int | None = None,
        head_width: int | None = None,
        bias: bool = True,
        causal: bool = False,
        span: int | None = None,
        rotary: bool = False,
        multiplicative: bool = False,
    ) -> None:
        super().__init__()
        self.heads, self.kv_heads = heads, kv_heads or heads
        self.causal, self.span, self.rotary = causal, span, rotary
        self.head_width = head_width or _shared(width, heads)
        if self.heads % self.kv_heads:
            raise InvalidArchitecture(f"{heads} query heads cannot share {kv_heads} key/value heads evenly")
        self.query = nn.Linear(width, heads * self.head_width, bias=bias)
        self.key = nn.Linear(width, self.kv_heads * self.head_width, bias=bias)
        self.value = nn.Linear(width, self.kv_heads * self.head_width, bias=bias)
        self.multiply = nn.Linear(self.head_width, self.head_width, bias=False) if multiplicative else None
        self.output = nn.Linear(heads * self.head_width, width, bias=bias)

    def forward(self, x: Tensor, tape: Tape | None = None, layer: int = 0) -> Tensor:
        """(B, T, D) -> (B, T, D)"""
        return self.output(self.mixed(x, tape, layer).transpose(1, 2).flatten(2))  # type: ignore[no-any-return]

    def mixed(self, x: Tensor, tape: Tape | None = None, layer: int = 0) -> Tensor:
        """Values mixed by attention, (B, heads, T, head width)."""
        q, k, v = (_split(project(x), self.head_width) for project in (self.query, self.key, self.value))
        if self.multiply is not None:
            q = self.multiply(q)
        if self.rotary:
            q, k = rotated(q), rotated(k)
        k, v = (t.repeat_interleave(self.heads // self.kv_heads, dim=1) for t in (k, v))
        scores = q @ k.transpose(-1, -2) / math.sqrt(self.head_width)
        if (mask := self._mask(x.shape[1], x.device)) is not None:
            scores = scores.masked_fill(~mask, -math.inf)
        weights = softmax(scores, -1)
        if tape is not None:
            tape.add("attention", layer, weights)
        return weights @ v

    def _mask(self, length: int, device: torch.device) -> Tensor | None:
        """True where a query (row) may look at a key (column)."""
        if not self.causal and self.span is None:
            return None
        distance = torch.arange(length, device=device)[:, None] - torch.arange(length, device=device)
        near = distance.abs() < (self.span or length)
        return near & (distance >= 0) if self.causal else near


class CosformerAttention(nn.Module):
    """Linear attention whose weights fall off as a cosine of the distance (Qin et al. 2022, cosFormer).

    out_i = sum_j w_ij v_j / sum_j w_ij, w_ij = relu(q_i) . relu(k_j) cos(pi/2 (i - j) / T), in O(T).
    """

    def __init__(self, width: int, heads: int, *, bias: bool = True, causal: bool = False) -> None:
        super().__init__()
        self.heads, self.causal, self.head_width = heads, causal, _shared(width, heads)
        self.query = nn.Linear(width, width, bias=bias)
        self.key = nn.Linear(width, width, bias=bias)
        self.value = nn.Linear(width, width, bias=bias)
        self.output = nn.Linear(width, width, bias=bias)

    def forward(self, x: Tensor, tape: Tape | None = None, layer: int = 0) -> Tensor:
        """(B, T, D) -> (B, T, D)"""
        q, k, v = (_split(project(x), self.head_width) for project in (self.query, self.key, self.value))
        angle = torch.arange(x.shape[1], device=x.device, dtype=x.dtype) * (math.pi / 2 / x.shape[1])
        turn = torch.stack([angle.cos(), angle.sin()], -1)  # (T, 2)
        q, k = (torch.einsum("bhtd,tc->bhtdc", relu(t), turn).flatten(3) for t in (q, k))
        summed = torch.einsum("bhtd,bhte->bhtde", k, v)
        seen, weight = (
            (summed.cumsum(2), k.cumsum(2))
            if self.causal
            else (summed.sum(2, keepdim=True), k.sum(2, keepdim=True))
        )
        total = (q * weight).sum(-1, keepdim=True).clamp(min=1e-6)
        mixed = torch.einsum("bhtd,bhtde->bhte", q, seen.expand(-1, -1, x.shape[1], -1, -1)) / total
        return self.output(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


class FixedTransform(nn.Module):
    """A linear map, then a two-dimensional Fourier or cosine transform over (positions, head channels).

    Source: FNet, Lee-Thorp et al. 2021, as a choice of FlexiBERT. The real part is kept; DCT is type II.
    """

    def __init__(self, width: int, heads: int, kind: str, *, bias: bool = True) -> None:
        super().__init__()
        self.kind, self.head_width = kind, _shared(width, heads)
        self.input = nn.Linear(width, width, bias=bias)
        self.output = nn.Linear(width, width, bias=bias)

    def forward(self, x: Tensor, tape: Tape | None = None, layer: int = 0) -> Tensor:
        """(B, T, D) -> (B, T, D)"""
        h = _split(self.input(x), self.head_width)
        mixed = (
            torch.fft.fft2(h).real if self.kind == "dft" else dct(dct(h).transpose(-1, -2)).transpose(-1, -2)
        )
        # Orthonormal scaling: a transform of T x d numbers must not blow the signal up.
        mixed = mixed / math.sqrt(h.shape[-1] * h.shape[-2])
        return self.output(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


class SpanConvolution(nn.Module):
    """Half of the heads attend, the other half convolve with kernels made from the local span.

    Source: ConvBERT, Jiang et al. 2020, arXiv:2008.02496
    """

    def __init__(self, width: int, heads: int, kernel: int, *, bias: bool = True) -> None:
        super().__init__()
        self.head_width = _shared(width, heads)
        self.convolved = heads - heads // 2
        self.kernel = kernel
        attended = heads // 2
        self.attention = (
            SoftmaxAttention(width, attended, head_width=self.head_width, bias=bias) if attended else None
        )
        channels = self.convolved * self.head_width
        self.query = nn.Linear(width, channels, bias=bias)
        self.value = nn.Linear(width, channels, bias=bias)
        self.local = nn.Conv1d(width, channels, kernel, padding=kernel // 2, groups=math.gcd(width, channels))
        self.kernels = nn.Linear(channels, self.convolved * kernel, bias=bias)
        if self.attention is not None:
            self.attention.output = nn.Identity()  # type: ignore[assignment]
        self.output = nn.Linear(width, width, bias=bias)

    def forward(self, x: Tensor, tape: Tape | None = None, layer: int = 0) -> Tensor:
        """(B, T, D) -> (B, T, D)"""
        span = self.local(x.transpose(1, 2)).transpose(1, 2) * self.query(x)
        shape = (*x.shape[:2], self.convolved, self.kernel)
        kernels = softmax(self.kernels(span).reshape(shape), -1)
        side = self.kernel // 2
        windows = pad(self.value(x), (0, 0, side, side)).unfold(1, self.kernel, 1)  # (B, T, C, k)
        windows = windows.reshape(*x.shape[:2], self.convolved, self.head_width, self.kernel)
        mixed = torch.einsum("bthdk,bthk->bthd", windows, kernels).flatten(2)
        if self.attention is not None:
            mixed = torch.cat([self.attention(x, tape, layer), mixed], -1)
        return self.output(mixed)  # type: ignore[no-any-return]


def rotated(x: Tensor, base: float = 10_000.0) -> Tensor:
    """Rotary position embedding of (B, heads, T, d), halves paired as in Llama (Su et al. 2021)."""
    half = x.shape[-1] // 2
    speed = base ** (-torch.arange(half, device=x.device, dtype=x.dtype) / half)
    angle = torch.arange(x.shape[-2], device=x.device, dtype=x.dtype)[:, None] * speed
    a, b = x[..., :half], x[..., half : 2 * half]
    turned = [a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin(), x[..., 2 * half :]]
    return torch.cat(turned, -1)


def dct(x: Tensor) -> Tensor:
    """Cosine transform of type II over the last axis: sum_n x_n cos(pi (n + 1/2) k / N)."""
    n = x.shape[-1]
    at = torch.arange(n, device=x.device, dtype=x.dtype)
    return x @ torch.cos(math.pi / n * (at[:, None] + 0.5) * at)


def _split(x: Tensor, head_width: int) -> Tensor:
    """(B, T, heads * d) -> (B, heads, T, d)"""
    return x.reshape(*x.shape[:2], -1, head_width).transpose(1, 2)


def _shared(width: int, heads: int) -> int:
    if heads < 1 or width % heads:
        raise InvalidArchitecture(f"{heads} heads do not divide a width of {width} evenly")
    return width // heads
