"""Which decisions the order of architectures depends on, and which do not matter.

The quality of each architecture is its place in the order, 0 for the worst to 1 for the best. A ridge
regression on all decisions tells it for architectures that it has not seen (five folds, several times); what
is lost without the columns of one decision is what that one tells beyond all others. So a decision that
only goes along with another (there are more layers to be of one kind where there are more layers) gets no
credit for it. Every error is that on held-out architectures, and a decision that says nothing gets less than
nothing.

Intervals are 95 %, by a bootstrap of the architectures over their held-out errors.

Source: ridge and its generalised cross-validation: Golub, Heath and Wahba 1979, Technometrics 21; leaving
        columns out of a held-out prediction: Lei et al. 2018, Journal of the American Statistical
        Association 113, section 6
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
from numpy.typing import ArrayLike

from untrained.core.errors import UsageError
from untrained.core.traits import Block, Option

Floats = npt.NDArray[np.float64]

FOLDS, ROUNDS = 5, 8  # of the cross-validation, and how often it is drawn anew
LEAST = 20  # architectures below which nothing can be told
ROWS = 3_000  # architectures that are looked at; of more, this many at random
LITTLE = 0.02  # of the variance of the places: below this, a decision is said not to matter
PENALTIES = tuple(10.0**k for k in np.arange(-2.0, 4.1, 0.5))
DRAWS = 1_000  # resamples behind an interval
ENDS = (0.025, 0.975)
PARTS = 4  # columns of each of two decisions whose products are looked at


@dataclass(frozen=True)
class Effect:
    """What one decision, or two together, tell about the order; shares of the variance of the places."""

    choice: str
    gain: float
    """told beyond all other decisions; below 0 where it only adds noise"""
    low: float
    high: float
    alone: float
    """told by this decision alone"""
    alone_low: float
    alone_high: float
    also: tuple[str, ...] = ()
    """decisions that always go with it, so that they cannot be told apart"""

    @property
    def title(self) -> str:
        """Its name, with those that always go with it."""
        return self.choice if not self.also else f"{self.choice} (and with it {', '.join(self.also)})"

    @property
    def verdict(self) -> str:
        """`matters`, `matters little`, `shared with others`, `does not matter`, or `cannot be told`.

        `shared`: it tells much by itself and nothing that other decisions do not tell too, as an inner width
        that follows from the width.
        """
        if self.high < LITTLE:
            if self.alone_low > LITTLE:
                return "shared with others"
            return "does not matter" if self.low <= 0 else "matters little"
        return "matters" if self.low > 0 else "cannot be told"


@dataclass(frozen=True)
class OptionEffect:
    """What one option does, from none of it to all of it; on places from 0 (the worst) to 100 (the best)."""

    choice: str
    option: str
    share: float
    """mean share of the architectures, or of their layers, that have it"""
    difference: float
    """what it does in the unit of the quality, other decisions not held"""
    raw: float
    raw_low: float
    raw_high: float
    adjusted: float
    """the same with all other decisions held where they are"""
    low: float
    high: float


@dataclass(frozen=True)
class Effects:
    """What was found in one set of architectures."""

    n: int
    """architectures that were looked at"""
    explained: float
    """share of the variance of the places that all decisions tell together, held out"""
    low: float
    high: float
    choices: tuple[Effect, ...]
    """most first"""
    pairs: tuple[Effect, ...]
    """two decisions beyond what each does by itself, most first; empty unless asked for"""
    options: tuple[OptionEffect, ...]

    @property
    def found(self) -> bool:
        """Whether the decisions tell anything about the order."""
        return self.low > 0

    def verdict(self, choice: str) -> str:
        """What is said of a decision; nothing matters where all together tell nothing."""
        effect = next(e for e in self.choices if e.choice == choice)
        return effect.verdict if self.found or effect.verdict != "matters" else "cannot be told"

    def decide(self) -> list[str]:
        """The decisions that matter, most first."""
        return [e.choice for e in self.choices if self.verdict(e.choice) == "matters"]

    def shared(self) -> list[str]:
        """The decisions that tell much, and that others tell as well."""
        return [e.choice for e in self.choices if self.verdict(e.choice) == "shared with others"]

    def idle(self) -> list[str]:
        """The decisions that do not matter."""
        return [e.choice for e in self.choices if self.verdict(e.choice) == "does not matter"]


def effects(parts: Sequence[Block], quality: ArrayLike, *, pairs: bool = False, seed: int = 0) -> Effects:
    """The effect of every decision on `quality` (architectures,), higher for better, one row each.

    Raises UsageError for fewer than 20 architectures. Of more than 3,000, 3,000 are drawn.
    """
    truth = np.asarray(quality, float)
    if len(truth) < LEAST:
        raise UsageError(
            f"{len(truth)} architectures are too few to tell what matters; {LEAST} or more are needed.\n"
            "  go on searching: --resume --trials N, or take a larger table"
        )
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.permutation(len(truth))[:ROWS])
    case = _Case([_of(b, rows) for b in parts], truth[rows], rng)
    each = range(len(parts))
    told = sorted((case.effect(i) for i in each), key=lambda e: -e.gain)
    both = sorted((case.pair(a, b) for a, b in combinations(each, 2)), key=lambda e: -e.gain) if pairs else []
    options = [o for i in each for o in case.options(i)]
    explained = case.share(case.nothing - case.whole)
    return Effects(len(rows), *explained, tuple(told), tuple(both), tuple(options))


# --- the parts --------------------------------------------------------------------------------------


class _Case:
    """One set of architectures, with its folds and the resamples that all intervals share."""

    def __init__(self, parts: Sequence[Block], truth: Floats, rng: np.random.Generator) -> None:
        n = len(truth)
        self.parts, self.truth, self.places = parts, truth, _places(truth)
        self.folds = _folds(n, rng)
        self.times = rng.multinomial(n, np.full(n, 1 / n), size=DRAWS).astype(float)
        self.columns = [b.columns for b in parts]
        self.nothing, self.whole = self.errors([]), self.errors(self.columns)

    def errors(self, columns: Sequence[Floats]) -> Floats:
        """Squared held-out error of each architecture, its mean over the rounds, (architectures,)."""
        found: Floats = ((self.predicted(columns) - self.places) ** 2).mean(0)
        return found

    def predicted(self, columns: Sequence[Floats]) -> Floats:
        """What each architecture is predicted to be without having been seen, (rounds, architectures)."""
        table = np.hstack([*columns, np.empty((len(self.places), 0))])
        found = np.empty((len(self.folds), len(self.places)))
        for r, fold in enumerate(self.folds):
            for k in range(FOLDS):
                out = fold == k
                found[r, out] = _ridge(table[~out], self.places[~out], table[out])
        return found

    def share(self, gain: Floats) -> tuple[float, float, float]:
        """(share, low, high) of the error without any decision that a gain (architectures,) is."""
        low, high = np.quantile((self.times @ gain) / (self.times @ self.nothing), ENDS)
        return float(gain.sum() / self.nothing.sum()), float(low), float(high)

    def effect(self, i: int) -> Effect:
        without = self.errors([c for j, c in enumerate(self.columns) if j != i])
        gain = self.share(without - self.whole)
        apart = self.share(self.nothing - self.errors([self.columns[i]]))
        return Effect(self.parts[i].choice, *gain, *apart, self.parts[i].also)

    def pair(self, a: int, b: int) -> Effect:
        """What the products of two decisions tell beyond all decisions, and beyond the two."""
        left, right = (_main(self.columns[i]) for i in (a, b))
        products = (left[:, :, None] * right[:, None, :]).reshape(len(self.places), -1)
        two = [self.columns[a], self.columns[b]]
        gain = self.share(self.whole - self.errors([*self.columns, products]))
        beside = self.share(self.errors(two) - self.errors([*two, products]))
        return Effect(f"{self.parts[a].choice} with {self.parts[b].choice}", *gain, *beside)

    def options(self, i: int) -> list[OptionEffect]:
        """The effect of each option of a decision, as it is and with the others held where they are."""
        others = [c for j, c in enumerate(self.columns) if j != i]
        left = self.places - self.predicted(others).mean(0)
        found = []
        for option in self.parts[i].options:
            if np.ptp(option.weight) > 0:
                raw, held = (self._slope(option.weight, 100 * v) for v in (self.places, left))
                share, apart = float(option.weight.mean()), slope(option.weight, self.truth)
                found.append(OptionEffect(self.parts[i].choice, option.name, share, apart, *raw, *held))
        return found

    def _slope(self, weight: Floats, values: Floats) -> tuple[float, float, float]:
        n, times = len(weight), self.times
        w, v = times @ weight / n, times @ values / n
        spread = times @ weight**2 / n - w**2
        together = times @ (weight * values) / n - w * v
        slopes = np.divide(together, spread, out=np.zeros(len(times)), where=spread > 1e-12)
        low, high = np.quantile(slopes, ENDS)
        return slope(weight, values), float(low), float(high)


def slope(weight: Floats, values: Floats) -> float:
    """Change of `values` from none to all of `weight`; of a yes or no, the difference of the two means."""
    centred = weight - weight.mean()
    spread = float(centred @ centred)
    return float(centred @ (values - values.mean())) / spread if spread else 0.0


# --- held-out errors -----------------------------------------------------------------------------------


def _ridge(seen: Floats, target: Floats, asked: Floats) -> Floats:
    """Predictions (asked,) by the penalty of least generalised cross-validation."""
    mean, scale = seen.mean(0), seen.std(0)
    kept = scale > 1e-12
    middle = float(target.mean())
    if not kept.any():
        return np.full(len(asked), middle)
    rows, ahead = (seen[:, kept] - mean[kept]) / scale[kept], (asked[:, kept] - mean[kept]) / scale[kept]
    values, vectors = np.linalg.eigh(rows.T @ rows)
    values = values.clip(min=0.0)
    turned = vectors.T @ (rows.T @ (target - middle))
    n, total = len(target), float((target - middle) @ (target - middle))
    best: tuple[float, Floats] | None = None
    for penalty in PENALTIES:
        weights = turned / (values + penalty)
        freedom = float((values / (values + penalty)).sum()) + 1
        error = total - 2 * float(weights @ turned) + float((weights**2) @ values)
        score = error / max(n - freedom, 1e-9) ** 2
        if best is None or score < best[0]:
            best = score, weights
    assert best is not None, "there are penalties"
    predicted: Floats = middle + ahead @ (vectors @ best[1])
    return predicted


def _folds(n: int, rng: np.random.Generator) -> list[Floats]:
    """The fold of each architecture, for each round; many architectures need fewer rounds."""
    rounds = max(1, min(ROUNDS, ROUNDS * 500 // n))
    return [rng.permutation(np.arange(n) % FOLDS).astype(float) for _ in range(rounds)]


def _places(truth: Floats) -> Floats:
    """Places in the order from 0 to 1, equal ones sharing the mean of theirs."""
    _, inverse, counts = np.unique(truth, return_inverse=True, return_counts=True)
    places: Floats = ((np.cumsum(counts) - (counts + 1) / 2)[inverse]) / max(len(truth) - 1, 1)
    return places


def _main(columns: Floats) -> Floats:
    """The directions in which a block varies most, standardised, at most `PARTS`."""
    centred = columns - columns.mean(0)
    scale = centred.std(0)
    centred = centred[:, scale > 1e-12] / scale[scale > 1e-12]
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    kept = sizes > 1e-9 * (sizes[0] if len(sizes) else 1.0)
    main: Floats = left[:, kept][:, :PARTS] * np.sqrt(len(columns))
    return main


def _of(block: Block, rows: npt.NDArray[np.intp]) -> Block:
    options = tuple(Option(o.name, o.weight[rows]) for o in block.options)
    return Block(block.choice, block.columns[rows], options, block.per_layer, block.also)
