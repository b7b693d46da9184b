"""A searcher: it is asked for architectures and told what they were worth. Nothing else."""

from __future__ import annotations

from abc import ABC, abstractmethod
from random import Random
from typing import TYPE_CHECKING, ClassVar, TypeVar

from untrained.core import registry
from untrained.core.named import construct
from untrained.core.space import Space

if TYPE_CHECKING:
    from untrained.core.architecture import Architecture
    from untrained.core.study import Trial


class Strategy(ABC):
    """Chooses what to look at next. Options are the keyword-only parameters of `__init__`.

    `ask` must not change the strategy: a study is resumed by telling it the logged trials again, without
    asking. All luck comes from the `rng` that is handed in.
    """

    name: ClassVar[str] = ""

    def __init__(self, space: Space) -> None:
        self.space = space

    @abstractmethod
    def ask(self, rng: Random, n: int = 1) -> list[Architecture]:
        """The next `n` architectures to score."""

    @abstractmethod
    def tell(self, trial: Trial) -> None:
        """What became of one: `trial.score` is higher for better, None where it failed or was turned away."""


C = TypeVar("C", bound=type[Strategy])


def strategy(cls: C) -> C:
    """Registers a strategy under the name of its file, or of the class when it is made in a notebook."""
    cls.name = registry.add("strategy", cls)
    return cls


def make(text: str, space: Space) -> Strategy:
    """`regularized_evolution:population=20` as an object; raises UnknownName or UsageError."""
    found: Strategy = construct("strategy", text, space)
    return found
