"""Causal transformers, with the relative positions and the adaptive softmax of Transformer-XL."""

from __future__ import annotations

import math
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax, softmax

from untrained.nn.memory import Memory
from untrained.nn.taps import Tape
from untrained.nn.transformer import Embedding, Transformer, TransformerShape, initialise


class RelativeAttention(nn.Module):
    """Softmax attention whose scores know the distance: ((q + u) . k + (q + v) . r) / sqrt(head width).

    r is a linear map of the sinusoids of the distance; u and v are learned, one vector a head each.

    Source: Dai et al. 2019, arXiv:1901.02860
    """

    def __init__(self, width: int, heads: int, head_width: int) -> None:
        super().__init__()
        self.width, self.heads, self.head_width = width, heads, head_width
        inside = heads * head_width
        self.query, self.key, self.value, self.distance = (
            nn.Linear(width, inside, bias=False) for _ in range(4)
        )
        self.output = nn.Linear(inside, width, bias=False)
        self.content_bias = nn.Parameter(torch.zeros(heads, head_width))
        self.distance_bias = nn.Parameter(torch.zeros(heads, head_width))

    def forward(
        self, x: Tensor, tape: Tape | None = None, layer: int = 0, memory: Memory | None = None
    ) -> Tensor:
        """(B, T, D) -> (B, T, D)"""
        q, k, v = (self._split(project(x)) for project in (self.query, self.key, self.value))
        if memory is not None:
            k, v = memory.keep(layer, k, v)
        keys = k.shape[2]
        r = self._split(self.distance(self._sinusoids(x, keys))[None])  # (1, heads, keys, d), by distance
        step = torch.arange(keys, device=x.device)
        apart = step[keys - x.shape[1] :, None] - step  # (T, keys); below 0 where the key is later
        near = (q + self.distance_bias[:, None]) @ r.transpose(-1, -2)  # (B, heads, T, distance)
        near = near.gather(-1, apart.clamp(min=0).expand_as(near))
        scores = (q + self.content_bias[:, None]) @ k.transpose(-1, -2) + near
        hidden = apart < 0 if memory is None else ~memory.mask(x.shape[1], keys)
        scores = (scores / math.sqrt(self.head_width)).masked_fill(hidden, -math.inf)
        weights = softmax(scores, -1)
        if tape is not None:
            tape.add("attention", layer, weights)
        return self.output((weights @ v).transpose(1, 2).flatten(2))  # type: ignore[no-any-return]

    def _split(self, x: Tensor) -> Tensor:
        """(B, T, heads * d) -> (B, heads, T, d)"""
        return x.reshape(*x.shape[:2], self.heads, self.head_width).transpose(1, 2)

    def _sinusoids(self, x: Tensor, length: int) -> Tensor:
        """(length, D): sines in the first half, cosines in the second, of distances 0, 1, ..."""
        steps = torch.arange(0, self.width, 2, device=x.device, dtype=x.dtype)
        speed = 10_000.0 ** (-steps / self.width)
        angle = torch.arange(length, device=x.device, dtype=x.dtype)[:, None] * speed
        return torch.cat([angle.sin(), angle.cos()], -1)[:, : self.width]


class AdaptiveHead(nn.Module):
    """Log-probabilities by clusters of words: frequent words and one entry a cluster first, then within.

    The tables are those of the embedding. `own` projections from the stream to a cluster's width are the
    head's, the first cluster's and on; the other clusters use the embedding's. There are none where the
    embedding has none.

    Source: Grave et al. 2017, arXiv:1609.04309, as Transformer-XL shares it with the adaptive embedding
    """

    def __init__(self, width: int, clusters: tuple[tuple[int, int], ...], own: int) -> None:
        super().__init__()
        self.words = tuple(n for n, _ in clusters)
        widths = [w for _, w in clusters]
        self.own = nn.ModuleList(nn.Linear(width, w, bias=False) for w in widths[:own])
        self.entries = nn.Linear(widths[0], len(clusters) - 1) if len(clusters) > 1 else None
        self.bias = nn.Parameter(torch.zeros(sum(self.words)))

    def logits(self, features: Tensor, embedding: Embedding) -> Tensor:
        """(B, T, D) -> (B, T, V), already log-probabilities"""
        inside, start = [], 0
        for cluster, words in enumerate(self.words):
            x = self._narrow(features, cluster, embedding)
            inside.append(x @ self._table(cluster, start, embedding).T + self.bias[start : start + words])
            start += words
        if self.entries is None:
            return log_softmax(inside[0], -1)
        entries = self.entries(self._narrow(features, 0, embedding))
        top = log_softmax(torch.cat([inside[0], entries], -1), -1)
        first, entered = top[..., : self.words[0]], top[..., self.words[0] :]
        rest = [log_softmax(x, -1) + entered[..., i, None] for i, x in enumerate(inside[1:])]
        return torch.cat([first, *rest], -1)

    def _narrow(self, features: Tensor, cluster: int, embedding: Embedding) -> Tensor:
        """(B, T, D) -> (B, T, width of the cluster)"""
        if cluster < len(self.own):
            return self.own[cluster](features)  # type: ignore[no-any-return]
        if not embedding.projections:
            return features
        shared = embedding.projections[min(cluster, len(embedding.projections) - 1)]
        return features @ shared.weight  # type: ignore[operator]

    def _table(self, cluster: int, start: int, embedding: Embedding) -> Tensor:
        """(words of the cluster, its width)"""
        if len(embedding.tables) == 1:
            cluster, rows = 0, slice(start, start + self.words[cluster])
        else:
            rows = slice(None)
        table: Any = embedding.tables[cluster].weight
        return table[rows]  # type: ignore[no-any-return]


class Decoder(Transformer):
    """A causal `Transformer`, with relative positions and an adaptive head where they are asked for."""

    def __init__(
        self,
        shape: TransformerShape,
        generator: torch.Generator | None = None,
        *,
        relative: bool = False,
        adaptive: tuple[tuple[int, int], ...] = (),
        own: int = 0,
    ) -> None:
        """`adaptive` has (words, width) of the head's clusters, `own` how many projections are its own."""
        super().__init__(shape, generator)
        self.relative, self.clusters, self.own = relative, adaptive, own
        self.adaptive: AdaptiveHead | None = None
        if adaptive:
            with torch.device("meta"):  # else torch draws once from its global generator
                head = AdaptiveHead(shape.width, adaptive, own)
            self.adaptive = _drawn(head, shape.init, generator)
        if relative:
            for block, layer in zip(self.blocks, shape.layers, strict=True):
                with torch.device("meta"):
                    head_width = layer.head_width or shape.width // layer.heads
                    mixer = RelativeAttention(shape.width, layer.heads, head_width)
                block.mixer = _drawn(mixer, shape.init, generator)
            self.norm = nn.Identity()  # Transformer-XL norms after each sum, and nowhere else

    def decode(self, features: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, V)"""
        if self.adaptive is None:
            return super().decode(features)
        return self.adaptive.logits(features, self.embedding)

    def embedding_parameters(self) -> list[nn.Parameter]:
        """Tables and projections of the tokens, positions, and the head."""
        return super().embedding_parameters() + list(
            () if self.adaptive is None else self.adaptive.parameters()
        )


M = TypeVar("M", bound=nn.Module)


def _drawn(module: M, init: str, generator: torch.Generator | None) -> M:
    """A module made on the meta device, given memory and weights; vectors that stand alone start at 0."""
    module.to_empty(device=torch.get_default_device())
    for vector in module.parameters(recurse=False):
        nn.init.zeros_(vector)
    initialise(module, init, generator)
    return module
