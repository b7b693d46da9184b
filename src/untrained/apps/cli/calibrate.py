"""`untrained calibrate`: what a number of trained networks buys, and which to train next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from untrained.apps.cli._options import Data, Device, Json, Scale, Seed, Text

if TYPE_CHECKING:
    from untrained.apps.calibrating import Calibration

LEGEND = (
    "labels: trained networks that were learned from; tau, rho: agreement with the truth of the networks"
    " that were not, none of them a twin of a labelled one, in the mean over draws, with the 2.5 to 97.5 %"
    " quantiles over draws; half: tau in the better half; hard pairs: networks of equal size put in the right"
    " order; gain: tau minus that without labels in the same draw; no worse: share of the draws without a"
    " loss; active: tau where the predictor chose the labels itself."
)


def calibrate(
    what: Annotated[
        str,
        typer.Argument(metavar="BENCHMARK|CSV", help="A table of truths, or one of your own with a header."),
    ],
    labels: Annotated[
        str | None,
        typer.Option("--labels", metavar="N,...", help="How many trained networks; 0,20,50,100 else."),
    ] = None,
    predictor: Annotated[
        str, typer.Option("--predictor", metavar="NAME", help="See: untrained list predictor")
    ] = "ridge_on_ranks",
    features: Annotated[
        str | None,
        typer.Option(
            "--features",
            metavar="encoding|statistics|both",
            help="What it learns from; of a CSV its columns.",
        ),
    ] = None,
    prior: Annotated[
        str | None,
        typer.Option(
            "--prior", metavar="PROXY", help="What is known without labels; a column of a CSV; or none."
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option("--target", metavar="NAME", help="The truth to predict; the first one, else."),
    ] = None,
    learn: Annotated[
        str | None,
        typer.Option(
            "--learn", metavar="NAME", help="The truth that labels are taken from; the target, else."
        ),
    ] = None,
    fit_on: Annotated[
        str | None,
        typer.Option(
            "--fit-on",
            metavar="BENCHMARK",
            help="Take labels from this table, of its first truth or of --learn.",
        ),
    ] = None,
    better: Annotated[
        str | None, typer.Option("--better", metavar="higher|lower", help="Direction of the truth of a CSV.")
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option("--columns", metavar="NAME,...", help="Further columns of a CSV to learn from."),
    ] = None,
    draws: Annotated[
        int, typer.Option("--draws", metavar="D", min=1, help="Splits into labelled and not.")
    ] = 20,
    seed: Seed = 0,
    choice: Annotated[
        str,
        typer.Option("--choice", metavar="deviation|improvement", help="What the active choice looks for."),
    ] = "deviation",
    next_: Annotated[
        int,
        typer.Option("--next", metavar="N", min=0, help="Print the N architectures to train next instead."),
    ] = 0,
    cache: Annotated[
        str | None,
        typer.Option("--cache", metavar="FILE", help="Keep statistics there, as `untrained features` does."),
    ] = None,
    data: Data = None,
    scale: Scale = "probe",
    text: Text = None,
    device: Device = "cpu",
    json: Json = False,
) -> None:
    """Show what trained networks buy beyond a score without training.

    With --json: a list with one record a number of labels, 0 first; with --next, one an architecture.

    \b
    untrained calibrate nas_bench_nlp --labels 0,20,50 --cache features.csv
    untrained calibrate lts_gpt2_wt103 --fit-on lts_transformer_xl_wt103
    untrained calibrate mine.csv --target loss --better lower --prior fading_memory --next 10
    """
    from untrained.apps.cli._outputs import replaced
    from untrained.apps.cli._outputs import target as writable
    from untrained.apps.cli._progress import progress
    from untrained.apps.cli._screen import print_records

    path = None if cache is None else writable("--cache", cache)
    numbers = None if labels is None else _numbers(labels)
    with progress("calibrating") as tick:
        from untrained.apps import api

        found = api.calibrate(
            what,
            labels=numbers,
            predictor=predictor,
            features=features,
            prior=prior,
            target=target,
            learn=learn,
            fit_on=fit_on,
            better=better,
            columns=[] if columns is None else [c.strip() for c in columns.split(",") if c.strip()],
            draws=draws,
            seed=seed,
            choice=choice,
            next=next_,
            cache=path,
            replaced=replaced,
            data=data,
            scale=scale,
            text=text,
            device=device,
            progress=tick,
        )
    if json:
        print_records(found.next if next_ else found.records)
    else:
        _print(found, bool(next_))


def _numbers(typed: str) -> list[int]:
    from untrained.core.errors import UsageError

    try:
        found = [int(piece) for piece in typed.split(",") if piece.strip()]
    except ValueError:
        found = []
    if not found:
        raise UsageError(f"--labels {typed!r} is not a list of whole numbers.\n  write: --labels 0,20,50")
    return found


def _print(found: Calibration, following: bool) -> None:
    from untrained.apps.cli._screen import print_notes, print_table, print_text
    from untrained.apps.report.table import Column, number, share, table

    if following:
        rows = [
            [str(r["rank"]), r["arch"], *(number(r[k], 3) for k in ("mean", "deviation", "improvement"))]
            for r in found.next
        ]
        print_table(table(["rank", Column("id", left=True), "mean", "deviation", "improvement"], rows))
        print_text(
            "In standard scores of the quality's rank among the labelled: 0 the middle, 1 the best 16 %."
        )
        return
    titles: list[Any] = ["labels", "tau", "95 %", Column("rho", spare=3), Column("half", spare=2)]
    titles += ["hard pairs", "gain", "no worse", "active"]
    rows = []
    for r in found.records:
        gain = [f"{r['gain']:+.3f}", share(r["no_worse"])] if r["labels"] else ["", ""]
        rows.append(
            [
                str(r["labels"]),
                f"{r['tau']:.3f}",
                f"{r['tau_low']:.2f}..{r['tau_high']:.2f}",
                f"{r['rho']:.3f}",
                f"{r['tau_better_half']:.3f}",
                "" if r["hard_pairs"] is None else share(r["hard_pairs"]),
                *gain,
                "" if r["active_tau"] is None else f"{r['active_tau']:.3f}",
            ]
        )
    if (c := found.ceiling) is not None:
        pairs = "" if c.hard_pairs is None else share(c.hard_pairs)
        interval = f"{c.tau_low:.2f}..{c.tau_high:.2f}"
        rows.append(["ceiling", f"{c.tau:.3f}", interval, "", f"{c.tau_better_half:.3f}", pairs, "", "", ""])
    print_table(table(titles, rows))
    print_text(LEGEND)
    first = found.records[0]
    print_notes(
        [
            f"{found.predictor} above {first['prior']}, {first['draws']} draws, {first['tested']} networks"
            " scored on in each",
            *_worth(found),
            _noise(found),
            *found.notes,
        ],
        most=8,
    )


def _worth(found: Calibration) -> list[str]:
    """What the luck of the table leaves of the gains, and what to do about labels that do harm."""
    from untrained.apps.report.table import share

    said = []
    sure = [r for r in found.records if r["gain_networks_low"] is not None]
    if sure:
        spans = [
            f"{r['gain_networks_low']:+.2f}..{r['gain_networks_high']:+.2f} ({r['labels']})" for r in sure
        ]
        said.append(f"gain in the mean over draws, 95 % over networks (labels): {', '.join(spans)}")
    if any(r["fell_back"] for r in found.records):
        shares = [f"{share(r['fell_back'])} ({r['labels']})" for r in found.records if r["labels"]]
        said.append(
            "what the labels of the other table teach does not hold beyond its own range, so the prior was"
            f" taken alone; share of draws (labels): {', '.join(shares)}"
        )
    if any(r["gain"] < 0 for r in found.records) and ":careful" not in found.predictor:
        said.append(
            "labels do harm here in the mean; to move from the prior only where they prove a gain:"
            " --predictor ridge_on_ranks:careful=true"
        )
    return said


def _noise(found: Calibration) -> str:
    c = found.ceiling
    if c is None:
        return "no ceiling: hardly a network was trained twice, so what label noise allows is not known"
    own = "" if c.prior is None else f"; of the prior with one of them {c.prior:.3f}"
    return (
        f"ceiling: a perfect score against labels as noisy as those of the {c.networks} networks trained more"
        f" than once, simulated (tau of two trainings of these {c.retest:.3f}{own})"
    )
