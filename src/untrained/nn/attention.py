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
from untrained.nn.memory import Memory
from untrained.nn.spans import SPAN
from untrained.nn.taps import Tape


class SoftmaxAttention(nn.Module):
    """Scaled dot-product attention with grouped key/value heads (Vaswani et al. 2017; Ainslie et al. 2023).

    `multiplicative` puts one more matrix, over all heads and without bias, on the queries (FlexiBERT's WMA).
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
        self.heads, self.kv_heads = heads, heads if kv_heads is None else kv_heads
        self.causal, self.span, self.rotary = causal, span, rotary
        if heads < 1 or self.kv_heads < 1 or self.heads % self.kv_heads:
            raise InvalidArchitecture(f"{heads} query heads cannot share {kv_heads} key/value heads evenly")
        self.head_width = _shared(width, heads) if head_width is None else head_width
        if self.head_width < 1 or (span is not None and span < 1):
            raise InvalidArchitecture(
                f"heads of {head_width} channels, a window of {span}; both take 1 or more"
            )
        inside = heads * self.head_width
        self.query = nn.Linear(width, inside, bias=bias)
        self.key = nn.Linear(width, self.kv_heads * self.head_width, bias=bias)
        self.value = nn.Linear(width, self.kv_heads * self.head_width, bias=bias)
        self.multiply = nn.Linear(inside, inside, bias=False) if multiplicative else None
        self.output = nn.Linear(inside, width, bias=bias)

    def forward(
        self, x: Tensor, tape: Tape | None = None, layer: int = 0, memory: Memory | None = None
    ) -> Tensor:
        """(B, T, D) -> (B, T, D)"""
        mixed = self.mixed(x, tape, layer, memory)
        return self.output(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]

    def mixed(
        self, x: Tensor, tape: Tape | None = None, layer: int = 0, memory: Memory | None = None
    ) -> Tensor:
        """Values mixed by attention, (B, heads, T, head width)."""
        query = self.query(x) if self.multiply is None else self.multiply(self.query(x))
        q, k, v = (_split(t, self.head_width) for t in (query, self.key(x), self.value(x)))
        if self.rotary:
            places = None if memory is None else memory.places
            q, k = rotated(q, places=places), rotated(k, places=places)
        if memory is None:
            mask = self._mask(x.shape[1], x.device)
        else:
            k, v = memory.keep(layer, k, v)
            mask = memory.mask(x.shape[1], k.shape[2], span=self.span)
        k, v = (t.repeat_interleave(self.heads // self.kv_heads, dim=1) for t in (k, v))
        weights = attention(q, k, mask)
        if tape is not None:
            tape.add("attention", layer, weights)
        return weights @ v

    def _mask(self, length: int, device: torch.device) -> Tensor | None:
        """True where a query (row) may look at a key (column)."""
        if not self.causal and self.span is None:
            return None
        distance = torch.arange(length, device=device)[:, None] - torch.arange(length, device=device)
        near = distance.abs() < (length if self.span is None else self.span)
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
        if self.causal:
            mixed, total = _running(q, k, v)
        else:
            mixed = q @ (k.transpose(-1, -2) @ v)
            total = (q * k.sum(2, keepdim=True)).sum(-1, keepdim=True)
        mixed = mixed / total.clamp(min=1e-6)
        return self.output(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


def _running(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """sum_{j <= i} (q_i . k_j) v_j, and the sum of the weights.

    (B, H, T, C), (B, H, T, C), (B, H, T, E) -> (B, H, T, E), (B, H, T, 1)

    A matrix of C x E for every position, as the formula has it, would be many times the network's own memory:
    inside a span the weights are written out, and only its end has such a matrix.
    """
    before: Tensor | None = None
    summed: Tensor | None = None
    mixed, total = [], []
    spans = list(zip(*(torch.split(t, SPAN, 2) for t in (q, k, v)), strict=True))
    for i, (q_s, k_s, v_s) in enumerate(spans, start=1):
        weights = (q_s @ k_s.transpose(-1, -2)).tril()
        out, own = weights @ v_s, weights.sum(-1, keepdim=True)
        if before is not None and summed is not None:
            out, own = out + q_s @ before, own + (q_s * summed).sum(-1, keepdim=True)
        mixed.append(out)
        total.append(own)
        if i == len(spans):
            break  # nobody asks for what the last one adds
        ended, added = k_s.transpose(-1, -2) @ v_s, k_s.sum(2, keepdim=True)
        before = ended if before is None else before + ended
        summed = added if summed is None else summed + added
    return torch.cat(mixed, 2), torch.cat(total, 2)


class FixedTransform(nn.Module):
    """A linear map, then a two-dimensional Fourier or cosine transform over (positions, head channels).

    Source: FNet, Lee-Thorp et al. 2021, as a choice of FlexiBERT. The real part is kept; the cosine
    transform is of type II. Both are orthonormal, so that they do not blow the signal up.
    """

    def __init__(self, width: int, heads: int, kind: str, *, bias: bool = True) -> None:
        super().__init__()
        self.kind, self.head_width = kind, _shared(width, heads)
        self.input = nn.Linear(width, width, bias=bias)
        self.output = nn.Linear(width, width, bias=bias)

    def forward(self, x: Tensor, tape: Tape | None = None, layer: int = 0) -> Tensor:
        """(B, T, D) -> (B, T, D)"""
        h = _split(self.input(x), self.head_width)
        if self.kind == "dft":
            mixed = torch.fft.fft2(h, norm="ortho").real
        else:
            mixed = dct(dct(h).transpose(-1, -2)).transpose(-1, -2)
        return self.output(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


class SpanConvolution(nn.Module):
    """Half of the heads attend, the other half convolve with kernels made from the local span.

    For a convolving head: kernel = softmax(W (query * separable convolution of the input)), one number for
    each position that it sees; output = sum over those positions of kernel times a value of its own. The
    queries are those of the attending heads, so there are as many of one kind as of the other.

    Source: ConvBERT, Jiang et al. 2020, arXiv:2008.02496
    """

    def __init__(self, width: int, heads: int, kernel: int, *, bias: bool = True) -> None:
        super().__init__()
        self.head_width = _shared(width, heads)
        if heads % 2:
            raise InvalidArchitecture(
                f"{heads} heads: a span convolution takes an even number, half to attend"
            )
        if kernel < 1 or kernel % 2 == 0:
            raise InvalidArchitecture(f"a kernel of {kernel} positions has no middle; take an odd number")
        self.each, self.kernel = heads // 2, kernel
        channels = self.each * self.head_width
        self.query = nn.Linear(width, channels, bias=bias)
        self.key = nn.Linear(width, channels, bias=bias)
        self.value = nn.Linear(width, channels, bias=bias)
        self.depthwise = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width, bias=False)
        self.pointwise = nn.Linear(width, channels, bias=bias)
        self.kernels = nn.Linear(channels, self.each * kernel, bias=bias)
        self.convolved = nn.Linear(width, channels, bias=bias)
        self.output = nn.Linear(width, width, bias=bias)

    def forward(self, x: Tensor, tape: Tape | None = None, layer: int = 0) -> Tensor:
        """(B, T, D) -> (B, T, D)"""
        query = self.query(x)
        q, k, v = (_split(t, self.head_width) for t in (query, self.key(x), self.value(x)))
        weights = attention(q, k)
        if tape is not None:
            tape.add("attention", layer, weights)
        attended = (weights @ v).transpose(1, 2).flatten(2)
        return self.output(torch.cat([attended, self._convolve(x, query)], -1))  # type: ignore[no-any-return]

    def _convolve(self, x: Tensor, query: Tensor) -> Tensor:
        """(B, T, D), (B, T, D / 2) -> (B, T, D / 2)"""
        local = self.pointwise(self.depthwise(x.transpose(1, 2)).transpose(1, 2))
        shape = (*x.shape[:2], self.each, self.kernel)
        kernels = softmax(self.kernels(local * query).reshape(shape), -1)
        side = self.kernel // 2
        windows = pad(self.convolved(x), (0, 0, side, side)).unfold(1, self.kernel, 1)  # (B, T, D / 2, k)
        windows = windows.reshape(*x.shape[:2], self.each, self.head_width, self.kernel)
        return torch.einsum("bthdk,bthk->bthd", windows, kernels).flatten(2)


def attention(q: Tensor, k: Tensor, mask: Tensor | None = None) -> Tensor:
    """Probabilities (B, heads, T, T) of queries and keys (B, heads, T, d); True in `mask` may be seen."""
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    return softmax(scores if mask is None else scores.masked_fill(~mask, -math.inf), -1)


def rotated(x: Tensor, base: float = 10_000.0, places: Tensor | None = None) -> Tensor:
    """Rotary position embedding of (B, heads, T, d), halves paired as in Llama (Su et al. 2021).

    `places` (B, T) has the positions of the tokens, else they are 0, 1, ...
    """
    half = x.shape[-1] // 2
    speed = base ** (-torch.arange(half, device=x.device, dtype=x.dtype) / half)
    if places is None:
        angle = torch.arange(x.shape[-2], device=x.device, dtype=x.dtype)[:, None] * speed
    else:
        angle = places[:, None, :, None].to(x.dtype) * speed
    a, b = x[..., :half], x[..., half : 2 * half]
    turned = [a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin(), x[..., 2 * half :]]
    return torch.cat(turned, -1)


def dct(x: Tensor) -> Tensor:
    """Orthonormal cosine transform of type II over the last axis.

    Formula: sqrt(2 / N) sum_n x_n cos(pi (n + 1/2) k / N), and that times sqrt(1/2) for k = 0
    """
    n = x.shape[-1]
    at = torch.arange(n, device=x.device, dtype=x.dtype)
    size = (
        torch.full((), 2.0, dtype=torch.float64, device=x.device) / n
    )  # a tensor, so that n may be symbolic
    wave = torch.cos(math.pi / n * (at[:, None] + 0.5) * at) * size.sqrt()
    return x @ torch.where(at == 0, wave * math.sqrt(0.5), wave)


def _split(x: Tensor, head_width: int) -> Tensor:
    """(B, T, heads * d) -> (B, heads, T, d)"""
    return x.reshape(*x.shape[:2], -1, head_width).transpose(1, 2)


def _shared(width: int, heads: int) -> int:
    if heads < 1 or width % heads:
        raise InvalidArchitecture(f"{heads} heads do not divide a width of {width} evenly")
    return width // heads
