"""For users of Optuna: our proxies as objective or pruner, and our studies in its storages.

    from untrained.apps.optuna import objective
    goal = objective("bert_encoder", ["depth_width_rank", "params"])
    study = optuna.create_study(directions=goal.directions)
    study.optimize(goal, n_trials=100)

Optuna is imported when it is used: pip install 'untrained[optuna]'.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from untrained.core.architecture import Architecture
from untrained.core.errors import InvalidArchitecture, MissingExtra, UnknownName, UsageError
from untrained.core.metric import Metric
from untrained.core.named import construct
from untrained.core.space import Space
from untrained.core.study import Question, Study, Trial

if TYPE_CHECKING:
    import optuna

By = Literal["choices", "seed"]
Direction = Literal["maximize", "minimize"]

SEEDS = 2**31 - 1  # the largest seed that is suggested
SEEN = "untrained_pruner"  # system attribute of a trial that a ProxyPruner has judged
JOURNAL = "journal:///"  # before the path of a journal file


def suggest(trial: optuna.Trial, space: str | Space, *, by: By | None = None) -> Architecture:
    """The architecture of an Optuna trial; raises TrialPruned where its decisions do not go together.

    By choices, each decision that the space declares is a categorical parameter of its name; one that is
    taken for each layer is `heads.0`, `heads.1`, ..., as many as the trial has layers. Options that are lists
    appear as JSON. A space that declares none (`rnn_cell`), or of which few free combinations can be built
    (`gpt_decoder`), is better asked by seed: one integer `seed`, and the architecture that the space samples
    from it. Equal seeds give equal architectures, but near ones do not, so that no sampler can learn from
    them more than a random one. By default, choices where the space declares any.

    The trial keeps the architecture in the user attributes `arch` (its id) and `architecture` (JSON).
    """
    place = _space(space)
    if (by or _usual(place)) == "seed":
        arch = place.sample(Random(trial.suggest_int("seed", 0, SEEDS)))
    else:
        if not place.declared():
            raise UsageError(f"{place.name} declares no choices.\n  take by='seed'")
        arch = _chosen(trial, place)
    trial.set_user_attr("arch", arch.id)
    trial.set_user_attr("architecture", arch.to_json())
    return arch


def _usual(space: Space) -> By:
    return "choices" if space.declared() else "seed"


def _chosen(trial: optuna.Trial, space: Space) -> Architecture:
    picked: dict[str, Any] = {}
    slots = space.declared()
    for name in sorted(
        slots, key=lambda name: slots[name].per is not None
    ):  # what lists are as long as, first
        known = {_plain(option): option for option in slots[name].options}

        def one(parameter: str, known: dict[Any, Any] = known) -> Any:
            return known[trial.suggest_categorical(parameter, list(known))]

        per = slots[name].per
        picked[name] = one(name) if per is None else tuple(one(f"{name}.{i}") for i in range(picked[per]))
    arch = Architecture.of(space.name, **picked)
    try:
        space.validate(arch)
        fits = space.valid(arch)
    except InvalidArchitecture as error:
        raise _pruned(trial, str(error)) from None
    if not fits:
        raise _pruned(trial, f"{space.name}: these choices do not go together")
    return arch


class Objective:
    """A function of an Optuna trial: the values of proxies and costs of the architecture it suggests."""

    def __init__(
        self,
        space: str | Space,
        proxies: str | Metric | Sequence[str | Metric],
        *,
        by: By | None = None,
        text: str | Path | None = None,
        scale: str = "probe",
        seeds: int = 1,
        device: str = "cpu",
    ) -> None:
        from untrained.apps.api import lab
        from untrained.apps.probing import resolve

        self.lab = lab(space, scale=scale, text=text, device=device)
        self.metrics, self.by, self.seeds = resolve(proxies), by, seeds
        if by not in (None, "choices", "seed"):
            raise UsageError(f"by={by!r}; take 'choices' or 'seed'")
        if by == "choices" and not self.lab.space.declared():
            raise UsageError(f"{self.lab.space.name} declares no choices.\n  take by='seed'")

    @property
    def directions(self) -> list[Direction]:
        """What `optuna.create_study` takes, one for each metric."""
        return [_direction(m.better) for m in self.metrics]

    def __call__(self, trial: optuna.Trial) -> float | tuple[float, ...]:
        """One value, or one for each metric. A network without a score is a pruned trial with `reason`."""
        arch = suggest(trial, self.lab.space, by=self.by)
        found = self.lab.measure(arch, self.metrics, self.seeds)
        values = []
        for measured in found.values():
            if measured.value is None:
                raise _pruned(trial, measured.reason or f"{measured.metric}: no value")
            values.append(measured.value)
        return values[0] if len(values) == 1 else tuple(values)


def objective(
    space: str | Space,
    proxies: str | Metric | Sequence[str | Metric],
    *,
    by: By | None = None,
    text: str | Path | None = None,
    scale: str = "probe",
    seeds: int = 1,
    device: str = "cpu",
) -> Objective:
    """An objective for `study.optimize`; see `suggest` for what its trials choose, `score` for the rest.

    Values are in each metric's own direction: give its `directions` to `optuna.create_study`.
    """
    return Objective(space, proxies, by=by, text=text, scale=scale, seeds=seeds, device=device)


class ProxyPruner:
    """Ends a trial before its training where an untrained score is low among those seen so far.

        def train(trial):
            arch = suggest(trial, "bert_encoder")
            if trial.should_prune():
                raise optuna.TrialPruned()
            ...

        optuna.create_study(pruner=ProxyPruner("bert_encoder", "depth_width_rank"))

    The first time that a trial asks, its architecture is scored; the answer stays the same when it asks again
    during training. A network that has no score is pruned. Scores are kept in the study's storage.
    """

    def __init__(
        self,
        space: str | Space,
        proxy: str | Metric,
        *,
        quantile: float = 0.5,
        warmup: int = 10,
        text: str | Path | None = None,
        scale: str = "probe",
        device: str = "cpu",
    ) -> None:
        """`quantile` (above 0, below 1) of the scores of other trials is the least that a trial must have.

        The first `warmup` trials with a score are all trained.
        """
        if not 0 < quantile < 1:
            raise UsageError(f"quantile={quantile}; take a share above 0 and below 1")
        if warmup < 1:
            raise UsageError(f"warmup={warmup}; take 1 or more")
        self.score = Objective(space, proxy, text=text, scale=scale, device=device)
        if len(self.score.metrics) != 1:
            raise UsageError("a pruner looks at one proxy")
        self.quantile, self.warmup = quantile, warmup

    def prune(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> bool:
        """Whether Optuna is to end this trial."""
        if (seen := trial.system_attrs.get(SEEN)) is not None:
            return bool(seen["pruned"])
        if "architecture" not in trial.user_attrs:
            raise UsageError(
                "the trial does not say which architecture it trains.\n"
                "  take it from untrained.apps.optuna.suggest(trial, space)"
            )
        arch = Architecture.from_json(trial.user_attrs["architecture"])
        (metric,) = self.score.metrics
        found = self.score.lab.measure(arch, [metric])[metric.label]
        pruned, kept = True, dict[str, Any](score=None, reason=found.reason)
        if found.ok:
            others = [t.system_attrs.get(SEEN) for t in study.get_trials(deepcopy=False)]
            scores = [o["score"] for o in others if o is not None and o["score"] is not None]
            pruned = len(scores) >= self.warmup and found.goodness < float(np.quantile(scores, self.quantile))
            kept = {"score": found.goodness}
        study._storage.set_trial_system_attr(trial._trial_id, SEEN, kept | {"pruned": pruned})
        return pruned


# --- our studies in Optuna's storages ----------------------------------------------------------------


def export(
    study: Study,
    storage: str | optuna.storages.BaseStorage,
    *,
    name: str = "search",
    replace: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Writes a study into a storage of Optuna, so that its dashboard and its plots show it.

    `storage` is one of Optuna's, a database URL (`sqlite:///optuna.db`), or `journal:///PATH`, which is much
    faster where there are many trials: into a database, Optuna writes them in several transactions each.
    Into an empty storage, trials keep their numbers. What was measured is COMPLETE; what a constraint turned
    away, or was only looked at with a cheaper metric, is PRUNED; what has no number is FAIL. Declared choices
    are parameters as in `suggest`; other values, the architecture and the reason are user attributes. Raises
    UsageError where the storage has a study of that name, unless `replace`.
    """
    optuna = _optuna()
    with _silenced(), _opened(storage) as place:
        if name in optuna.study.get_all_study_names(place):
            if not replace:
                raise UsageError(
                    f"the storage already has a study {name!r}.\n  replace it: --force, or name another place"
                )
            optuna.delete_study(study_name=name, storage=place)
        question = study.question
        made = optuna.create_study(
            storage=place,
            study_name=name,
            directions=[_direction(better) for _, better in question.objectives],
        )
        made.set_metric_names([label for label, _ in question.objectives])
        for key, value in asdict(question).items():
            made.set_user_attr(key, value)
        space = _known(question)
        for trial in study.trials:
            made.add_trial(_frozen(question, trial, space))
            if progress is not None:
                progress(trial.number + 1, len(study.trials))


