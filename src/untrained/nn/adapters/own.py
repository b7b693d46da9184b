"""Our own networks as `untrained export` wrote them: Hugging Face models around a network that has taps."""

from __future__ import annotations

from typing import Any

from torch import nn

SHELLS = {"untrained_decoder": "CausalLM", "untrained_encoder": "MaskedLM", "untrained_rnn": "CausalLM"}
"""model type -> the task of its usual class"""
PER_LAYER = tuple(f"untrained_{kind}" for kind in ("llama", "mistral", "qwen2", "qwen3", "gpt2", "gpt_neox"))
"""stock families whose layers differ in size"""
AUTOS = ("AutoModelForCausalLM", "AutoModelForMaskedLM", "AutoModelForSequenceClassification", "AutoModel")


def is_own(kind: str) -> bool:
    """Whether a model type is one of ours. Each layer has its own size there, so none is made smaller."""
    return kind in SHELLS or kind in PER_LAYER


def inside(module: nn.Module) -> nn.Module | None:
    """The network within a model of ours; None for another module."""
    config: Any = getattr(module, "config", None)
    network = getattr(module, "network", None)
    return network if getattr(config, "model_type", "") in SHELLS and isinstance(network, nn.Module) else None


def named(package: Any, config: Any) -> Any:
    """The class of ours that a configuration names, of those that transformers lists for it; else None."""
    name = (getattr(config, "architectures", None) or [""])[0]
    for auto in AUTOS:
        mapping = getattr(package, auto)._model_mapping
        if type(config) in mapping and mapping[type(config)].__name__ == name:
            return mapping[type(config)]
    return None
