from __future__ import annotations

from itertools import product

import numpy as np

from untrained.core.predictor import Predictor, Real, predictor

SHARES = (0.03, 0.1, 0.3, 1.0)  # variance of each kernel, in that of the labels
LENGTHS = (0.5, 1.0, 2.0)  # in the median distance of two labelled rows
NOISES = (0.1, 0.2, 0.4, 0.8)  # variance, in that of the labels


@predictor
class GaussianProcess(Predictor):
    """A Gaussian process with one smooth and one linear kernel, over a small grid of settings.

    Formula: residual ~ GP(0, s (exp(-d^2 / 2 l^2) + <a, b> / features) + noise), d the Euclidean distance of
        the codes; s, l and the noise of largest evidence -(r' K^-1 r + ln |K|) / 2 on the grid
    Shapes:  (labelled, features) -> (rows,) twice
    Cost:    12 eigen-decompositions of labelled x labelled at most; tens of milliseconds
    Source:  Rasmussen and Williams 2006, Gaussian Processes for Machine Learning, sections 2.2 and 5.4
    Differs: no length a feature: with fewer labels than features the evidence cannot tell them apart
    """

    def learn(self, codes: Real, target: Real, offset: Real) -> None:
        left = target - offset
        self._codes = codes
        far = _far(codes, codes)
        apart = far[far > 0]
        self._unit = float(np.median(apart)) if apart.size else 1.0
        best = -np.inf
        variance = float((left**2).mean()) or 1.0
        for length in LENGTHS:
            values, turn = np.linalg.eigh(self._kernel(codes, far, length))
            values, turned = values.clip(min=0.0), turn.T @ left
            for share, noise in product(SHARES, NOISES):
                spectrum = variance * (share * values + noise)
                evidence = -float((turned**2 / spectrum).sum() + np.log(spectrum).sum()) / 2
                if evidence > best:
                    best, self._length, self._share, self._noise = (
                        evidence,
                        length,
                        share * variance,
                        noise * variance,
                    )
                    self._turn, self._inverse = turn, 1 / spectrum
        self._dual = self._turn @ (self._inverse * (self._turn.T @ left))

    def held_out(self, codes: Real, target: Real, offset: Real) -> Real:
        """In closed form, with the settings of all rows."""
        self.learn(codes, target, offset)
        missed = self._dual / (self._turn**2 @ self._inverse)
        found: Real = target - offset - missed
        return found

    def guess(self, codes: Real) -> tuple[Real, Real]:
        near = self._share * self._kernel(codes, _far(codes, self._codes), self._length)
        own = self._share * (1 + (codes**2).mean(1))
        told = ((near @ self._turn) ** 2 * self._inverse).sum(1)
        return near @ self._dual, np.sqrt((own - told).clip(min=0.0) + self._noise)

    def _kernel(self, codes: Real, far: Real, length: float) -> Real:
        """Of codes with the labelled, whose squared distances are `far`."""
        smooth: Real = np.exp(-far / (2 * length**2 * self._unit))
        linear: Real = codes @ self._codes.T / codes.shape[1]
        return smooth + linear


def _far(a: Real, b: Real) -> Real:
    far: Real = ((a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T).clip(min=0.0)
    return far