def _frozen(question: Question, trial: Trial, space: Space | None) -> Any:
    """The trial as Optuna has it."""
    optuna = _optuna()
    labels = [label for label, _ in question.objectives]
    attrs: dict[str, Any] = {
        "arch": trial.architecture.id,
        **{name: value for name, value in trial.values.items() if name not in labels},
        "same_as": trial.same_as,
        "fidelity": trial.fidelity,
        "draw": trial.draw or None,
        "violation": trial.violation or None,
        "reason": trial.reason,
        "note": trial.note,
        "architecture": trial.architecture.to_json(),
    }
    states = optuna.trial.TrialState
    state, values = {"ok": states.COMPLETE, "rejected": states.PRUNED}.get(trial.status, states.FAIL), None
    if trial.status == "ok" and trial.fidelity is not None:
        state = states.PRUNED
    elif trial.status == "ok":
        values = [trial.values[label] for label in labels]
    parameters, distributions = _parameters(trial.architecture, space)
    return optuna.trial.create_trial(
        state=state,
        values=values,
        params=parameters,
        distributions=distributions,
        user_attrs={key: value for key, value in attrs.items() if value is not None},
    )


def _parameters(arch: Architecture, space: Space | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """The declared choices of an architecture, flat, and what each was chosen from; else nothing.

    A choice that is none of the options (a known network outside the sampled ranges) is left out.
    """
    if space is None:
        return {}, {}
    optuna = _optuna()
    parameters, distributions = {}, {}
    given = dict(arch.choices)
    for name, slot in space.declared().items():
        options = tuple(map(_plain, slot.options))
        values = (
            [(name, given[name])]
            if slot.per is None
            else [(f"{name}.{i}", value) for i, value in enumerate(given[name])]
        )
        for key, value in values:
            if _plain(value) in options:
                parameters[key] = _plain(value)
                distributions[key] = optuna.distributions.CategoricalDistribution(options)
    return parameters, distributions


@contextmanager
def _opened(storage: str | optuna.storages.BaseStorage) -> Iterator[optuna.storages.BaseStorage]:
    """The storage; one that was opened here is closed behind the block."""
    optuna = _optuna()
    if not isinstance(storage, str):
        yield storage
    elif storage.startswith(JOURNAL):
        backend = optuna.storages.journal.JournalFileBackend(storage.removeprefix(JOURNAL))
        yield optuna.storages.JournalStorage(backend)
    else:
        try:
            made = optuna.storages.RDBStorage(storage)
        except Exception as error:  # its drivers and SQLAlchemy raise what they like
            said = str(error).strip().partition("\n")[0]
            raise UsageError(f"Optuna cannot open that storage: {type(error).__name__}: {said}") from None
        try:
            yield made
        finally:
            made.remove_session()
            made.engine.dispose()


@contextmanager
def _silenced() -> Iterator[None]:
    """Without a line on stderr for each study, and without the warnings on what Optuna calls experimental."""
    optuna = _optuna()
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(level)


def _known(question: Question) -> Space | None:
    """The space of a study; None where the package that has it is not installed."""
    try:
        return _space(question.space)
    except UnknownName:
        return None


def _space(space: str | Space) -> Space:
    if isinstance(space, Space):
        return space
    found: Space = construct("space", space)
    return found


def _plain(option: Any) -> Any:
    """An option as Optuna can store it: lists as JSON."""
    return json.dumps(option) if isinstance(option, tuple) else option


def _direction(better: str) -> Direction:
    return "maximize" if better == "higher" else "minimize"


def _pruned(trial: optuna.Trial, reason: str) -> Exception:
    trial.set_user_attr("reason", reason)
    found: Exception = _optuna().TrialPruned(reason)
    return found


def _optuna() -> Any:
    try:
        import optuna
    except ModuleNotFoundError:
        raise MissingExtra("untrained.apps.optuna", "optuna", "optuna") from None
    return optuna
