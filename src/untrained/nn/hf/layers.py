"""Decoders of known families whose layers differ in query heads, key/value heads and MLP width.

Written in the `per_layer_config` schema of transformers, so that the files outlive the classes that read them
here: sizes that a layer does not name are those of the whole configuration.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from untrained.core.errors import MissingExtra, UsageError
from untrained.nn.hf.families import Family, family_of

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel


@dataclass(frozen=True)
class LayerSize:
    """The size of one decoder layer."""

    heads: int
    """query heads"""
    kv_heads: int
    """key/value heads, each shared by heads / kv_heads query heads"""
    inner: int
    """width of the MLP, in channels"""


def per_layer(
    config: PretrainedConfig, layers: Sequence[LayerSize], *, kept: Sequence[int] | None = None
) -> PretrainedConfig:
    """A configuration of the family of `config` with `len(layers)` layers of these sizes.

    The channels of a head stay those of `config`. Where all layers are equal and the stock class can say so,
    it is a plain stock configuration, else one of ours, of model type `untrained_...`. `kept` names for each
    layer the layer of `config` that it stands for; it is needed where those have types of their own (sliding
    windows) and their number changes. Raises UsageError for sizes that cannot be built.
    """
    family = family_of(config)
    _check(family, layers)
    record = _stock_record(family, config, len(layers), kept)
    found: PretrainedConfig = _plain(family, record, layers) or _differing(family, record, layers)
    return found


def sizes(config: PretrainedConfig) -> tuple[LayerSize, ...]:
    """The size of every layer of a stock configuration or of one from `per_layer`."""
    _check_version(config)
    family = family_of(config)
    found = []
    for layer in config.per_layer_config:
        heads = getattr(layer, family.heads)
        shared = getattr(layer, family.kv_heads) if family.kv_heads else None
        found.append(LayerSize(heads, shared or heads, getattr(layer, family.inner) or 4 * layer.hidden_size))
    return tuple(found)


def build(config: PretrainedConfig) -> PreTrainedModel:
    """The causal language model of a configuration with fresh weights, from torch's global generator.

    Also on `torch.device("meta")` and in FakeTensorMode, where it holds no numbers.
    """
    _check_version(config)
    family = family_of(config)
    if config.model_type == family.kind:
        model: PreTrainedModel = family.causal_class(config)
        return model
    made: PreTrainedModel = _classes(family).causal(config)
    return made


def channels(config: PretrainedConfig) -> int:
    """Channels of one head."""
    whole = config._getattr_without_heterogeneous_validation
    return int(whole("head_dim", None) or whole("hidden_size") // whole("num_attention_heads"))


def _check(family: Family, layers: Sequence[LayerSize]) -> None:
    if not layers:
        raise UsageError("a decoder needs 1 layer or more")
    for place, size in enumerate(layers):
        numbers = (size.heads, size.kv_heads, size.inner)
        if any(not isinstance(n, int) or n < 1 for n in numbers):
            raise UsageError(f"layer {place} is {size}: every size is a whole number from 1")
        if size.heads % size.kv_heads:
            raise UsageError(
                f"layer {place}: {size.kv_heads} key/value heads do not divide {size.heads} heads"
            )
        if family.kv_heads is None and size.heads != size.kv_heads:
            raise UsageError(
                f"layer {place} has {size.heads} heads and {size.kv_heads} key/value heads, and"
                f" {family.kind} has no shared ones: give kv_heads={size.heads}"
            )


def _check_version(config: Any) -> None:
    if not hasattr(config, "per_layer_config"):
        raise UsageError(
            "layers of different sizes need transformers 5.23 or newer, which can describe them.\n"
            "  install: pip install -U transformers"
        )


def _stock_record(family: Family, config: Any, depth: int, kept: Sequence[int] | None) -> dict[str, Any]:
    """What a stock configuration of that depth would hold, with the sizes of `config` as a whole."""
    _check_version(config)
    record = config.to_dict()
    for ours in ("per_layer_config", "model_type", "architectures", "transformers_version"):
        record.pop(ours, None)
    # Where layers differ, `to_dict` leaves out what they differ in.
    for name in (family.heads, family.kv_heads, family.inner):
        if name:
            record[name] = config._getattr_without_heterogeneous_validation(name)
    mapped = config.attribute_map.get
    record[mapped("num_hidden_layers", "num_hidden_layers")] = depth
    if types := record.get("layer_types"):
        record["layer_types"] = _types(types, depth, kept)
    return dict(record)


def _types(types: Sequence[str], depth: int, kept: Sequence[int] | None) -> list[str]:
    """The types of the layers that stay; raises UsageError where it is not known which these are."""
    if kept is not None:
        if len(kept) != depth or any(not 0 <= place < len(types) for place in kept):
            raise UsageError(f"kept={list(kept)} does not name a layer of {len(types)} for each of {depth}")
        return [types[place] for place in kept]
    if depth == len(types) or len(set(types)) == 1:
        return [types[min(place, len(types) - 1)] for place in range(depth)]
    raise UsageError(
        f"the layers are of several types ({', '.join(sorted(set(types)))}) and their number changes from"
        f" {len(types)} to {depth}: name those that stay, kept=[...]"
    )


def _plain(family: Family, record: dict[str, Any], layers: Sequence[LayerSize]) -> Any:
    """A stock configuration, or None where none says the same."""
    size = layers[0]
    if any(other != size for other in layers):
        return None
    base = family.config.from_dict(record)
    named = {family.heads: size.heads, family.inner: size.inner}
    if family.kv_heads:
        named[family.kv_heads] = size.kv_heads
    width, stated = base.hidden_size, "head_dim" in base.to_dict()
    if width != size.heads * channels(base) and not (stated and family.resize is None):
        return None
    try:
        return family.config.from_dict(record | named)
    except Exception:  # the stock checks refuse it; ours do not
        return None


def _differing(family: Family, record: dict[str, Any], layers: Sequence[LayerSize]) -> Any:
    base = family.config.from_dict(record)
    overrides = {}
    for place, size in enumerate(layers):
        overrides[place] = {family.heads: size.heads, family.inner: size.inner}
        if family.kv_heads:
            overrides[place][family.kv_heads] = size.kv_heads
    ours = record | {"head_dim": channels(base), "per_layer_config": overrides}
    return _classes(family).config.from_dict(ours)


def _classes(family: Family) -> Any:
    try:
        module = import_module("untrained.nn.hf.classes")
    except ImportError:
        raise MissingExtra("a Hugging Face model", "transformers", "hf") from None
    return module.classes(family.kind)
