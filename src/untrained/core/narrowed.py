"""A space with some of its options left out: the same architectures, fewer of them.

Ids, building and costs are those of the space itself. It is kept as a file that every command takes in place
of the space's name:

    {"untrained": "space", "version": 1, "base": "bert_encoder",
     "options": {"layers": [4], "hidden": [256]}, "bounds": {}, "from": {...}}

`options` says what a decision may still be; `bounds` the least and the most of a trait (see `Space.traits`),
for spaces whose decisions are no lists of options.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from pathlib import Path
from random import Random
from typing import Any

from untrained.core.architecture import Architecture, frozen
from untrained.core.errors import InvalidArchitecture, UsageError
from untrained.core.space import TRIES, Choice, Space

ENDING = ".json"  # how the name of such a file ends
VERSION = 1
CLOSE = 50  # mutations and crossovers that are tried before another way is taken

Options = Mapping[str, Sequence[Any]]
Bounds = Mapping[str, tuple[float, float]]


def narrowed(base: Space, options: Options, bounds: Bounds | None = None) -> Space:
    """The part of `base` whose decisions are among `options` and whose traits lie within `bounds`.

    What is not named stays free. Raises UsageError for a decision, an option or a trait that there is not.
    """
    kept = {name: tuple(map(frozen, values)) for name, values in options.items()}
    limits = {name: (float(low), float(high)) for name, (low, high) in (bounds or {}).items()}
    _check(base, kept, limits)
    made = copy(base)
    made.__class__ = type(f"Narrowed{type(base).__name__}", (_Narrowed, type(base)), {})
    assert isinstance(made, _Narrowed), "that is what it was just made"
    made.base, made.kept, made.limits = base, kept, limits
    return made


class _Narrowed(Space):
    """Stands before the class of a space, whose own methods then draw from fewer options."""

    base: Space
    kept: dict[str, tuple[Any, ...]]
    limits: dict[str, tuple[float, float]]

    def __reduce__(self) -> tuple[Any, ...]:
        return narrowed, (self.base, self.kept, self.limits)

    def declared(self) -> dict[str, Choice]:  # type: ignore[override]
        return {
            name: Choice(self.kept[name], slot.per) if name in self.kept else slot
            for name, slot in self.base.declared().items()
        }

    def inside(self, arch: Architecture) -> bool:
        """Whether an architecture of the whole space is in this part."""
        choices, slots = dict(arch.choices), self.base.declared()
        for name, allowed in self.kept.items():
            values = choices[name] if slots[name].per else (choices[name],)
            if any(v not in allowed for v in values):
                return False
        traits = self.base.traits(arch) if self.limits else {}
        return all(low <= traits[name] <= high for name, (low, high) in self.limits.items())

    def sample(self, rng: Random) -> Architecture:
        for _ in range(TRIES):
            if self.inside(arch := super().sample(rng)):
                return arch
        raise InvalidArchitecture(
            f"{self.name}: {TRIES} random draws in a row were not in the narrowed space.\n"
            "  loosen its bounds, or keep more: untrained reduce --keep 20%"
        )

    def mutate(self, arch: Architecture, rng: Random) -> Architecture:
        """A random neighbour that is inside; a fresh draw where none is found."""
        for _ in range(CLOSE):
            if self.inside(child := super().mutate(arch, rng)):
                return child
        return self.sample(rng)

    def crossover(self, a: Architecture, b: Architecture, rng: Random) -> Architecture:
        for _ in range(CLOSE):
            if self.inside(child := super().crossover(a, b, rng)):
                return child
        return self.mutate(a, rng)

    def neighbours(self, arch: Architecture) -> Iterator[Architecture]:
        return filter(self.inside, super().neighbours(arch))

    def everything(self) -> Iterator[Architecture]:
        return filter(self.inside, super().everything())

    def size(self) -> int | None:
        """None where bounds cut off what nobody has counted."""
        return None if self.limits else super().size()

    def validate(self, arch: Architecture) -> None:
        """What the whole space accepts: an architecture outside is no wrong one."""
        self.base.validate(arch)

    def encode(self, arch: Architecture) -> list[float]:
        return self.base.encode(arch)


def to_json(base: str, options: Options, bounds: Bounds, made: Mapping[str, Any] | None = None) -> str:
    """The file; `base` is the space as one types it, `made` whatever one wants to remember of its making."""
    record = {
        "untrained": "space",
        "version": VERSION,
        "base": base,
        "options": {name: list(values) for name, values in options.items()},
        "bounds": {name: list(ends) for name, ends in bounds.items()},
        "from": dict(made or {}),
    }
    return json.dumps(record, indent=2, allow_nan=False) + "\n"


def from_file(path: str) -> Space:
    """The space of a file; raises UsageError for what is none, with what is wrong."""
    from untrained.core.named import construct

    make = "make one: untrained reduce BENCHMARK -o space.json"
    try:
        record = json.loads(Path(path).expanduser().read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read the space {path}: {error.strerror}.\n  {make}") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not JSON: {error}.\n  {make}") from None
    if not isinstance(record, dict) or record.get("untrained") != "space":
        raise UsageError(f"{path} is no narrowed space.\n  {make}")
    if record.get("version") != VERSION:
        raise UsageError(
            f"{path} was written by another Untrained (version {record.get('version')!r}, this one reads"
            f" {VERSION}).\n  {make}"
        )
    try:
        base, options = record["base"], {str(k): tuple(v) for k, v in record["options"].items()}
        bounds = {str(k): (float(low), float(high)) for k, (low, high) in record["bounds"].items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"{path}: {type(error).__name__}: {error}.\n  {make}") from None
    if not isinstance(base, str) or base.endswith(ENDING):
        raise UsageError(f"{path}: the base {base!r} is not the name of a space.\n  {make}")
    found: Space = construct("space", base)
    try:
        return narrowed(found, options, bounds)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None


def _check(base: Space, kept: Mapping[str, tuple[Any, ...]], limits: Bounds) -> None:
    slots = base.declared()
    for name, values in kept.items():
        if name not in slots:
            known = ", ".join(slots) or "none: it takes bounds"
            raise UsageError(f"{base.name} has no decision {name!r}; it has: {known}")
        if not values:
            raise UsageError(f"{base.name}: no option is left of {name}")
        if wrong := [
            v for v in values if not any(v == o and type(v) is type(o) for o in slots[name].options)
        ]:
            raise UsageError(
                f"{base.name}: {name} has no option {wrong[0]!r}; it has: {list(slots[name].options)}"
            )
    if not limits:
        return
    traits = base.traits(base.sample(Random(0)))
    for name, (low, high) in limits.items():
        if not isinstance(traits.get(name), int | float):
            known = ", ".join(k for k, v in traits.items() if isinstance(v, int | float))
            raise UsageError(f"{base.name} has no trait {name!r} that is a number; it has: {known}")
        if not low <= high:
            raise UsageError(f"{base.name}: {name} cannot be at least {low:g} and at most {high:g}")
