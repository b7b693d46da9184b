from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from untrained.core.concordance import order_gain
from untrained.core.errors import UsageError
from untrained.core.predictor import Predictor, Real, predictor

MIDDLE = 0.4  # variance of what all rows share, in that of the noise: labels have a middle of their own


@predictor
class RidgeOnRanks(Predictor):
    """Linear, from the features to the ranks of quality, with a squared penalty that is set beforehand.

    Formula: residual = m + codes @ b, minimising |residual - m - codes b|^2 + penalty * features * |b|^2
        + m^2 / 0.4; in other words b ~ N(0, noise / (penalty * features)). Row i is missed by
        (A r)_i / A_ii when it is left out, A = (K + 1)^-1, K = codes codes' / (penalty * features) + 0.4
    Shapes:  (labelled, features) -> (rows,) twice
    Cost:    one inverse of labelled x labelled; a millisecond
    Source:  Hoerl and Kennard 1970, Technometrics 12; leave-one-out: Allen 1974, Technometrics 16
    Differs: on ranks, and on what a prior leaves. No penalty is chosen from the labels: twenty cannot tell
        a good one from a bad one, and the choice costs more than it gains. docs/labels.md has the numbers.
        With careful=true the correction counts by how many pairs of labels, each left out, it puts in the
        right order beyond the prior, and not at all within one standard error: hardly ever worse than
        the prior, and with few labels hardly ever better
    """

    doubt: ClassVar[float] = 1.0

    def __init__(
        self, *, penalty: float = 2.5, careful: bool = False, prior: int = -1, seed: int = 0
    ) -> None:
        super().__init__(prior=prior, seed=seed)
        self.gated = careful
        if not (math.isfinite(penalty) and penalty > 0):
            raise UsageError(
                f"ridge_on_ranks: penalty={penalty} is no positive number.\n  write: penalty=2.5"
            )
        self.penalty = float(penalty)

    def settings(self) -> dict[str, object]:
        return {**super().settings(), "penalty": self.penalty, "careful": self.gated}

    def learn(self, codes: Real, target: Real, offset: Real) -> None:
        self._codes = codes
        self._inverse = np.linalg.inv(self._kernel(codes) + np.eye(len(codes)))
        self._dual = self._inverse @ (target - offset)
        self._missed = self._dual / np.diag(self._inverse)

    def held_out(self, codes: Real, target: Real, offset: Real) -> Real:
        self.learn(codes, target, offset)
        found: Real = target - offset - self._missed
        return found

    def gain(self, codes: Real, target: Real, offset: Real) -> tuple[float, float]:
        """In pairs put in the right order: a smaller error alone may be the bend of a prior already right."""
        return order_gain(offset + self.held_out(codes, target, offset), offset, target)

    def guess(self, codes: Real) -> tuple[Real, Real]:
        near = self._kernel(codes)
        own = (codes**2).mean(1) / self.penalty + MIDDLE
        told = ((near @ self._inverse) * near).sum(1)
        noise = float((self._missed**2).mean())
        return near @ self._dual, np.sqrt(noise * (1 + (own - told).clip(min=0.0)))

    def _kernel(self, codes: Real) -> Real:
        """Covariance with the labelled, in units of the noise."""
        near: Real = codes @ self._codes.T / (self.penalty * codes.shape[1]) + MIDDLE
        return near
