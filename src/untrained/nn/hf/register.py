"""Our model types in Hugging Face's lists, so that `AutoConfig` and `AutoModel...` know them.

`import untrained` loads neither torch nor transformers: each type is listed as a stand-in that makes the
class when something is asked of it, and nothing of transformers is imported while it may itself be half
imported.
"""

from __future__ import annotations

import sys
from functools import cache
from importlib import import_module
from typing import Any

LISTS = "transformers.models.auto.configuration_auto"
CONFIGS = {
    f"untrained_{family}": f"untrained.nn.hf.classes:{name}"
    for family, name in (
        ("llama", "UntrainedLlamaConfig"),
        ("mistral", "UntrainedMistralConfig"),
        ("qwen2", "UntrainedQwen2Config"),
        ("qwen3", "UntrainedQwen3Config"),
        ("gpt2", "UntrainedGPT2Config"),
        ("gpt_neox", "UntrainedGPTNeoXConfig"),
    )
} | {
    "untrained_decoder": "untrained.nn.hf.models:DecoderConfig",
    "untrained_encoder": "untrained.nn.hf.models:EncoderConfig",
    "untrained_rnn": "untrained.nn.hf.models:RnnConfig",
}


def register() -> None:
    """Lists our model types; to be called once `LISTS` is imported. Models follow their configurations."""
    mapping = sys.modules[LISTS].CONFIG_MAPPING
    for model_type, place in CONFIGS.items():
        mapping.register(model_type, StandIn(place.partition(":")[2], (), {"place": place}), exist_ok=True)


def list_models(config: type[Any], models: dict[str, type[Any]]) -> None:
    """Lists the models that are built from a class of configurations, by the name of the auto class."""
    auto = import_module("transformers.models.auto.modeling_auto")
    for name, model in models.items():
        getattr(auto, name).register(config, model, exist_ok=True)


class StandIn(type):
    """Stands for a class that nobody has needed yet, and hands on whatever is asked of it."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return real(cls.__dict__["place"])(*args, **kwargs)

    def __getattr__(cls, name: str) -> Any:
        return getattr(real(cls.__dict__["place"]), name)


@cache
def real(place: str) -> Any:
    """The class at `module:name`."""
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)
