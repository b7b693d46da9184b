"""A few small networks that guess what an architecture is worth, and how far they disagree."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Real = NDArray[np.float64]
Single = NDArray[np.float32]

WIDTH = 32
BATCH = 32
STEPS = 200  # Adam steps, whatever the number of trials
RATE = 0.01  # falls to 0 along half a cosine
BETAS = (0.9, 0.999)


class Ensemble:
    """Multilayer perceptrons with two hidden layers, trained together by Adam on the mean absolute error.

    In NumPy: all members are one stack of matrices, so that a step is a few products for the lot, and luck
    comes from a generator of their own.
    """

    def __init__(self, codes: Real, worth: Real, *, members: int, seed: int) -> None:
        """`codes` (trials, features), `worth` (trials,); both are standardised here."""
        self.middle, self.scale = codes.mean(0), _spread(codes)
        self.level, self.unit = float(worth.mean()), float(_spread(worth[:, None])[0])
        rng = np.random.default_rng(seed)
        sizes = (codes.shape[1], WIDTH, WIDTH, 1)
        shapes: list[tuple[int, ...]] = []
        for inputs, outputs in pairwise(sizes):
            shapes += [(members, inputs, outputs), (members, 1, outputs)]
        ends = np.cumsum([0, *map(math.prod, shapes)]).tolist()
        self.flat = np.zeros(ends[-1], np.float32)
        """every weight of every member; `weights` are views into it"""
        self.weights: list[Single] = [
            self.flat[a:b].reshape(shape) for (a, b), shape in zip(pairwise(ends), shapes, strict=True)
        ]
        for w in self.weights[::2]:
            w[:] = rng.normal(0.0, (2 / w.shape[1]) ** 0.5, w.shape)
        self._train(self._seen(codes), ((worth - self.level) / self.unit).astype(np.float32), rng)

    def predict(self, codes: Real) -> tuple[Real, Real]:
        """Mean and standard deviation over the members, each (candidates,)."""
        guesses = self._forward(self._seen(codes)[None])[-1][:, :, 0].astype(float) * self.unit + self.level
        return guesses.mean(0), guesses.std(0)

    # --- the small parts ---------------------------------------------------------------------------------

    def _seen(self, codes: Real) -> Single:
        seen: Single = ((codes - self.middle) / self.scale).astype(np.float32)
        return seen

    def _forward(self, inputs: Single) -> list[Single]:
        """Inputs (members or 1, rows, features), both hidden layers, and the guess (members, rows, 1)."""
        w1, b1, w2, b2, w3, b3 = self.weights
        first = np.maximum(inputs @ w1 + b1, 0.0)
        second = np.maximum(first @ w2 + b2, 0.0)
        return [inputs, first, second, second @ w3 + b3]

    def gradient(self, inputs: Single, worth: Single) -> Single:
        """Of each member's mean absolute error by `flat`, for inputs (members, rows, features)."""
        layers = self._forward(inputs)
        back: Single = np.sign(layers[3] - worth[..., None]) / np.float32(inputs.shape[1])
        found: list[Single] = []
        for k in (2, 1, 0):
            found = [layers[k].swapaxes(1, 2) @ back, back.sum(1, keepdims=True), *found]
            if k:
                back = (back @ self.weights[2 * k].swapaxes(1, 2)) * (layers[k] > 0)
        return np.concatenate([part.ravel() for part in found])

    def _train(self, codes: Single, worth: Single, rng: np.random.Generator) -> None:
        members, count = len(self.weights[0]), len(codes)
        mean, square = np.zeros_like(self.flat), np.zeros_like(self.flat)
        batches = rng.integers(count, size=(STEPS, members, min(BATCH, count)))  # each member draws its own
        for step, rows in enumerate(batches, start=1):
            gradient = self.gradient(codes[rows], worth[rows])
            mean += (1 - BETAS[0]) * (gradient - mean)
            square += (1 - BETAS[1]) * (gradient * gradient - square)
            rate = RATE * (1 + math.cos(math.pi * step / STEPS)) / 2 / (1 - BETAS[0] ** step)
            self.flat -= rate * mean / (np.sqrt(square / (1 - BETAS[1] ** step)) + 1e-8)


def _spread(columns: Real) -> Real:
    spread = columns.std(0)
    found: Real = np.where(spread > 0, spread, 1.0)
    return found
