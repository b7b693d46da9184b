"""Quality learned from a few trained architectures: a correction to what is known without labels."""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from statistics import NormalDist
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from untrained.core import registry
from untrained.core.errors import UsageError
from untrained.core.named import construct

Real = NDArray[np.float64]
VERSION = 1  # of the file that `to_json` writes

FOLDS = 5  # of the cross-validation that weighs a correction
USUAL = 0.8  # correlation with the truth that a prior is taken to have before labels say otherwise
TRUST = 4.0  # labels that this assumption is worth
CUT = 3.0  # standard scores beyond which a column says no more
BEND = 2.0  # standard scores beyond which labels grow as a logarithm
DOUBT = 1.5  # standard errors that a gain must be above before it counts
LEAST = 0.3  # slope below which no labels bring a prior: it was chosen for a reason


class Predictor(ABC):
    """Learns from labelled rows and tells a mean and a standard deviation for others.

    The columns of X enter as values: less their median, over half the range of their middle 68 %, cut at +-3
    (the prior grows as a logarithm there). The labels y (higher is better) enter as the mean of two: their
    ranks as normal scores, which no outlier moves, and their values, placed like columns and growing as a
    logarithm beyond +-2, which tell small differences from large ones. So no unit matters. What comes out is
    in the same scores: 0 the middle of the labelled, +1 about better than 84 % of them.

    With `prior`, the number of a column of X (a proxy, higher is better), the mean is

        slope * prior + weight * correction,    weight = max(0, 1 - (doubt * standard error / gain)^2)

    where the correction is learned from what the slope leaves, and its gain is the mean fall of the squared
    error on rows that were held out. Where that gain is not above 1.5 of its standard errors (the doubt) the
    weight is 0 and the order is that of the prior: labels that say nothing change nothing. Without a prior
    the weight is 1, and so it is for a predictor that sets `gated` to False.
    """

    name: ClassVar[str] = ""
    gated: bool = True
    """whether a correction must prove itself on held-out rows; not where nothing but it is fitted to labels,
    and a penalty that was set beforehand keeps it small"""
    doubt: ClassVar[float] = DOUBT
    """standard errors of its gain that a correction must be above to count"""

    def __init__(self, *, prior: int = -1, seed: int = 0) -> None:
        self.prior, self.seed = prior, seed
        self.weight = 1.0
        """of the correction, 0 to 1; known after `fit`"""
        self.slope = 0.0
        """of the prior"""
        self._seen: tuple[Real, Real, Real] | None = None

    # --- what a predictor writes -------------------------------------------------------------------

    @abstractmethod
    def learn(self, codes: Real, target: Real, offset: Real) -> None:
        """Learns target - offset from codes (rows, features); all three are standard scores."""

    @abstractmethod
    def guess(self, codes: Real) -> tuple[Real, Real]:
        """What is to be added to the offset, and its standard deviation, each (rows,)."""

    def held_out(self, codes: Real, target: Real, offset: Real) -> Real:
        """The guess for each row from the others; by cross-validation unless there is a closed form."""
        places = np.random.default_rng(self.seed).permutation(len(target))
        found = np.zeros(len(target))
        for fold in np.array_split(places, min(FOLDS, len(target))):
            rest = np.setdiff1d(places, fold)
            self.learn(codes[rest], target[rest], offset[rest])
            found[fold] = self.guess(codes[fold])[0]
        return found

    def gain(self, codes: Real, target: Real, offset: Real) -> tuple[float, float]:
        """What the correction gains on rows held out, and its standard error; here of the squared error."""
        left = target - offset
        fall = left**2 - (left - self.held_out(codes, target, offset)) ** 2
        return float(fall.mean()), float(fall.std()) / math.sqrt(len(fall))

    # --- what everybody calls ----------------------------------------------------------------------

    def fit(self, X: ArrayLike, y: ArrayLike, pool: ArrayLike | None = None) -> Self:
        """Learns from X (labelled, features) and y (labelled,), higher better.

        `pool` (rows, features), labelled or not, says what is high and low in each column; X itself where it
        is not given. Raises UsageError for fewer than 2 labels, for NaN, infinity or constant labels, and
        for shapes that do not fit.
        """
        rows, labels = _matrix("X", X), np.asarray(y, dtype=np.float64)
        around = rows if pool is None else _matrix("pool", pool)
        self._check(rows, labels, around)
        self._seen = rows, labels, around
        self._columns = np.flatnonzero(np.ptp(around, axis=0) > 0)
        self._median, self._range = np.median(around, axis=0), half_range(around)
        placed = self._cut(around)
        self._middle, self._scale = placed.mean(0), np.where(placed.std(0) > 0, placed.std(0), 1.0)
        codes, prior = self._placed(rows)
        target = _target(labels)
        self.slope, self.weight = 0.0, 1.0
        if self.prior >= 0:
            slope = (prior @ target + TRUST * USUAL) / (prior @ prior + TRUST)
            self.slope = max(float(slope), LEAST)
            self.weight = self._worth(codes, target, self.slope * prior) if self.gated else 1.0
        self.learn(codes, target, self.slope * prior)
        return self

    def predict(self, X: ArrayLike) -> tuple[Real, Real]:
        """Mean and standard deviation of the quality's standard score, each (rows,).

        The deviation is that of the correction before it is weighed: also where labels do not yet help, it
        says where the next one would.
        """
        if self._seen is None:
            raise UsageError(f"{self.name or type(self).__name__} has learned nothing yet: call fit first")
        rows = _matrix("X", X)
        if rows.shape[1] != self._seen[0].shape[1]:
            raise UsageError(
                f"X has {rows.shape[1]} features, and it was fitted to {self._seen[0].shape[1]}.\n"
                "  give the same columns in the same order"
            )
        codes, prior = self._placed(rows)
        correction, deviation = self.guess(codes)
        return self.slope * prior + self.weight * correction, deviation

    # --- files -------------------------------------------------------------------------------------

    def settings(self) -> dict[str, Any]:
        """The options it was made with."""
        return {"prior": self.prior, "seed": self.seed}

    def to_json(self) -> str:
        """Name, settings and data, from which `from_json` learns the same again; UsageError before `fit`."""
        if self._seen is None:
            raise UsageError(f"{self.name} has learned nothing yet: call fit first")
        rows, labels, pool = (part.tolist() for part in self._seen)
        record = {"predictor": self.name, "version": VERSION, "settings": self.settings()}
        return json.dumps({**record, "X": rows, "y": labels, "pool": pool}, allow_nan=False)

    # --- the small parts ---------------------------------------------------------------------------

    def _check(self, rows: Real, labels: Real, pool: Real) -> None:
        if labels.ndim != 1 or len(labels) != len(rows):
            raise UsageError(f"{len(rows)} rows need as many labels; these have the shape {labels.shape}")
        if len(labels) < 2:
            raise UsageError(f"{len(labels)} label is too few to learn from; give 2 or more")
        if not np.isfinite(labels).all():
            place = int(np.flatnonzero(~np.isfinite(labels))[0])
            raise UsageError(f"label {place} is {labels[place]}; leave rows without a label out")
        if np.ptp(labels) == 0:
            raise UsageError(
                f"all {len(labels)} labels are {labels[0]:g}: there is nothing to learn from them"
            )
        if pool.shape[1] != rows.shape[1] or not len(pool):
            raise UsageError(f"X has {rows.shape[1]} features and pool the shape {pool.shape}")
        if not -1 <= self.prior < rows.shape[1]:
            raise UsageError(f"prior={self.prior} is no column of X, which has 0 to {rows.shape[1] - 1}")

    def _placed(self, rows: Real) -> tuple[Real, Real]:
        """(codes, prior) of rows; a column that is the same everywhere in the pool is left out."""
        codes = (self._cut(rows) - self._middle) / self._scale
        if self.prior < 0:
            return codes[:, self._columns], np.zeros(len(rows))
        return codes[:, self._columns], self._bent(rows[:, self.prior])

    def _bent(self, prior: Real) -> Real:
        """Beyond the cut a prior grows slowly: no two of its values may become one."""
        k = self.prior
        bent = _bend((prior - self._median[k]) / self._range[k], CUT)
        placed: Real = (bent - self._middle[k]) / self._scale[k]
        return placed

    def _cut(self, rows: Real) -> Real:
        cut: Real = ((rows - self._median) / self._range).clip(-CUT, CUT)
        return cut

    def _worth(self, codes: Real, target: Real, offset: Real) -> float:
        gain, error = self.gain(codes, target, offset)
        return max(0.0, 1 - (self.doubt * error / gain) ** 2) if gain > 0 else 0.0


