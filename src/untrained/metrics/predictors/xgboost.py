from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

from untrained.core.errors import MissingExtra, UsageError
from untrained.core.predictor import Predictor, Real, predictor


@predictor
class Xgboost(Predictor):
    """Boosted shallow trees, a few times over with luck of their own.

    Formula: mean of `members` models of 100 trees of depth 3, learning rate 0.05, each tree on 80 % of the
        labels and half of the features
    Shapes:  (labelled, features) -> (rows,) twice; the deviation is that over the members
    Cost:    6 times `members` models; about a second for 100 labels
    Source:  Chen and Guestrin 2016, arXiv:1603.02754
    """

    def __init__(self, *, members: int = 5, prior: int = -1, seed: int = 0) -> None:
        super().__init__(prior=prior, seed=seed)
        if members < 2:
            raise UsageError(f"xgboost: members={members} is too few.\n  take 2 or more: members=5")
        if find_spec("xgboost") is None:
            raise MissingExtra("the predictor xgboost", "xgboost", "predictors")
        self.members = members

    def settings(self) -> dict[str, object]:
        return {**super().settings(), "members": self.members}

    def learn(self, codes: Real, target: Real, offset: Real) -> None:
        made: Any = import_module("xgboost").XGBRegressor
        shape = {"n_estimators": 100, "max_depth": 3, "learning_rate": 0.05}
        luck = {"subsample": 0.8, "colsample_bytree": 0.5, "n_jobs": 1}
        self._models = [
            made(**shape, **luck, random_state=1_000 * self.seed + k).fit(codes, target - offset)
            for k in range(self.members)
        ]

    def guess(self, codes: Real) -> tuple[Real, Real]:
        told = np.array([model.predict(codes) for model in self._models], dtype=np.float64)
        return told.mean(0), told.std(0)
