"""`untrained compare`: strategies against each other where the answer is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from untrained.apps.cli._options import Data, Json

if TYPE_CHECKING:
    from untrained.apps.comparing import Comparison

LEGEND = (
    "regret: the best truth of the table minus the best one found, in the mean of the runs, with its 95 %"
    " bootstrap interval (of a logarithm where the truth is a perplexity); minus random: quality found minus"
    " that of random search with the same luck, with its interval; improvement: over the mean of all"
    " architectures of the table, in per cent (what a random one is worth)."
)


def compare(
    strategies: Annotated[
        list[str], typer.Argument(metavar="STRATEGY...", help="Names with options, or `all`.")
    ],
    benchmark: Annotated[
        str, typer.Option("--benchmark", metavar="NAME", help="The table that is searched.")
    ],
    budget: Annotated[
        int, typer.Option("--budget", metavar="N", min=1, help="Truths that a run looks up.")
    ] = 50,
    runs: Annotated[
        int, typer.Option("--runs", metavar="R", min=2, help="Runs of each, with luck of their own.")
    ] = 30,
    target: Annotated[
        str | None, typer.Option("--target", metavar="NAME", help="Which truth; the first one, else.")
    ] = None,
    fidelity: Annotated[
        list[str] | None,
        typer.Option(
            "--fidelity",
            metavar="METRIC",
            help="A metric that strategies may look at before a truth, free of charge; cheapest first. May"
            " be repeated.",
        ),
    ] = None,
    data: Data = None,
    json: Json = False,
) -> None:
    """Compare search strategies on a benchmark's table.

    Random search is always among them. With --json: a list with one record per strategy.

    \b
    untrained compare regularized_evolution tpe --benchmark nas_bench_bert --budget 50
    untrained compare all --benchmark lts_gpt2_wt103 --fidelity params_nonembedding
    """
    from untrained.apps.cli._progress import progress
    from untrained.apps.cli._screen import print_records

    with progress("comparing") as tick:
        from untrained.apps import api

        found = api.compare(
            strategies,
            benchmark,
            budget=budget,
            runs=runs,
            target=target,
            fidelities=fidelity or (),
            data=data,
            progress=tick,
        )
    if json:
        print_records(found.records)
    else:
        _print(found)


def _print(found: Comparison) -> None:
    from untrained.apps.cli._screen import print_heading, print_notes, print_table, print_text
    from untrained.apps.report.table import Column, table

    goal, first = found.target, found.records[0]
    print_heading(
        f"{found.benchmark.name}, {goal.name} ({goal.unit}, {goal.better} is better):"
        f" {first['runs']} runs of {first['budget']} looks"
    )
    at = [Column(f"at {n}", spare=3) for n in first["regret_at"]]
    titles: list[Any] = [
        Column("strategy", left=True),
        "regret",
        "95 %",
        *at,
        "found",
        "minus random",
        "95 %",
    ]
    titles += ["improvement", Column("hours", spare=2)]
    rows = [[r["strategy"], *_cells(r)] for r in found.records]
    print_table(table(titles, rows))
    print()
    print_text(LEGEND)
    print_notes(found.notes, most=8)


def _cells(r: dict[str, Any]) -> list[str]:
    compared = ["", ""]
    if r["beats_random"] is not None:
        compared = [
            f"{r['minus_random']:+.4f}",
            f"{r['minus_random_low']:+.4f}..{r['minus_random_high']:+.4f}",
        ]
    return [
        f"{r['regret']:.4f}",
        f"{r['regret_low']:.4f}..{r['regret_high']:.4f}",
        *(f"{v:.4f}" for v in r["regret_at"].values()),
        f"{r['found']:.3f}",
        *compared,
        f"{r['relative_improvement']:+.2f} %",
        "" if r["simulated_hours"] is None else f"{r['simulated_hours']:.1f}",
    ]
