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
        str,
        typer.Option(
            "--strategy",
            metavar="NAME[:opt=val,...]",
            help="How the next one is chosen; see: untrained list strategy",
        ),
    ] = "regularized_evolution",
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
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the search in the store, if it has one.")
    ] = False,
    also: Annotated[
        Metrics, typer.Option("--also", metavar="METRIC", help="Metrics to record besides. May be repeated.")
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
    """
    from untrained.apps.cli._screen import print_record
    from untrained.apps.report.study import record
    from untrained.core.errors import UsageError

    if resume and store is None:
        raise UsageError("--resume needs to know what to go on with: --store study.db")
    study, new, spent = _searched(
        space,
        maximize=_names(maximize),
        minimize=_names(minimize),
        where=where,
        strategy=strategy,
        trials=trials,
        seed=seed,
        store=store,
        resume=resume,
        also=_names(also),
        text=text,
        scale=scale,
        device=device,
    )
    if json:
        print_record(record(study) | {"new_trials": new, "seconds": spent})
    else:
        _print(study, new, spent)
    _end(study)


def _names(typed: Metrics) -> list[str]:
    from untrained.apps.names import split_names

    return split_names(typed) if typed else []


def _searched(space: str, *, store: str | None, device: str, **asked: Any) -> tuple[Study, int, float]:
    """The study, how many trials are new, and the seconds that they took."""
    from untrained.apps.cli._guard import tell
    from untrained.apps.cli._measuring import check_device
    from untrained.apps.cli._progress import progress

    new = 0
    with progress(f"searching {space}") as tick:
        from untrained.apps import api

        def step(done: int, total: int, trial: Trial) -> None:
            nonlocal new
            new += 1
            tick(done, total)

        check_device(device)
        start = time.perf_counter()
        try:
            study = api.search(space, store=store, device=device, progress=step, **asked)
        except KeyboardInterrupt:
            if store is not None:
                tell(f"\nnew trials in {store}: {new:,}; to go on, type the same and --resume")
            raise
        return study, new, time.perf_counter() - start


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
    print(f"report:  untrained report {shlex.quote(study.store)} -o report.md")
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
