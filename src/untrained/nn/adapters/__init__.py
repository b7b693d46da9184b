"""Somebody else's network, with taps: one adapter per family, chosen by `adapt`.

An adapter never touches the network that it is given: it works on a copy of the module tree that shares the
weights, in evaluation mode, with hooks only while a pass runs. Half-precision weights are the exception:
they are copied and widened to float32, in which everything is measured, as scores take differences that
half precision rounds away and sums that it cannot hold.
"""

from __future__ import annotations

import torch
from torch import nn

from untrained.core.errors import UsageError
from untrained.nn.adapters._shadow import shadow, widened
from untrained.nn.adapters.huggingface import FAMILIES, HuggingFace
from untrained.nn.adapters.own import inside
from untrained.nn.adapters.torch_encoder import EncoderLM
from untrained.nn.recurrent import from_torch

__all__ = ["adapt"]

STAGES = ("embed", "encode")  # what a module has that can be probed as it is


def adapt(
    module: nn.Module, *, vocabulary: int = 2_000, generator: torch.Generator | None = None
) -> nn.Module:
    """The module with the stages and taps of `nn/taps.py`.

    One that has them is returned as it is, and of a model that `untrained export` wrote the network inside.
    A module without an embedding (`nn.LSTM`, `nn.TransformerEncoder`) gets one of `vocabulary` words, drawn
    from `generator`. Raises UsageError for a kind of module that no adapter takes, with what it lacks.
    """
    if all(hasattr(module, stage) for stage in STAGES):
        return module
    if (network := inside(module)) is not None:
        return shadow(network)
    if isinstance(module, nn.RNNBase):
        return from_torch(widened(module), vocabulary=vocabulary, generator=generator)
    if isinstance(module, nn.TransformerEncoder):
        return EncoderLM(shadow(module), vocabulary=vocabulary, generator=generator)
    family = FAMILIES.get(str(getattr(getattr(module, "config", None), "model_type", "")))
    if family is not None and hasattr(module, "base_model"):
        return HuggingFace(shadow(module), family)
    lacks = ", ".join(stage for stage in STAGES if not hasattr(module, stage))
    raise UsageError(
        f"no adapter for {type(module).__name__}, and it lacks what would make it one: {lacks}\n"
        f"  adapters: nn.RNN, nn.LSTM, nn.GRU, nn.TransformerEncoder; Hugging Face {', '.join(FAMILIES)}\n"
        "  write one: a module around it with embed(tokens) -> (B, T, E), encode(embedded, tape) -> (B, T, D)"
        " that writes tape.add(role, layer, tensor), `roles` and `vocabulary`; see untrained.nn.taps"
    )
