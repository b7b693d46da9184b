"""One untrained network, one batch, and the passes made so far."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from untrained.core.errors import MeasurementFailed, MissingRole
from untrained.nn.batch import Batch
from untrained.nn.taps import Tape

T = TypeVar("T")
ROLES = frozenset({"hidden", "activation"})  # what a forward pass over the whole batch writes down when asked


@dataclass
class Pass:
    """A forward pass: what went in, what came out, what was written on the tape."""

    embedded: Tensor  # (B, T, E)
    output: Tensor  # (B, T, D)
    tape: Tape


@dataclass
class Sweep:
    """A backward pass from the sum of the output."""

    embedded: Tensor  # (B, T, E), gradient with respect to the embedding output
    hidden_saliency: float
    """sum of |h * dL/dh| over every state that enters a step"""
    weights: list[Tensor] | None
    """gradients of the weight matrices, where they were asked for"""


class Probe:
    """Runs a network lazily and keeps what was run, so that metrics that need the same pass share it.

    `model` may be a function that builds it: costs in closed form then never make a weight. `expect` says
    beforehand what will be asked, so that one forward pass serves with and without gradients.
    """

    def __init__(
        self,
        model: nn.Module | Callable[[], nn.Module],
        batch: Batch | Callable[[], Batch],
        *,
        seed: int = 0,
        counts: Mapping[str, int] | None = None,
        device: str = "cpu",
    ) -> None:
        self._model, self._batch = model, batch
        self.seed, self.counts, self.device = seed, dict(counts or {}), device
        self._gradients = self._weights = False
        self._wanted: set[str] = set()
        self._made: dict[str, Any] = {}
        self._sweeps: dict[float, Sweep] = {}
        self._forward: Pass | None = None

    @cached_property
    def model(self) -> nn.Module:
        made = self._model if isinstance(self._model, nn.Module) else self._model()
        return made.to(self.device).eval()

    @cached_property
    def batch(self) -> Batch:
        made = self._batch if isinstance(self._batch, Batch) else self._batch()
        return made.to(self.device)

    def expect(self, needs: Iterable[str]) -> Probe:
        """Announces what metrics will ask.

        `gradients` makes the first forward pass keep its graph, `weights` makes the first backward pass
        reach the weights too, and the name of a role has it written down.
        """
        asked = set(needs)
        self._gradients |= "gradients" in asked
        self._weights |= "weights" in asked
        self._wanted |= asked & ROLES
        return self

    def count(self, name: str, measure: Callable[[nn.Module], int]) -> int:
        """A cost in closed form where the space gave one, else `measure` of the built network."""
        return self.counts[name] if name in self.counts else measure(self.model)

    def weights(self) -> list[nn.Parameter]:
        """The weight matrices that saliency looks at, in the order of `gradients()`."""
        found: Any = self._stage("saliency_weights")()
        return list(found)

    def generator(self, use: int = 0) -> torch.Generator:
        """Luck for one use of this probe; always on the CPU, so that every device sees the same draws."""
        return torch.Generator().manual_seed(self.seed * 1_000_003 + 7_919 * (use + 1))

    # --- forward -----------------------------------------------------------------------------------

    def forward(self) -> Pass:
        """The pass over the batch, without gradients unless they are expected."""
        if self._forward is None:
            self._forward = self._run(self._embed(self.batch.tokens), self._wanted, self._gradients)
        return self._forward

    def taps(self, role: str) -> list[list[Tensor]]:
        """What the network wrote under a role, one list a layer; raises MissingRole where it has none."""
        self.require(role)
        if not self.forward().tape.wants(role):
            self._forward = None  # nobody had announced this role: run again and write it down
            self.expect((role,))
        return self.forward().tape[role]

    def states(self, layer: int) -> Tensor:
        """Hidden states that enter the steps of a layer, counted from 0, as (H, B * T)."""
        steps = self.taps("hidden")[layer]
        return torch.stack([h.detach() for h in steps], -1).transpose(0, 1).flatten(1)

    def once(self, name: str, make: Callable[[], T]) -> T:
        """What `make` returns, made at the first call under that name and kept."""
        if name not in self._made:
            self._made[name] = make()
        found: T = self._made[name]
        return found

    def encode(self, tokens: Tensor, roles: Iterable[str] = ()) -> Pass:
        """A pass of its own over other tokens (B, T), without gradients; not kept."""
        for role in roles:
            self.require(role)
        with torch.no_grad():
            embedded = self._embed(tokens)
            tape = Tape(roles)
            return Pass(embedded, self._model_encode(embedded, tape), tape)

    def _embed(self, tokens: Tensor) -> Tensor:
        embed: Callable[[Tensor], Tensor] = self._stage("embed")
        with torch.no_grad():
            return embed(tokens)

    def _model_encode(self, embedded: Tensor, tape: Tape) -> Tensor:
        output: Tensor = self._stage("encode")(embedded, tape)
        return output

    def _run(self, embedded: Tensor, roles: Iterable[str], gradients: bool) -> Pass:
        tape = Tape(role for role in roles if role in self.roles)
        with torch.set_grad_enabled(gradients):
            leaf = embedded.detach().requires_grad_(gradients)
            made = Pass(leaf, self._model_encode(leaf, tape), tape)
        if not bool(torch.isfinite(made.output).all()):
            raise MeasurementFailed("the network explodes: its output is infinite or not a number")
        return made

    # --- backward ----------------------------------------------------------------------------------

    def jacobian(self, noise: float = 0.0) -> Tensor:
        """d(sum of the output)/d(embedding output) as (B, T * E), with embedding noise of that strength.

        Raises MeasurementFailed where it is 0 everywhere: such a network does not look at its input.
        """
        found = self.sweep(noise).embedded.flatten(1)
        if not bool(found.any()):
            raise MeasurementFailed("the output does not depend on the input: every gradient is 0")
        return found

    def gradients(self) -> list[Tensor]:
        """d(sum of the output)/dW for each of `weights()`."""
        if self.sweep().weights is None:
            self._weights = True
            del self._sweeps[0.0]
        found = self.sweep().weights
        assert found is not None, "a sweep that was asked for weights has them"
        return found

    def sweep(self, noise: float = 0.0) -> Sweep:
        """The backward pass from the sum of the output.

        With `noise` a, the embedding output e becomes e + a * var * n: var its variance over the batch,
        n ~ N(0, 1).
        """
        if noise not in self._sweeps:
            self._sweeps[noise] = self._backward(noise)
        return self._sweeps[noise]

    def _backward(self, noise: float) -> Sweep:
        run = self._graph() if noise == 0.0 else self._run(self._noisy(noise), {"hidden"}, True)
        if not run.output.requires_grad:
            raise MeasurementFailed(
                "the output does not depend on the input: there is nothing to differentiate"
            )
        states = [h for steps in run.tape["hidden"] for h in steps] if run.tape.wants("hidden") else []
        states = [h for h in states if h.requires_grad]  # the zero state at the first step has no gradient
        weights = self.weights() if noise == 0.0 and self._weights else None
        wanted = [run.embedded, *states, *(weights or ())]
        found = torch.autograd.grad(
            run.output, wanted, torch.ones_like(run.output), retain_graph=noise == 0.0, allow_unused=True
        )
        none_as_zero = [torch.zeros_like(w) if g is None else g for w, g in zip(wanted, found, strict=True)]
        onto = none_as_zero[1 : 1 + len(states)]
        reached = None if weights is None else none_as_zero[1 + len(states) :]
        return Sweep(none_as_zero[0], _saliency(zip(states, onto, strict=True)), reached)

    def _graph(self) -> Pass:
        """The clean pass with its graph; made again if an earlier one kept none."""
        if self._forward is None or not self._forward.output.requires_grad:
            self.expect(("gradients", "hidden"))
            self._forward = None
        return self.forward()

    def _noisy(self, strength: float) -> Tensor:
        clean = self._embed(self.batch.tokens)
        variance = clean.var(0, keepdim=True)  # over the batch; (1, T, E)
        noise = torch.randn(clean.shape, generator=self.generator(use=1 + round(10 * strength)))
        return clean + strength * variance * noise.to(clean.device)

    # --- what the network offers -------------------------------------------------------------------

    @property
    def roles(self) -> tuple[str, ...]:
        return tuple(getattr(self.model, "roles", ()))

    def require(self, role: str) -> None:
        """Raises MissingRole unless the network writes this role."""
        if role not in self.roles:
            raise MissingRole(role, type(self.model).__name__, self.roles)

    def _stage(self, name: str) -> Callable[..., Tensor]:
        stage = getattr(self.model, name, None)
        if stage is None:
            raise MissingRole(name, type(self.model).__name__, self.roles)
        found: Callable[..., Tensor] = stage
        return found


def _saliency(pairs: Iterable[tuple[Tensor, Tensor]]) -> float:
    """Sum of |h * g|, added up in double precision, as the terms span many magnitudes."""
    terms = [(h.detach() * g).abs().sum(dtype=torch.float64) for h, g in pairs]
    return float(torch.stack(terms).sum()) if terms else 0.0
