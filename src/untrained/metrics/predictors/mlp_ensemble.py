from __future__ import annotations

from untrained.core.ensemble import Ensemble
from untrained.core.errors import UsageError
from untrained.core.predictor import Predictor, Real, predictor


@predictor
class MlpEnsemble(Predictor):
    """Small networks that disagree where they know nothing.

    Formula: mean of `members` perceptrons with two hidden layers of 32, trained by Adam on the absolute error
    Shapes:  (labelled, features) -> (rows,) twice; the deviation is that over the members
    Cost:    6 trainings of 200 steps; about a second
    Source:  White et al. 2021, arXiv:1910.11858 (BANANAS), whose surrogate it is
    Differs: two layers of 32, theirs ten of 20; on ranks, and on what a prior leaves
    """

    def __init__(self, *, members: int = 5, prior: int = -1, seed: int = 0) -> None:
        super().__init__(prior=prior, seed=seed)
        if members < 2:
            raise UsageError(f"mlp_ensemble: members={members} is too few.\n  take 2 or more: members=5")
        self.members = members

    def settings(self) -> dict[str, object]:
        return {**super().settings(), "members": self.members}

    def learn(self, codes: Real, target: Real, offset: Real) -> None:
        self._ensemble = Ensemble(codes, target - offset, members=self.members, seed=self.seed)

    def guess(self, codes: Real) -> tuple[Real, Real]:
        return self._ensemble.predict(codes)