def from_json(text: str | Mapping[str, Any]) -> Predictor:
    """The predictor that `to_json` wrote, fitted again; UsageError for what is not such a file."""
    try:
        record = json.loads(text) if isinstance(text, str) else text
        name, version, settings = record["predictor"], record["version"], dict(record["settings"])
        data = [np.array(record[part], dtype=np.float64) for part in ("X", "y", "pool")]
    except (ValueError, TypeError, KeyError) as error:
        raise UsageError(f"not a saved predictor: {type(error).__name__}: {error}") from None
    if version != VERSION:
        raise UsageError(
            f"this predictor was saved by another version ({version}; this one reads {VERSION}).\n"
            "  fit it again"
        )
    made: Predictor = construct("predictor", name, **settings)
    return made.fit(data[0], data[1], data[2])


def grid(least: float, most: float, count: int) -> list[float]:
    """Numbers at equal ratios, both ends included."""
    return [float(v) for v in np.geomspace(least, most, count)]


def _matrix(name: str, values: ArrayLike) -> Real:
    """A finite table of floats; raises UsageError that says where it is not."""
    table = np.asarray(values, dtype=np.float64)
    if table.ndim != 2 or not table.shape[1]:
        raise UsageError(f"{name} must be a table (rows, features); its shape is {table.shape}")
    bad = np.argwhere(~np.isfinite(table))
    if len(bad):
        row, column = bad[0].tolist()
        raise UsageError(
            f"{name} is {table[row, column]} in row {row}, column {column}; fill it or leave it out"
        )
    return table


