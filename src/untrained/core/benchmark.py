"""A table of trained architectures and their measured truth."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, TypeVar

from untrained.core import registry
from untrained.core.architecture import Architecture
from untrained.core.errors import UnknownName
from untrained.core.metric import Better
from untrained.core.recipe import Recipe

if TYPE_CHECKING:
    from untrained.core.space import Space


@dataclass(frozen=True)
class Target:
    """A truth column."""

    name: str
    unit: str
    better: Better
    gap: float = 0.01
    """smallest difference of two truths that counts, after `quality` has turned them"""
    log: bool = False
    """compare logarithms (perplexity); losses and scores are compared as they are"""

    def quality(self, value: float) -> float:
        """The truth turned so that higher is better, in the scale where `gap` is meant."""
        value = math.log(value) if self.log else value
        return value if self.better == "higher" else -value


@dataclass(frozen=True)
class File:
    """One file of a benchmark as its authors publish it."""

    name: str
    url: str
    bytes: int | None
    """size in bytes where known"""
    sha256: str
    """of the file as published; empty where the authors publish another form, whose address `url` then is"""
    licence: str


@dataclass(frozen=True)
class Row:
    """One trained network."""

    key: str
    """the benchmark's own name for it"""
    truth: Mapping[str, float]
    """target name -> value; a target that was not measured is absent"""
    architecture: Architecture | None = None
    """None where only published metric values are known"""
    published: Mapping[str, float] = field(default_factory=dict)
    """metric values that the authors printed, by snake-case name"""
    seconds: float | None = None
    """what training took, where it was written down"""
    band: str = ""
    """networks of one band have one size on purpose; empty where a table has none"""


@dataclass(frozen=True)
class Table:
    """What a benchmark read, with what it could not read named."""

    rows: tuple[Row, ...]
    skipped: tuple[str, ...] = ()
    """one sentence a row, truth or file that was left out"""
    notes: tuple[str, ...] = ()
    """one sentence about each thing that is used, but not as one would expect"""


class Benchmark(ABC):
    """A reader of published tables. The docstring says Source, Licence, Rows and Bytes."""

    name: ClassVar[str] = ""
    space: ClassVar[str]
    targets: ClassVar[tuple[Target, ...]]
    files: ClassVar[tuple[File, ...]]
    recipe: ClassVar[Recipe]
    seeds: ClassVar[int] = 1
    """training runs behind each truth"""
    published_names: ClassVar[tuple[str, ...]] = ()
    """metrics whose published values `Row.published` may hold"""
    published_as: ClassVar[Mapping[str, str]] = {}
    """what a shorter name stands for: a metric of several parts -> the part that its authors recommend"""
    published_better: ClassVar[Mapping[str, Better]] = {}
    """direction of published metric values that are not `higher`"""
    shipped: ClassVar[Path | None] = None
    """the folder of the package that has the files, for a table of our own"""
    readings: ClassVar[Mapping[str, str]] = {}
    """further ways to read the table that a comparison of all shows beside the usual one: name -> options"""

    @abstractmethod
    def read(self, folder: Path, space: Space) -> Table:
        """All rows in a folder with the published layout; raises BadData for what cannot be read.

        `space` is the one that `self.space` names: rooms do not know each other, so the caller hands in
        who can turn a published recipe into an `Architecture`.
        """

    @classmethod
    def places(cls, root: Path) -> tuple[Path, ...]:
        """Where the files may lie when somebody names `root`: in it, or in its sub-folder for us."""
        return root, root / cls.name.replace("_", "-"), root / cls.name

    @classmethod
    def find(cls, root: Path, name: str) -> Path | None:
        """The file of that name in one of `places(root)`; None where it is not there."""
        return next((p for place in cls.places(root) if (p := cls.within(place, name))), None)

    @classmethod
    def within(cls, folder: Path, name: str) -> Path | None:
        """The file of that name right in a folder; a benchmark may take other spellings of the name too."""
        return path if (path := folder / name).is_file() else None

    @classmethod
    def published_name(cls, name: str) -> str:
        """The full name of a published metric, as the key of `Row.published`; raises UnknownName."""
        full = cls.published_as.get(name, name)
        if full not in cls.published_names:
            known = [*cls.published_as, *cls.published_names]
            raise UnknownName("published metric", name, known, more=f"untrained show {cls.name}")
        return full


B = TypeVar("B", bound=type[Benchmark])


def benchmark(cls: B) -> B:
    """Registers a benchmark under the name of its file, or of the class when it is made in a notebook."""
    cls.name = registry.add("benchmark", cls)
    return cls
