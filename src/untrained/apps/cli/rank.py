"""`untrained rank`: architectures of a file, or models on disk, best first."""

from __future__ import annotations

import json as jsons
from typing import TYPE_CHECKING, Annotated, Any

import typer

from untrained.apps.cli._options import (
    DEFAULT,
    Combine,
    Device,
    Json,
    Models,
    Proxies,
    Scale,
    Seeds,
    Space,
    Text,
    Workers,
)
from untrained.core.architecture import Architecture

if TYPE_CHECKING:
    from collections.abc import Sequence

    from untrained.apps.ranking import Place, Ranking
    from untrained.apps.report.table import Table


def rank(
    file: Annotated[
        str | None, typer.Argument(metavar="FILE", help="Architectures as JSON lines; - is stdin.")
    ] = None,
    model: Models = None,
    proxy: Proxies = DEFAULT,
    combine: Combine = None,
    top: Annotated[
        int | None, typer.Option("--top", metavar="K", min=1, help="Print the best K only.")
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="Rank each line as it comes, again and again, until they end.")
    ] = False,
    space: Space = None,
    scale: Scale = "probe",
    text: Text = None,
    seeds: Seeds = 1,
    workers: Workers = None,
    device: Device = "cpu",
    json: Json = False,
) -> None:
    """Rank architectures, or models on disk, by the first metric.

    The other metrics are shown beside it. With --combine all of them decide: a network is compared with the
    others of the file by each, and its ranks are put together. mean_rank is their mean, log_rank the sum of
    their logarithms, which asks for networks that are bad by none; both take a metric without a number as
    the worst rank. borda is the share of duels won, and leaves such a metric out.

    With --follow the architectures come one by one, from a program that is still making them: each is
    measured at once and told with its rank among all so far. When they end, or at Ctrl-C, comes the table.

    With --json: a list of records, each with its rank, values and architecture (or model); what has no score
    comes last, with the reason. With --follow one record a line and arrival, with the best so far.

    \b
    untrained sample rnn_cell -n 9 | untrained rank - --follow
    untrained rank cells.jsonl --proxy fading_memory,params --top 10
    untrained rank cells.jsonl -p fading_memory,gated_memory --combine log_rank
    untrained rank --model mine --model other/config.json -p depth_width_rank
    """
    from untrained.apps.cli._measuring import Tally
    from untrained.apps.cli._progress import progress
    from untrained.apps.names import split_names
    from untrained.core.errors import UsageError

    names, tally = split_names(proxy), Tally()
    if follow:
        from untrained.apps.cli._following import following

        if model or file is None or workers is not None:
            raise UsageError(
                "--follow measures the architectures of one FILE, or of -, one by one as they come:"
                " without --model and --workers"
            )
        how = {"scale": scale, "text": text, "seeds": seeds, "device": device}
        following(file, space, names, combine, top, how, json=json)
        return
    found = _networks(file, model or [], space)
    with progress("ranking") as tick:
        from untrained.apps import api

        ranking = api.rank(
            found,
            names,
            combine=combine,
            text=text,
            scale=scale,
            seeds=seeds,
            workers=workers,
            device=device,
            progress=tick,
        )
    # Without the first metric there is no order, whatever the others say; an aggregate needs any of them.
    deciding = ranking.metrics if ranking.combine else ranking.metrics[:1]
    for place in ranking:
        tally.see({name: place.measurements[name] for name in deciding})
    show(ranking, top, json=json, most=10 if model else 5)
    tally.end()


def show(ranking: Ranking, top: int | None, *, json: bool = False, most: int = 5) -> None:
    """The table or the records of the best."""
    from untrained.apps.cli._screen import print_notes, print_records, print_table

    places = list(ranking)[:top]
    reasons = dict.fromkeys(m.reason for p in ranking for m in p.measurements.values() if m.reason)
    if json:
        print_records(_record(i, place, ranking) for i, place in enumerate(places, 1))
    else:
        print_table(_table(ranking, places))
        shown = (
            f"the best {len(places):,} of {len(ranking):,}" if len(places) < len(ranking) else "best first"
        )
        print(f"{shown} by {_order(ranking)}")
        print_notes([*_notes(places), *reasons], most=most)


def _networks(file: str | None, models: list[str], space: str | None) -> Sequence[object]:
    """What is to be ranked: the architectures of a file, or paths of models."""
    from untrained.apps.cli._inputs import architectures
    from untrained.core.errors import UsageError

    if models and (file or space):
        raise UsageError("--model stands alone: without a file of architectures and --space")
    if file is None and not models:
        raise UsageError(
            "nothing to rank is named.\n"
            "  a file with architectures: untrained rank cells.jsonl\n"
            "  models of your own:        untrained rank --model DIR_OR_CONFIG --model DIR_OR_CONFIG"
        )
    return models if file is None else architectures(file, space)[1]


def _notes(places: list[Place]) -> list[str]:
    """What one must know of each model that was measured."""
    return [f"{p.architecture.id}: {n}" for p in places for n in getattr(p.architecture, "notes", ())]


def _order(ranking: Ranking) -> str:
    """What decides, and which way."""
    if ranking.combine:
        return f"{ranking.combine} of {len(ranking.metrics)} metrics: higher is better"
    first = ranking[0].measurements[ranking.metrics[0]]
    return f"{first.metric}: {first.better} is better"


def _record(rank: int, place: Place, ranking: Ranking) -> dict[str, Any]:
    """Flat values as `Ranking.table` has them, and what the next command needs."""
    measured = place.measurements
    reasons = [m.reason for m in measured.values() if m.reason]
    return {
        "rank": rank,
        "arch": place.architecture.id,
        **ranking.values(place),
        **({"spread": spreads} if (spreads := _spreads(place)) else {}),
        **({"reason": "; ".join(reasons)} if reasons else {}),
        **_identity(place.architecture),
    }


def _identity(network: Any) -> dict[str, Any]:
    """An architecture as it is written, or the path and the notes of a model."""
    if isinstance(network, Architecture):
        return {"architecture": jsons.loads(network.to_json())}
    return {"model": str(network.source), "notes": list(network.notes)}


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
        whole = ["failed" if place.combined is None else number(place.combined, 6)] if ranking.combine else []
        rows.append([str(i), place.architecture.id, *whole, *cells])
    metrics = [Column(name, spare=i) for i, name in enumerate(ranking.metrics)]
    first = [Column(ranking.combine)] if ranking.combine else []
    return table(["rank", Column("id", left=True), *first, *metrics], rows)
