"""Scores of how different the rows of a matrix are; shared by several proxies."""

from __future__ import annotations

import torch
from torch import Tensor

K = 1e-5  # added to eigenvalues, as in the authors' code


def correlation(rows: Tensor) -> Tensor:
    """Pearson correlation of the rows (n, samples) -> (n, n), in double precision.

    A constant row has no correlation; it and its diagonal entry are 0, so that it counts as a null
    direction instead of making everything NaN.
    """
    wide = rows.double()
    centred = wide - wide.mean(1, keepdim=True)
    length = centred.norm(dim=1, keepdim=True)
    # What rounding of the mean leaves of a constant row is not a signal.
    real = length > 1e-12 * wide.norm(dim=1, keepdim=True)
    unit = centred.div_(torch.where(real, length, 1.0)).mul_(real)
    return unit @ unit.T


def eigenvalues(symmetric: Tensor) -> Tensor:
    """Ascending, those that rounding made negative clipped at 0."""
    values: Tensor = torch.linalg.eigvalsh(symmetric)
    return values.clamp(min=0.0)


def eigscore(rows: Tensor) -> float:
    """-sum_i [ln(v_i + k) + 1/(v_i + k)] over the eigenvalues v of the correlation; -n at best."""
    v = eigenvalues(correlation(rows)) + K
    return -float((v.log() + 1 / v).sum())


def cosscore(rows: Tensor) -> float:
    """1 - mean over i != j of |cos(row_i, row_j)|^(1/20), halved; from 0.5 (all parallel) to 1."""
    wide = rows.double()
    length = wide.norm(dim=1, keepdim=True)
    unit = wide / torch.where(length > 0, length, 1.0)
    cosine = (unit @ unit.T).abs().pow(1 / 20)
    n = len(cosine)
    return 1 - float(cosine.sum() - cosine.diagonal().sum()) / (2 * (n * n - n))
