"""A pretrained decoder on disk, and all that is asked of it while sub-networks come and go."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from untrained.core.cache import user_cache
from untrained.core.errors import UsageError
from untrained.nn import hf
from untrained.nn.adapters.sources import drawn_from, read
from untrained.nn.pretrained.checkpoint import Checkpoint
from untrained.nn.pretrained.cut import Cut, cut_tensors
from untrained.nn.pretrained.families import Family, Geometry, family_of, geometry_of
from untrained.nn.pretrained.ranking import Size, kept
from untrained.nn.pretrained.statistics import Statistics, measured
from untrained.nn.pretrained.store import load, save, without_luck
from untrained.nn.pretrained.tokens import Reader

KEPT = 2  # gradients of a parent that are held, each as large as the parent


class Parent:
    """One pretrained decoder. Raises UsageError for a directory that cannot be cut.

    Without a `folder` its weights are random: something to try the machinery on.
    """

    def __init__(self, config: Any, folder: Path | None = None) -> None:
        self.config, self.folder = config, folder
        self.family: Family = family_of(config)
        self.geometry: Geometry = geometry_of(config)
        self.reader = Reader(folder, self.geometry.vocabulary)
        self._statistics: dict[str, Statistics] = {}
        self._noted: dict[str, Any] = {}

    @cached_property
    def checkpoint(self) -> Checkpoint:
        assert self.folder is not None
        family = self.family
        also = {f"{family.head}.weight": f"{family.stored}.weight"} if family.stored else {}
        return Checkpoint(self.folder, family.base, also)

    @cached_property
    def id(self) -> str:
        """16 hex digits of the SHA-256 of configuration and weights; equal on every machine."""
        record = {k: v for k, v in self.config.to_dict().items() if k not in _LOOSE}
        weights = "random" if self.folder is None else self.checkpoint.digest
        text = json.dumps([record, weights], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @cached_property
    def dtype(self) -> torch.dtype:
        """In which the weights are stored."""
        return torch.float32 if self.folder is None else self.checkpoint.dtype

    def check(self) -> None:
        """Raises UsageError where a tensor is missing or has another shape than the configuration says."""
        if self.folder is None:
            return
        for name, expected in self._shapes().items():
            shape = self.checkpoint.shape(name)
            if shape != expected:
                raise UsageError(
                    f"{self.folder}: {name} has the shape {list(shape)}, and its configuration says"
                    f" {list(expected)}"
                )

    # --- tensors -----------------------------------------------------------------------------------

    def get(self, name: str) -> Tensor:
        """A tensor of the whole model, as it is stored."""
        return self._random[name] if self.folder is None else self.checkpoint[name]

    @cached_property
    def _random(self) -> dict[str, Tensor]:
        with drawn_from(torch.Generator().manual_seed(0)):
            model = hf.build(deepcopy(self.config))
        return {k: v.detach() for k, v in model.state_dict().items()}

    @cached_property
    def rest(self) -> tuple[str, ...]:
        """Tensors outside layers."""
        f = self.family
        found = [f"{f.base}{f.words}", f"{f.base}{f.norm}.weight"]
        if f.norm_bias:
            found.append(f"{f.base}{f.norm}.bias")
        if f.positions:
            found.append(f"{f.base}{f.positions}")
        if not getattr(self.config, "tie_word_embeddings", False):
            found.append(f"{f.head}.weight")
        return tuple(found)

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        g = self.geometry
        size = g.sizes(g.heads, g.kv_heads, g.inner)
        f = self.family
        found = {
            f"{f.base}{f.layers}.{i}.{of.name}": tuple(size[letter] for letter in of.axes)
            for i in range(g.layers)
            for of in g.layer
        }
        found[f"{f.base}{f.words}"] = (g.vocabulary, g.width)
        found |= {n: (g.width,) for n in self.rest if n.startswith(f"{f.base}{f.norm}.")}
        if f"{f.head}.weight" in self.rest:
            found[f"{f.head}.weight"] = (g.vocabulary, g.width)
        if f.positions:
            found[f"{f.base}{f.positions}"] = (g.positions, g.width)
        return found

    # --- what a text says of it --------------------------------------------------------------------

    def statistics(self, tokens: Tensor) -> Statistics:
        """Of a calibration text (B, T); kept on disk by the hashes of parent and text."""
        key = hashlib.sha256(tokens.numpy().tobytes() + str(tuple(tokens.shape)).encode()).hexdigest()[:16]
        if key not in self._statistics:
            self._statistics[key] = self._stored(key, tokens)
        return self._statistics[key]

    def _stored(self, key: str, tokens: Tensor) -> Statistics:
        if self.folder is None:
            return self._measured(tokens)
        path = user_cache() / "calibration" / f"{self.id}-{key}.safetensors"
        found = load(path)
        if found is None:
            found = self._measured(tokens)
            save(path, found)
        return found

    def _measured(self, tokens: Tensor) -> Statistics:
        return measured(self.config, self.family, self.geometry, self.get, tokens)

    def once(self, name: str, tokens: Tensor, make: Callable[[], Any]) -> Any:
        """What `make` returns for a text, made at the first call under that name and kept."""
        key = f"{name}/{tuple(tokens.shape)}/{hashlib.sha256(tokens.numpy().tobytes()).hexdigest()}"
        if key not in self._noted:
            while len(self._noted) >= KEPT:
                self._noted.pop(next(iter(self._noted)))
            self._noted[key] = make()
        return self._noted[key]

    # --- sub-networks ------------------------------------------------------------------------------

    def cut(self, sizes: Sequence[Size | None], statistics: Statistics) -> Cut:
        """What stays where a layer has these sizes; None drops it."""
        return Cut(self.geometry, kept(self.geometry, sizes, statistics))

    def whole(self) -> Cut:
        """Nothing cut."""
        g = self.geometry
        size = Size(g.heads, g.kv_heads, g.inner)
        return Cut(g, kept(g, [size] * g.layers, None))

    def settings(self, cut: Cut) -> Any:
        """The configuration of a sub-network."""
        if cut.whole:
            return deepcopy(self.config)
        layers = [hf.LayerSize(len(k.heads), len(k.kv_heads), len(k.inner)) for k in cut.kept]
        return hf.per_layer(self.config, layers, kept=[k.layer for k in cut.kept])

    def tensors(self, cut: Cut) -> dict[str, Callable[[], Tensor]]:
        """Functions that make the tensors of a sub-network, by name."""
        return dict(cut_tensors(self.family, cut, self.get, self.rest))

    def build(self, cut: Cut) -> nn.Module:
        """The sub-network as a Hugging Face model in float32, in evaluation mode."""
        with drawn_from(None), without_luck():
            model: nn.Module = hf.build(self.settings(cut))
        state = {name: make().float() for name, make in self.tensors(cut).items()}
        tied = {f"{self.family.head}.weight"} - set(self.rest)
        missing, unknown = model.load_state_dict(state, strict=False)
        if unknown or set(missing) - tied:
            raise AssertionError(f"the declaration of the family does not fit: {missing}, {unknown}")
        if tied:
            model.tie_weights()  # type: ignore[operator]
        return model.eval()


_LOOSE = ("transformers_version", "_name_or_path", "dtype", "torch_dtype")


@lru_cache(maxsize=4)
def parent_at(folder: str) -> Parent:
    """The parent in a model directory, or of a config.json alone, which can be priced and not built."""
    plan = read(folder)
    if plan.folder is None and Path(folder).expanduser().is_dir():
        raise UsageError(
            f"{folder} has a config.json and no weights in safetensors, so there is nothing to cut"
        )
    made = Parent(plan.config, plan.folder)
    made.check()
    return made
