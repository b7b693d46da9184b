"""`untrained score`: what metrics say of untrained networks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from untrained.apps.cli._options import DEFAULT, Device, Json, Models, Proxies, Scale, Seeds, Space, Text

if TYPE_CHECKING:
    from untrained.apps.cli._measuring import Tally
    from untrained.apps.foreign import Foreign
    from untrained.apps.report.table import Table
    from untrained.core.architecture import Architecture
    from untrained.core.metric import Measurement
    from untrained.core.space import Space as SearchSpace

    Scored = tuple[Architecture | Foreign, dict[str, Measurement]]


def score(
    arch: Annotated[
        str | None,
        typer.Option("--arch", "-a", metavar="FILE", help="Architectures as JSON, one or many; - is stdin."),
    ] = None,
    recipe: Annotated[
        list[str] | None,
        typer.Option(
            "--recipe",
            "-r",
            metavar="NAME|FILE",
            help="rnn, lstm, gru, or a file with published recipes. May be repeated.",
        ),
    ] = None,
    model: Models = None,
    proxy: Proxies = DEFAULT,
    space: Space = None,
    scale: Scale = "probe",
    text: Text = None,
    seeds: Seeds = 1,
    device: Device = "cpu",
    json: Json = False,
) -> None:
    """Score untrained networks by any metrics.

    With --json: a list with one record per network and metric.

    \b
    untrained score --recipe lstm --recipe gru --proxy fading_memory,params
    untrained sample rnn_cell -n 5 | untrained score --arch - --proxy all
    untrained score --model mine --model other/config.json -p fading_memory,flops
    """
    from untrained.apps.cli._measuring import Tally
    from untrained.apps.cli._progress import progress
    from untrained.apps.cli._screen import on_terminal, print_notes, print_records, print_table
    from untrained.apps.names import split_names
    from untrained.core.errors import UsageError

    names, tally = split_names(proxy), Tally()
    networks = None if model else _networks(arch, recipe or [], space)
    if model and (arch or recipe or space):
        raise UsageError("--model stands alone: without --arch, --recipe and --space")
    with progress("scoring", quiet=json and on_terminal()) as tick:
        from untrained.apps.api import lab
        from untrained.apps.foreign import foreigners
        from untrained.apps.parallel import measure_all
        from untrained.apps.probing import resolve
        from untrained.core.text import load

        metrics, notes = resolve(names), list[str]()
        labels: Mapping[Architecture, str] = {}
        scored: Iterable[Scored]
        if networks:
            place, found, labels = networks
            fixed = lab(place, scale=scale, text=text, device=device)
            results = measure_all(fixed, found, metrics, seeds=seeds, workers=1, progress=tick)
            scored = zip(found, results, strict=True)
        else:
            own = foreigners(model or [], load(text), scale=scale, device=device)
            scored = ((one, one.measure(metrics, seeds)) for one in own)
            notes = [f"{one.id}: {note}" for one in own for note in one.notes]
        if json:
            print_records(_records(scored, tally))
        else:
            rows = list(scored)
    if not json:
        print_table(_table(rows, labels, tally))
        print_notes([*notes, *tally.reasons], most=10)
    tally.end()


def _networks(
    file: str | None, recipes: list[str], space: str | None
) -> tuple[SearchSpace, list[Architecture], Mapping[Architecture, str]]:
    """What is to be scored, and the names of those that have one."""
    from untrained.apps.cli._inputs import architectures, recipe, space_named
    from untrained.core.errors import UsageError

    if file is None and not recipes:
        raise UsageError(
            "nothing to score is named.\n"
            "  a file with architectures: untrained score --arch cells.jsonl\n"
            "  a well-known network:      untrained score --recipe lstm\n"
            "  a model of your own:       untrained score --model DIR_OR_CONFIG"
        )
    place, found = (space_named(space or "rnn_cell"), []) if file is None else architectures(file, space)
    labels: dict[Architecture, str] = {}
    for typed in recipes:
        for arch in recipe(typed, place):
            found.append(arch)
            labels.setdefault(arch, typed)
    return place, found, labels


def _records(scored: Iterable[Scored], tally: Tally) -> Iterator[dict[str, Any]]:
    for arch, measured in scored:
        tally.see(measured)
        for m in measured.values():
            yield m.record(arch.id)


def _table(rows: list[Scored], labels: Mapping[Any, str], tally: Tally) -> Table:
    """One row per network and metric; of a single network the parts of each metric too."""
    from untrained.apps.report.table import Column, number, table

    lines: list[list[str]] = []
    for arch, measured in rows:
        tally.see(measured)
        for m in measured.values():
            name = f"{arch.id} ({labels[arch]})" if arch in labels else arch.id
            spread = "" if m.spread is None else number(m.spread, 2)
            value = number(m.value) if m.ok else "failed"
            lines.append([name, m.metric, value, spread, m.unit, m.better, f"{1e3 * m.seconds:.1f}"])
            if len(rows) == 1:
                lines += [[name, f"{m.metric}.{part}", number(v), *[""] * 4] for part, v in m.parts.items()]
    titles = [Column("network", left=True), Column("metric", left=True), "value", Column("spread", spare=1)]
    titles += [
        Column("unit", left=True, spare=2),
        Column("better", left=True, spare=3),
        Column("ms", spare=4),
    ]
    return table(titles, lines)
