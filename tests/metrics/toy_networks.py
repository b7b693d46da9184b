"""Networks small enough for paper, and ways to put them in front of a metric."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from untrained.nn.batch import Batch
from untrained.nn.probe import Probe
from untrained.nn.recurrent import GraphLayer, RecurrentLM, from_torch

SCORES = ("jacobian_covariance", "jacobian_cosine")
JACOBIAN = tuple(noise + score for score in SCORES for noise in ("", "large_noise_", "more_noised_"))
SALIENCY = ("synaptic_saliency", "hidden_synaptic_saliency")
PUBLISHED = ("hidden_covariance", "activation_distance", *SALIENCY, *JACOBIAN)  # of recurrent cells
MEMORY = ("fading_memory", "layered_memory", "gated_memory")
RECURRENT = (*PUBLISHED, *MEMORY, "lag0_gain")

LINEAR = ((("linear", ("x", "h_prev_0")),), (0,))  # h = x W + h U + b, nothing else


def luck(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def words(sequences: int, length: int, vocabulary: int, seed: int = 0) -> Batch:
    """Random words and those that follow them."""
    ids = torch.randint(vocabulary, (sequences, length + 1), generator=luck(seed))
    return Batch(ids[:, :-1], ids[:, 1:])


def cell_model(
    cell: tuple,
    widths: Sequence[int],
    vocabulary: int = 30,
    seed: int = 0,
    dtype: torch.dtype = torch.float64,
) -> RecurrentLM:
    """A language model of one cell; `widths` begins with the embedding."""
    drawn = luck(seed)
    layers = [GraphLayer(*cell, i, h, drawn) for i, h in pairwise(widths)]
    model = RecurrentLM(layers, vocabulary=vocabulary, embedding=widths[0], generator=drawn)
    return model.to(dtype)


def torch_probe(module: nn.RNNBase, batch: Batch, vocabulary: int = 30, seed: int = 0) -> Probe:
    """A probe of torch's own module, whose forward is the judge of ours."""
    return Probe(from_torch(module, vocabulary=vocabulary, generator=luck(seed)), batch, seed=seed)


class Shown(nn.Module):
    """A network whose output is a function of the embedded text; that output is its one layer's."""

    roles = ("block",)

    def __init__(self, of: Callable[[Tensor], Tensor], vocabulary: int = 500, width: int = 32, seed: int = 0):
        super().__init__()
        self.of = of
        self.vocabulary = vocabulary
        self.register_buffer(
            "table", torch.empty(vocabulary, width).uniform_(-0.1, 0.1, generator=luck(seed))
        )

    def embed(self, tokens: Tensor) -> Tensor:
        return self.table[tokens]

    def encode(self, embedded: Tensor, tape=None) -> Tensor:
        """(B, T, E) -> (B, T, D)"""
        output = self.of(embedded)
        if tape is not None:
            tape.add("block", 0, output)
        return output


class Remembered(nn.Module):
    """A network that writes down given states, (B, H) for each step of each layer, whatever it reads."""

    roles = ("hidden",)

    def __init__(self, layers: Sequence[Sequence[Tensor]]) -> None:
        super().__init__()
        self.states = layers

    def embed(self, tokens: Tensor) -> Tensor:
        return tokens[..., None].float()

    def encode(self, embedded: Tensor, tape=None) -> Tensor:
        for i, steps in enumerate(self.states):
            tape.add("hidden", i, *steps)
        return embedded
