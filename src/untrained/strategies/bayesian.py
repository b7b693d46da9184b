"""Bayesian optimisation with a Gaussian process, through BoTorch."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np

from untrained.core.architecture import Architecture
from untrained.core.errors import MissingExtra, UsageError
from untrained.core.space import Space
from untrained.core.strategy import Strategy, strategy
from untrained.strategies._decisions import Declared, Real
from untrained.strategies._past import Past, highest, standard, targets
from untrained.strategies._pool import Pools, fill

if TYPE_CHECKING:
    from untrained.core.study import Trial

STEPS = 50  # of the optimiser that fits length, scale and noise
DRAWS = 64  # samples of the posterior, where the acquisition has no closed form
EVERY = 10  # trials between two fits, at least; a tenth of all once there are more


@strategy
class Bayesian(Strategy):
    """Asks for the candidate of largest expected improvement under a Gaussian process of what was told.

    Between architectures of declared choices the kernel is exp(-d / (2 l^2)), d the number of decisions in
    which they differ, counted on one-hot codes; elsewhere it is Matern-5/2 on the standardised encoding. One
    objective: log expected improvement. Several: the log of the expected growth of the hypervolume above a
    point a tenth of the front's range below its worst. A batch is chosen one by one, each in view of those
    before it.

    Source:  Ament et al. 2023, arXiv:2310.20708, for both acquisitions, as BoTorch implements them
    Differs: the acquisition is maximised over a pool of candidates that were not told yet: mutations of the
             best and fresh samples, renewed when the best changes and every 10 trials. The process sees the
             best and the newest trials, `points` in all; of several objectives the front and the newest.
             Length, scale and noise are fitted at every 10th trial, later whenever there are a tenth more. A
             rejected or failed trial counts as the worst seen, or, while none has a score, as its distance
             from the constraint. Of several fidelities it models the highest with `start` trials.
    """

    def __init__(self, space: Space, *, start: int = 10, points: int = 300, candidates: int = 50) -> None:
        super().__init__(space)
        for name, value, least in (("start", start, 2), ("points", points, 4), ("candidates", candidates, 1)):
            if value < least:
                raise UsageError(f"bayesian: {name}={value} is too few.\n  take {least} or more: {name}=100")
        if find_spec("botorch") is None:
            raise MissingExtra("the strategy bayesian", "botorch", "bo")
        self.start, self.points = start, points
        self.options = Declared(space) if space.declared() else None
        self.pools = Pools(space, self._code, candidates)
        self.pasts: dict[int | None, Past] = {}
        """by fidelity"""
        self.seen: set[Architecture] = set()
        self._hyper: tuple[object, Any] = (None, None)
        self._model: tuple[object, Any] = (None, None)

    def ask(self, rng: Random, n: int = 1) -> list[Architecture]:
        past = highest(self.pasts, self.start)
        chosen: list[Architecture] = []
        if past is not None:
            pool = self.pools.now(past, self.seen)
            open_ = pool.open(self.seen)
            if open_:
                with _apart():
                    best = self._chosen(past, pool.codes[open_], min(n, len(open_)))
                chosen = [pool.archs[open_[i]] for i in best]
        return fill(self.space, chosen, n, self.seen, rng)

    def tell(self, trial: Trial) -> None:
        if trial.same_as is not None:
            return  # its numbers were told before
        self.seen.add(trial.architecture)
        self.pasts.setdefault(trial.fidelity, Past(self.points, EVERY)).tell(trial)

    def _code(self, arch: Architecture) -> Real:
        if self.options is not None:
            return self.options.one_hot(arch)
        return np.array(self.space.encode(arch))

    # --- the process -----------------------------------------------------------------------------------

    def _chosen(self, past: Past, codes: Real, n: int) -> list[int]:
        """Numbers of the candidates to ask for, best first."""
        import torch

        one, many = _module("botorch.acquisition"), _module("botorch.acquisition.multi_objective.logei")
        # Else BoTorch compiles a kernel at its first use: half a minute, and where a process was killed in
        # the middle of that, the lock it has left makes every later one wait without end.
        many._load_attempted = True
        tools = _module("botorch.utils.multi_objective")
        boxes = _module("botorch.utils.multi_objective.box_decompositions")
        sampler = _module("botorch.sampling").SobolQMCNormalSampler(torch.Size([DRAWS]), seed=past.told)

        model, place = self._fitted(past)
        choices = torch.from_numpy(place(codes)).unsqueeze(1)  # (candidates, 1, features)
        told = model.train_targets.reshape(-1, model.train_inputs[0].shape[-2]).T  # (trials, objectives)
        found: list[int] = []
        while len(found) < n:
            pending = choices[found, 0] if found else None
            if told.shape[1] > 1:
                point = tools.infer_reference_point(told[tools.is_non_dominated(told)], scale=0.1)
                parts = boxes.FastNondominatedPartitioning(point, told)
                worth = many.qLogExpectedHypervolumeImprovement(
                    model, point, parts, sampler, X_pending=pending
                )
            elif pending is None:
                worth = one.LogExpectedImprovement(model, told.max())
            else:
                worth = one.qLogExpectedImprovement(model, told.max(), sampler, X_pending=pending)
            with torch.no_grad():
                values = worth(choices)
            values[found] = -torch.inf
            found.append(int(values.argmax()))
        return found

    def _fitted(self, past: Past) -> tuple[Any, Any]:
        """The process of all that is kept now, and what brings codes to its inputs."""
        now = (past, past.told)
        if self._model[0] != now:
            mark, rows = past.marked
            goals = len(past.best[0].scores or (0.0,)) if past.best else 1
            made = self._process(past.rows(), goals)
            if self._hyper[0] != (past, mark, goals):
                self._hyper = (past, mark, goals), _fit(self._process(rows, goals)[0]) if rows else None
            if self._hyper[1] is not None:
                made[0].load_state_dict(self._hyper[1])
            made[0].eval()
            self._model = now, made
        return self._model[1]  # type: ignore[no-any-return]

    def _process(self, rows: list[Trial], objectives: int) -> tuple[Any, Any]:
        """A Gaussian process of these trials with untouched length, scale and noise."""
        import torch

        kernels = _module("gpytorch.kernels")
        codes = np.array([self._code(trial.architecture) for trial in rows])  # (trials, features)
        # The squared distance of two one-hot codes is twice the number of decisions that differ.
        middle, spread = (0.0, 2**0.5) if self.options else (codes.mean(0), codes.std(0))
        several = torch.Size([objectives]) if objectives > 1 else torch.Size()
        if self.options is not None:
            width = len(self.options.options)
            kernel = kernels.RBFKernel(batch_shape=several, lengthscale_prior=_lengths(width))
        else:
            width = codes.shape[1]
            kernel = kernels.MaternKernel(nu=2.5, batch_shape=several, lengthscale_prior=_lengths(width))
        kernel.lengthscale = width**0.5

        def place(codes: Real) -> Real:
            moved: Real = (codes - middle) / np.where(spread > 0, spread, 1.0)
            return moved

        worth = standard(targets(rows))
        if worth.shape[1] != objectives:  # nothing was scored among these rows
            worth = np.repeat(worth[:, :1], objectives, axis=1)
        model = _module("botorch.models").SingleTaskGP(
            torch.from_numpy(place(codes)),
            torch.from_numpy(worth),
            covar_module=kernels.ScaleKernel(kernel, batch_shape=several),
            outcome_transform=None,
        )
        return model, place


def _module(name: str) -> Any:
    """Of the extra, imported when it is used."""
    return import_module(name)


def _lengths(width: int) -> Any:
    """Lengths grow with the square root of the dimension, as in BoTorch's own default."""
    return _module("gpytorch.priors").LogNormalPrior(2**0.5 + math.log(width) / 2, 3**0.5)


def _fit(model: Any) -> dict[str, Any] | None:
    """Length, scale and noise of largest marginal likelihood; None where the optimiser breaks down."""
    likelihood = _module("gpytorch.mlls").ExactMarginalLogLikelihood(model.likelihood, model)
    broken = _module("linear_operator.utils.errors").NotPSDError
    model.train()
    try:
        _module("botorch.optim.fit").fit_gpytorch_mll_scipy(likelihood, options={"maxiter": STEPS})
    except (broken, RuntimeError, ValueError, ArithmeticError):
        return None
    found: dict[str, Any] = model.state_dict()
    return found if all(bool(value.isfinite().all()) for value in found.values()) else None


@contextmanager
def _apart() -> Iterator[None]:
    """What BoTorch warns of concerns its optimiser, not our user; global luck and threads stay as they were.

    One thread: the matrices are small, and numbers do not depend on how many processors there are.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
            warnings.simplefilter("ignore")
            torch.manual_seed(0)
            yield
    finally:
        torch.set_num_threads(threads)
