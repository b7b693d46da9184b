"""`untrained sample`: architectures to look at, to score, to rank."""

from __future__ import annotations

import json as jsons
from typing import Annotated

import typer

from untrained.apps.cli._options import Json, Seed


def sample(
    space: Annotated[str, typer.Argument(metavar="SPACE", help="A search space; see: untrained list space")],
    number: Annotated[int, typer.Option("-n", "--number", metavar="N", min=1, help="How many.")] = 1,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Print random architectures as JSON lines.

    score --arch and rank read them.

    With --json: a list of records with id and architecture, which they read as well.

    \b
    untrained sample rnn_cell -n 100 > cells.jsonl
    """
    from random import Random

    from untrained.apps.cli._inputs import space_named
    from untrained.apps.cli._screen import print_records

    place, rng = space_named(space), Random(seed)
    drawn = (place.sample(rng) for _ in range(number))
    if json:
        print_records({"arch": a.id, "architecture": jsons.loads(a.to_json())} for a in drawn)
        return
    for arch in drawn:
        print(arch.to_json())
