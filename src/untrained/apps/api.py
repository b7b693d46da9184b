"""What a script says: the command line's words as functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from random import Random
from typing import Any, overload

from untrained.apps.calibrating import FRESH, Calibration
from untrained.apps.calibrating import calibrate as _calibrate
from untrained.apps.comparing import Comparison, strategies_by_name
from untrained.apps.comparing import compare as _compare
from untrained.apps.correlation import Correlation
from untrained.apps.correlation import correlate as _correlate
from untrained.apps.featuring import FeatureTable, Replaced, tabulate
from untrained.apps.foreign import Foreign, foreigners, rank_foreign
from untrained.apps.labelled import Known, check_kind, fitted_on, from_benchmark
from untrained.apps.own_labels import from_csv
from untrained.apps.parallel import Progress, measure_all
from untrained.apps.probing import Lab, check_device, resolve
from untrained.apps.ranking import Ranking, check_combine, ranked
from untrained.apps.reducing import KEEP, Reduction
from untrained.apps.reducing import known as _known
from untrained.apps.reducing import reduce as _reduce
from untrained.apps.searching import BATCH
from untrained.apps.searching import search as _search
from untrained.core.architecture import Architecture
from untrained.core.benchmark import Benchmark
from untrained.core.errors import UsageError
from untrained.core.metric import Measurement, Metric
from untrained.core.named import construct
from untrained.core.narrowing import LOSE
from untrained.core.space import Space
from untrained.core.study import Study, Trial
from untrained.core.text import Corpus, load

Names = str | Metric | Iterable[str | Metric]


def space(name: str, **options: object) -> Space:
    """The search space of that name, options behind a colon or as keywords; UnknownName, UsageError."""
    found: Space = construct("space", name, **options)
    return found


def rng(seed: int) -> Random:
    """A source of luck, to be handed to `sample`, `mutate` and `crossover`."""
    return Random(seed)


def lab(
    space: str | Space, *, scale: str = "probe", text: str | Path | Corpus | None = None, device: str = "cpu"
) -> Lab:
    """The fixed part of every measurement: space, scale, text, device. A bad one of them is told here."""
    check_device(device)
    where: Space = space if isinstance(space, Space) else construct("space", space)
    corpus = text if isinstance(text, Corpus) else load(text)
    made = Lab(where, scale, corpus, device, typed=space if isinstance(space, str) else "")
    made.check_text()
    return made


@overload
def score(  # type: ignore[overload-overlap]
    what: object,
    proxies: str | Metric,
    *,
    batch: object = ...,
    text: str | Path | None = ...,
    scale: str = ...,
    seeds: int = ...,
    device: str = ...,
) -> Measurement: ...
@overload
def score(
    what: object,
    proxies: Iterable[str | Metric],
    *,
    batch: object = ...,
    text: str | Path | None = ...,
    scale: str = ...,
    seeds: int = ...,
    device: str = ...,
) -> dict[str, Measurement]: ...
def score(
    what: object,
    proxies: Names,
    *,
    batch: object = None,
    text: str | Path | None = None,
    scale: str = "probe",
    seeds: int = 1,
    device: str = "cpu",
) -> Measurement | dict[str, Measurement]:
    """Scores one untrained network.

    `what` is an architecture, an `nn.Module`, a Hugging Face configuration, or the path of a model directory
    or of a config.json. A configuration gets random weights, and proxies see it with narrower heads unless
    `scale="paper"`; costs are those of the whole. A directory with safetensors is loaded and taken as it is.
    `batch` (a Batch, token ids (B, T), or a mapping with `input_ids`) shows a network of your own that
    instead of the text.

    With several `seeds` the value is the mean over draws of weights and text window and `spread` their
    standard deviation; weights that are handed in or loaded stay as they are.
    One name gives one Measurement, several give a mapping by name. A network that has no score gives a
    Measurement with `ok` False and the reason.
    """
    metrics = resolve(proxies)
    if isinstance(what, Architecture):
        if batch is not None:
            raise UsageError("batch goes with a network of your own; for an architecture give text=FILE")
        found = lab(what.space, scale=scale, text=text, device=device).measure(what, metrics, seeds)
    else:
        own = Foreign(what, load(text), batch=batch, scale=scale, device=device)
        found = own.measure(metrics, seeds)
    return found[metrics[0].label] if isinstance(proxies, str | Metric) and len(metrics) == 1 else found


def rank(
    archs: Iterable[object],
    proxies: Names,
    *,
    combine: str | None = None,
    text: str | Path | None = None,
    scale: str = "probe",
    seeds: int = 1,
    workers: int | None = 1,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Ranking:
    """Architectures of one space, best first by the first proxy; failed ones last, with their reason.

    With `combine` (`mean_rank`, `log_rank` or `borda`) the order is that of all proxies together, by the
    ranks that they give to these architectures; no labels are needed. Each proxy counts in its own direction.
    See `untrained.core.aggregate`.

    Or networks of your own: modules, Hugging Face configurations, paths; see `score`. Configurations are
    all made small by the same factor, and `Place.architecture` has the network's name as its `id`. They are
    measured one by one, whatever `workers` says.
    """
    asked = list(archs)
    found = [a for a in asked if isinstance(a, Architecture)]
    if len(found) < len(asked):
        if found:
            raise UsageError("rank takes architectures or networks of your own, not both together")
        own = foreigners(asked, load(text), scale=scale, device=device)
        return rank_foreign(own, resolve(proxies), seeds, progress, combine)
    spaces = {a.space for a in found}
    if len(spaces) != 1:
        raise UsageError(f"rank takes architectures of one space; got {sorted(spaces) or 'none at all'}")
    metrics = resolve(proxies)
    check_combine(combine, metrics)
    place = lab(spaces.pop(), scale=scale, text=text, device=device)
    for arch in found:
        place.space.validate(arch)
    results = measure_all(place, found, metrics, seeds=seeds, workers=workers, progress=progress)
    return ranked(found, results, metrics, combine)


def search(
    space: str | Space,
    *,
    maximize: str | Sequence[str] = (),
    minimize: str | Sequence[str] = (),
    where: str = "",
    strategy: str | None = None,
    trials: int = 1_000,
    seed: int = 0,
    store: str | Path | None = None,
    study: str = "search",
    resume: bool = False,
    also: str | Sequence[str] = (),
    fidelities: str | Sequence[str] = (),
    batch: int = BATCH,
    workers: int | None = None,
    ray: str | None = None,
    synchronous: bool = True,
    time_limit: float | None = None,
    text: str | Path | None = None,
    scale: str = "probe",
    device: str = "cpu",
    progress: Callable[[int, int, Trial], None] | None = None,
) -> Study:
    """Looks at `trials` architectures of a space that were never trained, and keeps everything it saw.

    `maximize` and `minimize` name metrics (`fading_memory` where neither is given), `where` is a
    constraint such as `"params <= 8e6 and latency < 20"`, `also` names metrics to record. Proxies see
    networks of `scale`; costs are those at paper scale. Without a `store` nothing is kept on disk; with one,
    `resume=True` goes on with a search that was stopped or is to be extended. The same seed gives the same
    study, event by event.

    Without a `strategy`, one objective is searched by regularized_evolution and several by nsga2. `batch`
    architectures are asked for at once. `workers` measures them in as many processes, `ray` on a
    cluster (its address, or `local`); the result is the same for any number. With `synchronous=False` the
    next one is asked for as soon as a worker is idle, which is faster and depends on timing. A trial that
    takes longer than `time_limit` seconds has failed. `fidelities` are cheaper metrics, cheapest first, for
    strategies that look twice. `study` names one of several in a store. Scripts that take workers need the
    usual `if __name__ == "__main__"`. `progress(done, total, trial)` is called after each trial.
    """
    asked = maximize if maximize or minimize else "fading_memory"
    return _search(
        lab(space, scale=scale, text=text, device=device),
        maximize=asked,
        minimize=minimize,
        where=where,
        strategy=strategy,
        trials=trials,
        seed=seed,
        store=store,
        study=study,
        resume=resume,
        also=also,
        fidelities=fidelities,
        batch=batch,
        workers=workers,
        ray=ray,
        synchronous=synchronous,
        time_limit=time_limit,
        progress=progress,
    )


def correlate(
    benchmark: str,
    proxies: str | Sequence[str],
    *,
    data: str | Path | None = None,
    scale: str = "probe",
    text: str | Path | None = None,
    limit: int | None = None,
    seeds: int = 1,
    versus: str | None = None,
    combine: str | Sequence[str] = (),
    targets: str | Sequence[str] = (),
    workers: int | None = 1,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Correlation:
    """How well proxies order a benchmark's networks, against the plain sizes.

    `data` is a folder in the published layout; without it the cache that `untrained data get` fills.
    `workers=None` takes as many processes as pay; a script that does so needs the usual
    `if __name__ == "__main__"`, as other processes import it. `targets` names truths to compare with, all of
    them where it is empty. `limit` takes the first rows that have an architecture. Each name in `combine`
    adds a row: the ranks by all proxies that were asked for as one score, without labels; see `rank`.
    Raises BadData where files are missing.
    """
    from untrained.benchmarks import folder

    table: Benchmark = construct("benchmark", benchmark)
    place = lab(table.space, scale=scale, text=text, device=device)
    read = table.read(folder(type(table), None if data is None else str(data)), place.space)
    rows = read.rows
    if limit is not None:
        if limit < 3:
            raise UsageError(f"limit={limit}; a rank correlation takes 3 networks or more")
        rows = tuple(r for r in rows if r.architecture)[:limit]
    names = [proxies] if isinstance(proxies, str) else list(proxies)
    found = _correlate(
        table,
        rows,
        names,
        place,
        seeds=seeds,
        versus=versus,
        combine=[combine] if isinstance(combine, str) else combine,
        targets=[targets] if isinstance(targets, str) else targets,
        workers=workers,
        progress=progress,
    )
    found.notes += [*read.notes, *read.skipped]
    return found


def compare(
    strategies: str | Sequence[str],
    benchmark: str,
    *,
    budget: int = 50,
    runs: int = 30,
    target: str | None = None,
    fidelities: str | Sequence[str] = (),
    data: str | Path | None = None,
    text: str | Path | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Search strategies against each other on a benchmark's table; `all` are those that can run there.

    Each looks up `budget` truths in each of `runs` runs. `fidelities` are metrics that strategies may look at
    before, cheapest first, without charge. Random search is always among them.
    """
    from untrained.benchmarks import folder

    table: Benchmark = construct("benchmark", benchmark)
    place = lab(table.space, text=text)
    rows = table.read(folder(type(table), None if data is None else str(data)), place.space).rows
    metrics = resolve(fidelities)
    archs = list(dict.fromkeys(r.architecture for r in rows if r.architecture is not None))
    found = dict(zip(archs, measure_all(place, archs, metrics), strict=True)) if metrics else {}
    cheap = {
        m.label: {a: v for a, f in found.items() if (v := f[m.label].value) is not None} for m in metrics
    }
    return _compare(
        table,
        rows,
        place.space,
        strategies_by_name(strategies, len(metrics)),
        budget=budget,
        runs=runs,
        target=target,
        cheap=cheap,
        directions={m.label: m.better for m in metrics},
        progress=progress,
    )


