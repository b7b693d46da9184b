"""Encoders as the benchmark's authors write them: a hidden size and one JSON object a layer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from untrained.core.errors import InvalidArchitecture, UnknownName

# Ours -> operation_type, operation_parameter
OPERATIONS: dict[str, tuple[str, str | int]] = {
    "sdp": ("SA", "SDP"),
    "wma": ("SA", "WMA"),
    "dft": ("LT", "DFT"),
    "dct": ("LT", "DCT"),
    "conv5": ("DSC", 5),
    "conv9": ("DSC", 9),
    "conv13": ("DSC", 13),
}
NAMES = {published: ours for ours, published in OPERATIONS.items()}
HIDDEN, CONFIG, LAYERS = "hidden_size", "nas_config", "encoder_layers"
TYPE, PARAMETER, HEADS = "operation_type", "operation_parameter", "num_operation_heads"
FEED_WIDTH, FEED_LAYERS = "feed_forward_dimension", "num_feed_forward"
READINGS = ("declared", "trained")  # of the widths of the feed-forward part
OPERATION_READINGS = ("declared", "attention")

MORE = "untrained show bert_encoder"

Choices = dict[str, Any]


def read(
    recipe: str | bytes | Mapping[str, Any], feed_forward: str = "declared", operation: str = "declared"
) -> Choices:
    """The choices of a published recipe; raises InvalidArchitecture with what is wrong and where."""
    _check_reading(feed_forward)
    if operation not in OPERATION_READINGS:
        raise UnknownName("reading of the operations", operation, OPERATION_READINGS, MORE)
    record = _mapping(_parsed(recipe), "the recipe", (HIDDEN, CONFIG))
    config = _mapping(record[CONFIG], CONFIG, (LAYERS,))
    hidden, layers = _number(record[HIDDEN], HIDDEN), config[LAYERS]
    if not isinstance(layers, list | tuple):
        raise InvalidArchitecture(f"{LAYERS} is {layers!r:.60}, not a list of layers")
    if not layers:
        raise InvalidArchitecture(f"{LAYERS} is empty: an encoder needs at least one layer")
    rows = [_layer(layer, f"layer {i}", hidden, feed_forward) for i, layer in enumerate(layers, 1)]
    operations, heads, inner = zip(*rows, strict=True)
    if operation == "attention":
        operations = ("sdp",) * len(rows)
    return {"hidden": hidden, "layers": len(rows), "operation": operations, "heads": heads, "inner": inner}


def write(choices: Mapping[str, Any], feed_forward: str) -> dict[str, Any]:
    """What `read` reads as these choices; raises InvalidArchitecture for a stack that it has no word for."""
    _check_reading(feed_forward)
    hidden = choices["hidden"]
    rows = zip(choices["operation"], choices["heads"], choices["inner"], strict=True)
    return {HIDDEN: hidden, CONFIG: {LAYERS: [_written(*row, hidden, feed_forward) for row in rows]}}


def _written(
    operation: str, heads: int, inner: tuple[int, ...], hidden: int, feed_forward: str
) -> dict[str, Any]:
    kind, parameter = OPERATIONS[operation]
    if (_first(inner[-1], hidden, feed_forward), *(inner[-1],) * (len(inner) - 1)) != inner:
        raise InvalidArchitecture(
            f"the published form, read as {feed_forward}, cannot say the widths {list(inner)}"
        )
    return {
        TYPE: kind,
        PARAMETER: parameter,
        HEADS: heads,
        FEED_WIDTH: inner[-1],
        FEED_LAYERS: len(inner),
    }


def _first(width: int, hidden: int, feed_forward: str) -> int:
    """Width of the first feed-forward layer: the one that is written, or the one that was trained."""
    return width if feed_forward == "declared" else 4 * hidden


def _check_reading(feed_forward: str) -> None:
    if feed_forward not in READINGS:
        raise UnknownName("reading of the feed-forward part", feed_forward, READINGS, MORE)


def _layer(layer: Any, place: str, hidden: int, feed_forward: str) -> tuple[str, int, tuple[int, ...]]:
    """Operation, heads, and widths inside the feed-forward part."""
    found = _mapping(layer, place, (TYPE, PARAMETER, HEADS, FEED_WIDTH, FEED_LAYERS))
    operation = _operation(found[TYPE], found[PARAMETER], place)
    heads, width, depth = (_number(found[k], f"{place}: {k}") for k in (HEADS, FEED_WIDTH, FEED_LAYERS))
    if depth > 64:
        raise InvalidArchitecture(f"{place}: {FEED_LAYERS} is {depth}; this space stacks 64 at most")
    if hidden % heads:
        raise InvalidArchitecture(f"{place}: {heads} heads do not divide a hidden size of {hidden} evenly")
    return operation, heads, (_first(width, hidden, feed_forward), *(width,) * (depth - 1))


def _operation(kind: Any, parameter: Any, place: str) -> str:
    known = not isinstance(parameter, bool) and isinstance(kind, str) and isinstance(parameter, str | int)
    if not known or (kind, parameter) not in NAMES:
        there = ", ".join(f"{k} {p}" for k, p in NAMES)
        raise InvalidArchitecture(
            f"{place}: no operation is called {kind!r} {parameter!r}; there are: {there}"
        )
    return NAMES[kind, parameter]


def _parsed(recipe: Any) -> Any:
    if not isinstance(recipe, str | bytes):
        return recipe
    try:
        return json.loads(recipe)
    except (ValueError, RecursionError) as error:
        raise InvalidArchitecture(f"the recipe is not JSON: {error}") from None


def _mapping(value: Any, what: str, keys: tuple[str, ...]) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidArchitecture(f"{what} is {value!r:.60}, not an object with {', '.join(keys)}")
    if missing := [k for k in keys if k not in value]:
        raise InvalidArchitecture(f"{what} lacks {', '.join(missing)}")
    return value


def _number(value: Any, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InvalidArchitecture(f"{what} is {value!r:.60}, not a number of 1 or more")
    return value
