"""What a calibration text says of every head and channel of a parent, one layer in memory at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, fields
from functools import reduce
from typing import Any

import torch
from torch import Tensor, nn

from untrained.nn import hf
from untrained.nn.adapters.sources import drawn_from
from untrained.nn.pretrained.families import Family, Geometry, TensorOf, names

TOGETHER = 4  # sequences that run at once


@dataclass(frozen=True)
class LayerStatistics:
    """Sums over the calibration tokens; `heads` (H,), `kv` (K,), `inner` (I,), all float64.

    norm(x_j) is the length of input channel j over all tokens.
    """

    importance_heads: Tensor
    """sum over the head's channels j of the output matrix of sum_i |W_ij| norm(x_j)"""
    importance_inner: Tensor
    """sum_i |W_ij| norm(x_j) of the matrix that leads back from the feed-forward part"""
    magnitude_heads: Tensor
    """sum of |W| over all that goes with a query head"""
    magnitude_kv: Tensor
    """... with a key/value head, where that is a matrix of its own"""
    magnitude_inner: Tensor
    wanda_heads: Tensor
    """as magnitude, of |W_ij| norm(x_j)"""
    wanda_kv: Tensor
    wanda_inner: Tensor
    fluctuation_heads: Tensor
    """sum over the head's channels j of var(x_j) sum_i W_ij^2"""
    fluctuation_inner: Tensor
    influence: Tensor
    """1 - mean cosine of what enters the layer and what leaves it, ()"""


@dataclass(frozen=True)
class Statistics:
    """Of every layer of a parent, over one text."""

    layers: tuple[LayerStatistics, ...]
    tokens: int
    """that were looked at"""

    def tensors(self) -> dict[str, Tensor]:
        """Flat, as a safetensors file takes them."""
        found = {
            f"{i}.{field.name}": getattr(layer, field.name).contiguous()
            for i, layer in enumerate(self.layers)
            for field in fields(layer)
        }
        return found | {"tokens": torch.tensor(self.tokens)}

    @classmethod
    def of(cls, tensors: dict[str, Tensor]) -> Statistics:
        """From what `tensors` gave."""
        depth = 1 + max(int(name.partition(".")[0]) for name in tensors if "." in name)
        layers = (
            LayerStatistics(**{f.name: tensors[f"{i}.{f.name}"] for f in fields(LayerStatistics)})
            for i in range(depth)
        )
        return cls(tuple(layers), int(tensors["tokens"]))


def measured(
    config: Any, family: Family, geometry: Geometry, get: Callable[[str], Tensor], tokens: Tensor
) -> Statistics:
    """Runs the text (B, T) through one layer after another.

    Memory holds one layer in float32, the word table and the stream of all tokens, whatever the depth.
    """
    with torch.inference_mode():
        words = get(f"{family.base}{family.words}").float()
        stream = nn.functional.embedding(tokens, words)  # (B, T, D)
        del words
        found = []
        stages = _Stages(config, family, get)
        for layer in range(geometry.layers):
            stage = stages.at(layer)
            weights = {of: get(name).float() for name, of in names(family, layer, geometry.layer)}
            stage.load(weights)
            stream, seen = stage.run(stream)
            found.append(_of_layer(family, geometry, weights, seen))
    return Statistics(tuple(found), tokens.numel())


@dataclass
class _Seen:
    """What entered the matrices of a layer: squares and sums over tokens, by channel."""

    squares: dict[str, Tensor]
    sums: dict[str, Tensor]
    cosine: float
    tokens: int

    def norm(self, what: str) -> Tensor:
        return self.squares[what].sqrt()

    def variance(self, what: str) -> Tensor:
        mean = self.sums[what] / self.tokens
        return (self.squares[what] / self.tokens - mean**2).clamp_min(0.0)


class _Stages:
    """A decoder of one layer, filled with one layer of the parent after another; one a kind of layer."""

    def __init__(self, config: Any, family: Family, get: Callable[[str], Tensor]) -> None:
        self.config, self.family, self.get = config, family, get
        self.made: dict[str, _Stage] = {}

    def at(self, layer: int) -> _Stage:
        types = getattr(self.config, "layer_types", None)
        kind = types[layer] if types else ""
        if kind not in self.made:
            self.made[kind] = _Stage(self._config(kind), self.family)
        stage = self.made[kind]
        if self.family.positions:
            table = getattr(stage.base, self.family.positions.partition(".")[0])
            if layer == 0:
                table.weight.copy_(self.get(f"{self.family.base}{self.family.positions}"))
            else:  # they have been added before the first layer
                table.weight.zero_()
        return stage

    def _config(self, kind: str) -> Any:
        record = self.config.to_dict()
        mapped = self.config.attribute_map.get
        record[mapped("num_hidden_layers", "num_hidden_layers")] = 1
        record["vocab_size"] = 1  # words are looked up outside
        record |= dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"))
        if kind:
            record["layer_types"] = [kind]
        return type(self.config).from_dict(record)


