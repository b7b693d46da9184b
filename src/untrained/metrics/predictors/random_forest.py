from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

from untrained.core.errors import MissingExtra, UsageError
from untrained.core.predictor import Predictor, Real, predictor


@predictor
class RandomForest(Predictor):
    """Many regression trees, each on a resample of the labels.

    Formula: mean of the trees; each split looks at a third of the features
    Shapes:  (labelled, features) -> (rows,) twice; the deviation is that over the trees
    Cost:    6 forests; about a second for 100 labels
    Source:  Breiman 2001, Machine Learning 45, as scikit-learn implements it
    """

    def __init__(self, *, trees: int = 100, prior: int = -1, seed: int = 0) -> None:
        super().__init__(prior=prior, seed=seed)
        if trees < 2:
            raise UsageError(f"random_forest: trees={trees} is too few.\n  take 2 or more: trees=100")
        if find_spec("sklearn") is None:
            raise MissingExtra("the predictor random_forest", "scikit-learn", "predictors")
        self.trees = trees

    def settings(self) -> dict[str, object]:
        return {**super().settings(), "trees": self.trees}

    def learn(self, codes: Real, target: Real, offset: Real) -> None:
        made: Any = import_module("sklearn.ensemble").RandomForestRegressor(
            n_estimators=self.trees, max_features=1 / 3, min_samples_leaf=2, random_state=self.seed, n_jobs=1
        )
        self._forest = made.fit(codes, target - offset)

    def guess(self, codes: Real) -> tuple[Real, Real]:
        told = np.array([tree.predict(codes) for tree in self._forest.estimators_])
        return told.mean(0), told.std(0)
