"""`untrained search`: the best of thousands that were never trained."""

from __future__ import annotations

import shlex
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from untrained.apps.cli._options import Device, Json, Scale, Seed, Text

if TYPE_CHECKING:
    from untrained.core.study import Study, Trial

Metrics = list[str] | None


def search(
    space: Annotated[str, typer.Argument(metavar="SPACE", help="A search space; see: untrained list space")],
    maximize: Annotated[
        Metrics,
        typer.Option(
            "--maximize",
            metavar="METRIC",
            help="What there should be much of; the first one decides which is best. May be repeated."
            "  [default: fading_memory]",
        ),
    ] = None,
    minimize: Annotated[
        Metrics,
        typer.Option("--minimize", metavar="METRIC", help="What there should be little of. May be repeated."),
    ] = None,
    where: Annotated[
        str,
        typer.Option("--where", metavar="EXPR", help='A constraint: "params <= 8e6 and latency < 20".'),
    ] = "",
    strategy: Annotated[
        str | None,
        typer.Option(
            "--strategy",
            metavar="NAME[:opt=val,...]",
            help="How the next one is chosen; see: untrained list strategy"
            "  [default: regularized_evolution; for several objectives nsga2]",
        ),
    ] = None,
    trials: Annotated[
        int,
        typer.Option(
            "--trials",
            metavar="N",
            min=1,
            help="Architectures to look at, those of a resumed store included.",
        ),
    ] = 1000,
    seed: Seed = 0,
    store: Annotated[
        str | None,
        typer.Option(
            "--store",
            metavar="FILE|URL",
            help="Where everything is kept: study.db, or postgresql://...; without it nothing is.",
        ),
    ] = None,
    study: Annotated[
        str, typer.Option("--study", metavar="NAME", help="Which search of the store; it may hold several.")
    ] = "search",
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the search in the store, if it has one.")
    ] = False,
    also: Annotated[
        Metrics, typer.Option("--also", metavar="METRIC", help="Metrics to record besides. May be repeated.")
    ] = None,
    fidelity: Annotated[
        Metrics,
        typer.Option(
            "--fidelity",
            metavar="METRIC",
            help="A cheaper metric for strategies that look twice, such as hyperband; cheapest first. May be"
            " repeated.",
        ),
    ] = None,
    batch: Annotated[
        int,
        typer.Option("--batch", metavar="N", min=1, help="Asked for at once; part of what is asked."),
    ] = 8,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            metavar="K",
            min=1,
            help="Processes that measure; the result is the same for any number."
            "  [default: none but this one]",
        ),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            "--ray", metavar="local|HOST:PORT", help="Measure on a Ray cluster; --workers is how many there."
        ),
    ] = None,
    asynchronous: Annotated[
        bool,
        typer.Option(
            "--asynchronous",
            help="Ask for the next as soon as a worker is idle: faster, and the result depends on timing.",
        ),
    ] = False,
    time_limit: Annotated[
        float | None,
        typer.Option(
            "--time-limit",
            metavar="SECONDS",
            help="A trial that takes longer has failed; needs --workers or --ray.",
        ),
    ] = None,
    text: Text = None,
    scale: Scale = "probe",
    device: Device = "cpu",
    json: Json = False,
) -> None:
    """Search a space without training anything.

    With --json: one object with the question, the counts, the best and the front.

    \b
    untrained search rnn_cell --where "params <= 8e6" --store study.db
    untrained search rnn_cell --maximize fading_memory --minimize params
    untrained search gpt_decoder --maximize depth_width_rank --workers 2
    """
    from untrained.apps.cli._screen import print_record
    from untrained.apps.report.study import record
    from untrained.core.errors import UsageError

    if resume and store is None:
        raise UsageError("--resume needs to know what to go on with: --store study.db")
    found, new, spent = _searched(
        space,
        maximize=_names(maximize),
        minimize=_names(minimize),
        where=where,
        strategy=strategy,
        trials=trials,
        seed=seed,
        store=store,
        study=study,
        resume=resume,
        also=_names(also),
        fidelities=_names(fidelity),
        batch=batch,
        workers=workers,
        ray=ray,
        synchronous=not asynchronous,
        time_limit=time_limit,
        text=text,
        scale=scale,
        device=device,
    )
    if json:
        print_record(record(found) | {"new_trials": new, "seconds": spent})
    else:
        _print(found, new, spent)
    _end(found)


def _names(typed: Metrics) -> list[str]:
    from untrained.apps.names import split_names

    return split_names(typed) if typed else []


def _searched(space: str, *, store: str | None, device: str, **asked: Any) -> tuple[Study, int, float]:
    """The study, how many trials are new, and the seconds that they took."""
    from untrained.apps.cli._guard import tell
    from untrained.apps.cli._live import watching

    new = 0
    name, sign = _first(asked["maximize"], asked["minimize"])
    with watching(f"searching {space}", name, sign) as board:
        from untrained.apps import api
        from untrained.studies.watch import Watch

        watch = Watch()

        def step(done: int, total: int, trial: Trial) -> None:
            nonlocal new
            new += 1
            board.see(done, total, trial)
            if said := watch.see(trial):
                board.say(said)

        start = time.perf_counter()
        try:
            study = api.search(space, store=store, device=device, progress=step, **asked)
        except KeyboardInterrupt:
            if store is not None:
                tell(f"\nnew trials in {store}: {new:,}; to go on, type the same and --resume")
            raise
        return study, new, time.perf_counter() - start


def _first(maximize: list[str], minimize: list[str]) -> tuple[str, int]:
    """(name, sign) of the objective that decides which is best."""
    if maximize or not minimize:
        return (maximize[0] if maximize else "fading_memory"), 1
    return minimize[0], -1


def _print(study: Study, new: int, spent: float) -> None:
    """What came of it, and what to type next."""
    from untrained.apps.cli._screen import print_section
    from untrained.apps.report.counts import count
    from untrained.apps.report.study import best, front, happened

    each = f", {1e3 * spent / new:.1f} ms each" if new else ""
    print(f"{new:,} new trials in {spent:.1f} s{each}")
    for section in [happened(count(study)), best(study), *front(study)]:
        print_section(section)
    if study.store == ":memory:":
        print("\nnothing was kept on disk; to keep it, name a store: --store study.db")
        return
    print(f"\nstore:   {study.store}")
    print(f"report:  untrained report {shlex.quote(study.store)} -o report.html")
    print(f"more:    the same command with --resume and --trials {2 * len(study.trials)}")


def _end(study: Study) -> None:
    """Raises UntrainedError where no trial was good."""
    from untrained.core.errors import UntrainedError

    if study.best is not None:
        return
    last = next((t.reason for t in reversed(study.trials) if t.reason), "no reason")
    raise UntrainedError(
        f"no trial of {len(study.trials):,} was good; the last one: {last}\n"
        "  loosen --where, or try more: --trials"
    )
