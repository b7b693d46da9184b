"""One untrained network, one batch, and the passes made so far."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from untrained.core.errors import MeasurementFailed, MissingMethod, MissingRole
from untrained.nn import head
from untrained.nn._products import Calls, Products
from untrained.nn.batch import Batch
from untrained.nn.taps import Tape

T = TypeVar("T")
SMALL = 2**18  # numbers in the embedding of a batch up to which passes are run side by side
ROLES = frozenset({"hidden", "activation", "attention", "mix", "preactivation", "ffn", "block"})


class MissingMixer(MissingRole):
    """A network has no token mixers, or does not say which they are."""

    def __init__(self, model: str) -> None:
        MeasurementFailed.__init__(
            self,
            f"{model} has no token mixer, neither attention nor another.\n"
            "  give it: if it has some, a method mixer_weights() that lists their matrices",
        )


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
    hidden_saliency: float | None
    """sum of |h * dL/dh| over every state that enters a step, where the pass wrote them down"""
    weights: list[Tensor] | None
    """gradients of the weight matrices, where they were asked for"""


class Probe:
    """Runs a network lazily and keeps what was run, so that metrics that need the same pass share it.

    `model` may be a function that builds it: costs in closed form then never make a weight. `expect` says
    beforehand what will be asked, so that one forward pass serves with and without gradients. `origin` tells
    what the network was made from, where it was made from another one, without building it. `text` is what
    the batch was taken from, for metrics that read more of it, and `ids` its tokens where the network has
    tokens of its own.
    """

    def __init__(
        self,
        model: nn.Module | Callable[[], nn.Module],
        batch: Batch | Callable[[], Batch],
        *,
        seed: int = 0,
        counts: Callable[[], Mapping[str, int]] = dict,
        full: Callable[[], Mapping[str, int]] = dict,
        origin: Callable[[], Any] = lambda: None,
        device: str = "cpu",
        text: str | None = None,
        ids: Callable[[], Sequence[int] | None] = lambda: None,
    ) -> None:
        self._model, self._batch, self.origin, self.text, self.ids = model, batch, origin, text, ids
        self.seed, self._counts, self._full, self.device = seed, counts, full, device
        self._gradients = self._weights = False
        self._wanted: set[str] = set()
        self._made: dict[str, Any] = {}
        self._sweeps: dict[float, Sweep] = {}
        self._forward: Pass | None = None

    @cached_property
    def model(self) -> nn.Module:
        made = self._model if isinstance(self._model, nn.Module) else self._model()
        return (made if self.device == "cpu" else made.to(self.device)).eval()

    @cached_property
    def batch(self) -> Batch:
        made = self._batch if isinstance(self._batch, Batch) else self._batch()
        return made.to(self.device)

    @cached_property
    def counts(self) -> dict[str, int]:
        """Costs that the space gives in closed form."""
        return dict(self._counts())

    @cached_property
    def full(self) -> dict[str, int]:
        """Costs of the whole network, where this one is its small form."""
        return dict(self._full())

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

    def full_count(self, name: str, measure: Callable[[nn.Module], int]) -> int:
        """`count` of the whole network, where this one is its small form."""
        return self.full[name] if name in self.full else self.count(name, measure)

    def weights(self) -> list[nn.Parameter]:
        """The weight matrices that saliency looks at, in the order of `gradients()`."""
        found: Any = list(self._stage("saliency_weights")())
        if not found:
            raise MeasurementFailed(f"{type(self.model).__name__} has no weight matrix outside its embedding")
        return found  # type: ignore[no-any-return]

    def generator(self, use: int = 0) -> torch.Generator:
        """Luck for one use of this probe; always on the CPU, so that every device sees the same draws."""
        return torch.Generator().manual_seed(self.seed * 1_000_003 + 7_919 * (use + 1))

    # --- forward -----------------------------------------------------------------------------------

    def forward(self) -> Pass:
        """The pass over the batch, without gradients unless they are expected."""
        if self._forward is None:
            self._forward = self._run(self._embed(self.batch.tokens), self._wanted, self._gradients)
        if not bool(torch.isfinite(self._forward.output).all()):
            raise MeasurementFailed("the network explodes: its output is infinite or not a number")
        return self._forward

    def taps(self, role: str) -> list[list[Tensor]]:
        """What the network wrote under a role, one list a layer; raises MissingRole where it has none."""
        self.require(role)
        self.expect((role,))
        if self._forward is not None and not self._forward.tape.wants(role):
            self._forget()  # nobody had announced this role: run again and write it down
        return self.forward().tape[role]

    def states(self, layer: int) -> Tensor:
        """Hidden states that enter the steps of a layer, counted from 0, as (H, B * T).

        Raises MeasurementFailed where one is not finite, which the output need not show.
        """
        steps = self.taps("hidden")[layer]
        found = torch.stack([h.detach() for h in steps], -1).transpose(0, 1).flatten(1)
        if not bool(torch.isfinite(found).all()):
            raise MeasurementFailed(
                f"the network explodes: the state of layer {layer + 1} is infinite or not a number"
            )
        return found

    def once(self, name: str, make: Callable[[], T]) -> T:
        """What `make` returns, made at the first call under that name and kept."""
        if name not in self._made:
            self._made[name] = make()
        found: T = self._made[name]
        return found

    def encode(
        self,
        tokens: Tensor,
        roles: Iterable[str] = (),
        start: Sequence[Sequence[Tensor]] | None = None,
    ) -> Pass:
        """A pass of its own over other tokens (B, T), without gradients; not kept.

        `start` has, for each layer, the states that enter the first step, as the role `state` gives them.
        """
        return self.encode_embedded(self._embed(tokens), roles, start)

    def encode_embedded(
        self,
        embedded: Tensor,
        roles: Iterable[str] = (),
        start: Sequence[Sequence[Tensor]] | None = None,
    ) -> Pass:
        """`encode` from an embedding output (B, T, E)."""
        for role in roles:
            self.require(role)
        more = {} if start is None else {"start": start}
        with torch.inference_mode():
            tape = Tape(roles)
            return Pass(embedded, self._stage("encode")(embedded, tape, **more), tape)

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
            return Pass(leaf, self._model_encode(leaf, tape), tape)

    # --- backward ----------------------------------------------------------------------------------

    def jacobian(self, noise: float = 0.0, among: Sequence[float] = ()) -> Tensor:
        """d(sum of the output)/d(embedding output) as (B, T * E), with embedding noise of that strength.

        `among` are the strengths that are likely to be asked for; see `sweep`. Raises MeasurementFailed
        where it is not finite, or 0 everywhere: such a network does not look at its input.
        """
        found = self.sweep(noise, among).embedded.flatten(1)
        if not bool(torch.isfinite(found).all()):
            raise MeasurementFailed("the network explodes: its input gradient is infinite or not a number")
        if not bool(found.any()):
            raise MeasurementFailed("the output does not depend on the input: every gradient is 0")
        return found

    def logit_gradients(self) -> tuple[Tensor, list[Tensor]]:
        """d(sum of the logits) / d(embedding output), (B, T, E), and / dW for each of `weights()`.

        Raises MissingRole where the network has no decoder. The sum of the top states cannot take its
        place: behind a LayerNorm the states of a token always add up to the same, so that every gradient of
        it is 0 but for rounding.
        """
        return self.once("logit gradients", self._logit_gradients)

    def _logit_gradients(self) -> tuple[Tensor, list[Tensor]]:
        run = self._graph()
        onto, *weights = self._below(run, None, [run.embedded, *self.weights()])
        if not bool(torch.isfinite(onto).all()):
            raise MeasurementFailed("the network explodes: its input gradient is infinite or not a number")
        if not bool(onto.any()):
            raise MeasurementFailed("the logits do not depend on the input: every gradient is 0")
        return onto, weights

    def _below(self, run: Pass, targets: Tensor | None, wanted: Sequence[Tensor]) -> list[Tensor]:
        """Gradients of the mean cross-entropy, or without `targets` of the sum of the logits."""
        top, own, _ = self._head_slope(run.output, targets, wanted)
        found = _pulled(run.output, wanted, top)
        return [g if more is None else g + more for g, more in zip(found, own, strict=True)]

    def _head_slope(
        self, features: Tensor, targets: Tensor | None, weights: Sequence[Tensor] = ()
    ) -> head.Slope:
        return head.slope(self._decoder(), features, targets, weights, self._vocabulary)

    def _decoder(self) -> Callable[[Tensor], Tensor]:
        if not hasattr(self.model, "decode"):
            raise MissingRole("logits", type(self.model).__name__, self.roles)
        return self._stage("decode")

    @property
    def _vocabulary(self) -> int:
        return int(getattr(self.model, "vocabulary", 0)) or 1 + int(self.batch.tokens.max())

    def group_gradients(
        self, size: int, of: str = "loss", *, sequences: int | None = None, weights: slice = slice(None)
    ) -> Iterator[list[Tensor]]:
        """Gradients of each group of `size` sequences, one group after another; left-over ones are let go.

        `of` the mean `loss` of the group, or the sum of the `last` logits, those of the word after the
        text. Each group is a pass of its own over the first `sequences`, so memory holds the graph of one
        group, and the gradients of the slice of `weights()` that is asked for.
        """
        wanted = self.weights()[weights]
        end = self.batch.shape[0] if sequences is None else sequences
        for first in range(0, end - size + 1, size):
            group = slice(first, first + size)
            run = self._run(self._embed(self.batch.tokens[group]), (), True)
            if not bool(torch.isfinite(run.output).all()):
                raise MeasurementFailed("the network explodes: its output is infinite or not a number")
            if of == "loss":
                yield self._below(run, self.batch.targets[group], wanted)
            else:
                last = Pass(run.embedded, run.output[:, -1:], run.tape)
                yield self._below(last, None, wanted)

    def products(self, of: str = "loss", *, sequences: int | None = None) -> list[Products] | None:
        """What makes the gradients of the first `sequences` one by one, for each of `weights()`; kept.

        Of `loss` or `last` as in `group_gradients`, a loss being the mean over one sequence. One forward and
        one backward for all of them. None where that is not possible: a weight is more than the matrix of
        linear layers, or they do not see (sequences, tokens, channels). Memory holds the graph of the
        sequences, and afterwards what entered and what reached each matrix.
        """
        n = self.batch.shape[0] if sequences is None else min(sequences, self.batch.shape[0])
        return self.once(f"products of {of} over {n}", lambda: self._products(of, n))

    def _products(self, of: str, n: int) -> list[Products] | None:
        weights, calls = self.weights(), Calls(self.weights())
        if not calls.hears(self.model):
            return None
        with calls.listening(self.model):
            run = self._run(self._embed(self.batch.tokens[:n]), (), True)
        if not bool(torch.isfinite(run.output).all()):
            raise MeasurementFailed("the network explodes: its output is infinite or not a number")
        if not calls.explain(run.output, n, self.batch.shape[1]):
            return None
        features = run.output if of == "loss" else run.output[:, -1:]
        top, own, _ = self._head_slope(features, self.batch.targets[:n] if of == "loss" else None, weights)
        if any(g is not None for g in own):
            return None
        if of == "loss":
            top *= n  # of the mean over all of them each has 1/n
        outputs = [y for _, _, y in calls.seen]
        return calls.products(torch.autograd.grad(features, outputs, top, allow_unused=True))

    def loss_curvature(self, along: Sequence[Tensor]) -> list[Tensor]:
        """H v: the Hessian of the loss over `weights()` times a vector with one piece `along` each.

        With F(W) the features, L(F) the loss and q = dL/dF, g = J'q has the derivative along v
        J' (d2L/dF2) J v + (dJ'/dW v) q: the logits are held some tokens at a time only.
        """
        weights, run = self.weights(), self._graph()
        top, own, _ = self._head_slope(run.output, self.batch.targets, weights)
        if any(g is not None for g in own):
            return self._whole_curvature(along)
        top.requires_grad_()
        with torch.enable_grad():
            found = torch.autograd.grad(run.output, weights, top, create_graph=True, allow_unused=True)
            pairs = zip(found, along, strict=True)
            rate = [(g * v).sum() for g, v in pairs if g is not None and g.requires_grad]
        if not rate:
            raise MeasurementFailed("the loss has no second derivative over the weights")
        moved, *turned = _towards(torch.stack(rate).sum(), [top, *weights])  # J v, and the second summand
        bent = head.bend(self._decoder(), run.output, self.batch.targets, moved, self._vocabulary)
        return [a + b for a, b in zip(turned, _pulled(run.output, weights, bent), strict=True)]

    def _whole_curvature(self, along: Sequence[Tensor]) -> list[Tensor]:
        """As `loss_curvature`, for a network whose decoder has some of the weights itself."""
        weights = self.weights()
        with torch.enable_grad():
            logits = self._decoder()(self._graph().output)
            loss = cross_entropy(logits.flatten(0, 1), self.batch.targets.flatten())
            found = torch.autograd.grad(loss, weights, create_graph=True, allow_unused=True)
            pairs = zip(found, along, strict=True)
            rate = [(g * v).sum() for g, v in pairs if g is not None and g.requires_grad]
        if not rate:
            raise MeasurementFailed("the loss has no second derivative over the weights")
        return _towards(torch.stack(rate).sum(), weights)

    def mixer_weights(self) -> list[nn.Parameter]:
        """Those of `weights()` that belong to what mixes tokens: attention, or what stands in its place.

        The model names them by `mixer_weights()`, or has an attribute `mixer` in each layer. Raises
        MissingRole where there are none, as in a recurrent network.
        """
        named = getattr(self.model, "mixer_weights", None)
        mixers = [m.mixer for m in self.model.modules() if isinstance(getattr(m, "mixer", None), nn.Module)]
        offered = named() if named else [w for m in mixers for w in m.parameters()]  # type: ignore[union-attr]
        inside = {id(w) for w in offered}
        if found := [w for w in self.weights() if id(w) in inside]:
            return found
        raise MissingMixer(type(self.model).__name__)

    def loss_gradients(self) -> list[Tensor]:
        """d(loss)/dW for each of `weights()`, the loss the mean cross-entropy in nats per token."""
        return self.once(
            "loss gradients", lambda: self._below(self._graph(), self.batch.targets, self.weights())
        )

    def tap_gradients(self, role: str, of: str = "loss") -> list[list[Tensor]]:
        """Gradients of the `loss`, or of the `sum` of the output, with respect to what a role wrote."""
        self.require(role)
        self.expect(("gradients", role))
        self._graph()  # before the taps, which must hang on the same graph as what is differentiated
        written = self.taps(role)
        run = self._graph()
        wanted = [t for layer in written for t in layer]
        flat = (
            self._below(run, self.batch.targets, wanted)
            if of == "loss"
            else _towards(run.output.sum(), wanted)
        )
        ends = iter(flat)
        return [[next(ends) for _ in layer] for layer in written]

    def gradients(self) -> list[Tensor]:
        """d(sum of the output)/dW for each of `weights()`."""
        if self._frozen:
            raise MeasurementFailed("a weight is frozen, so it has no gradient: call model.requires_grad_()")
        if self.sweep().weights is None:
            self._weights = True
            del self._sweeps[0.0]
        found = self.sweep().weights
        assert found is not None, "a sweep that was asked for weights has them"
        return found

    @property
    def _frozen(self) -> bool:
        return not all(w.requires_grad for w in self.weights())

    def hidden_saliency(self) -> float:
        """Sum of |h * dL/dh| over every state that enters a step, L the sum of the output."""
        self.taps("hidden")  # a pass that has not written the states down is run again
        if self.sweep().hidden_saliency is None:
            del self._sweeps[0.0]
        found = self.sweep().hidden_saliency
        assert found is not None, "a sweep over states that are written down has their saliency"
        return found

    def sweep(self, noise: float = 0.0, among: Sequence[float] = ()) -> Sweep:
        """The backward pass from the sum of the output.

        With `noise` a, the embedding output e becomes e + a * var * n: var its variance over the batch,
        n ~ N(0, 1). On a small batch, where calls cost more than arithmetic, all strengths of `among` go
        through the network side by side; whether they do depends on the batch alone, so that a number
        never depends on what else was asked.
        """
        if noise not in self._sweeps:
            together = tuple(among) if noise in among and self._small else (noise,)
            for strength, found in zip(together, self._backward(together), strict=True):
                self._sweeps[strength] = found
        return self._sweeps[noise]

    @property
    def _small(self) -> bool:
        return self._embed(self.batch.tokens).numel() <= SMALL

    def _backward(self, noises: tuple[float, ...]) -> list[Sweep]:
        clean = noises == (0.0,)
        run = self._graph() if clean else self._run(torch.cat([*map(self._noisy, noises)]), (), True)
        if not run.output.requires_grad:
            raise MeasurementFailed("the output does not depend on the input: no gradient reaches it")
        taped = run.tape["hidden"] if clean and run.tape.wants("hidden") else None
        # The zero state at the first step has no gradient.
        states = [h for steps in taped or () for h in steps if h.requires_grad]
        weights = self.weights() if clean and self._weights and not self._frozen else None
        wanted = [run.embedded, *states, *(weights or ())]
        found = torch.autograd.grad(
            run.output, wanted, torch.ones_like(run.output), retain_graph=clean, allow_unused=True
        )
        made = _or_zero(wanted, found)
        onto, last = made[1 : 1 + len(states)], made[1 + len(states) :]
        saliency = None if taped is None else _saliency(states, onto)
        pieces = made[0].chunk(len(noises))
        return [Sweep(piece, saliency, None if weights is None else last) for piece in pieces]

    def graph(self, *roles: str) -> Pass:
        """The pass over the batch with its graph and with these roles written down."""
        for role in roles:
            self.require(role)
        self.expect((*roles, "gradients"))
        if self._forward is not None and not all(map(self._forward.tape.wants, roles)):
            self._forget()
        return self._graph()

    def _graph(self) -> Pass:
        """The clean pass with its graph; made again if an earlier one kept none."""
        if self._forward is None or not self._forward.output.requires_grad:
            self.expect(("gradients",))
            self._forget()
        return self.forward()

    def _forget(self) -> None:
        """Lets the pass go, so that the next one writes down what is wanted now."""
        self._forward = None

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
            raise MissingMethod(name, type(self.model).__name__, "one of the stages of a network")
        found: Callable[..., Tensor] = stage
        return found


def _towards(top: Tensor, wanted: Sequence[Tensor]) -> list[Tensor]:
    """Gradients of a number, 0 for what it does not depend on."""
    return _or_zero(wanted, torch.autograd.grad(top, wanted, retain_graph=True, allow_unused=True))


def _pulled(features: Tensor, wanted: Sequence[Tensor], top: Tensor) -> list[Tensor]:
    """Gradients of what has the derivative `top` with respect to the features."""
    if not features.requires_grad:
        return _or_zero(wanted, [None] * len(wanted))
    return _or_zero(wanted, torch.autograd.grad(features, wanted, top, retain_graph=True, allow_unused=True))


def _or_zero(wanted: Sequence[Tensor], found: Sequence[Tensor | None]) -> list[Tensor]:
    """Gradients, 0 for what nothing depends on."""
    return [torch.zeros_like(w) if g is None else g for w, g in zip(wanted, found, strict=True)]


def _saliency(states: Sequence[Tensor], gradients: Sequence[Tensor]) -> float:
    """Sum of |h * g|, added up in double precision, as the terms span many magnitudes."""
    terms = [(h.detach() * g).flatten() for h, g in zip(states, gradients, strict=True)]
    return float(torch.cat(terms).abs().sum(dtype=torch.float64)) if terms else 0.0
