"""An architecture as a drawing: its graph where its space has one, else its layers."""

from __future__ import annotations

from typing import Any

from untrained.apps.report.figures.cell import drawn
from untrained.apps.report.figures.layers import stacked
from untrained.apps.report.figures.marks import html_table
from untrained.apps.report.table import Column, table
from untrained.core.architecture import Architecture
from untrained.core.errors import UntrainedError
from untrained.core.space import Space


def drawing(arch: Architecture, space: Space | None, *, name: str = "") -> str:
    """The drawing of an architecture; a table of its choices where its space is not installed."""
    said = name or arch.id
    choices = dict(arch.choices)
    layers = _layers(choices, space)
    if layers:
        shared = {k: v for k, v in choices.items() if k not in layers}
        return stacked(shared, layers, name=said)
    if space is not None and not space.declared():
        try:
            return drawn(space.graph(arch), name=said)
        except UntrainedError:
            pass
    rows = [[k, str(v)] for k, v in choices.items()]
    return html_table(
        table([Column("choice", left=True), Column("value", left=True)], rows), f"choices of {said}"
    )


def _layers(choices: dict[str, Any], space: Space | None) -> dict[str, tuple[Any, ...]]:
    """Decisions that are taken once a layer."""
    slots = space.declared() if space is not None else {}
    return {k: choices[k] for k, slot in slots.items() if slot.per and isinstance(choices.get(k), tuple)}
