"""Fewer points for the same picture."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numpy.typing import ArrayLike

CELLS = (240, 160)  # of the grid that is laid over a plot


def thinned(x: ArrayLike, y: ArrayLike, most: int) -> list[int]:
    """Which points to draw, in their order: all, or at most `most`.

    Every spot of the plot keeps the first of its points, so that outliers stay; of spots that are
    still too many, some at equal distances are kept.
    """
    places = np.asarray(x, float), np.asarray(y, float)
    if len(places[0]) <= most:
        return list(range(len(places[0])))
    across, up = (_cells(v, n) for v, n in zip(places, CELLS, strict=True))
    _, first = np.unique(across * CELLS[1] + up, return_index=True)
    first = np.sort(first)
    kept = first if len(first) <= most else first[np.linspace(0, len(first) - 1, most).round().astype(int)]
    found: list[int] = kept.tolist()
    return found


def _cells(values: npt.NDArray[np.float64], n: int) -> npt.NDArray[np.int64]:
    low, span = values.min(), np.ptp(values)
    cells: npt.NDArray[np.int64] = np.minimum((values - low) / (span or 1.0) * n, n - 1).astype(np.int64)
    return cells
