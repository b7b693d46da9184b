"""`untrained rank`: architectures of a file, best first."""

from __future__ import annotations

import json as jsons
from typing import TYPE_CHECKING, Annotated, Any

import typer

from untrained.apps.cli._options import (
    DEFAULT,
    Device,
    Json,
    Proxies,
    Scale,
    Seeds,
    Space,
    Text,
    Workers,
)

if TYPE_CHECKING:
    from untrained.apps.ranking import Place, Ranking
    from untrained.apps.report.table import Table


def rank(
    file: Annotated[str, typer.Argument(metavar="FILE", help="Architectures as JSON lines; - is stdin.")],
    proxy: Proxies = DEFAULT,
    top: Annotated[
        int | None, typer.Option("--top", metavar="K", min=1, help="Print the best K only.")
    ] = None,
    space: Space = None,
    scale: Scale = "probe",
    text: Text = None,
    seeds: Seeds = 1,
    workers: Workers = None,
    device: Device = "cpu",
    json: Json = False,
) -> None:
    """Rank architectures by the first metric.

    The other metrics are shown beside it.

    With --json: a list of records, each with its rank, values and architecture; what has no score comes
    last, with the reason.

    \b
    untrained rank cells.jsonl --proxy fading_memory,params --top 10
    """
    from untrained.apps.cli._inputs import architectures
    from untrained.apps.cli._measuring import Tally, check_device
    from untrained.apps.cli._progress import progress
    from untrained.apps.cli._screen import print_notes, print_records, print_table
    from untrained.apps.names import split_names

    names, tally = split_names(proxy), Tally()
    _, found = architectures(file, space)
    with progress("ranking") as tick:
        from untrained.apps import api

        check_device(device)
        ranking = api.rank(
            found,
            names,
            text=text,
            scale=scale,
            seeds=seeds,
            workers=workers,
            device=device,
            progress=tick,
        )
    for place in ranking:  # without the first metric there is no order, whatever the others say
        tally.see({ranking.metrics[0]: place.measurements[ranking.metrics[0]]})
    places = list(ranking)[:top]
    reasons = dict.fromkeys(m.reason for p in ranking for m in p.measurements.values() if m.reason)
    if json:
        print_records(_record(i, place) for i, place in enumerate(places, 1))
    else:
        print_table(_table(ranking, places))
        first = ranking[0].measurements[ranking.metrics[0]]
        shown = (
            f"the best {len(places):,} of {len(ranking):,}" if len(places) < len(ranking) else "best first"
        )
        print(f"{shown} by {first.metric}: {first.better} is better")
        print_notes(list(reasons), most=5)
    tally.end()


def _record(rank: int, place: Place) -> dict[str, Any]:
    """Flat values as `Ranking.table` has them, and what the next command needs."""
    measured = place.measurements
    reasons = [m.reason for m in measured.values() if m.reason]
    return {
        "rank": rank,
        "arch": place.architecture.id,
        **{name: m.value for name, m in measured.items()},
        **({"spread": spreads} if (spreads := _spreads(place)) else {}),
        **({"reason": "; ".join(reasons)} if reasons else {}),
        "architecture": jsons.loads(place.architecture.to_json()),
    }


def _spreads(place: Place) -> dict[str, float]:
    return {name: m.spread for name, m in place.measurements.items() if m.spread is not None}


def _table(ranking: Ranking, places: list[Place]) -> Table:
    from untrained.apps.report.table import Column, number, table

    rows = []
    for i, place in enumerate(places, 1):
        measured = [place.measurements[name] for name in ranking.metrics]
        cells = [
            "failed"
            if m.value is None
            else number(m.value, 6) + ("" if m.spread is None else f" +- {number(m.spread, 2)}")
            for m in measured
        ]
        rows.append([str(i), place.architecture.id, *cells])
    metrics = [Column(name, spare=i) for i, name in enumerate(ranking.metrics)]
    return table(["rank", Column("id", left=True), *metrics], rows)
