"""A recipe that can be run: plain settings, and how a batch is made and judged."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from untrained.core import registry
from untrained.core.errors import UnknownName, UsageError
from untrained.core.recipe import Recipe
from untrained.nn.batch import Batch

IGNORED = -100  # the target of what is not to be told
SCHEDULES = ("constant", "linear", "cosine")
PRECISIONS = ("auto", "float32", "bfloat16")
# What a setting may be: (least, most); both included.
RANGES = {
    "steps": (0, math.inf),
    "epochs": (0, math.inf),
    "batch": (1, math.inf),
    "length": (1, math.inf),
    "peak_lr": (1e-12, 1e3),
    "warmup": (0, 1),
    "floor": (0, 1),
    "weight_decay": (0, math.inf),
    "beta1": (0, 1 - 1e-9),
    "beta2": (0, 1 - 1e-9),
    "clip": (0, math.inf),
    "accumulation": (1, math.inf),
    "eval_every": (1, math.inf),
    "eval_windows": (0, math.inf),
    "log_every": (1, math.inf),
    "patience": (0, math.inf),
    "seed": (0, 2**31),
}


@dataclass(frozen=True, kw_only=True)
class TrainingRecipe(Recipe, ABC):
    """Settings of AdamW and its surroundings. Equal settings and seeds give equal losses.

    Weight decay is for matrices: not for vectors (biases, norms), nor for tables of tokens and positions.
    """

    reads: ClassVar[str] = "text"
    """`text`, or `examples` with labels"""
    task: ClassVar[str] = ""
    """the head of a Hugging Face model: AutoModelFor<task>"""

    steps: int = 1_000
    """weight updates; 0 for as many as `epochs` take"""
    batch: int = 32
    """sequences per weight update"""
    length: int = 128
    """tokens per sequence"""
    optimizer: str = "AdamW"
    """name, as in torch.optim; AdamW is the only one"""
    peak_lr: float = 1e-3
    """largest learning rate of the schedule"""
    schedule: str = "cosine"
    """how the learning rate goes on after the warm-up: constant, linear or cosine"""
    warmup: float = 0.05
    """share of the steps over which the learning rate rises, from 0 to 1"""
    weight_decay: float = 0.1
    """shrinking of matrices per step, in learning rates"""
    beta1: float = 0.9
    """forgetting of the mean gradient, from 0 to 1"""
    beta2: float = 0.95
    """forgetting of the mean squared gradient, from 0 to 1"""
    clip: float = 1.0
    """largest norm of all gradients together; 0 for no limit"""
    accumulation: int = 1
    """parts that a batch is taken in, one after another, to save memory; the update is the same"""
    precision: str = "auto"
    """float32, bfloat16 (autocast), or auto: bfloat16 where the device has it, float32 on a CPU"""
    eval_every: int = 100
    """steps between two examinations on held-out text, each followed by a checkpoint"""
    eval_windows: int = 256
    """held-out sequences of an examination, spread evenly; 0 for all"""
    log_every: int = 10
    """steps between two lines of the learning curve"""
    patience: int = 0
    """examinations without a new best after which training ends; 0 for never"""
    seed: int = 0
    """of weights, order of the data, masks and dropout"""

    def __post_init__(self) -> None:
        for name, (least, most) in RANGES.items():
            value = getattr(self, name)
            if not least <= value <= most:  # NaN is in no range
                raise UsageError(f"{name}={value}; it takes a number from {least:g} to {most:g}")
        for name, known in (("schedule", SCHEDULES), ("precision", PRECISIONS), ("optimizer", ("AdamW",))):
            if getattr(self, name) not in known:
                raise UnknownName(name, getattr(self, name), known, more="untrained list recipe")
        if self.accumulation > self.batch:
            raise UsageError(f"{self.accumulation} parts of a batch of {self.batch}; take accumulation=1")
        if not self.steps and not self.epochs:
            raise UsageError("neither steps nor epochs are given; take steps=1000")

    @property
    def name(self) -> str:
        return registry.name_of("recipe", type(self))

    def settings(self) -> dict[str, Any]:
        """Every setting by name, as JSON takes it."""
        return {k: v for k, v in asdict(self).items() if k != "data"}

    # --- what a recipe says ------------------------------------------------------------------------

    @abstractmethod
    def check(self, data: Any, model: nn.Module) -> None:
        """Raises UsageError where this data or this model cannot serve."""

    @abstractmethod
    def examples(self, data: Any) -> int:
        """Sequences in one pass over what is trained on."""

    @abstractmethod
    def lesson(self, data: Any, step: int) -> Batch:
        """The whole batch of an update; depends on its arguments and the settings alone."""

    @abstractmethod
    def exam(self, data: Any) -> Iterator[Batch]:
        """The held-out batches, the same ones each time."""

    def logits(self, model: nn.Module, batch: Batch) -> Tensor:
        """One row of logits a target: (..., V) for targets (...)."""
        return logits(model(batch.tokens))

    def lost(self, model: nn.Module, batch: Batch) -> Tensor:
        """Loss summed over the targets of a batch that are to be told, in nats."""
        return loss(self.logits(model, batch), batch.targets)

    def marks(self, data: Any, model: nn.Module, batches: Iterator[Batch]) -> dict[str, float]:
        """What an examination finds, by name; `loss` is in nats a target, and lower is better."""
        lost, count = 0.0, 0
        for batch in batches:
            lost += float(self.lost(model, batch).double())
            count += told(batch.targets)
        return self.derived(data, lost / max(1, count))

    def derived(self, data: Any, mean: float) -> dict[str, float]:
        """The loss in other words."""
        return {"loss": mean}


def logits(output: Any) -> Tensor:
    """The logits in what a model returns: a tensor, a tuple that begins with it, or an object that has it."""
    found = getattr(output, "logits", output)
    if isinstance(found, tuple | list):
        found = found[0]
    if not isinstance(found, Tensor):
        raise UsageError(
            f"the model returns a {type(output).__name__}; a model to train returns logits (B, T, V)"
        )
    return found


def loss(rows: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy summed over the targets that are to be told, in nats: (..., V), (...) -> ()."""
    flat = rows.to(torch.promote_types(rows.dtype, torch.float32)).flatten(0, -2)
    if flat.shape[0] != targets.numel():
        raise UsageError(
            f"the model gives {flat.shape[0]:,} rows of logits for {targets.numel():,} targets;"
            " a model to train maps tokens (B, T) to logits (B, T, V)"
        )
    return cross_entropy(flat, targets.flatten(), ignore_index=IGNORED, reduction="sum")


def told(targets: Tensor) -> int:
    """How many targets are to be told."""
    return int((targets != IGNORED).sum())


def luck(*numbers: int) -> torch.Generator:
    """A source of luck that these numbers alone decide."""
    mixed = 0
    for n in numbers:
        mixed = (mixed * 6_364_136_223_846_793_005 + n + 1_442_695_040_888_963_407) % 2**63
    return torch.Generator().manual_seed(mixed)


R = TypeVar("R", bound=type[TrainingRecipe])


def recipe(cls: R) -> R:
    """Registers a recipe under the name of its file, or of the class when it is made in a notebook."""
    registry.add("recipe", cls)
    return cls


def perplexity(nats: float) -> float:
    """exp of a loss; infinite where it would overflow."""
    return math.exp(nats) if nats < 700 else math.inf


def by_unit(data: Any, mean: float) -> Mapping[str, float]:
    """A loss a token, also a byte of the held-out text, and as perplexity."""
    each = len(data.held_out) / max(1, data.held_out.bytes)
    return {"loss": mean, "perplexity": perplexity(mean), "nats_per_byte": mean * each}
