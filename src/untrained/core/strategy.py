"""A searcher: it is asked for architectures and told what they were worth. Nothing else."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from untrained.core import registry
from untrained.core.architecture import Architecture, frozen
from untrained.core.errors import UsageError
from untrained.core.named import construct
from untrained.core.space import Space

if TYPE_CHECKING:
    from untrained.core.study import Trial


@dataclass(frozen=True)
class Ask:
    """An architecture and how closely to look at it; a bare architecture means the objectives, once."""

    architecture: Architecture
    fidelity: int | None = None
    """which of the question's cheaper metrics decides, 0 the cheapest; None: the objectives themselves"""
    draw: int = 0
    """which draw of weights and text; equal draws give equal numbers"""
    note: Any = None
    """JSON that comes back with the trial, lists as tuples, for what cannot be read off the architecture"""

    def __post_init__(self) -> None:
        object.__setattr__(self, "note", frozen(self.note))  # as it will come back from the log

    @classmethod
    def of(cls, asked: Architecture | Ask) -> Ask:
        return asked if isinstance(asked, Ask) else cls(asked)


class Strategy(ABC):
    """Chooses what to look at next. Options are the keyword-only parameters of `__init__`.

    `ask` must not change the strategy: a study is resumed by telling it the logged trials again, without
    asking. All luck comes from the `rng` that is handed in. `tell` comes in the order of the numbers, and for
    all of a batch before the next `ask`.
    """

    name: ClassVar[str] = ""
    needs_fidelities: ClassVar[int] = 0
    """how many cheaper metrics it cannot do without"""
    fidelities: int = 0
    """how many cheaper metrics the question has, cheapest first; set before the first `ask`"""

    def __init__(self, space: Space) -> None:
        self.space = space

    @abstractmethod
    def ask(self, rng: Random, n: int = 1) -> Sequence[Architecture | Ask]:
        """The next `n` architectures to score."""

    @abstractmethod
    def tell(self, trial: Trial) -> None:
        """What became of one: `trial.score` is higher for better, None where it failed or was turned away."""


C = TypeVar("C", bound=type[Strategy])


def strategy(cls: C) -> C:
    """Registers a strategy under the name of its file, or of the class when it is made in a notebook."""
    cls.name = registry.add("strategy", cls)
    return cls


def make(text: str, space: Space, *, fidelities: int = 0) -> Strategy:
    """`regularized_evolution:population=20` as an object; raises UnknownName or UsageError."""
    found: Strategy = construct("strategy", text, space)
    found.fidelities = fidelities
    if fidelities < found.needs_fidelities:
        raise UsageError(
            f"the strategy {found.name} looks cheaply first, and needs {found.needs_fidelities} cheaper"
            f" metric{'s' if found.needs_fidelities > 1 else ''} to do so.\n"
            "  name them, cheapest first: --fidelity depth_width_rank"
        )
    return found
