"""Gradients of single sequences from one pass over all of them.

The gradient of y = x W' is d' x, d what reaches y. Sequences do not see each other, so the rows of x and d
that belong to a sequence make its gradient, and nothing has to run sequence by sequence.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn


@dataclass
class Products:
    """What entered a weight matrix (outputs, inputs) and what gradient reached its output, call by call."""

    entered: list[Tensor] = field(default_factory=list)  # (B, T, inputs)
    reached: list[Tensor] = field(default_factory=list)  # (B, T, outputs)

    def gradients(self, outputs: slice = slice(None)) -> Tensor:
        """(B, outputs, inputs): one gradient a sequence, of some of the outputs."""
        pairs = zip(self.reached, self.entered, strict=True)
        return _added([d[..., outputs].transpose(1, 2) @ x for d, x in pairs])

    def gradient(self, sequences: slice) -> Tensor:
        """(outputs, inputs): the sum over some of the sequences."""
        pairs = zip(self.reached, self.entered, strict=True)
        return _added([d[sequences].flatten(0, 1).T @ x[sequences].flatten(0, 1) for d, x in pairs])


class Calls:
    """The calls of the linear maps of a model in one pass."""

    def __init__(self, weights: Sequence[Tensor]) -> None:
        self.place = {id(w): i for i, w in enumerate(weights)}
        self.weights = weights
        self.seen: list[tuple[int, Tensor, Tensor]] = []  # (which weight, in, out)

    def hears(self, model: nn.Module) -> bool:
        """Whether each weight belongs to a linear layer at all."""
        linear = {id(m.weight) for m in model.modules() if isinstance(m, nn.Linear)}
        return linear >= self.place.keys()

    @contextmanager
    def listening(self, model: nn.Module) -> Iterator[None]:
        """Writes the calls down while the block runs."""
        linear = [m for m in model.modules() if isinstance(m, nn.Linear) and id(m.weight) in self.place]
        hooks = [m.register_forward_hook(self._hear) for m in linear]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _hear(self, module: nn.Module, args: tuple[Tensor, ...], out: Tensor) -> None:
        self.seen.append((self.place[id(module.weight)], args[0].detach(), out))

    def explain(self, top: Tensor, sequences: int, length: int) -> bool:
        """Whether they are all that was done with the weights, with sequences along the first axis.

        Where there are as many sequences as tokens, the axes cannot be told apart.
        """
        if sequences == length or not top.requires_grad:
            return False
        shapes = [t.shape for _, x, y in self.seen for t in (x, y)]
        if not all(len(s) == 3 and tuple(s[:2]) == (sequences, length) for s in shapes):
            return False
        calls = Counter(i for i, _, _ in self.seen)
        uses = _uses(top, self.weights)
        return all(calls[i] >= max(1, uses[i]) for i in range(len(self.weights)))

    def products(self, reached: Sequence[Tensor | None]) -> list[Products]:
        """One for each weight; `reached` are the gradients of the outputs in the order of the calls."""
        found = [Products() for _ in self.weights]
        for (i, x, y), d in zip(self.seen, reached, strict=True):
            found[i].entered.append(x)
            found[i].reached.append(torch.zeros_like(y) if d is None else d)
        return found


def _uses(top: Tensor, weights: Sequence[Tensor]) -> Counter[int]:
    """How often each weight stands in the graph of a tensor."""
    place = {id(w): i for i, w in enumerate(weights)}
    found: Counter[int] = Counter()
    waiting: list[Any] = [top.grad_fn]
    known = set(waiting)
    while waiting:
        for node, _ in waiting.pop().next_functions:
            if node is None:
                continue
            variable = getattr(node, "variable", None)  # of a leaf
            if variable is not None and id(variable) in place:
                found[place[id(variable)]] += 1
            if node not in known:
                known.add(node)
                waiting.append(node)
    return found


def _added(terms: Sequence[Tensor]) -> Tensor:
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total
