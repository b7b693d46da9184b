"""Parameters and FLOPs of an encoder in closed form, as `nn/transformer.py` builds it."""

from __future__ import annotations

from itertools import pairwise


def mixer_parameters(operation: str, hidden: int, heads: int) -> int:
    """Weights and biases of a layer's token mixer.

    Formula: with M = h^2 + h, a square matrix and its bias: sdp 4 M; wma 4 M + h^2; dft and dct 2 M; a
             convolution 5 M / 2 (query, key, value, pointwise, convolved, to half of the heads) + h k
             (depthwise) + (h / 2 + 1) (heads / 2) k (kernels) + M (output)
    """
    square = hidden * hidden + hidden
    if operation in ("dft", "dct"):
        return 2 * square
    if operation in ("sdp", "wma"):
        return 4 * square + (hidden * hidden if operation == "wma" else 0)
    kernel, half = kernel_of(operation), hidden // 2
    return 5 * square // 2 + hidden * kernel + (half + 1) * (heads // 2) * kernel + square


def mixer_flops(operation: str, hidden: int, heads: int, length: int) -> int:
    """Matrix products and convolutions of a layer's token mixer for one token of `length`.

    A Fourier transform has no matrix product and counts 0, as in torch's counter; a cosine transform is two.
    """
    square = 2 * hidden * hidden
    if operation == "dft":
        return 2 * square
    if operation == "dct":
        return 2 * square + 2 * hidden * (hidden // heads + length)
    if operation in ("sdp", "wma"):
        return (5 if operation == "wma" else 4) * square + 4 * length * hidden
    kernel, half = kernel_of(operation), hidden // 2
    kernels = 2 * half * (heads // 2) * kernel
    return 5 * square // 2 + square + 2 * hidden * kernel + kernels + 2 * half * kernel + 4 * length * half


def feed_parameters(hidden: int, inner: tuple[int, ...]) -> int:
    """Weights and biases of a feed-forward part."""
    return sum((a + 1) * b for a, b in pairwise((hidden, *inner, hidden)))


def feed_flops(hidden: int, inner: tuple[int, ...]) -> int:
    """Matrix products of a feed-forward part for one token."""
    return sum(2 * a * b for a, b in pairwise((hidden, *inner, hidden)))


def kernel_of(operation: str) -> int:
    """Positions that a convolution sees; 1 for what is none."""
    return int(operation.removeprefix("conv")) if operation.startswith("conv") else 1
