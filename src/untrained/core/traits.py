"""The decisions of architectures as columns of numbers, one block a decision; what effects are read off.

A decision that is taken once becomes one column an option. One that is taken for each layer becomes what can
be compared between networks of different depth: of words, the share of the layers that have each, and which
the first and the last layer have; of numbers, their mean over the layers, and the first and the last.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from untrained.core.architecture import Architecture
from untrained.core.space import Space

Floats = npt.NDArray[np.float64]
FEW = 8  # values of a number up to which each is an option of its own


@dataclass(frozen=True)
class Option:
    """One thing that can be chosen, and how much of it each architecture has."""

    name: str
    weight: Floats
    """(architectures,), 0 to 1: whether, or the share of the layers; of a number that takes many values, its
    place between the smallest and the largest"""


@dataclass(frozen=True)
class Block:
    """One decision."""

    choice: str
    columns: Floats
    """(architectures, columns)"""
    options: tuple[Option, ...]
    per_layer: bool = False
    also: tuple[str, ...] = ()
    """decisions that are told by this one: each of its values goes with one of theirs throughout"""


def blocks(space: Space, archs: Sequence[Architecture]) -> list[Block]:
    """The decisions in which these architectures differ, in the order of the space's declaration."""
    rows = [space.traits(a) for a in archs]
    slots = space.declared()
    names = [n for n in slots if rows and n in rows[0]] or list(rows[0] if rows else ())
    found: list[Block] = []
    shown: dict[tuple[int, ...], int] = {}
    for name in names:
        values = [row[name] for row in rows]
        pattern = _pattern(values)
        if max(pattern) == 0:
            continue
        if pattern in shown:
            first = found[shown[pattern]]
            found[shown[pattern]] = Block(
                first.choice, first.columns, first.options, first.per_layer, (*first.also, name)
            )
            continue
        shown[pattern] = len(found)
        per = name in slots and slots[name].per is not None
        found.append(_layered(name, values) if per else _single(name, values))
    return found


def _pattern(values: Sequence[Any]) -> tuple[int, ...]:
    """Which values are equal, whatever they are called: two decisions of one pattern cannot be told apart."""
    number: dict[Any, int] = {}
    return tuple(number.setdefault(v, len(number)) for v in values)


def _single(name: str, values: Sequence[Any]) -> Block:
    kinds = sorted(set(values), key=lambda v: (not _is_number(v), v if _is_number(v) else str(v)))
    if len(kinds) > FEW and all(map(_is_number, kinds)):
        numbers = np.array(values, float)
        low, span = numbers.min(), float(np.ptp(numbers))
        place = (numbers - low) / span
        return Block(name, _bent(numbers), (Option(f"from {low:g} to {low + span:g}", place),))
    columns = np.array([[float(v == k) for k in kinds] for v in values])
    return Block(name, columns, tuple(Option(str(k), columns[:, j]) for j, k in enumerate(kinds)))


def _layered(name: str, values: Sequence[tuple[Any, ...]]) -> Block:
    kinds = sorted({v for row in values for v in row}, key=lambda v: (_size(v) or 0.0, str(v)))
    shares = np.array([[row.count(k) / len(row) for k in kinds] for row in values])
    options = tuple(Option(_said(k), shares[:, j]) for j, k in enumerate(kinds[: 3 * FEW]))
    if any(_size(k) is None for k in kinds):
        ends = [[float(row[i] == k) for k in kinds] for i in (0, -1) for row in values]
        first, last = np.array(ends[: len(values)]), np.array(ends[len(values) :])
        return Block(name, np.hstack([shares, first, last]), options, per_layer=True)
    sizes = [[_size(v) or 0.0 for v in row] for row in values]
    mean = np.array([math.fsum(row) / len(row) for row in sizes])
    ends_of = np.array([[row[0], row[-1]] for row in sizes])
    parts = [_bent(mean), ends_of]
    if any(isinstance(k, tuple) for k in kinds):  # several widths in a row: how many there are counts too
        parts.append(np.array([[math.fsum(map(_length, row)) / len(row)] for row in values]))
    if len(kinds) > FEW:
        span = float(np.ptp(mean)) or 1.0
        word = f"mean from {mean.min():.4g} to {mean.max():.4g}"
        options = (Option(word, (mean - mean.min()) / span),)
    return Block(name, np.hstack(parts), options, per_layer=True)


def _bent(numbers: Floats) -> Floats:
    """A number, and its square: what is best may lie in the middle."""
    centred = numbers - numbers.mean()
    scale = float(centred.std()) or 1.0
    return np.stack([centred / scale, (centred / scale) ** 2], axis=1)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _size(value: Any) -> float | None:
    """A number, or the sum of several in a row; None for words."""
    if _is_number(value):
        return float(value)
    if isinstance(value, tuple) and value and all(map(_is_number, value)):
        return float(sum(value))
    return None


def _length(value: Any) -> float:
    return float(len(value)) if isinstance(value, tuple) else 1.0


def _said(value: Any) -> str:
    return " + ".join(map(str, value)) if isinstance(value, tuple) else str(value)
