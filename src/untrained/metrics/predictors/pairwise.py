from __future__ import annotations

import math

import numpy as np

from untrained.core.predictor import Predictor, Real, predictor

PAIRS = 10  # compared a label
ROUNDS = 12  # of Newton's method, which has long converged then
LOGIT = 1.7  # from a standard deviation of normal noise to the steepness of a logistic curve


@predictor
class Pairwise(Predictor):
    """Linear in the features, learned from which of two is the better one.

    Formula: P(i above j) = 1 / (1 + exp(-a (s_i - s_j))), s = offset + codes @ b, a = 1.7 / (sd of what the
        offset leaves * sqrt 2); b maximises the likelihood of the pairs, scaled to one observation a
        label, with the prior b ~ N(0, strength^2 / features)
    Shapes:  (labelled, features) -> (rows,) twice
    Cost:    12 Newton steps in the number of features, 6 fits; tens to hundreds of milliseconds
    Source:  Bradley and Terry 1952, Biometrika 39; for search: Xu et al. 2021 (ReNAS), arXiv:1910.01523
    Differs: linear, where theirs is a network; the deviation is that of the Laplace approximation
    """

    def __init__(self, *, strength: float = 0.5, prior: int = -1, seed: int = 0) -> None:
        super().__init__(prior=prior, seed=seed)
        self.strength = strength

    def settings(self) -> dict[str, object]:
        return {**super().settings(), "strength": self.strength}

    def learn(self, codes: Real, target: Real, offset: Real) -> None:
        n, features = codes.shape
        i, j = np.triu_indices(n, 1)
        if len(i) > PAIRS * n:
            some = np.random.default_rng(self.seed).choice(len(i), PAIRS * n, replace=False)
            i, j = i[some], j[some]
        up = np.sign(target[i] - target[j])
        i, j, up = i[up != 0], j[up != 0], up[up != 0]
        apart, before = up[:, None] * (codes[i] - codes[j]), up * (offset[i] - offset[j])
        steep = LOGIT / (math.sqrt(2) * (float((target - offset).std()) or 1.0))
        weight = n / max(1, len(i))  # pairs share their rows: together they say what n labels say
        penalty = np.full(features, features / self.strength**2)
        self._b = np.zeros(features)
        for _ in range(ROUNDS):
            wrong = 1 / (1 + np.exp((steep * (before + apart @ self._b)).clip(-60.0, 60.0)))
            slope = weight * steep * apart.T @ wrong - penalty * self._b
            bent = apart * (wrong * (1 - wrong))[:, None]
            self._curve = weight * steep**2 * apart.T @ bent + np.diag(penalty)
            self._b = self._b + np.linalg.solve(self._curve, slope)

    def guess(self, codes: Real) -> tuple[Real, Real]:
        variance = (codes * np.linalg.solve(self._curve, codes.T).T).sum(1)
        return codes @ self._b, np.sqrt(variance.clip(min=0.0))