class _Stage:
    def __init__(self, config: Any, family: Family) -> None:
        self.family = family
        with drawn_from(None):
            made: Any = hf.build(deepcopy(config))
        model = made.float().eval()
        self.base: Any = model.base_model
        setattr(self.base, family.norm, nn.Identity())
        self.layer: nn.Module = getattr(self.base, family.layers)[0]

    def load(self, weights: dict[TensorOf, Tensor]) -> None:
        own = dict(self.layer.named_parameters())
        for of, tensor in weights.items():
            own[of.name].copy_(tensor)

    def run(self, stream: Tensor) -> tuple[Tensor, _Seen]:
        """(B, T, D) -> what leaves the layer, and what was seen inside."""
        seen = _Seen({}, {}, 0.0, stream.shape[0] * stream.shape[1])
        with self._listening(seen) as entered:
            parts = torch.split(stream, TOGETHER)
            after = torch.cat([self.base(inputs_embeds=p, use_cache=False).last_hidden_state for p in parts])
        before = torch.cat(entered)  # positions included
        pairs = nn.functional.cosine_similarity(before.flatten(0, 1), after.flatten(0, 1), dim=-1)
        seen.cosine = float(pairs.double().mean())
        return after, seen

    @contextmanager
    def _listening(self, seen: _Seen) -> Iterator[list[Tensor]]:
        """Fills in what was seen, and gives what enters the layer, piece by piece."""
        entered: list[Tensor] = []

        def note(what: str) -> Callable[[nn.Module, Any], None]:
            def hook(_: nn.Module, given: Any) -> None:
                x = given[0].flatten(0, -2).double()
                for store, value in ((seen.squares, x**2), (seen.sums, x)):
                    total = value.sum(0)
                    store[what] = store[what] + total if what in store else total

            return hook

        # The matrix that takes what enters the part, and the one that leads back.
        inside = {"attention": self.family.out, "mlp": self.family.down}
        handles = []
        for part, back in inside.items():
            first = next(t.name for t in self.family.matrices(part) if t.name != back)
            for what, name in ((f"{part} in", first), (f"{part} out", back)):
                module = reduce(getattr, name.removesuffix(".weight").split("."), self.layer)
                handles.append(module.register_forward_pre_hook(note(what)))
        handles.append(self.layer.register_forward_pre_hook(lambda _, given: entered.append(given[0])))
        try:
            yield entered
        finally:
            for handle in handles:
                handle.remove()


def _of_layer(
    family: Family, geometry: Geometry, weights: dict[TensorOf, Tensor], seen: _Seen
) -> LayerStatistics:
    named = {of.name: w for of, w in weights.items()}
    inputs = 0 if family.turned else 1  # the axis of the input channels
    heads, inner = named[family.out].double(), named[family.down].double()
    found: dict[str, Tensor] = {}
    for back, key, what in ((heads, "heads", "attention out"), (inner, "inner", "mlp out")):
        sums, squares = back.abs().sum(1 - inputs), (back**2).sum(1 - inputs)
        units = geometry.heads if key == "heads" else geometry.inner
        found[f"importance_{key}"] = (sums * seen.norm(what)).view(units, -1).sum(1)
        found[f"fluctuation_{key}"] = (squares * seen.variance(what)).view(units, -1).sum(1)
    for key in ("magnitude", "wanda"):
        for unit, n in (("heads", geometry.heads), ("kv", geometry.kv_heads), ("inner", geometry.inner)):
            found[f"{key}_{unit}"] = torch.zeros(n, dtype=torch.float64)
    for part, back_name in (("attention", family.out), ("mlp", family.down)):
        for of in family.matrices(part):
            size = named[of.name].double().abs()
            way = "out" if of.name == back_name else "in"
            norm = seen.norm(f"{part} {way}")
            scaled = size * (norm[:, None] if inputs == 0 else norm)
            for key, mass in (("magnitude", size), ("wanda", scaled)):
                unit, folded = _by_unit(of, mass, geometry)
                found[f"{key}_{unit}"] += folded
    return LayerStatistics(influence=torch.tensor(1.0 - seen.cosine, dtype=torch.float64), **found)


def _by_unit(of: TensorOf, mass: Tensor, geometry: Geometry) -> tuple[str, Tensor]:
    """Which kind of unit a matrix goes with, and its mass summed over what belongs to each of them."""
    axis = next(i for i, letter in enumerate(of.axes) if letter != "D")
    letter, along = of.axes[axis], mass.sum(1 - axis)
    if letter == "I":
        return "inner", along
    if letter == "K":
        return "kv", along.view(geometry.kv_heads, -1).sum(1)
    if letter == "B":
        return "heads", along.view(3, geometry.heads, -1).sum((0, 2))
    return "heads", along.view(geometry.heads, -1).sum(1)
