"""The published scores of rows, written down again from the text alone, in numpy and loops."""

from __future__ import annotations

import math

import numpy as np

K = 1e-5
NULL = -(math.log(K) + 1 / K)  # what one null direction costs


def worth(*eigenvalues):
    """The score of a correlation matrix with these eigenvalues."""
    return -sum(math.log(v + K) + 1 / (v + K) for v in eigenvalues)


def eigscore_of(matrix):
    """As the authors have it: a general solver, whose tiny imaginary and negative parts are dropped."""
    values = np.linalg.eig(np.corrcoef(matrix))[0].real.clip(min=0)
    return -sum(math.log(v + K) + 1 / (v + K) for v in values)


def cosscore_of(matrix):
    total, n = 0.0, len(matrix)
    for i in range(n):
        for j in range(n):
            if i != j:
                lengths = math.sqrt(sum(a * a for a in matrix[i])) * math.sqrt(sum(b * b for b in matrix[j]))
                total += abs(sum(a * b for a, b in zip(matrix[i], matrix[j], strict=True)) / lengths) ** (
                    1 / 20
                )
    return 1 - total / (2 * (n * n - n))
