"""What a training came to, beside what counting gives."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from untrained.apps.report.document import Section
from untrained.apps.report.table import Column, number, table

if TYPE_CHECKING:
    from untrained.apps.finals import Final
    from untrained.training.trainer import Trained

TITLES = {
    "loss": "loss (nats)",
    "perplexity": "perplexity",
    "nats_per_byte": "nats per byte",
    "accuracy": "accuracy",
    "f1": "F1",
}


def outcome(found: Trained, baselines: Mapping[str, float]) -> Section:
    """The marks of the best examination, and the losses of models that only count."""
    marks = {f"this model, step {found.best_step:,}": found.marks}
    if found.curve and "held_out" in found.curve[0]:
        marks["before training"] = found.curve[0]["held_out"]
    marks |= {name: {"loss": loss, "perplexity": math.exp(loss)} for name, loss in baselines.items()}
    rows = [
        [name, *("" if key not in one else number(one[key], 4) for key in TITLES)]
        for name, one in marks.items()
    ]
    weights = sum(p.numel() for p in found.model.parameters())
    said = (
        f"{weights:,} parameters, {found.steps:,} updates of {found.recipe.batch} sequences of"
        f" {found.recipe.length} tokens, {found.seconds:,.1f} s."
    )
    return Section("on held-out data", (said,), table([Column("", left=True), *TITLES.values()], rows))


def ranked(found: Sequence[Final]) -> Section:
    """The candidates of a search in the order of their held-out loss."""
    keys = [
        key
        for key in ("loss", "perplexity", "accuracy", "f1")
        if any(key in (one.marks or ()) for one in found)
    ]
    rows = [
        [
            one.trial.architecture.id,
            str(one.place),
            number(one.trial.score, 4),
            *("failed" if one.marks is None else number(one.marks[key], 4) for key in keys),
            f"{one.seconds:.1f}",
        ]
        for one in found
    ]
    titles = [Column("architecture", left=True), "place before", "score"]
    titles += [*(TITLES[k] for k in keys), Column("seconds", spare=1)]
    notes = tuple(f"{one.trial.architecture.id}: {one.reason}" for one in found if one.reason)
    return Section(f"{len(found)} trained, best first", notes, table(titles, rows))
