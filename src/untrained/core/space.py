"""What can be built: declarations first, then what is valid, then how to build.

A space whose decisions are lists of options only declares them; size, sampling, mutation, crossover,
neighbours, encoding and canonical form are derived here. A graph or grammar space overrides what a
declaration cannot say (see `spaces/rnn_cell.py`).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice, product
from random import Random
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from untrained.core import registry
from untrained.core.architecture import Architecture, frozen
from untrained.core.errors import InvalidArchitecture, UnknownName, UsageError
from untrained.core.metric import split_options

if TYPE_CHECKING:
    import torch

TRIES = 1_000  # draws before a space is declared too constrained to sample


@dataclass(frozen=True)
class Choice:
    """One decision: its options in order, and the decision that says how often it is taken."""

    options: tuple[Any, ...]
    per: str | None = None


def choice(*options: Any, per: str | None = None) -> Any:
    """Declares a decision; with `per="layers"` it is taken once for each of `layers`."""
    if not options:
        raise ValueError("a choice needs at least one option")
    return Choice(frozen(options), per)


@dataclass(frozen=True)
class Graph:
    """An architecture as boxes and arrows, for drawing and for graph encoders."""

    labels: tuple[str, ...]
    edges: tuple[tuple[int, int], ...]
    """(from, to), indices into `labels`"""


@dataclass(frozen=True)
class Shape:
    """What the networks of a space are shown."""

    vocabulary: int
    """tokens"""
    sequences: int
    length: int
    """tokens per sequence"""


class Space(ABC):
    """What can be built. Every architecture that a method returns is valid and canonical."""

    name: ClassVar[str] = ""
    scales: ClassVar[tuple[str, ...]] = ("paper", "probe")
    sizes: ClassVar[tuple[str, ...]] = ()
    """numbers that may be typed behind a scale, `paper:vocabulary=260`: see `at`"""

    # --- what a declared space writes ------------------------------------------------------------

    @abstractmethod
    def build(
        self, arch: Architecture, *, scale: str = "paper", generator: torch.Generator | None = None
    ) -> torch.nn.Module:
        """The untrained network; every weight is drawn from `generator`."""

    def shape(self, scale: str) -> Shape:
        """The batch on which networks of that scale are scored; raises UnknownName for another scale."""
        _, sizes = self.at(scale)
        return Shape(vocabulary=sizes.get("vocabulary", 2_000), sequences=16, length=64)

    @classmethod
    def at(cls, scale: str) -> tuple[str, dict[str, int]]:
        """A scale as one types it, `paper` or `paper:vocabulary=260,width=64`: its name, and what it changes.

        Raises UnknownName for another scale and UsageError for a size that the space does not have.
        """
        name, _, tail = scale.partition(":")
        if name not in cls.scales:
            raise UnknownName("scale", name, cls.scales, more=f"untrained show {cls.name}")
        changed = {k: _size(cls, k, v) for k, v in split_options(tail).items()}
        return name, changed

    def ids(self, text: str) -> Sequence[int] | None:
        """The tokens of a text, where the networks come with a tokenizer; None: words by their frequency."""
        return None

    def origin(self, arch: Architecture) -> Any:
        """What the network is made from, where that is another network; else None."""
        return None

    def valid(self, arch: Architecture) -> bool:
        """Whether decisions that are fine one by one go together."""
        return True

    def count(self, arch: Architecture, *, scale: str = "paper") -> dict[str, int]:
        """Costs in closed form, by metric name; empty where only the built network can tell."""
        return {}

    def baseline(self, arch: Architecture) -> dict[str, float]:
        """The space's own simple orders (layers then width, number of nodes), by name."""
        return {}

    # --- derived from the declaration ------------------------------------------------------------

    @classmethod
    def declared(cls) -> dict[str, Choice]:
        """The decisions in the order of the class body."""
        return _declared(cls)

    def sample(self, rng: Random) -> Architecture:
        """A random valid architecture, every option equally likely."""
        for _ in range(TRIES):
            picked: dict[str, Any] = {}
            for name, slot in self._ordered():
                n = picked[slot.per] if slot.per else None
                picked[name] = (
                    rng.choice(slot.options)
                    if n is None
                    else tuple(rng.choice(slot.options) for _ in range(n))
                )
            arch = Architecture.of(self.name, **picked)
            if self.valid(arch):
                return arch
        raise InvalidArchitecture(f"{self.name}: {TRIES} random draws in a row were not valid")

    def mutate(self, arch: Architecture, rng: Random) -> Architecture:
        """A random neighbour; the architecture itself where it has none."""
        for _ in range(TRIES):
            name, position = rng.choice(self._positions(arch))
            old = getattr(arch, name) if position is None else getattr(arch, name)[position]
            others = [o for o in self.declared()[name].options if o != old]
            if others:
                changed = self._with(arch, name, position, rng.choice(others), rng)
                if self.valid(changed):
                    return changed
        return arch

    def crossover(self, a: Architecture, b: Architecture, rng: Random) -> Architecture:
        """Each decision from one parent or the other; lists are resized to fit. Falls back to `a`."""
        for _ in range(TRIES):
            picked: dict[str, Any] = {}
            for name, slot in self._ordered():
                value = getattr(rng.choice((a, b)), name)
                picked[name] = self._resized(value, slot, picked[slot.per], rng) if slot.per else value
            child = Architecture.of(self.name, **picked)
            if self.valid(child):
                return child
        return a

    def neighbours(self, arch: Architecture) -> Iterator[Architecture]:
        """Every valid architecture that differs in one decision, in a fixed order."""
        for name, position in self._positions(arch):
            old = getattr(arch, name) if position is None else getattr(arch, name)[position]
            for option in self.declared()[name].options:
                if option != old:
                    changed = self._with(arch, name, position, option, Random(0))
                    if self.valid(changed):
                        yield changed

    def size(self) -> int | None:
        """How many architectures the declaration spans (before `valid`); None if unbounded."""
        slots = self.declared()
        owners = {s.per for s in slots.values() if s.per}
        free = math.prod(len(s.options) for k, s in slots.items() if not s.per and k not in owners)
        for owner in owners:
            ways = math.prod(len(s.options) for s in slots.values() if s.per == owner)
            free *= sum(ways**n for n in slots[owner].options)
        return free

    def everything(self) -> Iterator[Architecture]:
        """Every valid architecture, each once, in a fixed order.

        Raises UsageError where they cannot be listed; see `size`.
        """
        slots = self.declared()
        if self.size() is None or not slots:
            raise UsageError(
                f"the space {self.name} has no end, so its architectures cannot be listed one by one.\n"
                "  draw some: untrained sample, or search with another strategy than grid"
            )
        single = [name for name, slot in self._ordered() if not slot.per]
        many = [name for name, slot in self._ordered() if slot.per]
        for values in product(*(slots[name].options for name in single)):
            picked = dict(zip(single, values, strict=True))
            counts = [picked[str(slots[name].per)] for name in many]
            pools = [slots[name].options for name, n in zip(many, counts, strict=True) for _ in range(n)]
            for flat in product(*pools):
                ends = iter(flat)
                lists = {name: tuple(islice(ends, n)) for name, n in zip(many, counts, strict=True)}
                arch = Architecture.of(self.name, **picked, **lists)
                if self.valid(arch):
                    yield arch

    def validate(self, arch: Architecture) -> None:
        """Raises InvalidArchitecture with what is wrong and what would be right."""
        if arch.space != self.name:
            raise InvalidArchitecture(
                f"an architecture of {arch.space!r} was given to the space {self.name!r}"
            )
        slots, given = self.declared(), dict(arch.choices)
        if wrong := set(slots) ^ set(given):
            raise InvalidArchitecture(f"{self.name}: missing or unknown choices: {', '.join(sorted(wrong))}")
        for name, slot in self._ordered():
            value = given[name]
            if slot.per and (not isinstance(value, tuple) or len(value) != given[slot.per]):
                raise InvalidArchitecture(
                    f"{self.name}: {name} needs {given[slot.per]} values, one per {slot.per}; got {value!r}"
                )
            for v in value if slot.per else (value,):
                if v not in slot.options:
                    raise InvalidArchitecture(f"{self.name}: {name} = {v!r}; options: {list(slot.options)}")
        if not self.valid(arch):
            raise InvalidArchitecture(f"{self.name}: these choices do not go together: {arch.to_json()}")

    def encode(self, arch: Architecture) -> list[float]:
        """Fixed length: the position of each option from 0 to 1; -1 where a list has ended."""
        code: list[float] = []
        for name, slot in self.declared().items():
            scale = max(1, len(slot.options) - 1)
            value = getattr(arch, name)
            values = value if slot.per else (value,)
            longest = max(self.declared()[slot.per].options) if slot.per else 1
            code += [slot.options.index(v) / scale for v in values] + [-1.0] * (longest - len(values))
        return code

    def traits(self, arch: Architecture) -> dict[str, Any]:
        """Facts by name that one may ask after their effect: the decisions, unless a space knows better."""
        return dict(arch.choices)

    def graph(self, arch: Architecture) -> Graph:
        """A chain of the per-layer decisions; spaces with real graphs override it."""
        per = [k for k, s in self.declared().items() if s.per]
        depth = len(getattr(arch, per[0])) if per else 0
        labels = (
            ["input"]
            + [", ".join(f"{k}={getattr(arch, k)[i]}" for k in per) for i in range(depth)]
            + ["output"]
        )
        return Graph(tuple(labels), tuple((i, i + 1) for i in range(len(labels) - 1)))

    # --- the small parts ---------------------------------------------------------------------------

    def _ordered(self) -> list[tuple[str, Choice]]:
        """Decisions that others repeat over come first."""
        return sorted(self.declared().items(), key=lambda item: item[1].per is not None)

    def _positions(self, arch: Architecture) -> list[tuple[str, int | None]]:
        return [
            (name, i)
            for name, slot in self._ordered()
            for i in (range(len(getattr(arch, name))) if slot.per else (None,))
        ]

    def _with(
        self, arch: Architecture, name: str, position: int | None, option: Any, rng: Random
    ) -> Architecture:
        picked = dict(arch.choices)
        if position is None:
            picked[name] = option
            for other, slot in self.declared().items():
                if slot.per == name:
                    picked[other] = self._resized(picked[other], slot, option, rng)
        else:
            picked[name] = (*picked[name][:position], option, *picked[name][position + 1 :])
        return Architecture.of(self.name, **picked)

    @staticmethod
    def _resized(value: tuple[Any, ...], slot: Choice, n: int, rng: Random) -> tuple[Any, ...]:
        return value[:n] + tuple(rng.choice(slot.options) for _ in range(n - len(value)))


def _size(cls: type[Space], name: str, typed: str) -> int:
    """One size behind a scale."""
    if name not in cls.sizes:
        known = ", ".join(cls.sizes) or "none"
        raise UsageError(f"a scale of {cls.name} has no size {name!r}; it has: {known}")
    if not typed.isascii() or not typed.isdigit() or int(typed) < 1:
        raise UsageError(f"the size {name}={typed} is not a whole number of at least 1")
    return int(typed)


@cache
def _declared(cls: type[Space]) -> dict[str, Choice]:
    """A search asks for it many times a trial, and it was half of what a trial cost."""
    return {k: v for c in reversed(cls.__mro__) for k, v in vars(c).items() if isinstance(v, Choice)}


S = TypeVar("S", bound=type[Space])


def space(cls: S) -> S:
    """Registers a space under the name of its file, or of the class when it is made in a notebook."""
    cls.name = registry.add("space", cls)
    return cls


__all__ = ["Architecture", "Choice", "Graph", "Space", "choice", "space"]