def reduce(
    what: str | Path,
    *,
    keep: float = KEEP,
    lose: float = LOSE,
    fix: bool = False,
    target: str | None = None,
    space: str | None = None,
    data: str | Path | None = None,
    study: str | None = None,
) -> Reduction:
    """Which choices matter on a benchmark or in a store, and the part of the space that keeps the best.

    `keep` is the share of the best that the part is to hold, `lose` the share of those that may be lost. With
    `fix`, choices that do not matter are fixed at their cheapest option. `found.space` is searched like any
    other space; None where nothing was found to leave out.
    """
    folder = None if data is None else str(data)
    found = _known(str(what), data=folder, target=target, space=space, study=study)
    return _reduce(found, keep=keep, lose=lose, fix=fix)


def features(
    archs: Iterable[Architecture],
    *,
    path: str | Path | None = None,
    seed: int = 0,
    text: str | Path | None = None,
    scale: str = "probe",
    device: str = "cpu",
    progress: Progress | None = None,
) -> FeatureTable:
    """Statistics of untrained networks of one space, by architecture id; see `untrained.metrics.features`.

    With a `path` (.csv, .jsonl, .parquet) what stands there is read and not measured again.
    """
    found = list(archs)
    spaces = {a.space for a in found}
    if len(spaces) != 1:
        raise UsageError(f"features takes architectures of one space; got {sorted(spaces) or 'none at all'}")
    place = lab(spaces.pop(), scale=scale, text=text, device=device)
    for arch in found:
        place.space.validate(arch)
    return tabulate(place, found, seed=seed, path=None if path is None else Path(path), progress=progress)


