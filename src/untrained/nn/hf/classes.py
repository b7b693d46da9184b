"""The classes behind the model types `untrained_llama` and so on, made from the table of families.

A stock model is built with no layers, and its layers are then built one by one, each from its own
configuration; all else (forward pass, cache, generation, loss) is the stock code.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

from untrained.nn.hf.families import FAMILIES, Family
from untrained.nn.hf.layers import channels
from untrained.nn.hf.register import list_models


@dataclass(frozen=True)
class Classes:
    """What one family needs."""

    config: Any
    body: Any
    causal: Any


@cache
def classes(kind: str) -> Classes:
    """The classes of a family, listed for the auto classes."""
    family = FAMILIES[kind]
    config = _config(family)
    found = Classes(
        config, _model(family, config, family.body_class), _model(family, config, family.causal_class)
    )
    list_models(config, {"AutoModel": found.body, "AutoModelForCausalLM": found.causal})
    return found


def __getattr__(name: str) -> Any:
    """`UntrainedLlamaConfig` and so on, by which pickled objects and the lists find them."""
    for family in FAMILIES.values():
        if name.startswith(f"Untrained{family.stem}"):
            made = classes(family.kind)
            for one in (made.config, made.body, made.causal):
                if one.__name__ == name:
                    return one
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _config(family: Family) -> Any:
    strict = import_module("huggingface_hub.dataclasses").strict

    def validate_architecture(self: Any) -> None:
        """Heads need not divide the width, as the channels of a head are stated."""
        for place, layer in enumerate(self.per_layer_config):
            heads = getattr(layer, family.heads)
            shared = (getattr(layer, family.kv_heads) if family.kv_heads else None) or heads
            if heads < 1 or heads % shared:
                raise ValueError(f"layer {place} has {heads} heads and {shared} key/value heads")

    body = {
        "__module__": __name__,
        "__doc__": f"A {family.stem} configuration whose layers may differ in size.",
        "model_type": family.model_type,
        "validate_architecture": validate_architecture,
    }
    return strict(type(f"Untrained{family.stem}Config", (family.config,), body))


def _model(family: Family, config: Any, stock: Any) -> Any:
    def __init__(self: Any, config: Any, *args: Any, **kwargs: Any) -> None:
        bare = _without_layers(config)
        stock.__init__(self, bare, *args, **kwargs)
        config._attn_implementation_internal = bare._attn_implementation_internal
        stack = getattr(self.base_model, family.stack)
        stack.extend(_layer(family, config, place) for place in range(config.num_hidden_layers))
        # From here on all read the whole configuration, so that a later choice of attention reaches all.
        for module in self.modules():
            if hasattr(module, "config"):
                module.config = config
        self.post_init()

    body = {
        "__module__": __name__,
        "__doc__": f"{stock.__name__}, each layer built from its own configuration.",
        "__init__": __init__,
        "config_class": config,
    }
    return type(f"Untrained{stock.__name__}", (stock,), body)


def _without_layers(config: Any) -> Any:
    bare = copy.copy(config)
    bare.per_layer_config = None
    bare.num_hidden_layers = 0
    return bare


def _layer(family: Family, config: Any, place: int) -> Any:
    """One layer of its own size."""
    own = config.per_layer_config[place]
    if family.resize is None:
        return family.model(family.layer)(own, place)
    heads = getattr(own, family.heads)
    setattr(own, family.heads, config.hidden_size // channels(config))
    layer = family.model(family.layer)(own, layer_idx=place)
    family.resize(layer, heads, channels(config))
    return layer
