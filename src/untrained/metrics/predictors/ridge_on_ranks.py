from __future__ import annotations

import numpy as np

from untrained.core.predictor import Predictor, Real, grid, predictor

PENALTIES = grid(0.1, 100.0, 7)  # in units of one feature's share of the kernel


@predictor
class RidgeOnRanks(Predictor):
    """Linear, from the features to the ranks of quality, with a squared penalty.

    Formula: residual = codes @ b, b minimising |residual - codes b|^2 + penalty * features * |b|^2; the
        penalty of least leave-one-out error, in closed form: row i is missed by (A r)_i / A_ii,
        A = (K + penalty)^-1, K = codes codes' / features
    Shapes:  (labelled, features) -> (rows,) twice
    Cost:    one eigen-decomposition of labelled x labelled; some milliseconds
    Source:  Hoerl and Kennard 1970, Technometrics 12; leave-one-out: Allen 1974, Technometrics 16
    Differs: on ranks, and on what a prior leaves
    """

    def learn(self, codes: Real, target: Real, offset: Real) -> None:
        left = target - offset
        self._codes = codes
        values, self._turn = np.linalg.eigh(codes @ codes.T / codes.shape[1])
        values = values.clip(min=0.0)
        turned = self._turn.T @ left
        best = np.inf
        for penalty in PENALTIES:
            inverse = 1 / (values + penalty)
            dual = self._turn @ (inverse * turned)
            missed = dual / (self._turn**2 @ inverse)
            if (error := float((missed**2).mean())) < best:
                best, self._inverse, self._dual, self._missed = error, inverse, dual, missed

    def held_out(self, codes: Real, target: Real, offset: Real) -> Real:
        self.learn(codes, target, offset)
        found: Real = target - offset - self._missed
        return found

    def guess(self, codes: Real) -> tuple[Real, Real]:
        with_labelled = codes @ self._codes.T / codes.shape[1]
        own = (codes**2).mean(1)
        told = ((with_labelled @ self._turn) ** 2 * self._inverse).sum(1)
        noise = float((self._missed**2).mean())
        return with_labelled @ self._dual, np.sqrt(noise + (own - told).clip(min=0.0))