def calibrate(
    what: str | Path,
    *,
    labels: Sequence[int] | None = None,
    predictor: str = "ridge_on_ranks",
    features: str | None = None,
    prior: str | None = None,
    target: str | None = None,
    learn: str | None = None,
    fit_on: str | None = None,
    better: str | None = None,
    columns: Sequence[str] = (),
    draws: int = 20,
    seed: int = 0,
    choice: str = "deviation",
    next: int = 0,
    cache: str | Path | None = None,
    replaced: Replaced | None = None,
    data: str | Path | None = None,
    scale: str = "probe",
    text: str | Path | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Calibration:
    """What N labels buy beyond a score without training, on a benchmark or a CSV of one's own.

    `target` is the truth to predict and `learn` the one that labels are taken from; with `fit_on` they are
    labels of another benchmark. `prior` is a proxy (a column of a CSV), or `none`; `cache` a file of
    features that is read and extended (with `fit_on` another one beside it, for that benchmark). See
    `untrained.apps.calibrating` for the split and the records, `untrained.apps.own_labels` for the CSV.
    """
    from untrained.benchmarks import folder

    if str(what).lower().endswith(".csv"):
        if fit_on is not None:
            raise UsageError(
                "a table of your own cannot learn from another: give both as one CSV, with --learn"
            )
        known = from_csv(
            Path(what).expanduser(),
            target=target,
            better=better,
            learn=learn,
            kind=features or "statistics",
            prior=prior,
            columns=columns,
        )
    else:
        check_kind(features or "both")
        if fit_on == str(what):
            raise UsageError(
                f"{fit_on} is the table itself.\n  for labels of another truth of it: --learn NAME"
            )

        def table(name: str, keep: Path | None, **more: Any) -> Known:
            read: Benchmark = construct("benchmark", name)
            place = lab(read.space, scale=scale, text=text, device=device)
            return from_benchmark(
                read,
                read.read(folder(type(read), None if data is None else str(data)), place.space).rows,
                place,
                kind=features or "both",
                seed=seed,
                measured=lambda archs: tabulate(
                    place, archs, path=keep, replaced=replaced, progress=progress
                ),
                progress=progress,
                **more,
            )

        keep = None if cache is None else Path(cache)
        own = learn if fit_on is None else None
        known = table(str(what), keep, target=target, learn=own, prior=prior, fresh=FRESH if next else 0)
        if fit_on is not None:
            other = keep and keep.with_name(f"{keep.stem}.{fit_on.partition(':')[0]}{keep.suffix}")
            known = fitted_on(table(fit_on, other, target=learn, prior=known.prior), known)
    return _calibrate(
        known,
        labels=labels,
        predictor=predictor,
        draws=draws,
        seed=seed,
        choice=choice,
        next=next,
        progress=progress,
    )
