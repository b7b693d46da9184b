"""One of our networks as the plainest Hugging Face model that computes the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import torch
from torch import nn

from untrained.core.errors import MissingExtra, UsageError
from untrained.nn.decoder import Decoder
from untrained.nn.hf.networks import described, resumable

AUTO = {"decoder": "AutoModelForCausalLM", "rnn": "AutoModelForCausalLM", "encoder": "AutoModelForMaskedLM"}


@dataclass(frozen=True)
class Converted:
    """The model, and how it is loaded."""

    model: Any
    auto: str
    """the auto class of transformers that loads it"""
    ours: bool
    """whether loading it takes `import untrained`"""
    cached: bool
    """whether `generate` goes on from what it has read; False: it reads the text anew for each token"""


def converted(network: nn.Module, *, head: nn.Linear | None = None, labels: Sequence[str] = ()) -> Converted:
    """A stock model where one computes the same, else one of ours; in evaluation mode, sharing the weights.

    With a `head` for `labels`, on the mean of the features over the tokens, a classifier of ours.

    Raises UsageError for a network that is none of ours.
    """
    record = described(network)
    if record is None:
        raise UsageError(
            f"a {type(network).__name__} has no Hugging Face form.\n"
            "  what has: the decoders, encoders and recurrent networks of untrained.nn;"
            " a network of your own leaves with its own save_pretrained"
        )
    try:
        from untrained.nn.hf import models, stock
    except ImportError as error:
        raise MissingExtra("a Hugging Face model", error.name or "transformers", "hf") from None
    kind = record["kind"]
    auto = AUTO[kind] if head is None else models.CLASSIFIER
    if head is None and (found := stock.stock_form(network)) is not None:
        config, weights = found
        model = _filled(config, auto, weights)
        return Converted(model, auto, config.model_type.startswith("untrained_"), cached=True)
    config = models.CONFIGS[kind](network=record, **_numbers(record), **_labelled(labels))
    weights = {f"network.{name}": weight for name, weight in network.state_dict().items()}
    if head is not None:
        weights |= {f"head.{name}": weight for name, weight in head.state_dict().items()}
    cached = kind == "rnn" or (isinstance(network, Decoder) and resumable(network))
    return Converted(_filled(config, auto, weights), auto, ours=True, cached=cached)


def _filled(config: Any, auto: str, weights: dict[str, torch.Tensor]) -> Any:
    """A model of that configuration around these weights."""
    with torch.device("meta"):
        model = getattr(import_module("transformers"), auto).from_config(config)
    # Buffers that no file holds, such as the speeds of rotary positions, have to be made again.
    missing = model.load_state_dict(weights, strict=False, assign=True)
    assert not missing.unexpected_keys
    model.tie_weights()
    for name, buffer in list(model.named_buffers()):
        assert not buffer.is_meta or _remade(model, name), name
    assert not any(weight.is_meta for weight in model.parameters()), missing.missing_keys
    return model.eval()


def _remade(model: Any, name: str) -> bool:
    """Makes a buffer of the rotary positions from the configuration."""
    place, _, _ = name.rpartition(".")
    rotary = model.get_submodule(place)
    if not hasattr(rotary, "inv_freq"):
        return False
    fresh = type(rotary)(config=model.config)
    rotary.load_state_dict(fresh.state_dict())
    for key, buffer in fresh.named_buffers():
        rotary.register_buffer(key, buffer, persistent=False)
    return True


def _labelled(labels: Sequence[str]) -> dict[str, Any]:
    """The labels of a classifier by number, and back."""
    if not labels:
        return {}
    return {"id2label": dict(enumerate(labels)), "label2id": {name: i for i, name in enumerate(labels)}}


def _numbers(record: dict[str, Any]) -> dict[str, Any]:
    """What other code looks for in a configuration."""
    recurrent = record["kind"] == "rnn"
    layers = record["hidden"] if recurrent else record["layers"]
    return {
        "vocab_size": record["vocabulary"],
        "hidden_size": layers[-1] if recurrent else record["width"],
        "num_hidden_layers": len(layers),
        "max_position_embeddings": record["positions"] if record.get("position") == "learned" else None,
        "bos_token_id": None,
        "eos_token_id": None,
    }
