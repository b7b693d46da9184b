"""What a network's shape says about how words enter it; read by scores that need no weight.

A model says it with a method `stream()`; ours and the adapters of foreign transformers have one. The small
form of a network, at probe scale, says it of the whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from torch import nn

from untrained.core.errors import MeasurementFailed


@dataclass(frozen=True)
class WordTable:
    """One embedding table; several hold the vocabulary between them, most frequent words first."""

    words: int
    width: int


@dataclass(frozen=True)
class Stream:
    """The residual stream: how deep and wide it is, and in which tables its words come."""

    depth: int
    """layers"""
    width: int
    """channels"""
    tables: tuple[WordTable, ...]
    projected: bool
    """whether a matrix stands between each table and the stream"""

    def __post_init__(self) -> None:
        sizes = [self.depth, self.width, *(n for t in self.tables for n in (t.words, t.width))]
        if not self.tables or min(sizes) < 1:
            raise MeasurementFailed(f"layers, widths and tables must be at least 1: {self}")
        if not self.projected and any(t.width != self.width for t in self.tables):
            raise MeasurementFailed(f"a table of another width than the stream needs a projection: {self}")


class Streaming(Protocol):
    """A model that describes itself."""

    def stream(self) -> Stream:
        """Depth, width and word tables."""


def stream_of(model: nn.Module) -> Stream:
    """How words enter a model; raises MeasurementFailed for one that does not say."""
    describe: Any = getattr(model, "stream", None)
    if describe is None:
        raise MeasurementFailed(
            f"{type(model).__name__} does not say its depth, width and word tables.\n"
            "  give it: a method stream() that returns an untrained.nn.stream.Stream"
        )
    found: Stream = describe()
    return found