def half_range(table: Real) -> Real:
    """(columns,): half the range of each one's middle 68 %; of one that is mostly the same its deviation."""
    low, high = np.quantile(table, [0.16, 0.84], axis=0)
    deviation = table.std(0)
    found: Real = np.where(high > low, (high - low) / 2, np.where(deviation > 0, deviation, 1.0))
    return found


def _bend(z: Real, cut: float) -> Real:
    """z, beyond +-cut growing as a logarithm."""
    bent: Real = np.where(abs(z) > cut, np.sign(z) * (cut + np.log1p((abs(z) - cut).clip(min=0.0))), z)
    return bent


def _target(labels: Real) -> Real:
    """What is learned: half the rank of a label and half its value, in standard scores."""
    near = labels / abs(labels).max()  # so that no difference is too large to be a number
    values = _bend((near - np.median(near)) / half_range(near[:, None])[0], BEND)
    return _standard(_standard(_scores(labels)) + _standard(values))


def _standard(values: Real) -> Real:
    standard: Real = (values - values.mean()) / values.std()
    return standard


def _scores(labels: Real) -> Real:
    """Normal scores of the ranks; equal labels share the middle of theirs."""
    ordered, n, normal = np.sort(labels), len(labels), NormalDist()
    below, upto = np.searchsorted(ordered, labels, "left"), np.searchsorted(ordered, labels, "right")
    return np.array([normal.inv_cdf(p) for p in ((below + upto) / (2 * n)).tolist()])


P = TypeVar("P", bound=type[Predictor])


def predictor(cls: P) -> P:
    """Registers a predictor under the name of its file, or of the class when it is made in a notebook."""
    cls.name = registry.add("predictor", cls)
    return cls


__all__ = ["Predictor", "from_json", "grid", "half_range", "predictor"]
