"""`untrained features`: statistics of untrained networks as a table, for predictors of one's own."""

from __future__ import annotations

from typing import Annotated

import typer

from untrained.apps.cli._options import Device, Json, Scale, Seed, Space, Text


def features(
    what: Annotated[
        str, typer.Argument(metavar="SPACE|FILE", help="A search space, or architectures as JSON lines.")
    ],
    output: Annotated[
        str, typer.Option("-o", "--output", metavar="FILE", help="A table: .csv, .jsonl or .parquet.")
    ],
    number: Annotated[
        int, typer.Option("-n", "--number", metavar="N", min=1, help="How many to draw from a space.")
    ] = 100,
    seed: Seed = 0,
    space: Space = None,
    scale: Scale = "probe",
    text: Text = None,
    device: Device = "cpu",
    json: Json = False,
) -> None:
    """Write a table of statistics of untrained networks.

    One row an architecture; what stands in the file already is kept and not measured again. --seed says which
    architectures are drawn and which weights they get.

    With --json: a list with name and description of each column.

    \b
    untrained features rnn_cell -n 100 -o features.csv
    untrained features cells.jsonl -o features.parquet
    """
    from random import Random

    from untrained.apps.cli._guard import tell
    from untrained.apps.cli._inputs import architectures, space_named
    from untrained.apps.cli._outputs import replaced, target
    from untrained.apps.cli._progress import progress
    from untrained.apps.cli._screen import print_notes, print_records
    from untrained.core import registry
    from untrained.core.errors import UntrainedError

    path = target("--output", output)
    if what.partition(":")[0] in registry.names("space"):
        place, rng = space_named(what), Random(seed)
        archs, typed = [place.sample(rng) for _ in range(number)], what
    else:
        place, archs = architectures(what, space)
        typed = space or place.name
    with progress("measuring") as tick:
        from untrained.apps import api
        from untrained.apps.featuring import tabulate
        from untrained.metrics.features import DESCRIPTIONS

        lab = api.lab(typed, scale=scale, text=text, device=device)
        table = tabulate(lab, archs, seed=seed, path=path, replaced=replaced, progress=tick)
    asked = list(dict.fromkeys(a.id for a in archs))
    good = [i for i in asked if i in table.rows]
    if json:
        present = {name for i in good for name in table.rows[i]}
        print_records({"name": n, "description": d} for n, d in DESCRIPTIONS.items() if n in present)
    else:
        print(f"{len(good):,} of {len(asked):,} architectures, {len(table.rows):,} rows in all")
        print_notes([f"{i}: {table.reasons[i]}" for i in asked if i in table.reasons], most=5)
    tell(f"written: {path}")
    if not good:
        raise UntrainedError("no architecture has features; the reasons stand in the file")
