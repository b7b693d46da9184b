"""`untrained rank - --follow`: one line an architecture as it comes, and the table when they end."""

from __future__ import annotations

import json as jsons
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from untrained.apps.cli._inputs import MAKE, arriving
from untrained.apps.cli._measuring import Tally
from untrained.apps.cli.rank import show
from untrained.core.architecture import Architecture
from untrained.core.errors import UntrainedError, UsageError

if TYPE_CHECKING:
    from untrained.apps.arriving import Arrival, Incoming

BEST = 10  # in a JSON record, unless --top says otherwise


def following(
    file: str,
    space: str | None,
    names: Sequence[str],
    combine: str | None,
    top: int | None,
    how: dict[str, Any],
    *,
    json: bool,
) -> None:
    """Tells every arrival at once; what has come is put in a table whatever ends it, Ctrl-C or a bad line."""
    stopped: BaseException | None = None
    incoming: Incoming | None = None
    tally = Tally()
    try:
        for incoming, arrival in _arrivals(arriving(file, space), names, combine, how):
            line = jsons.dumps(_record(arrival, incoming, top or BEST)) if json else _line(arrival, incoming)
            print(line, flush=True)
            tally.see({n: arrival.measurements[n] for n in incoming.labels})
    except (UntrainedError, KeyboardInterrupt) as error:
        stopped = error
    if incoming is not None and not json:
        print()
        show(incoming.ranking(), top)
    if stopped is not None:
        raise stopped
    if incoming is None:
        raise UsageError(f"{'stdin' if file == '-' else file} holds no architecture.\n  {MAKE}")
    tally.end()


def _arrivals(
    lines: Iterator[tuple[Any, Architecture]], names: Sequence[str], combine: str | None, how: dict[str, Any]
) -> Iterator[tuple[Incoming, Arrival]]:
    from untrained.apps.api import lab
    from untrained.apps.arriving import Incoming
    from untrained.apps.probing import resolve
    from untrained.apps.ranking import check_combine

    metrics, seeds = resolve(names), how["seeds"]
    check_combine(combine, metrics)  # before the first line is waited for
    place = {k: v for k, v in how.items() if k != "seeds"}
    incoming: Incoming | None = None
    for space, arch in lines:
        if incoming is None:
            incoming = Incoming(lab(space, **place), metrics, combine, seeds=seeds)
        yield from ((incoming, found) for found in incoming.see([arch]))


def _line(arrival: Arrival, incoming: Incoming) -> str:
    """`3f0a...  rank 3 of 12  mean_rank 0.75`, within 80 columns."""
    name = incoming.how or incoming.labels[0]
    value = arrival.combined if incoming.how else arrival.measurements[name].value
    if arrival.rank is None:
        reasons = [m.reason for m in arrival.measurements.values() if m.reason]
        return f"{arrival.architecture.id}  no rank of {arrival.count:,}: {reasons[0] if reasons else name}"
    place = f"rank {arrival.rank:,} of {arrival.count:,}"
    return f"{arrival.architecture.id}  {place:<18}  {name} {value:.6g}"


def _record(arrival: Arrival, incoming: Incoming, most: int) -> dict[str, Any]:
    reasons = [m.reason for m in arrival.measurements.values() if m.reason]
    return {
        "count": arrival.count,
        "rank": arrival.rank,
        "arch": arrival.architecture.id,
        **({incoming.how: arrival.combined} if incoming.how else {}),
        **{name: m.value for name, m in arrival.measurements.items()},
        **({"reason": "; ".join(reasons)} if reasons else {}),
        "best": [a.id for a in incoming.best(most)],
        "architecture": jsons.loads(arrival.architecture.to_json()),
    }
